//! A connection that waits for the node's decision, and what comes from it afterwards.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use amphi_shared_session::{ClientHello, PipeId, PipeKind, Refusal};
use amphi_shared_wire::{Code, Lane, Micros};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::PipeHandle;
use crate::network::Outlet;

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Native QUIC.
    Quic,
    /// WebTransport over HTTP/3.
    WebTransport,
    /// WebSocket.
    WebSocket,
    /// WebSocket with text messages (`amphi.v1+json`): each carries one message of lane 1, and there is no other lane.
    /// The Hello is made from the request: it holds the token (empty when there was none) and the app.
    WebSocketJson,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 4] = [Self::Quic, Self::WebTransport, Self::WebSocket, Self::WebSocketJson];

    /// Name, as in endpoints and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::WebSocket => "ws",
            Self::WebSocketJson => "ws_json",
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
    /// The handshake of a connection with [`Incoming::early`] is over: its Hello was no replay.
    Confirmed,
    /// The connection is gone; nothing follows. With the code it was closed with, by either side.
    Closed(Option<Code>),
}

pub(crate) enum Decision {
    Accept { pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>, probes: Probes },
    Refuse(Refusal),
}

/// Who answers the clock probes of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probes {
    /// The owner, as it hears everything else.
    Owner,
    /// The network thread.
    Thread,
}

/// A connection whose Hello could be read. The node accepts or refuses it within the handshake time; one that is
/// dropped is refused with `Unavailable`.
pub struct Incoming {
    /// The Hello. Its token is not verified yet.
    pub hello: ClientHello,
    /// The message that held it, as it arrived, for who passes it on; empty with [`Transport::WebSocketJson`].
    pub first: Bytes,
    /// What carries the connection.
    pub transport: Transport,
    /// The other end.
    pub peer: SocketAddr,
    /// The page that opened the connection, as the browser says.
    pub origin: Option<String>,
    /// What stood behind the `?` of the address: pairs, percent-decoded, without the token. Only WebSockets have one.
    pub query: Vec<(String, String)>,
    /// Whether lanes are independent of each other.
    pub kind: PipeKind,
    /// Bytes of the largest datagram the path takes, session header included; 0 when it takes none.
    pub max_datagram: usize,
    /// The Hello came in early data (0-RTT) and may be a replay: it holds a resume, which becomes binding with
    /// [`PipeEventKind::Confirmed`]. Nothing else comes before that.
    pub early: bool,
    undecided: Undecided,
}

/// Refuses the connection when it is dropped.
struct Undecided(Option<Arc<Outlet>>);

impl Undecided {
    fn decide(mut self, decision: Decision) -> Arc<Outlet> {
        let outlet = self.0.take().expect("a decision is made once");
        outlet.decide(decision);
        outlet
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        if let Some(outlet) = self.0.take() {
            outlet.decide(Decision::Refuse(Code::Unavailable.into()));
        }
    }
}

/// The first message of a connection.
pub(crate) struct First {
    pub(crate) hello: ClientHello,
    pub(crate) bytes: Bytes,
}

/// Where a connection comes from.
pub(crate) struct From {
    pub(crate) transport: Transport,
    pub(crate) kind: PipeKind,
    pub(crate) peer: SocketAddr,
    pub(crate) origin: Option<String>,
    /// Parameters of the address, without the token.
    pub(crate) query: Vec<(String, String)>,
    /// Its handshake is not over yet.
    pub(crate) early: bool,
}

impl Incoming {
    /// The first parameter of this name in the address.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A connection of a network thread; its decision arrives there as an order.
    pub(crate) fn new(First { hello, bytes }: First, from: From, outlet: Arc<Outlet>) -> Self {
        let From { transport, kind, peer, origin, query, early } = from;
        Self {
            hello,
            first: bytes,
            transport,
            peer,
            origin,
            query,
            kind,
            max_datagram: outlet.max_datagram(),
            early,
            undecided: Undecided(Some(outlet)),
        }
    }

    /// Lets go of the connection without a decision; its network thread decides.
    pub(crate) fn forget(mut self) {
        self.undecided.0 = None;
    }

    /// Takes the connection: what comes from it goes into `mailbox` under the name `pipe`, until its `Closed`.
    ///
    /// Any thread may call this. Reliable frames wait for room in the mailbox (and the client waits with them);
    /// datagrams that find none are dropped and counted.
    pub fn accept(self, pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>) -> PipeHandle {
        PipeHandle::new(self.undecided.decide(Decision::Accept { pipe, mailbox, probes: Probes::Owner }))
    }

    /// As [`Incoming::accept`], for a session without ticks on which mostly nothing happens: clock probes are answered
    /// on arrival and do not wake up the owner. It finds the newest of them in [`PipeHandle::heard`].
    pub fn accept_resting(self, pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>) -> PipeHandle {
        PipeHandle::new(self.undecided.decide(Decision::Accept { pipe, mailbox, probes: Probes::Thread }))
    }

    /// Refuses the connection: the client hears why, then it is closed.
    pub fn refuse(self, refusal: Refusal) {
        self.undecided.decide(Decision::Refuse(refusal));
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({} from {})", self.transport.as_str(), self.peer)
    }
}
