//! A double of the fleet: its two internal routes, and matches that do what a test says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use amphi_shared_auth::{Keyring, Scope};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::{Access, Problem, Request, Response, Routes};
use amphi_shared_edge::{ListenConfig, Listener, Listening};
use amphi_shared_wire::Code;
use amphi_shared_wire::proto::{
    AllocateReply, AllocateRequest, Endpoint, MatchInfo, MatchQuery, RoomReport, Seat, SeatPlan,
};
use tokio::sync::Notify;

/// A fleet that a test controls.
#[derive(Clone)]
pub(crate) struct FleetDouble {
    state: Arc<Mutex<State>>,
    asked: Arc<Notify>,
    listening: Arc<Listening>,
}

#[derive(Default)]
struct State {
    /// Refusals of the next allocations; after them it says yes.
    refusals: VecDeque<Code>,
    matches: BTreeMap<String, MatchInfo>,
    allocations: Vec<AllocateRequest>,
}

impl FleetDouble {
    pub(crate) fn start(keyring: &Keyring, clock: Clock) -> Self {
        let (state, asked) = (Arc::new(Mutex::new(State::default())), Arc::new(Notify::new()));
        let (allocating, querying, news) = (state.clone(), state.clone(), asked.clone());
        let routes = Routes::new()
            .post("/internal/v1/fleet/allocate", Access::Service(Scope::FleetAllocate), move |request: Request| {
                let answer = request.proto().and_then(|asked| allocating.lock().unwrap().allocate(asked));
                news.notify_one();
                async move { answer }
            })
            .post("/internal/v1/fleet/match", Access::Service(Scope::FleetRead), move |request: Request| {
                let answer = request.proto().and_then(|asked| querying.lock().unwrap().query(&asked));
                async move { answer }
            });
        let config = ListenConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            routes,
            verifier: keyring.verifier(),
            clock,
            tls: None,
            sessions: None,
        };
        Self { state, asked, listening: Arc::new(Listener::bind(config).unwrap()) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listening.local_addr)
    }

    /// The next allocations are refused with these codes, one each.
    pub(crate) fn refuse(&self, codes: &[Code]) {
        self.state.lock().unwrap().refusals.extend(codes);
    }

    pub(crate) fn stop_refusing(&self) {
        self.state.lock().unwrap().refusals.clear();
    }

    /// Waits until it has been asked for a host once more.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    pub(crate) fn allocations(&self) -> Vec<AllocateRequest> {
        self.state.lock().unwrap().allocations.clone()
    }

    /// Matches that run.
    pub(crate) fn running(&self) -> BTreeSet<String> {
        let state = self.state.lock().unwrap();
        let running = state.matches.values().filter(|info| info.state == "running");
        running.map(|info| info.match_id.clone()).collect()
    }

    /// A match that is starting has no endpoints.
    pub(crate) fn set_state(&self, match_id: &str, state: &str) {
        self.with(match_id, |info| {
            info.state = state.to_owned();
            if state == "starting" {
                info.endpoints.clear();
            }
        });
    }

    /// The seats of a running match: `(team, user)`, an empty user is a bot.
    pub(crate) fn set_roster(&self, match_id: &str, seats: &[(u32, &str)]) {
        let seat = |(number, (team, user)): (u32, &(u32, &str))| Seat {
            seat: number,
            team: *team,
            user: (*user).to_owned(),
            bot: user.is_empty(),
            connected: !user.is_empty(),
            ..Seat::default()
        };
        let roster = (0..).zip(seats).map(seat).collect();
        self.with(match_id, |info| info.room = Some(RoomReport { roster, ..RoomReport::default() }));
    }

    fn with(&self, match_id: &str, change: impl FnOnce(&mut MatchInfo)) {
        change(self.state.lock().unwrap().matches.get_mut(match_id).unwrap());
    }
}

impl State {
    fn allocate(&mut self, asked: AllocateRequest) -> Result<Response, Problem> {
        self.allocations.push(asked.clone());
        if let Some(code) = self.refusals.pop_front() {
            return Err(code.into());
        }
        let endpoint = Endpoint {
            transport: "quic".to_owned(),
            url: "quic://127.0.0.1:7001".to_owned(),
            cert_sha256: vec![vec![0xab; 32].into()],
            region: "test".to_owned(),
        };
        let bot = |SeatPlan { team, user, name }: SeatPlan| Seat { team, user, name, ..Seat::default() };
        let info = MatchInfo {
            match_id: asked.match_id.clone(),
            app: asked.app,
            mode: asked.mode,
            host_id: "hst_double".to_owned(),
            state: "running".to_owned(),
            endpoints: vec![endpoint.clone()],
            room: Some(RoomReport { roster: asked.seats.into_iter().map(bot).collect(), ..RoomReport::default() }),
            created_us: 1,
        };
        self.matches.entry(asked.match_id.clone()).or_insert(info);
        let endpoints = vec![endpoint];
        Ok(Response::proto(&AllocateReply { match_id: asked.match_id, host_id: "hst_double".to_owned(), endpoints }))
    }

    fn query(&self, asked: &MatchQuery) -> Result<Response, Problem> {
        let info = self.matches.get(&asked.match_id).ok_or(Code::MatchUnknown)?;
        Ok(Response::proto(info))
    }
}
