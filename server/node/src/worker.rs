//! A room worker: one thread that owns rooms and the sessions in them, and runs their ticks.

mod hosted;
mod player;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self as thread_mpsc, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use amphi_shared_auth::ConnectToken;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::session::{Incoming, PipeEvent, PipeEventKind, PipeId};
use amphi_shared_session::Refusal;
use amphi_shared_wire::limits::RING_FRAMES_MAX;
use amphi_shared_wire::{Code, MatchId, Micros, SessionId};
use tokio::sync::mpsc;

use crate::host::Event;
use crate::metrics::Metrics;
use crate::profile::phase;
use crate::publisher::ViewFeed;
use crate::reporter::Update;
pub(crate) use hosted::HostedRoom;

/// Frames and datagrams that wait for the worker's next tick. Beyond: frames wait in the network, datagrams are dropped.
const MAILBOX_MAX: usize = RING_FRAMES_MAX * 2;
/// Commands that wait for a worker. Beyond: the host refuses with `Overloaded`.
const COMMANDS_MAX: usize = 1_024;
/// Interval of reports without news.
const REPORT_EVERY: Micros = Micros::from_secs(1);
/// Sleep of a worker without rooms.
const IDLE: Duration = Duration::from_secs(1);

/// What a host asks of a worker.
pub(crate) enum Command {
    /// Run this room.
    Open(Box<HostedRoom>),
    /// Seat the person with this token.
    Join(Box<Join>),
    /// Go on with a session of this match.
    Resume(Box<Resume>),
    /// End every room: the host goes away.
    Drain,
}

/// A person with a verified connect token.
pub(crate) struct Join {
    pub(crate) token: ConnectToken,
    pub(crate) session: SessionId,
    /// The session that this token has opened before: it ends, if its client never read its Welcome.
    pub(crate) replaces: Option<SessionId>,
    pub(crate) incoming: Incoming,
}

/// A person who comes back; the session checks the secret.
pub(crate) struct Resume {
    pub(crate) match_id: MatchId,
    pub(crate) session: SessionId,
    pub(crate) incoming: Incoming,
}

/// What a worker shares with the rest of the host.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) clock: Clock,
    pub(crate) host: mpsc::Sender<Event>,
    pub(crate) reports: mpsc::Sender<Update>,
    pub(crate) views: ViewFeed,
    pub(crate) metrics: Arc<Metrics>,
}

/// The host's end of a worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    commands: SyncSender<Command>,
    thread: JoinHandle<()>,
}

impl WorkerHandle {
    /// Starts a worker thread.
    pub(crate) fn start(number: usize, links: Links) -> io::Result<Self> {
        let (commands, receiver) = thread_mpsc::sync_channel(COMMANDS_MAX);
        let (mailbox, events) = mpsc::channel(MAILBOX_MAX);
        let worker = Worker {
            links,
            rooms: BTreeMap::new(),
            pipes: BTreeMap::new(),
            pipes_made: 0,
            mailbox,
            events,
            report_at: Micros(0),
        };
        let thread = thread::Builder::new().name(format!("rooms-{number}")).spawn(move || worker.run(&receiver))?;
        Ok(Self { commands, thread })
    }

    /// Hands over a command; gives it back when the worker is overloaded or has ended.
    pub(crate) fn send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) | TrySendError::Disconnected(command) => command,
        })
    }

    /// Lets the worker end and waits for it.
    pub(crate) fn join(self) {
        drop(self.commands);
        if self.thread.join().is_err() {
            tracing::error!("a room worker panicked");
        }
    }
}

struct Worker {
    links: Links,
    rooms: BTreeMap<MatchId, HostedRoom>,
    pipes: BTreeMap<PipeId, (MatchId, SessionId)>,
    pipes_made: u32,
    mailbox: mpsc::Sender<PipeEvent>,
    events: mpsc::Receiver<PipeEvent>,
    report_at: Micros,
}

impl Worker {
    /// Runs until the host drops its handle.
    fn run(mut self, commands: &thread_mpsc::Receiver<Command>) {
        loop {
            self.drain_mailbox();
            self.tick();
            self.reap();
            self.report();
            match commands.recv_timeout(self.sleep()) {
                Ok(command) => self.handle(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // More of them, before the ticks go on; at most those that fit into the queue.
            for command in commands.try_iter().take(COMMANDS_MAX) {
                self.handle(command);
            }
        }
    }

    /// How long nothing is due.
    fn sleep(&self) -> Duration {
        let due = self.rooms.values().map(HostedRoom::due).min();
        due.map_or(IDLE, |due| self.links.clock.until(due).min(IDLE))
    }

    fn handle(&mut self, command: Command) {
        let now = self.links.clock.now();
        match command {
            Command::Open(room) => {
                room.span().in_scope(|| tracing::info!("room opened"));
                self.links.metrics.rooms.increment(1.0);
                self.rooms.insert(room.match_id(), *room);
            }
            Command::Join(join) => self.join(now, *join),
            Command::Resume(resume) => self.resume(now, *resume),
            Command::Drain => self.rooms.values_mut().for_each(|room| room.drain(now, &mut self.links)),
        }
    }

    fn join(&mut self, now: Micros, join: Join) {
        let (match_id, session, token) = (join.token.match_id, join.session, join.token.id);
        let fresh = join.replaces.is_none();
        let pipe = self.next_pipe();
        let seated = match self.rooms.get_mut(&match_id) {
            Some(room) => room.join(now, join, (pipe, &self.mailbox), &mut self.links),
            None => {
                join.incoming.refuse(Refusal::from(Code::MatchEnded));
                false
            }
        };
        if seated {
            self.pipes.insert(pipe, (match_id, session));
        } else {
            self.tell(Event::SessionEnded(session));
            if fresh {
                self.tell(Event::TokenUnused(token));
            }
        }
    }

    fn resume(&mut self, now: Micros, resume: Resume) {
        let (match_id, session) = (resume.match_id, resume.session);
        let pipe = self.next_pipe();
        let Some(room) = self.rooms.get_mut(&match_id) else {
            return resume.incoming.refuse(Refusal::from(Code::SessionUnknown));
        };
        if room.resume(now, resume, (pipe, &self.mailbox), &self.links) {
            self.pipes.insert(pipe, (match_id, session));
        }
    }

    /// What arrived since the last time, and not more than fits into the mailbox.
    fn drain_mailbox(&mut self) {
        let _drain = phase!("drain");
        for _ in 0..MAILBOX_MAX {
            let Ok(event) = self.events.try_recv() else {
                return;
            };
            let Some((match_id, session)) = self.pipes.get(&event.pipe).copied() else {
                continue;
            };
            if matches!(event.kind, PipeEventKind::Closed(_)) {
                self.pipes.remove(&event.pipe);
            }
            if let Some(room) = self.rooms.get_mut(&match_id) {
                room.handle_event(session, event, &mut self.links);
            }
        }
    }

    fn tick(&mut self) {
        for room in self.rooms.values_mut() {
            room.run(&mut self.links);
        }
    }

    /// Tells of sessions that ended, and lets go of rooms that are over.
    fn reap(&mut self) {
        let mut ended = Vec::new();
        for room in self.rooms.values_mut() {
            ended.extend(room.take_ended_sessions().into_iter().map(Event::SessionEnded));
        }
        let over: Vec<MatchId> = self.rooms.iter().filter_map(|(id, room)| room.is_over().then_some(*id)).collect();
        for match_id in over {
            if let Some(room) = self.rooms.remove(&match_id) {
                room.span().in_scope(|| tracing::info!("room closed"));
            }
            self.links.views.forget(match_id);
            self.links.metrics.rooms.decrement(1.0);
            ended.push(Event::RoomEnded(match_id));
        }
        ended.into_iter().for_each(|event| self.tell(event));
    }

    fn report(&mut self) {
        let now = self.links.clock.now();
        if now < self.report_at || self.rooms.is_empty() {
            return;
        }
        self.report_at = now + REPORT_EVERY;
        let rooms = self.rooms.values().filter(|room| !room.has_ended()).map(HostedRoom::report).collect();
        // A second later there is a newer one.
        let _ = self.links.reports.try_send(Update::Rooms(rooms));
    }

    /// The host always reads: it never waits for a worker.
    fn tell(&self, event: Event) {
        // Without a host the process is ending.
        let _ = self.links.host.blocking_send(event);
    }

    fn next_pipe(&mut self) -> PipeId {
        self.pipes_made = self.pipes_made.wrapping_add(1);
        PipeId(self.pipes_made)
    }
}
