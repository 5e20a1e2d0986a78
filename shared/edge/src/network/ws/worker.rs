//! The thread of all WebSocket connections of one listener.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::limits::DATAGRAM_BYTES_NATIVE_MAX;
use amphi_shared_wire::{Code, LANE_TOPICS, Micros};
use mio::{Events, Poll, Token};

use super::conn::{Conn, GRACE, Start};
use super::queue::Group;
use super::slots::Slots;
use super::socket::Socket;
use super::{Greeting, Upgraded, WAKER};
use crate::listener::Shared;
use crate::network::{Broadcast, ConnId, Intake, Job, Mailbox, Outlet, Taken, Wheel};

/// What is read at a time; one buffer for all connections.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Events of one poll.
const EVENTS_MAX: usize = 1_024;
/// A full mailbox of an owner is looked at again this often.
const HELD_RETRY: Duration = Duration::from_millis(1);

/// Owner of the connections.
pub(super) struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
    slots: Slots,
    wheel: Wheel,
    scratch: Vec<u8>,
    /// To be written at the end of this turn.
    dirty: Vec<ConnId>,
    /// May be read further: others had their turn, or the owner's mailbox was full.
    again: Vec<ConnId>,
    /// Last events that found no room in the mailbox of their owner.
    ending: Vec<Intake>,
    /// When the thread ends at the latest.
    until: Option<Micros>,
}

/// What connections share while they are looked at.
pub(super) struct Turn<'a> {
    pub(super) now: Micros,
    pub(super) shared: &'a Shared,
    ending: &'a mut Vec<Intake>,
}

impl Turn<'_> {
    /// The last event of a connection; it is handed over as soon as there is room for it.
    pub(super) fn end(&mut self, mut intake: Intake, code: Option<Code>) {
        intake.close(self.now, code);
        self.ending.push(intake);
    }

    /// The oldest message of a connection that had to wait has left.
    pub(super) fn waited(&self, age: Micros) {
        metrics::histogram!("edge_queue_age_seconds").record(age.0 as f64 / 1e6);
    }
}

impl Worker {
    pub(super) fn new(poll: Poll, mailbox: Arc<Mailbox>, shared: Arc<Shared>) -> Self {
        Self {
            poll,
            mailbox,
            wheel: Wheel::new(shared.clock.now()),
            shared,
            slots: Slots::default(),
            scratch: vec![0; SCRATCH_BYTES],
            dirty: Vec::new(),
            again: Vec::new(),
            ending: Vec::new(),
            until: None,
        }
    }

    /// Works until it is told to end and the last client has heard that.
    pub(super) fn run(mut self) -> io::Result<()> {
        let (mut events, mut jobs, mut due) = (Events::with_capacity(EVENTS_MAX), Vec::new(), Vec::new());
        loop {
            let now = self.shared.clock.now();
            if self.until.is_some_and(|until| self.slots.is_empty() || until <= now) {
                return Ok(());
            }
            let timeout = if self.mailbox.fall_asleep() { self.wait(now) } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.mailbox.wake_up();
            let now = self.shared.clock.now();
            self.mailbox.take(&mut jobs);
            jobs.drain(..).for_each(|job| self.handle_job(now, job));
            for id in std::mem::take(&mut self.again) {
                self.visit(now, id, |conn, _| conn.again = false);
            }
            for event in events.iter().filter(|event| event.token() != WAKER) {
                if let Some(id) = self.slots.id(event.token().0) {
                    self.visit(now, id, |conn, _| conn.handle_ready(event));
                }
            }
            self.wheel.fire(now, &mut due);
            for id in due.drain(..) {
                self.fire(now, id);
            }
            self.write_dirty(now);
            self.ending.retain_mut(|intake| intake.retry() == Ok(Taken::Held));
        }
    }

    /// How long to sleep.
    fn wait(&self, now: Micros) -> Option<Duration> {
        let until = self.wheel.next().into_iter().chain(self.until).min();
        let wait = until.map(|until| Duration::from_micros(until.since(now).0));
        if self.again.is_empty() && self.ending.is_empty() {
            return wait;
        }
        let held = |id: &ConnId| self.slots.get(*id).is_none_or(Conn::is_held);
        let again = if self.again.iter().all(held) { HELD_RETRY } else { Duration::ZERO };
        Some(wait.map_or(again, |wait| wait.min(again)))
    }

    fn handle_job(&mut self, now: Micros, job: Job) {
        match job {
            Job::Order(id, order) => match self.slots.get(id) {
                Some(_) => self.visit(now, id, |conn, turn| conn.handle_order(turn, order)),
                None => order.orphaned(now, &self.shared.counters, &mut self.ending),
            },
            Job::Broadcast(broadcast) => self.broadcast(now, &broadcast),
            Job::Upgraded(upgraded) => self.adopt(now, *upgraded),
            Job::Dial(_) => debug_assert!(false, "only QUIC dials"),
            Job::Shutdown => {
                self.until = Some(now + GRACE);
                for id in self.slots.ids() {
                    self.visit(now, id, |conn, turn| conn.close(turn, Code::Draining, Code::Draining.help()));
                }
            }
        }
    }

    /// Writes to all whose socket has room. Only who does not keep up, or is no more, is looked at more closely.
    fn broadcast(&mut self, now: Micros, broadcast: &Broadcast) {
        let Broadcast { lane, payloads, conns } = broadcast;
        let (mut binary, mut text) = (None, None);
        for id in conns {
            let Some(conn) = self.slots.get_mut(*id) else { continue };
            let group = if conn.is_text() {
                // On text there is nothing but topics.
                if *lane != LANE_TOPICS {
                    payloads.iter().for_each(|payload| conn.send(now, *lane, payload.clone()));
                    continue;
                }
                text.get_or_insert_with(|| Group::new(None, payloads))
            } else {
                binary.get_or_insert_with(|| Group::new(Some(*lane), payloads))
            };
            if !conn.send_group(now, group) {
                self.visit(now, *id, |_, _| {});
            }
        }
    }

    /// Takes over a connection from HTTP.
    fn adopt(&mut self, now: Micros, upgraded: Upgraded) {
        let Upgraded { stream, tls, early, from, place, greeting } = upgraded;
        if self.until.is_some() {
            return;
        }
        let Ok(mut socket) = Socket::new(stream, tls) else {
            // A socket that takes no options has just broken.
            return;
        };
        let id = self.slots.reserve();
        if let Err(error) = socket.register(self.poll.registry(), Token(id.slot as usize)) {
            tracing::error!(%error, "a connection could not be watched");
            return self.slots.release(id);
        }
        let outlet = Outlet::new(id, Arc::clone(&self.mailbox), self.shared.counters.clone());
        if !matches!(greeting, Greeting::Text(_)) {
            outlet.path.max_datagram.store(DATAGRAM_BYTES_NATIVE_MAX as u32, std::sync::atomic::Ordering::Relaxed);
        }
        let mut turn = Turn { now, shared: &self.shared, ending: &mut self.ending };
        let start = Start { from, place, greeting, early };
        let conn = Conn::open(&mut turn, socket, Arc::new(outlet), start);
        self.slots.put(id, Box::new(conn));
        self.visit(now, id, |_, _| {});
    }

    fn fire(&mut self, now: Micros, id: ConnId) {
        let Some(conn) = self.slots.get_mut(id) else { return };
        // An earlier deadline was set since, or this one was passed on: another timer comes.
        if conn.timer > now {
            return;
        }
        conn.timer = Micros(u64::MAX);
        self.visit(now, id, |conn, turn| conn.handle_timeout(turn));
    }

    /// Lets something happen to a connection, and does what follows from it.
    fn visit(&mut self, now: Micros, id: ConnId, happen: impl FnOnce(&mut Conn, &mut Turn<'_>)) {
        let Some(conn) = self.slots.get_mut(id) else { return };
        let mut turn = Turn { now, shared: &self.shared, ending: &mut self.ending };
        happen(conn, &mut turn);
        if conn.is_held() || conn.wants_read() {
            conn.read(&mut turn, &mut self.scratch);
        }
        if (conn.is_held() || conn.wants_read()) && !conn.again {
            conn.again = true;
            self.again.push(id);
        }
        if conn.wants_write() && !conn.dirty {
            conn.dirty = true;
            self.dirty.push(id);
        }
        self.settle(id);
    }

    fn write_dirty(&mut self, now: Micros) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            let Some(conn) = self.slots.get_mut(id) else { continue };
            conn.dirty = false;
            conn.write(&mut Turn { now, shared: &self.shared, ending: &mut self.ending });
            self.settle(id);
        }
        self.dirty = dirty;
    }

    /// Closes what is gone, and sets the timer of what is not.
    fn settle(&mut self, id: ConnId) {
        let Some(conn) = self.slots.get_mut(id) else { return };
        if conn.is_gone() {
            return self.slots.release(id);
        }
        let deadline = conn.deadline();
        if deadline < conn.timer {
            conn.timer = deadline;
            self.wheel.set(deadline, id);
        }
    }
}
