//! One message for many connections.

use std::fmt;
use std::sync::Arc;

use amphi_shared_wire::{Lane, ORDERED_LANES};
use bytes::Bytes;

use super::{Overflow, PipeHandle};
use crate::network::{self, Job, Mailbox};

/// One message for many connections, which costs one wake-up per network thread instead of one per connection. The
/// payload is shared by all of them.
///
/// To each connection it stands behind what was sent there before, and before what is sent after
/// [`Broadcast::send`]; between [`Broadcast::add`] and that nothing else may be sent to the connection. Dropping it
/// sends it too.
pub struct Broadcast {
    lane: Lane,
    payload: Bytes,
    threads: Vec<(Arc<Mailbox>, Vec<network::ConnId>)>,
}

impl Broadcast {
    /// A message on a reliable lane, 0 to 8, to nobody yet.
    ///
    /// # Panics
    /// `lane` is no reliable lane.
    pub fn new(lane: Lane, payload: Bytes) -> Self {
        assert!(usize::from(lane) < ORDERED_LANES, "lane {lane} has no ordered pipe");
        Self { lane, payload, threads: Vec::new() }
    }

    /// Adds a receiver. One that is gone is left out.
    ///
    /// # Errors
    /// Its queue is full.
    pub fn add(&mut self, pipe: &PipeHandle) -> Result<(), Overflow> {
        let outlet = pipe.outlet();
        if !outlet.claim(self.payload.len())? {
            return Ok(());
        }
        let (mailbox, conn) = (outlet.mailbox(), outlet.conn());
        match self.threads.iter_mut().find(|(thread, _)| Arc::ptr_eq(thread, mailbox)) {
            Some((_, conns)) => conns.push(conn),
            None => self.threads.push((Arc::clone(mailbox), vec![conn])),
        }
        Ok(())
    }

    /// Sends it to everyone who was added.
    pub fn send(self) {
        drop(self);
    }
}

impl Drop for Broadcast {
    /// What was claimed from a connection must be sent, or its queue would stay that much fuller.
    fn drop(&mut self) {
        for (thread, conns) in self.threads.drain(..) {
            let (lane, payload) = (self.lane, self.payload.clone());
            thread.push(Job::Broadcast(network::Broadcast { lane, payload, conns }));
        }
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers: usize = self.threads.iter().map(|(_, conns)| conns.len()).sum();
        write!(f, "Broadcast(lane {}, {} bytes to {receivers})", self.lane, self.payload.len())
    }
}
