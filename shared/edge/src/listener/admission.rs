//! From a transport's handshake to the node's decision, the same for every transport.

use std::sync::Arc;

use amphi_shared_session::{Refusal, parse_hello};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{CONNECTIONS_MAX, HANDSHAKES_PENDING_MAX};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Origins;
use crate::clock::Clock;
use crate::counters::{Counters, Refused};
use crate::network::Outlet;
use crate::session::{First, From, Incoming};

/// When a client that met a limit may try again, ms.
pub(crate) const OVERLOADED_RETRY_MS: u32 = 1_000;

/// What all connections of a listener share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    origins: Origins,
    incoming: mpsc::Sender<Incoming>,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// A connection's place among those that are allowed: inside its handshake, then as a session.
pub(crate) struct Place {
    _handshake: OwnedSemaphorePermit,
    connection: OwnedSemaphorePermit,
}

impl Place {
    /// The handshake is over; what remains is the connection's place.
    pub(crate) fn settle(self) -> OwnedSemaphorePermit {
        self.connection
    }
}

impl Shared {
    pub(super) fn new(clock: Clock, counters: Counters, origins: Origins, incoming: mpsc::Sender<Incoming>) -> Self {
        Self {
            clock,
            counters,
            origins,
            incoming,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_PENDING_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// A place for one more connection; counted when there is none.
    pub(crate) fn place(&self) -> Option<Place> {
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned();
        let connection = Arc::clone(&self.connections).try_acquire_owned();
        let (Ok(handshake), Ok(connection)) = (handshake, connection) else {
            self.counters.count(Refused::Overloaded);
            return None;
        };
        Some(Place { _handshake: handshake, connection })
    }

    /// A place for one more handshake; counted when there is none.
    pub(crate) fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.handshakes).try_acquire_owned().ok();
        if permit.is_none() {
            self.counters.count(Refused::Overloaded);
        }
        permit
    }

    /// A place for one more connection, or what the client hears when there is none.
    pub(crate) fn connection(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.connections).try_acquire_owned().map_err(|_| self.overloaded())
    }

    /// Whether so many handshakes are pending that clients should prove their address first.
    pub(crate) fn is_busy(&self) -> bool {
        self.handshakes.available_permits() < HANDSHAKES_PENDING_MAX / 2
    }

    /// Whether a page of this origin may connect; counted when not.
    pub(crate) fn allows(&self, origin: Option<&str>) -> bool {
        let allowed = match (&self.origins, origin) {
            (Origins::Any, _) | (Origins::Only(_), None) => true,
            (Origins::Only(list), Some(origin)) => list.iter().any(|allowed| allowed == origin),
        };
        if !allowed {
            self.counters.count(Refused::Origin);
        }
        allowed
    }

    /// For a network thread: reads the Hello and hands it to the node, whose decision comes as an order through
    /// `outlet`.
    pub(crate) fn offer(&self, first: Bytes, from: From, outlet: Arc<Outlet>) -> Result<(), Refusal> {
        self.offer_first(self.read_hello(first)?, from, outlet)
    }

    /// Reads the Hello, which is the first message of a connection.
    pub(crate) fn read_hello(&self, bytes: Bytes) -> Result<First, Refusal> {
        let hello = parse_hello(bytes.clone()).inspect_err(|refusal| self.counters.count(Refused::of(refusal.code)))?;
        Ok(First { hello, bytes })
    }

    /// As [`Shared::offer`], for a Hello that is read already.
    pub(crate) fn offer_first(&self, first: First, from: From, outlet: Arc<Outlet>) -> Result<(), Refusal> {
        let incoming = Incoming::new(first, from, outlet);
        match self.incoming.try_send(incoming) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The refusal that follows from dropping it would name another code.
                error.into_inner().forget();
                Err(self.overloaded())
            }
        }
    }

    fn overloaded(&self) -> Refusal {
        self.counters.count(Refused::Overloaded);
        Refusal { retry_after_ms: OVERLOADED_RETRY_MS, ..Refusal::from(Code::Overloaded) }
    }
}
