//! A connection that waits for the node's decision, and what comes from it afterwards.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use amphi_shared_session::{ClientHello, PipeId, PipeKind, Refusal};
use amphi_shared_wire::{Code, Lane, Micros};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::{Outbox, PipeHandle};
use crate::clock::Clock;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Native QUIC.
    Quic,
    /// WebTransport over HTTP/3.
    WebTransport,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::Quic, Self::WebTransport, Self::WebSocket];

    /// Name, as in endpoints and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::WebSocket => "ws",
        }
    }
}

/// Something that happened on an accepted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeEvent {
    /// The connection, as its owner named it.
    pub pipe: PipeId,
    /// When it happened, not when the owner came to read of it.
    pub at: Micros,
    /// What happened.
    pub kind: PipeEventKind,
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipeEventKind {
    /// A message arrived on a reliable lane; within one lane in order.
    Frame {
        /// The lane, 0 to 8.
        lane: Lane,
        /// The message.
        payload: Bytes,
    },
    /// A datagram arrived, session header included.
    Datagram(Bytes),
    /// The connection is gone; nothing follows. With the code it was closed with, by either side.
    Closed(Option<Code>),
}

pub(crate) enum Decision {
    Accept { pipe: PipeId, mailbox: mpsc::Sender<PipeEvent> },
    Refuse(Refusal),
}

/// What a listener knows of a connection when its Hello is read.
pub(crate) struct Offer {
    pub(crate) hello: ClientHello,
    pub(crate) transport: Transport,
    pub(crate) peer: SocketAddr,
    pub(crate) origin: Option<String>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) clock: Clock,
}

/// A connection whose Hello could be read. The node accepts or refuses it within the handshake time; one that is
/// dropped is refused with `Unavailable`.
pub struct Incoming {
    /// The Hello. Its token is not verified yet.
    pub hello: ClientHello,
    /// What carries the connection.
    pub transport: Transport,
    /// The other end.
    pub peer: SocketAddr,
    /// The page that opened the connection, as the browser says.
    pub origin: Option<String>,
    /// Whether lanes are independent of each other.
    pub kind: PipeKind,
    /// Bytes of the largest datagram the path takes, session header included; 0 when it takes none.
    pub max_datagram: usize,
    outbox: Arc<Outbox>,
    decision: oneshot::Sender<Decision>,
    runtime: Handle,
    clock: Clock,
}

impl Incoming {
    pub(crate) fn new(offer: Offer) -> (Self, oneshot::Receiver<Decision>) {
        let (decision, decided) = oneshot::channel();
        let kind = match offer.transport {
            Transport::Quic | Transport::WebTransport => PipeKind::Streams,
            Transport::WebSocket => PipeKind::Ordered,
        };
        let incoming = Self {
            hello: offer.hello,
            transport: offer.transport,
            peer: offer.peer,
            origin: offer.origin,
            kind,
            max_datagram: offer.outbox.max_datagram(),
            outbox: offer.outbox,
            decision,
            runtime: Handle::current(),
            clock: offer.clock,
        };
        (incoming, decided)
    }

    /// Takes the connection: what comes from it goes into `mailbox` under the name `pipe`, until its `Closed`.
    ///
    /// Any thread may call this. Reliable frames wait for room in the mailbox (and the client waits with them); datagrams that find none are
    /// dropped and counted.
    pub fn accept(self, pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>) -> PipeHandle {
        if let Err(Decision::Accept { mailbox, .. }) = self.decision.send(Decision::Accept { pipe, mailbox }) {
            // The connection broke while the node decided, so its task cannot say so any more.
            self.outbox.gone();
            let at = self.clock.now();
            self.runtime.spawn(async move {
                let _ = mailbox.send(PipeEvent { pipe, at, kind: PipeEventKind::Closed(None) }).await;
            });
        }
        PipeHandle::new(self.outbox)
    }

    /// Refuses the connection: the client hears why, then it is closed.
    pub fn refuse(self, refusal: Refusal) {
        // A connection that broke meanwhile needs no refusal.
        let _ = self.decision.send(Decision::Refuse(refusal));
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({} from {})", self.transport.as_str(), self.peer)
    }
}
