//! A match host between a fleet and a live role that only listen.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amphi_server_node::GameHost;
use amphi_shared_auth::{ConnectToken, Keyring, Scope, ServiceToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::{HostStart, HostTokens, JournalLimits};
use amphi_shared_edge::http::{Access, Problem, Request, Response, Routes};
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{ListenConfig, Listener, Listening};
use amphi_shared_replica::Game;
use amphi_shared_wire::proto::{
    CreateRoom, CreateRoomReply, HostReport, HostReportReply, PublishBatch, PublishBatchReply, RoomReport,
    ServicePublication,
};
use amphi_shared_wire::{AppId, Code, HostId, LeaseId, MatchId, Micros, Rng, Seed, TokenId, UserId};
use tempfile::TempDir;

use crate::game::game;

/// Long enough for anything on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What fleet and live role have heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) reports: Vec<HostReport>,
    pub(crate) views: Vec<ServicePublication>,
    /// The fleet answers nothing but errors.
    pub(crate) fleet_down: bool,
}

pub(crate) struct World {
    pub(crate) host: GameHost,
    pub(crate) game: Game,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    pub(crate) keyring: Keyring,
    pub(crate) dir: TempDir,
    pub(crate) heard: Arc<Mutex<Heard>>,
    rng: Rng,
    _services: Listening,
}

impl World {
    pub(crate) fn start() -> Self {
        let (clock, keyring, shutdown) = (Clock::start(), Keyring::generate(), Shutdown::new());
        let heard = Arc::new(Mutex::new(Heard::default()));
        let services = services(&heard, &keyring, clock);
        let dir = tempfile::tempdir().unwrap();
        let token = |scope| mint(&keyring, clock, scope);
        let certificate = Certificate::generate(clock.now()).unwrap();
        let url = format!("http://{}", services.local_addr);
        let start = HostStart {
            host_id: HostId::from_bits(1),
            lease_id: LeaseId::from_bits(2),
            app: AppId::default(),
            region: "test".into(),
            fleet_url: url.clone(),
            live_url: url,
            otlp_url: None,
            public_host: "127.0.0.1".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: dir.path().to_owned(),
            journals: JournalLimits::default(),
            rooms_max: 2,
            jwks: keyring.jwks(),
            tokens: HostTokens { fleet_report: token(Scope::FleetReport), live_publish: token(Scope::LivePublish) },
            tls: (&certificate).into(),
        };
        let game = game();
        let host = GameHost::start(game.clone(), start, clock, shutdown.clone()).unwrap();
        Self { host, game, clock, shutdown, keyring, dir, heard, rng: Seed(8).rng(), _services: services }
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.host.ready().internal_url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// A client of the host's internal routes.
    pub(crate) fn fleet(&self) -> ServiceClient {
        let (rooms, drain) =
            (mint(&self.keyring, self.clock, Scope::HostRooms), mint(&self.keyring, self.clock, Scope::HostDrain));
        let token = move |path: &str| if path.ends_with("/drain") { drain.clone() } else { rooms.clone() };
        ServiceClient::new(&self.host.ready().internal_url, token).unwrap()
    }

    pub(crate) async fn create(&self, match_id: MatchId, mode: &str) -> Result<CreateRoomReply, ServiceFailure> {
        let mode = self.game.mode(mode).unwrap();
        let request = CreateRoom {
            match_id: match_id.to_string(),
            mode: mode.name.into(),
            teams: mode.teams.into(),
            team_size: mode.team_size.into(),
            seed: 5,
            ..Default::default()
        };
        self.fleet().call("/internal/v1/rooms", &request).await
    }

    /// A match of mode `2v2` that runs.
    pub(crate) async fn open(&mut self) -> MatchId {
        self.open_mode("2v2").await
    }

    pub(crate) async fn open_mode(&mut self, mode: &str) -> MatchId {
        let match_id = MatchId::generate(self.clock.now(), &mut self.rng);
        self.create(match_id, mode).await.unwrap();
        match_id
    }

    /// A fresh token of person `user` for a match.
    pub(crate) fn token(&mut self, match_id: MatchId, user: u128) -> String {
        let token = ConnectToken {
            id: TokenId::generate(self.clock.now(), &mut self.rng),
            match_id,
            user: UserId::from_bits(user),
            app: AppId::default(),
            name: format!("player {user}"),
            team: None,
            trace: match_id.into(),
            expires: self.clock.now() + Micros::from_secs(60),
        };
        self.mint(&token)
    }

    pub(crate) fn mint(&self, token: &ConnectToken) -> String {
        self.keyring.mint_connect(self.clock.now(), token)
    }

    /// Waits until what was heard gives an answer.
    pub(crate) async fn hear<T>(&self, mut answer: impl FnMut(&Heard) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(found) = answer(&self.heard.lock().unwrap()) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it was never heard")
    }

    /// Waits for a report of this room.
    pub(crate) async fn hear_room(&self, match_id: MatchId, wanted: impl Fn(&RoomReport) -> bool) -> RoomReport {
        let match_id = match_id.to_string();
        self.hear(|heard| {
            let mut rooms = heard.reports.iter().rev().flat_map(|report| &report.rooms);
            rooms.find(|room| room.match_id == match_id && wanted(room)).cloned()
        })
        .await
    }
}

/// Fails instead of waiting for ever.
pub(crate) async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for too long")
}

fn services(heard: &Arc<Mutex<Heard>>, keyring: &Keyring, clock: Clock) -> Listening {
    let (fleet, live) = (Arc::clone(heard), Arc::clone(heard));
    let report = move |request: Request| {
        let mut heard = fleet.lock().unwrap();
        let report = request.proto::<HostReport>();
        let down = heard.fleet_down;
        if let (Ok(report), false) = (report, down) {
            heard.reports.push(report);
        }
        async move {
            if down {
                return Err(Problem::from(Code::Unavailable));
            }
            Ok(Response::proto(&HostReportReply { lease_valid: true, drain: false, drain_deadline_ms: 0 }))
        }
    };
    let publish = move |request: Request| {
        let batch = request.proto::<PublishBatch>();
        if let Ok(batch) = batch {
            live.lock().unwrap().views.extend(batch.publications);
        }
        async { Ok(Response::proto(&PublishBatchReply { offsets: Vec::new() })) }
    };
    let routes = Routes::new().post("/internal/v1/fleet/report", Access::Service(Scope::FleetReport), report).post(
        "/internal/v1/topics/publish",
        Access::Service(Scope::LivePublish),
        publish,
    );
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Listener::bind(ListenConfig { listen, routes, verifier: keyring.verifier(), clock, tls: None, sessions: None })
        .unwrap()
}

fn mint(keyring: &Keyring, clock: Clock, scope: Scope) -> String {
    let expires = clock.now() + Micros::from_secs(600);
    keyring.mint_service(clock.now(), &ServiceToken { from: "test".into(), scope, expires })
}
