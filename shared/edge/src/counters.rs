//! What a listener counts: connections it took, and everything it refused or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amphi_shared_wire::Code;

use crate::session::Transport;

/// Why something that arrived went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A UDP datagram that is no QUIC packet.
    UdpNoise,
    /// A TLS client that speaks none of our protocols (ALPN).
    Alpn,
    /// A TLS, QUIC or WebTransport handshake that failed otherwise.
    Handshake,
    /// No Hello in time.
    HandshakeTimeout,
    /// The first message was not a Hello, or breaks a bound.
    Hello,
    /// A Hello of a protocol version we do not speak.
    Protocol,
    /// A browser page of an origin that may not connect.
    Origin,
    /// The node refused a valid Hello (its token, its match, …).
    ByNode,
    /// A limit on connections or handshakes was reached.
    Overloaded,
    /// Too many new connections of one address.
    Address,
    /// A frame that could not be read, or of a lane that does not exist.
    Frame,
    /// A frame longer than the limit.
    Oversize,
    /// Too many messages per second.
    Messages,
    /// Datagrams dropped: too many per second.
    Datagrams,
    /// Datagrams dropped: the owner of the session is behind.
    MailboxFull,
    /// Datagrams dropped on the way out: too large for the path, or the pipe is full.
    DatagramOut,
    /// A client that does not read: too many messages or bytes waited for it.
    SlowReader,
    /// A client that does not read: a message waited for it too long.
    SlowReaderAge,
    /// A connection from which nothing was heard for too long.
    Silent,
}

impl Refused {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::UdpNoise,
        Self::Alpn,
        Self::Handshake,
        Self::HandshakeTimeout,
        Self::Hello,
        Self::Protocol,
        Self::Origin,
        Self::ByNode,
        Self::Overloaded,
        Self::Address,
        Self::Frame,
        Self::Oversize,
        Self::Messages,
        Self::Datagrams,
        Self::MailboxFull,
        Self::DatagramOut,
        Self::SlowReader,
        Self::SlowReaderAge,
        Self::Silent,
    ];

    /// The kind under which a refusal before the node's decision, or a broken rule, is counted.
    pub(crate) fn of(code: Code) -> Self {
        const KINDS: &[(Code, Refused)] = &[
            (Code::ProtocolUnsupported, Refused::Protocol),
            (Code::FrameTooLarge, Refused::Oversize),
            (Code::FrameInvalid, Refused::Frame),
            (Code::LaneInvalid, Refused::Frame),
            (Code::RateLimited, Refused::Messages),
            (Code::Silent, Refused::Silent),
            (Code::HandshakeTimeout, Refused::HandshakeTimeout),
            (Code::Draining, Refused::ByNode),
        ];
        KINDS.iter().find(|(c, _)| *c == code).map_or(Self::Hello, |(_, kind)| *kind)
    }

    /// Name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UdpNoise => "udp_noise",
            Self::Alpn => "alpn",
            Self::Handshake => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Hello => "hello",
            Self::Protocol => "protocol",
            Self::Origin => "origin",
            Self::ByNode => "by_node",
            Self::Overloaded => "overloaded",
            Self::Address => "address",
            Self::Frame => "frame",
            Self::Oversize => "oversize",
            Self::Messages => "messages",
            Self::Datagrams => "datagrams",
            Self::MailboxFull => "mailbox_full",
            Self::DatagramOut => "datagram_out",
            Self::SlowReader => "slow_reader",
            Self::SlowReaderAge => "slow_reader_age",
            Self::Silent => "silent",
        }
    }
}

/// Counts of one listener since its start; also exported as `edge_refused_total` and `edge_connections`. All clones
/// count together.
#[derive(Clone, Debug)]
pub struct Counters {
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    refused: [AtomicU64; Refused::ALL.len()],
    accepted: [AtomicU64; Transport::ALL.len()],
    open: [AtomicU64; Transport::ALL.len()],
}

impl Counters {
    pub(crate) fn new() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        let refused = std::array::from_fn(|_| AtomicU64::new(0));
        Self { counts: Arc::new(Counts { refused, accepted: zeros(), open: zeros() }) }
    }

    /// How often this happened.
    pub fn refused(&self, kind: Refused) -> u64 {
        self.counts.refused[kind as usize].load(Ordering::Relaxed)
    }

    /// Connections whose Hello the node accepted.
    pub fn accepted(&self, transport: Transport) -> u64 {
        self.counts.accepted[transport as usize].load(Ordering::Relaxed)
    }

    /// Accepted connections that are open now.
    pub fn open(&self, transport: Transport) -> u64 {
        self.counts.open[transport as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, kind: Refused) {
        self.counts.refused[kind as usize].fetch_add(1, Ordering::Relaxed);
        metrics::counter!("edge_refused_total", "kind" => kind.as_str()).increment(1);
    }

    /// Counts a connection as open until the result is dropped.
    pub(crate) fn open_connection(&self, transport: Transport) -> OpenConnection {
        self.counts.accepted[transport as usize].fetch_add(1, Ordering::Relaxed);
        self.counts.open[transport as usize].fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("edge_connections", "transport" => transport.as_str()).increment(1.0);
        OpenConnection { counters: self.clone(), transport }
    }
}

/// One open connection in the counters.
pub(crate) struct OpenConnection {
    counters: Counters,
    transport: Transport,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.counts.open[self.transport as usize].fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("edge_connections", "transport" => self.transport.as_str()).decrement(1.0);
    }
}
