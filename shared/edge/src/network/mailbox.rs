//! What the rest of the process asks of a network thread.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use amphi_shared_wire::{Code, Lane, Micros};
use bytes::Bytes;
use mio::{Registry, Token, Waker};

use super::Intake;
use super::quic::Dial;
use super::ws::Upgraded;
use crate::counters::Counters;
use crate::session::Decision;

/// A connection of one network thread: its slot, and which of the slot's connections it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnId {
    pub(crate) slot: u32,
    pub(crate) life: u32,
}

/// What the owner of a session, or the node that decides on it, asks of a connection.
pub(crate) enum Order {
    /// Send a message on a reliable lane.
    Frame(Lane, Bytes),
    /// Send a datagram, session header included; on an ordered pipe a frame of lane 63.
    Datagram(Bytes),
    /// Close after what was ordered before (at once with `SlowReader`).
    Close(Code, String),
    /// The node has decided on the Hello.
    Decide(Decision),
}

impl Order {
    /// The connection is gone. Who has just accepted it hears its `Closed` by way of `ending`.
    pub(crate) fn orphaned(self, now: Micros, counters: &Counters, ending: &mut Vec<Intake>) {
        if let Self::Decide(Decision::Accept { pipe, mailbox, .. }) = self {
            let mut intake = Intake::accepted(pipe, mailbox, counters.clone());
            intake.close(now, None);
            ending.push(intake);
        }
    }
}

/// Messages for many connections of one thread.
pub(crate) struct Broadcast {
    pub(crate) lane: Lane,
    pub(crate) payloads: Arc<[Bytes]>,
    pub(crate) conns: Vec<ConnId>,
}

/// One job of a network thread.
pub(crate) enum Job {
    /// For one connection; one that is gone ignores it.
    Order(ConnId, Order),
    /// For many.
    Broadcast(Broadcast),
    /// A connection that HTTP hands over; only the WebSocket thread gets one.
    Upgraded(Box<Upgraded>),
    /// Make a connection; for a thread that dials.
    Dial(Box<Dial>),
    /// Close everything with `Draining`, then end.
    Shutdown,
}

/// The thread will look into its mailbox by itself.
const AWAKE: u8 = 0;
/// The thread is, or is about to be, inside `poll`.
const ASLEEP: u8 = 1;
/// The thread rests, and wants to hear of orders.
const RESTING: u8 = 2;

/// The way into a network thread: any thread puts jobs in, the network thread takes all of them at once. The jobs of
/// each connection are bounded by its [`Outlet`](super::Outlet), the others are few.
pub(crate) struct Mailbox {
    waiting: Mutex<Vec<Job>>,
    /// What the thread does: one of the three above.
    state: AtomicU8,
    waker: Waker,
    /// The network thread, once it has rested.
    thread: OnceLock<Thread>,
}

impl Mailbox {
    /// A mailbox that wakes the poll of `registry` with `token`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::default(),
            state: AtomicU8::new(AWAKE),
            waker: Waker::new(registry, token)?,
            thread: OnceLock::new(),
        })
    }

    /// Puts a job in, and wakes the thread when it sleeps.
    pub(crate) fn push(&self, job: Job) {
        self.lock().push(job);
        match self.state.swap(AWAKE, Ordering::SeqCst) {
            ASLEEP => {
                if let Err(error) = self.waker.wake() {
                    tracing::error!(%error, "a network thread could not be woken");
                }
            }
            RESTING => self.thread.get().into_iter().for_each(Thread::unpark),
            _ => {}
        }
    }

    /// Takes every job. `jobs` is empty before.
    pub(crate) fn take(&self, jobs: &mut Vec<Job>) {
        std::mem::swap(&mut *self.lock(), jobs);
    }

    /// The thread is about to sleep. False: there are jobs, so it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.is_idle_as(ASLEEP)
    }

    /// Rests on the network thread for `time`, or until there is a job. Nothing is polled meanwhile.
    pub(crate) fn rest(&self, time: Duration) {
        self.thread.get_or_init(thread::current);
        if self.is_idle_as(RESTING) {
            thread::park_timeout(time);
            self.wake_up();
        }
    }

    /// Whether there is no job; then who brings the first one finds `state`.
    fn is_idle_as(&self, state: u8) -> bool {
        self.state.store(state, Ordering::SeqCst);
        let idle = self.lock().is_empty();
        if !idle {
            self.wake_up();
        }
        idle
    }

    /// The thread is awake and will look into the mailbox.
    pub(crate) fn wake_up(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Job>> {
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
