//! From a transport's handshake to the node's decision, the same for every transport.

use std::sync::Arc;
use std::time::Duration;

use amphi_shared_session::{Refusal, parse_hello};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{CONNECTIONS_MAX, HANDSHAKE_MS_MAX, HANDSHAKES_PENDING_MAX, UPGRADES_PENDING_MAX};
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
    /// Those of the handshakes that WebSockets may use.
    upgrades: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

/// A connection's place among those that are allowed: inside its handshake, then as a session.
pub(crate) struct Place {
    _upgrade: OwnedSemaphorePermit,
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
            upgrades: Arc::new(Semaphore::new(UPGRADES_PENDING_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// A place for one more WebSocket. It waits for its turn as long as a handshake may take: when a crowd comes at once,
    /// a refusal would cost both sides more than the handshake does. Counted when there is none.
    pub(crate) async fn place(&self) -> Option<Place> {
        let place = async {
            let connection = Arc::clone(&self.connections).try_acquire_owned().ok()?;
            let upgrade = Arc::clone(&self.upgrades).acquire_owned().await.ok()?;
            let handshake = Arc::clone(&self.handshakes).acquire_owned().await.ok()?;
            Some(Place { _upgrade: upgrade, _handshake: handshake, connection })
        };
        let place = tokio::time::timeout(Duration::from_millis(HANDSHAKE_MS_MAX), place).await.ok().flatten();
        if place.is_none() {
            self.counters.count(Refused::Overloaded);
        }
        place
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_crowd_of_web_sockets_waits_for_its_turn_and_leaves_places_to_others() {
        let (incoming, _waiting) = mpsc::channel(1);
        let shared = Shared::new(Clock::start(), Counters::new(), Origins::Any, incoming);
        let mut places = Vec::new();
        for _ in 0..UPGRADES_PENDING_MAX {
            places.push(shared.place().await.unwrap());
        }
        // Those before have used up what a task may do at a time.
        let mut next = Box::pin(tokio::task::unconstrained(shared.place()));
        assert!((&mut next).now_or_never().is_none(), "it waits");
        assert!(shared.handshake().is_some() && !shared.is_busy());
        // Who has become a session keeps another kind of place.
        let session = places.pop().map(Place::settle);
        assert!(next.await.is_some());
        assert_eq!(shared.counters.refused(Refused::Overloaded), 0);
        drop(session);
    }
}
