//! What the engine knows of a connection.

/// Number of a connection, chosen by the driver; unique within one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u32);

/// What a connection can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeKind {
    /// One ordered stream per reliable lane, and real datagrams (QUIC, WebTransport).
    Streams,
    /// One ordered pipe for everything (WebSocket).
    Ordered,
}

/// A connection that carries, or may carry, a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeInfo {
    /// Its number.
    pub id: PipeId,
    /// What it can do.
    pub kind: PipeKind,
    /// Largest datagram it takes, bytes, session header and lane byte included.
    pub max_datagram: usize,
    /// Its Hello came in early data (0-RTT) and may be a replay, until
    /// [`Session::handle_pipe_confirmed`](crate::Session::handle_pipe_confirmed).
    pub early: bool,
}
