//! The host's task: the one owner of admission, rooms to be built, and the way out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use amphi_server_core::{Room, RoomConfig};
use amphi_shared_edge::Listening;
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::JournalLimits;
use amphi_shared_edge::http::Problem;
use amphi_shared_edge::session::{Incoming, Refusal};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_replica::Game;
use amphi_shared_wire::proto::{CreateRoom, CreateRoomReply, Endpoint};
use amphi_shared_wire::{Code, MatchId, Micros, Rng, Seed, SessionId, TickClock};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Event, Reply};
use crate::admission::{Admission, Route};
use crate::journal::Journal;
use crate::reporter::Update;
use crate::retention::{self, SWEEP_EVERY};
use crate::room_request::RoomRequest;
use crate::worker::{Command, HostedRoom, Join, Resume, WorkerHandle};

/// Ticks per second of every room.
const TICK_HZ: u32 = 60;
/// A room's tick 0 lies this far ahead, so that its host and its first clients are ready.
const START_DELAY: Micros = Micros::from_millis(100);
/// Time that running matches get on SIGTERM, or when the fleet names none.
const DRAIN: Duration = Duration::from_secs(20);
/// Time for the sessions' goodbyes after the rooms were ended.
const GOODBYE: Duration = Duration::from_secs(3);
/// Time for the last report.
const FLUSH: Duration = Duration::from_secs(5);
/// The same when the host is to stop at once.
const STOP_FLUSH: Duration = Duration::from_millis(500);
/// The same when the fleet's process is gone: another one may take its place.
const ORPHAN_FLUSH: Duration = Duration::from_secs(60);
/// Time for the last packets.
const GRACE: Duration = Duration::from_millis(500);

/// How a host goes away.
#[derive(Clone, Copy, Debug)]
struct Drain {
    /// Rooms that still run then are ended; never when there is none. Once they are ended: when to give up on them.
    deadline: Option<Instant>,
    ended: bool,
}

/// How clients know the host.
pub(super) struct Names {
    pub(super) public_host: String,
    pub(super) region: String,
}

impl Names {
    pub(super) fn endpoints(&self, listening: &Listening) -> Vec<Endpoint> {
        listening.endpoints(&self.public_host, &self.region)
    }
}

/// What the task is made of.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) game: Game,
    pub(super) data_dir: PathBuf,
    pub(super) journals: JournalLimits,
    pub(super) rooms_max: usize,
    pub(super) names: Names,
    pub(super) workers: Vec<WorkerHandle>,
    pub(super) admission: Admission,
    pub(super) reports: mpsc::Sender<Update>,
    pub(super) events: mpsc::Sender<Event>,
    /// Told to `/readyz`.
    pub(super) draining: Arc<AtomicBool>,
}

/// Everything between the listener, the fleet and the workers.
pub(super) struct Host {
    parts: Parts,
    /// Answers to `CreateRoom`, so that the same request gets the same answer.
    created: BTreeMap<MatchId, CreateRoomReply>,
    building: BTreeMap<MatchId, Vec<Reply>>,
    rng: Rng,
    drain: Option<Drain>,
    /// How long the last results may take to reach the fleet.
    flush_time: Duration,
}

impl Host {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            created: BTreeMap::new(),
            building: BTreeMap::new(),
            rng: Seed(u64::from_le_bytes(amphi_shared_auth::random_bytes())).rng(),
            drain: None,
            flush_time: FLUSH,
        }
    }

    /// Runs until all rooms are over and reported, or the process stops.
    pub(super) async fn run(mut self, mut listening: Listening, mut events: mpsc::Receiver<Event>, shutdown: Shutdown) {
        let mut draining = std::pin::pin!(shutdown.wait());
        let mut stopping = std::pin::pin!(shutdown.wait_stop());
        let mut signalled = false;
        let mut sweeps = tokio::time::interval(SWEEP_EVERY);
        while !self.is_done() {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = &mut stopping => {
                    self.flush_time = STOP_FLUSH;
                    break;
                }
                () = &mut draining, if !signalled => {
                    signalled = true;
                    self.start_drain(Some(DRAIN)).await;
                }
                Some(event) = events.recv() => self.handle(event, &listening).await,
                Some(incoming) = listening.incoming.recv() => self.admit(incoming),
                _ = sweeps.tick() => {
                    self.sweep();
                    // A certificate that has ended is no longer named.
                    self.tell_endpoints(&listening).await;
                }
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if self.has_ended_rooms() {
                        tracing::error!("rooms did not end in time");
                        break;
                    }
                    self.end_rooms();
                }
            }
        }
        self.leave(listening).await;
    }

    async fn handle(&mut self, event: Event, listening: &Listening) {
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
                self.parts.admission.match_ended(match_id);
                self.created.remove(&match_id);
            }
            Event::SessionEnded(session) => self.parts.admission.session_ended(session),
            Event::TokenUnused(token) => self.parts.admission.token_unused(token),
            Event::Renew(certificate) => self.renew(certificate, listening).await,
        }
    }

    async fn renew(&mut self, certificate: Certificate, listening: &Listening) {
        if let Err(error) = listening.renew(certificate) {
            return tracing::error!(%error, "the new certificate is not usable");
        }
        tracing::info!("the certificate is renewed");
        self.tell_endpoints(listening).await;
    }

    async fn tell_endpoints(&self, listening: &Listening) {
        // The reporter always reads.
        let _ = self.parts.reports.send(Update::Endpoints(self.parts.names.endpoints(listening))).await;
    }

    fn admit(&mut self, incoming: Incoming) {
        let now = self.parts.clock.now();
        let (worker, command) = match self.parts.admission.route(now, &incoming.hello) {
            Ok(Route::Join { worker, token, replaces }) => {
                let session = SessionId::generate(now, &mut self.rng);
                self.parts.admission.session_opened(session, worker, &token);
                (worker, Command::Join(Box::new(Join { token, session, replaces, incoming })))
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
        if let Err(command) = self.parts.workers[worker].send(command) {
            self.refuse_command(command);
        }
    }

    /// The worker is overloaded.
    fn refuse_command(&mut self, command: Command) {
        let incoming = match command {
            Command::Join(join) => {
                self.parts.admission.session_ended(join.session);
                if join.replaces.is_none() {
                    self.parts.admission.token_unused(join.token.id);
                }
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
        let request = RoomRequest::parse(request, &self.parts.game, TICK_HZ)?;
        if let Some(known) = self.created.get(&request.match_id) {
            return Ok(Checked::Known(*known));
        }
        if self.parts.admission.has_ended(request.match_id) {
            return Err(Code::MatchEnded.into());
        }
        if self.drain.is_some() {
            return Err(Code::Draining.into());
        }
        let known = self.building.contains_key(&request.match_id);
        if !known && self.parts.admission.matches() + self.building.len() >= self.parts.rooms_max {
            return Err(Problem::from(Code::HostFull).retry_after(1_000));
        }
        Ok(Checked::New(request))
    }

    /// Builds a room on a thread of its own: a world takes longer than this task may stand still.
    fn build(&self, request: RoomRequest) {
        let (game, clock, data_dir, events) =
            (self.parts.game.clone(), self.parts.clock, self.parts.data_dir.clone(), self.parts.events.clone());
        let match_id = request.match_id;
        tokio::task::spawn_blocking(move || {
            let ticks = TickClock { tick0: clock.now() + START_DELAY, tick_hz: request.mode.tick_hz };
            let room = build(&game, request, ticks, &data_dir);
            // Without a host the process is ending.
            let _ = events.blocking_send(Event::Built { match_id, room });
        });
    }

    /// Deletes journals beyond the limits, on a thread of its own: a disk takes its time.
    fn sweep(&self) {
        let (data_dir, limits) = (self.parts.data_dir.clone(), self.parts.journals);
        tokio::task::spawn_blocking(move || match retention::sweep(&data_dir, limits, SystemTime::now()) {
            Ok(swept) => {
                metrics::counter!("game_journals_deleted_total").increment(swept.deleted);
                metrics::gauge!("game_journals_bytes").set(swept.kept_bytes as f64);
                if swept.deleted > 0 {
                    let (journals, bytes) = (swept.deleted, swept.deleted_bytes);
                    tracing::info!(journals, bytes, "old journals deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "the journals cannot be listed"),
        });
    }

    fn built(&mut self, match_id: MatchId, room: Result<Box<HostedRoom>, Problem>) {
        let waiting = self.building.remove(&match_id).unwrap_or_default();
        let opened = room.and_then(|room| {
            let (worker, ticks) = (self.parts.admission.least_busy(self.parts.workers.len()), room.ticks());
            self.parts.workers[worker].send(Command::Open(room)).map_err(|_| Problem::from(Code::Overloaded))?;
            self.parts.admission.match_opened(match_id, worker);
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
        if known.ended {
            return;
        }
        let deadline = [known.deadline, deadline].into_iter().flatten().min();
        if self.drain.is_none() {
            tracing::info!(matches = self.parts.admission.matches(), "draining");
            self.parts.draining.store(true, Ordering::Relaxed);
            // The reporter always reads.
            let _ = self.parts.reports.send(Update::Draining).await;
        }
        self.drain = Some(Drain { deadline, ended: false });
    }

    /// When to end the rooms; after that, when to wait for them no longer.
    fn deadline(&self) -> Option<Instant> {
        self.drain.and_then(|drain| drain.deadline)
    }

    fn has_ended_rooms(&self) -> bool {
        self.drain.is_some_and(|drain| drain.ended)
    }

    /// The deadline has come.
    fn end_rooms(&mut self) {
        self.drain = Some(Drain { deadline: Some(Instant::now() + GOODBYE), ended: true });
        for worker in &self.parts.workers {
            if worker.send(Command::Drain).is_err() {
                tracing::error!("a room worker is too busy to end its rooms");
            }
        }
    }

    fn is_done(&self) -> bool {
        let drained = self.parts.admission.matches() == 0 && self.building.is_empty();
        self.drain.is_some() && drained
    }

    /// Reports what is left to report, then closes everything.
    async fn leave(self, listening: Listening) {
        let (done, flushed) = oneshot::channel();
        let flush = async {
            if self.parts.reports.send(Update::Flush(done)).await.is_ok() {
                // An error says that the reporter has ended.
                let _ = flushed.await;
            }
        };
        if tokio::time::timeout(self.flush_time, flush).await.is_err() {
            tracing::warn!("the last results did not reach the fleet");
        }
        listening.shutdown(GRACE).await;
        let workers = self.parts.workers;
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

fn build(game: &Game, request: RoomRequest, ticks: TickClock, data_dir: &Path) -> Result<Box<HostedRoom>, Problem> {
    let journal = Journal::create(data_dir, request.match_id).map_err(Problem::internal)?;
    let RoomRequest { match_id, app, mode, seats, seed } = request;
    let config = RoomConfig { match_id, app, mode, seats, tick_clock: ticks, seed };
    let room = Room::new(game, config.clone()).map_err(Problem::internal)?;
    Ok(Box::new(HostedRoom::new(room, &config, journal)))
}

fn answer(reply: Reply, answer: Result<CreateRoomReply, Problem>) {
    // The fleet may have given up waiting; it asks again.
    let _ = reply.send(answer);
}
