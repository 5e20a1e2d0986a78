//! The way to one connection of a network thread: bounded, and never blocking who uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use amphi_shared_wire::limits::{RING_FRAMES_MAX, SEND_QUEUE_BYTES_MAX};
use amphi_shared_wire::{Code, Lane, Micros};
use bytes::Bytes;

use super::{ConnId, Job, Mailbox, Order};
use crate::counters::{Counters, Refused};
use crate::session::{Decision, Overflow};

/// Datagrams that may wait for the network thread, per connection. Beyond: dropped and counted.
const DATAGRAMS_MAX: u32 = 16;

/// What is known of the path of a connection; the network thread writes it, the owner of the session reads it.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Bytes of the largest datagram, session header included; 0 when it takes none.
    pub(crate) max_datagram: AtomicU32,
    /// A datagram waits for congestion control.
    pub(crate) congested: AtomicBool,
    /// Smoothed round-trip time, µs; 0 before it is known.
    pub(crate) rtt_us: AtomicU32,
    /// When a clock probe was answered here last; 0 = never.
    pub(crate) heard_us: AtomicU64,
}

impl Path {
    /// Thread: what the path is like now.
    pub(crate) fn tell(&self, max_datagram: usize, congested: bool, rtt: Duration) {
        self.max_datagram.store(max_datagram as u32, Ordering::Relaxed);
        self.congested.store(congested, Ordering::Relaxed);
        self.rtt_us.store(u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

/// Messages and their bytes. It has one writer, so that counting is a store and no locked instruction.
#[derive(Debug, Default)]
struct Tally {
    messages: AtomicU32,
    bytes: AtomicU64,
}

impl Tally {
    fn add(&self, messages: u32, bytes: u64) {
        self.messages.store(self.messages.load(Ordering::Relaxed).wrapping_add(messages), Ordering::Relaxed);
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }
}

/// The sending half of a connection: shared by its owner and its network thread.
pub(crate) struct Outlet {
    conn: ConnId,
    mailbox: Arc<Mailbox>,
    counters: Counters,
    /// All reliable messages so far; only the owner writes it.
    entered: Tally,
    /// Those that the transport has taken, or that were dropped; only the network thread writes it.
    left: Tally,
    datagrams: AtomicU32,
    /// Closed by the owner, or gone: nothing is queued any more.
    ended: AtomicBool,
    pub(crate) path: Path,
}

impl Outlet {
    pub(crate) fn new(conn: ConnId, mailbox: Arc<Mailbox>, counters: Counters) -> Self {
        Self {
            conn,
            mailbox,
            counters,
            entered: Tally::default(),
            left: Tally::default(),
            datagrams: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            path: Path::default(),
        }
    }

    /// Owner: sends a message on a reliable lane. On a connection that has ended it does nothing.
    pub(crate) fn frame(&self, lane: Lane, payload: Bytes) -> Result<(), Overflow> {
        if self.claim(1, payload.len())? {
            self.order(Order::Frame(lane, payload));
        }
        Ok(())
    }

    /// Owner: takes room for messages of so many bytes together, which must then be sent. False: the connection has ended.
    pub(crate) fn claim(&self, messages: usize, bytes: usize) -> Result<bool, Overflow> {
        if self.has_ended() {
            return Ok(false);
        }
        // Only the owner adds, so what it reads can only shrink meanwhile.
        let full =
            self.queued_messages() + messages > RING_FRAMES_MAX || self.queued_bytes() + bytes > SEND_QUEUE_BYTES_MAX;
        if full {
            return Err(Overflow);
        }
        self.entered.add(messages as u32, bytes as u64);
        Ok(true)
    }

    /// Owner: sends a datagram; dropped and counted when too many wait.
    pub(crate) fn datagram(&self, bytes: Bytes) {
        if self.has_ended() {
            return;
        }
        if self.datagrams.load(Ordering::Relaxed) >= DATAGRAMS_MAX {
            return self.counters.count(Refused::DatagramOut);
        }
        self.datagrams.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Datagram(bytes));
    }

    /// Owner: closes after what was sent before. The first call counts.
    pub(crate) fn close(&self, code: Code, message: &str) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.order(Order::Close(code, message.to_owned()));
        }
    }

    /// Node: what becomes of the Hello.
    pub(crate) fn decide(&self, decision: Decision) {
        self.order(Order::Decide(decision));
    }

    /// Owner: bytes of reliable messages that the transport has not taken yet.
    pub(crate) fn queued_bytes(&self) -> usize {
        (self.entered.bytes.load(Ordering::Relaxed) - self.left.bytes.load(Ordering::Relaxed)) as usize
    }

    fn queued_messages(&self) -> usize {
        self.entered.messages.load(Ordering::Relaxed).wrapping_sub(self.left.messages.load(Ordering::Relaxed)) as usize
    }

    /// Bytes of all reliable messages so far.
    pub(crate) fn entered_bytes(&self) -> u64 {
        self.entered.bytes.load(Ordering::Relaxed)
    }

    /// Less than a quarter of the queue is used.
    pub(crate) fn has_room(&self) -> bool {
        self.queued_messages() < RING_FRAMES_MAX / 4 && self.queued_bytes() < SEND_QUEUE_BYTES_MAX / 4
    }

    /// Bytes of the largest datagram the path takes now.
    pub(crate) fn max_datagram(&self) -> usize {
        self.path.max_datagram.load(Ordering::Relaxed) as usize
    }

    /// True while a datagram waits for congestion control.
    pub(crate) fn is_congested(&self) -> bool {
        self.path.congested.load(Ordering::Relaxed)
    }

    /// Smoothed round-trip time, µs; 0 before it is known.
    pub(crate) fn rtt_us(&self) -> u32 {
        self.path.rtt_us.load(Ordering::Relaxed)
    }

    /// When a clock probe was answered without the owner last; 0 = never.
    pub(crate) fn heard(&self) -> Micros {
        Micros(self.path.heard_us.load(Ordering::Relaxed))
    }

    /// Thread: a clock probe is answered here.
    pub(crate) fn hear(&self, now: Micros) {
        self.path.heard_us.store(now.0, Ordering::Relaxed);
    }

    /// Thread: the transport has taken messages of so many bytes together (or they were dropped).
    pub(crate) fn frames_left(&self, messages: usize, bytes: usize) {
        self.left.add(messages as u32, bytes as u64);
    }

    /// Thread: a datagram was taken out of the mailbox.
    pub(crate) fn datagram_taken(&self) {
        self.datagrams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Thread: the connection is gone; its owner's sends do nothing from now on.
    pub(crate) fn gone(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn conn(&self) -> ConnId {
        self.conn
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn order(&self, order: Order) {
        self.mailbox.push(Job::Order(self.conn, order));
    }
}
