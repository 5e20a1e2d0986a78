//! The owner's end of a connection.

use std::fmt;
use std::sync::Arc;

use amphi_shared_wire::{Code, Lane, Micros, ORDERED_LANES};
use bytes::Bytes;
use thiserror::Error;

use crate::counters::Refused;
use crate::network::Outlet;

/// The queue towards a connection is full: the client reads too slowly. Its owner closes it with `SlowReader`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the client reads too slowly")]
pub struct Overflow;

/// The owner's end of a connection: sends, closes, never blocks. Dropping it closes the connection with `Bye`.
pub struct PipeHandle {
    outlet: Arc<Outlet>,
}

impl PipeHandle {
    pub(crate) fn new(outlet: Arc<Outlet>) -> Self {
        Self { outlet }
    }

    /// Queues a message on a reliable lane, 0 to 8. On a connection that is gone it does nothing; its owner hears
    /// `Closed`.
    ///
    /// # Errors
    /// The queue is full.
    ///
    /// # Panics
    /// `lane` is no reliable lane.
    pub fn frame(&self, lane: Lane, payload: Bytes) -> Result<(), Overflow> {
        assert!(usize::from(lane) < ORDERED_LANES, "lane {lane} has no ordered pipe");
        self.outlet.frame(lane, payload)
    }

    /// Sends a datagram, session header included. One that the path cannot take now is dropped and counted.
    pub fn datagram(&self, bytes: Bytes) {
        self.outlet.datagram(bytes);
    }

    /// Closes the connection after what is queued (within a second; at once with `SlowReader`). The first call counts.
    pub fn close(&self, code: Code, message: &str) {
        if code == Code::SlowReader {
            self.outlet.counters().count(Refused::SlowReader);
        }
        self.outlet.close(code, message);
    }

    /// Bytes of the largest datagram the path takes now, session header included; 0 when it takes none.
    pub fn max_datagram(&self) -> usize {
        self.outlet.max_datagram()
    }

    /// True while congestion control holds back a datagram that was sent earlier, as of the last packet. What is sent
    /// now waits behind it, and the oldest are dropped. Never on a WebSocket, whose datagrams the session holds back.
    pub fn is_congested(&self) -> bool {
        self.outlet.is_congested()
    }

    /// Smoothed round-trip time of the transport, µs; 0 while it is not known.
    pub fn rtt_us(&self) -> u32 {
        self.outlet.rtt_us()
    }

    /// When a clock probe was answered without its owner last ([`Incoming::accept_resting`](super::Incoming)); 0 = never.
    pub fn heard(&self) -> Micros {
        self.outlet.heard()
    }

    /// Bytes of reliable messages that the transport has not taken yet.
    pub fn queued_bytes(&self) -> usize {
        self.outlet.queued_bytes()
    }

    /// Bytes of all reliable messages so far, those that wait included.
    pub fn entered_bytes(&self) -> u64 {
        self.outlet.entered_bytes()
    }

    /// Whether less than a quarter of its queue is used: time for more, where one can wait.
    pub fn has_room(&self) -> bool {
        self.outlet.has_room()
    }

    pub(super) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }
}

impl Drop for PipeHandle {
    fn drop(&mut self) {
        self.outlet.close(Code::Bye, "");
    }
}

impl fmt::Debug for PipeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipeHandle({} bytes queued)", self.queued_bytes())
    }
}
