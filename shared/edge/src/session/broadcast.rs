//! Messages for many connections.

use std::fmt;
use std::sync::Arc;

use amphi_shared_wire::{Lane, ORDERED_LANES};
use bytes::Bytes;

use super::{Overflow, PipeHandle};
use crate::network::{self, Job, Mailbox};

/// Messages for many connections, which cost one wake-up per network thread instead of one per connection, and one write
/// per connection that keeps up. The payloads are shared by all of them.
///
/// To each connection they stand behind what was sent there before, and before what is sent after
/// [`Broadcast::send`]; between [`Broadcast::add`] and that nothing else may be sent to the connection. Dropping it
/// sends them too.
pub struct Broadcast {
    lane: Lane,
    payloads: Arc<[Bytes]>,
    /// Of all payloads.
    bytes: usize,
    threads: Vec<(Arc<Mailbox>, Vec<network::ConnId>)>,
}

impl Broadcast {
    /// Messages on a reliable lane, 0 to 8, in their order, to nobody yet.
    ///
    /// # Panics
    /// `lane` is no reliable lane.
    pub fn new(lane: Lane, payloads: impl Into<Arc<[Bytes]>>) -> Self {
        assert!(usize::from(lane) < ORDERED_LANES, "lane {lane} has no ordered pipe");
        let payloads = payloads.into();
        let bytes = payloads.iter().map(Bytes::len).sum();
        Self { lane, payloads, bytes, threads: Vec::new() }
    }

    /// Adds a receiver. One that is gone is left out.
    ///
    /// # Errors
    /// Its queue is full.
    pub fn add(&mut self, pipe: &PipeHandle) -> Result<(), Overflow> {
        let outlet = pipe.outlet();
        if !outlet.claim(self.payloads.len(), self.bytes)? {
            return Ok(());
        }
        let (mailbox, conn) = (outlet.mailbox(), outlet.conn());
        match self.threads.iter_mut().find(|(thread, _)| Arc::ptr_eq(thread, mailbox)) {
            Some((_, conns)) => conns.push(conn),
            None => self.threads.push((Arc::clone(mailbox), vec![conn])),
        }
        Ok(())
    }

    /// Sends them to everyone who was added.
    pub fn send(self) {
        drop(self);
    }
}

impl Drop for Broadcast {
    /// What was claimed from a connection must be sent, or its queue would stay that much fuller.
    fn drop(&mut self) {
        for (thread, conns) in self.threads.drain(..) {
            let (lane, payloads) = (self.lane, Arc::clone(&self.payloads));
            thread.push(Job::Broadcast(network::Broadcast { lane, payloads, conns }));
        }
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers: usize = self.threads.iter().map(|(_, conns)| conns.len()).sum();
        write!(f, "Broadcast(lane {}, {} messages to {receivers})", self.lane, self.payloads.len())
    }
}
