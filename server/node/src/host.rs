//! The match host: binds, admits, creates rooms, drains.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amphi_server_core::{Room, RoomConfig};
use amphi_shared_auth::{JwksError, Verifier};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::{HostReady, HostStart};
use amphi_shared_edge::http::Problem;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::session::{Incoming, Refusal};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{BindError, Counters, ListenConfig, Listener, Listening, Origins, Sessions};
use amphi_shared_replica::Game;
use amphi_shared_wire::limits::ROOMS_PER_HOST_MAX;
use amphi_shared_wire::proto::{CreateRoom, CreateRoomReply};
use amphi_shared_wire::{Code, MatchId, Micros, Rng, Seed, SessionId, TickClock, TokenId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admission::{Admission, Route};
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::publisher;
use crate::reporter::{self, Identity, Reporter, Update};
use crate::room_request::RoomRequest;
use crate::routes;
use crate::worker::{Command, HostedRoom, Join, Links, Resume, WorkerHandle};

/// Ticks per second of every room.
const TICK_HZ: u32 = 60;
/// Events that wait for the host's task.
const EVENTS_MAX: usize = 4_096;
/// A room's tick 0 lies this far ahead, so that its host and its first clients are ready.
const START_DELAY: Micros = Micros::from_millis(100);
/// Time that running matches get on SIGTERM, or when the fleet names none.
const DRAIN: Duration = Duration::from_secs(20);
/// Time for the sessions' goodbyes after the rooms were ended.
const GOODBYE: Duration = Duration::from_secs(3);
/// Time for the last report.
const FLUSH: Duration = Duration::from_secs(5);
/// The same when the fleet's process is gone: another one may take its place.
const ORPHAN_FLUSH: Duration = Duration::from_secs(60);
/// Time for the last packets.
const GRACE: Duration = Duration::from_millis(500);

/// Why a host did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The public keys in the start line cannot be read.
    #[error("the public keys cannot be read: {0}")]
    Keys(#[from] JwksError),
    /// No client for the fleet or the live role.
    #[error("no service client: {0}")]
    Service(#[from] ServiceFailure),
    /// A room worker's thread did not start.
    #[error("a thread did not start: {0}")]
    Thread(#[from] io::Error),
}

/// What the host's task hears of.
#[derive(Debug)]
pub(crate) enum Event {
    /// The fleet wants a room.
    Create { request: CreateRoom, reply: Reply },
    /// A room was built, or not.
    Built { match_id: MatchId, room: Result<Box<HostedRoom>, Problem> },
    /// No new rooms; running ones end at the deadline, if there is one.
    Drain { deadline_ms: Option<u32> },
    /// The fleet does not know this host any more.
    LeaseEnded,
    /// The process that started this one is gone.
    Orphaned,
    /// A room and its sessions are gone.
    RoomEnded(MatchId),
    /// A session has ended.
    SessionEnded(SessionId),
    /// A token found no seat.
    TokenUnused(TokenId),
}

pub(crate) type Reply = oneshot::Sender<Result<CreateRoomReply, Problem>>;

/// A running match host.
#[derive(Debug)]
pub struct GameHost {
    ready: HostReady,
    counters: Counters,
    events: mpsc::Sender<Event>,
    task: JoinHandle<()>,
}

impl GameHost {
    /// Binds the port and takes rooms of `game` from then on. Call it inside a tokio runtime.
    ///
    /// It drains when `shutdown` does, when its fleet says so, or when its lease has ended, and stops at once when
    /// `shutdown` stops.
    ///
    /// # Errors
    /// The port is taken, or the start line is wrong.
    pub fn start(game: Game, start: HostStart, clock: Clock, shutdown: Shutdown) -> Result<Self, StartError> {
        let verifier = Verifier::from_jwks(&start.jwks)?;
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let listening = Listener::bind(ListenConfig {
            listen: start.listen,
            routes: routes::routes(&events, shutdown.clone()),
            verifier: verifier.clone(),
            clock,
            sessions: Some(Sessions {
                certificate: Certificate::from_der(start.tls.cert_der.clone(), start.tls.key_der.clone()),
                origins: Origins::Any,
            }),
        })?;
        let endpoints = listening.endpoints(&start.public_host, &start.region);
        let ready = HostReady {
            endpoints: endpoints.iter().map(Into::into).collect(),
            internal_url: format!("http://{}", listening.local_addr),
        };
        let counters = listening.counters.clone();
        let rooms_max = start.rooms_max.min(ROOMS_PER_HOST_MAX as u32);
        let identity = Identity { host_id: start.host_id, lease_id: start.lease_id, rooms_max, endpoints };
        let fleet_token = start.tokens.fleet_report.clone();
        let fleet = ServiceClient::new(&start.fleet_url, move |_| fleet_token.clone())?;
        let (reports, updates) = reporter::channel();
        tokio::spawn(Reporter::new(fleet, identity, events.clone()).run(updates));
        let host = Host {
            clock,
            workers: start_workers(&start, clock, (&events, &reports))?,
            admission: Admission::new(start.app.clone(), game.clone(), verifier),
            game,
            data_dir: start.data_dir.clone(),
            rooms_max: rooms_max as usize,
            created: BTreeMap::new(),
            building: BTreeMap::new(),
            rng: Seed(u64::from_le_bytes(amphi_shared_auth::random_bytes())).rng(),
            reports,
            events: events.clone(),
            drain: None,
            flush_time: FLUSH,
        };
        let task = tokio::spawn(host.run(listening, receiver, shutdown));
        Ok(Self { ready, counters, events, task })
    }

    /// What to tell the fleet.
    pub fn ready(&self) -> HostReady {
        self.ready.clone()
    }

    /// What the listener took and refused.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says that the process that started this one is gone: no new rooms, running matches finish.
    pub async fn orphaned(&self) {
        // A host that has ended needs not know.
        let _ = self.events.send(Event::Orphaned).await;
    }

    /// Waits until the host has ended: all rooms are over and reported, or it was stopped.
    pub async fn wait(&mut self) {
        if (&mut self.task).await.is_err() {
            tracing::error!("the host's task panicked");
        }
    }
}

/// How a host goes away.
#[derive(Clone, Copy, Debug)]
struct Drain {
    /// Rooms that still run then are ended; never when there is none.
    deadline: Option<Instant>,
    ended: bool,
}

struct Host {
    clock: Clock,
    game: Game,
    data_dir: PathBuf,
    rooms_max: usize,
    workers: Vec<WorkerHandle>,
    admission: Admission,
    /// Answers to `CreateRoom`, so that the same request gets the same answer.
    created: BTreeMap<MatchId, CreateRoomReply>,
    building: BTreeMap<MatchId, Vec<Reply>>,
    rng: Rng,
    reports: mpsc::Sender<Update>,
    events: mpsc::Sender<Event>,
    drain: Option<Drain>,
    /// How long the last results may take to reach the fleet.
    flush_time: Duration,
}

impl Host {
    async fn run(mut self, mut listening: Listening, mut events: mpsc::Receiver<Event>, shutdown: Shutdown) {
        let mut draining = std::pin::pin!(shutdown.wait());
        let mut stopping = std::pin::pin!(shutdown.wait_stop());
        let mut signalled = false;
        while !self.is_done() {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = &mut stopping => break,
                () = &mut draining, if !signalled => {
                    signalled = true;
                    self.start_drain(Some(DRAIN)).await;
                }
                Some(event) = events.recv() => self.handle(event).await,
                Some(incoming) = listening.incoming.recv() => self.admit(incoming),
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.end_rooms();
                }
            }
        }
        self.leave(listening).await;
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Create { request, reply } => self.create(&request, reply),
            Event::Built { match_id, room } => self.built(match_id, room),
            Event::Drain { deadline_ms } => {
                self.start_drain(deadline_ms.map(|ms| Duration::from_millis(u64::from(ms)))).await;
            }
            Event::LeaseEnded => self.start_drain(None).await,
            Event::Orphaned => {
                self.flush_time = ORPHAN_FLUSH;
                self.start_drain(None).await;
            }
            Event::RoomEnded(match_id) => {
                self.admission.match_ended(match_id);
                self.created.remove(&match_id);
            }
            Event::SessionEnded(session) => self.admission.session_ended(session),
            Event::TokenUnused(token) => self.admission.token_unused(token),
        }
    }

    fn admit(&mut self, incoming: Incoming) {
        let now = self.clock.now();
        let (worker, command) = match self.admission.route(now, &incoming.hello) {
            Ok(Route::Join { worker, token }) => {
                let session = SessionId::generate(now, &mut self.rng);
                self.admission.session_opened(session, worker, token.match_id);
                (worker, Command::Join(Box::new(Join { token, session, incoming })))
            }
            Ok(Route::Resume { worker, match_id, session }) => {
                (worker, Command::Resume(Box::new(Resume { match_id, session, incoming })))
            }
            Err(refusal) => {
                metrics::counter!("game_refused_total", "code" => refusal.code.name()).increment(1);
                tracing::debug!(code = %refusal.code, "a Hello was refused");
                return incoming.refuse(refusal);
            }
        };
        if let Err(command) = self.workers[worker].send(command) {
            self.refuse_command(command);
        }
    }

    /// The worker is overloaded.
    fn refuse_command(&mut self, command: Command) {
        let incoming = match command {
            Command::Join(join) => {
                self.admission.session_ended(join.session);
                self.admission.token_unused(join.token.id);
                join.incoming
            }
            Command::Resume(resume) => resume.incoming,
            Command::Open(_) | Command::Drain => return,
        };
        incoming.refuse(Refusal { retry_after_ms: 1_000, ..Refusal::from(Code::Overloaded) });
    }

    fn create(&mut self, request: &CreateRoom, reply: Reply) {
        match self.check_create(request) {
            Ok(Checked::Known(known)) => answer(reply, Ok(known)),
            Ok(Checked::New(request)) => {
                let waiting = self.building.entry(request.match_id).or_default();
                waiting.push(reply);
                if waiting.len() == 1 {
                    self.build(request);
                }
            }
            Err(problem) => answer(reply, Err(problem)),
        }
    }

    fn check_create(&self, request: &CreateRoom) -> Result<Checked, Problem> {
        let request = RoomRequest::parse(request, &self.game, TICK_HZ)?;
        if let Some(known) = self.created.get(&request.match_id) {
            return Ok(Checked::Known(*known));
        }
        if self.admission.has_ended(request.match_id) {
            return Err(Code::MatchEnded.into());
        }
        if self.drain.is_some() {
            return Err(Code::Draining.into());
        }
        let known = self.building.contains_key(&request.match_id);
        if !known && self.admission.matches() + self.building.len() >= self.rooms_max {
            return Err(Problem::from(Code::HostFull).retry_after(1_000));
        }
        Ok(Checked::New(request))
    }

    /// Builds a room on a thread of its own: a world takes longer than this task may stand still.
    fn build(&self, request: RoomRequest) {
        let (game, clock, data_dir, events) =
            (self.game.clone(), self.clock, self.data_dir.clone(), self.events.clone());
        let match_id = request.match_id;
        tokio::task::spawn_blocking(move || {
            let ticks = TickClock { tick0: clock.now() + START_DELAY, tick_hz: request.mode.tick_hz };
            let room = build(&game, request, ticks, &data_dir);
            // Without a host the process is ending.
            let _ = events.blocking_send(Event::Built { match_id, room });
        });
    }

    fn built(&mut self, match_id: MatchId, room: Result<Box<HostedRoom>, Problem>) {
        let waiting = self.building.remove(&match_id).unwrap_or_default();
        let opened = room.and_then(|room| {
            let (worker, ticks) = (self.admission.least_busy(self.workers.len()), room.ticks());
            self.workers[worker].send(Command::Open(room)).map_err(|_| Problem::from(Code::Overloaded))?;
            self.admission.match_opened(match_id, worker);
            Ok(CreateRoomReply { tick0_us: ticks.tick0.0, tick_hz: ticks.tick_hz })
        });
        if let Ok(reply) = &opened {
            self.created.insert(match_id, *reply);
        }
        waiting.into_iter().for_each(|reply| answer(reply, opened.clone()));
    }

    /// Takes no more rooms. A nearer deadline replaces a later one.
    async fn start_drain(&mut self, within: Option<Duration>) {
        let deadline = within.map(|within| Instant::now() + within);
        let known = self.drain.unwrap_or(Drain { deadline: None, ended: false });
        let deadline = [known.deadline, deadline].into_iter().flatten().min();
        if self.drain.is_none() {
            tracing::info!(matches = self.admission.matches(), "draining");
            // The reporter always reads.
            let _ = self.reports.send(Update::Draining).await;
        }
        self.drain = Some(Drain { deadline, ended: known.ended });
    }

    fn deadline(&self) -> Option<Instant> {
        self.drain.filter(|drain| !drain.ended).and_then(|drain| drain.deadline)
    }

    /// The deadline has come.
    fn end_rooms(&mut self) {
        if let Some(drain) = &mut self.drain {
            *drain = Drain { deadline: drain.deadline, ended: true };
        }
        for worker in &self.workers {
            if worker.send(Command::Drain).is_err() {
                tracing::error!("a room worker is too busy to end its rooms");
            }
        }
    }

    fn is_done(&self) -> bool {
        let drained = self.admission.matches() == 0 && self.building.is_empty();
        self.drain.is_some() && drained
    }

    /// Reports what is left to report, then closes everything.
    async fn leave(self, listening: Listening) {
        let (done, flushed) = oneshot::channel();
        let flush = async {
            if self.reports.send(Update::Flush(done)).await.is_ok() {
                // An error says that the reporter has ended.
                let _ = flushed.await;
            }
        };
        if tokio::time::timeout(self.flush_time, flush).await.is_err() {
            tracing::warn!("the last results did not reach the fleet");
        }
        listening.shutdown(GRACE).await;
        let workers = self.workers;
        // A worker that hangs must not keep the process.
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(WorkerHandle::join));
        let _ = tokio::time::timeout(GOODBYE, joined).await;
        tracing::info!("host ended");
    }
}

enum Checked {
    Known(CreateRoomReply),
    New(RoomRequest),
}

fn build(
    game: &Game,
    request: RoomRequest,
    ticks: TickClock,
    data_dir: &std::path::Path,
) -> Result<Box<HostedRoom>, Problem> {
    let journal = Journal::create(data_dir, request.match_id).map_err(Problem::internal)?;
    let RoomRequest { match_id, app, mode, seats, seed } = request;
    let config = RoomConfig { match_id, app, mode, seats, tick_clock: ticks, seed };
    let room = Room::new(game, config).map_err(Problem::internal)?;
    Ok(Box::new(HostedRoom::new(match_id, room, ticks, journal)))
}

fn start_workers(
    start: &HostStart,
    clock: Clock,
    (events, reports): (&mpsc::Sender<Event>, &mpsc::Sender<Update>),
) -> Result<Vec<WorkerHandle>, StartError> {
    let live_token = start.tokens.live_publish.clone();
    let live = ServiceClient::new(&start.live_url, move |_| live_token.clone())?;
    let (views, frames) = publisher::channel();
    tokio::spawn(publisher::run(live, start.app.clone(), frames));
    let metrics = Arc::new(Metrics::new());
    let count = std::thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1);
    let links = || Links {
        clock,
        host: events.clone(),
        reports: reports.clone(),
        views: views.feed(),
        metrics: Arc::clone(&metrics),
    };
    Ok((0..count).map(|number| WorkerHandle::start(number, links())).collect::<io::Result<_>>()?)
}

fn answer(reply: Reply, answer: Result<CreateRoomReply, Problem>) {
    // The fleet may have given up waiting; it asks again.
    let _ = reply.send(answer);
}
