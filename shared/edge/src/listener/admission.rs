//! From a transport's handshake to the node's decision, the same for every transport.

use std::sync::Arc;
use std::time::Duration;

use amphi_shared_session::{ClientHello, Refusal, parse_hello};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{CONNECTIONS_MAX, HANDSHAKE_MS_MAX, HANDSHAKES_PENDING_MAX};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::Origins;
use crate::clock::Clock;
use crate::counters::{Counters, Refused};
use crate::inbound::Inbound;
use crate::network::Outlet;
use crate::session::{Decision, From, Incoming, Offer, Outbox};

/// Time from the transport's handshake to the node's decision.
pub(super) const HANDSHAKE: Duration = Duration::from_millis(HANDSHAKE_MS_MAX);
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
    closed: watch::Sender<bool>,
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
            closed: watch::Sender::new(false),
        }
    }

    /// Tells every connection that the listener closes.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns when the listener closes.
    pub(super) async fn closed(&self) {
        // The sender lives in `self`, so the channel is open.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// A place for one more connection; counted when there is none.
    pub(super) fn place(&self) -> Option<Place> {
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned();
        let connection = Arc::clone(&self.connections).try_acquire_owned();
        let (Ok(handshake), Ok(connection)) = (handshake, connection) else {
            self.counters.count(Refused::Overloaded);
            return None;
        };
        Some(Place { _handshake: handshake, connection })
    }

    /// Whether so many handshakes are pending that clients should prove their address first.
    pub(super) fn is_busy(&self) -> bool {
        self.handshakes.available_permits() < HANDSHAKES_PENDING_MAX / 2
    }

    /// Whether a page of this origin may connect; counted when not.
    pub(super) fn allows(&self, origin: Option<&str>) -> bool {
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
        let hello = parse_hello(first.clone());
        let hello = hello.inspect_err(|refusal| self.counters.count(Refused::of(refusal.code)))?;
        self.offer_incoming(Incoming::of_thread((hello, first), from, outlet))
    }

    /// As [`Shared::offer`], for a Hello that was said otherwise.
    pub(crate) fn offer_hello(&self, hello: ClientHello, from: From, outlet: Arc<Outlet>) -> Result<(), Refusal> {
        self.offer_incoming(Incoming::of_thread((hello, Bytes::new()), from, outlet))
    }

    fn offer_incoming(&self, incoming: Incoming) -> Result<(), Refusal> {
        match self.incoming.try_send(incoming) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The refusal that follows from dropping it would name another code.
                error.into_inner().forget();
                self.counters.count(Refused::Overloaded);
                Err(Refusal { retry_after_ms: OVERLOADED_RETRY_MS, ..Refusal::from(Code::Overloaded) })
            }
        }
    }

    /// Reads the Hello and lets the node decide.
    pub(super) async fn admit(
        &self,
        place: Place,
        from: From,
        first: Bytes,
        outbox: &Arc<Outbox>,
    ) -> Result<Inbound, Refusal> {
        let hello = parse_hello(first).inspect_err(|refusal| self.counters.count(Refused::of(refusal.code)))?;
        let From { transport, peer, origin, query: _ } = from;
        let offer = Offer { hello, transport, peer, origin, outbox: Arc::clone(outbox), clock: self.clock };
        let (incoming, decided) = Incoming::new(offer);
        if self.incoming.try_send(incoming).is_err() {
            self.counters.count(Refused::Overloaded);
            let mut refusal = Refusal::from(Code::Overloaded);
            refusal.retry_after_ms = OVERLOADED_RETRY_MS;
            return Err(refusal);
        }
        match decided.await {
            Ok(Decision::Accept { pipe, mailbox }) => {
                let open = self.counters.open_connection(transport);
                let own = (self.clock, self.counters.clone());
                Ok(Inbound::accepted(own, (pipe, mailbox), (open, place.connection)))
            }
            Ok(Decision::Refuse(refusal)) => {
                self.counters.count(Refused::ByNode);
                Err(refusal)
            }
            Err(_) => Err(Code::Unavailable.into()),
        }
    }
}
