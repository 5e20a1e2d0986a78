//! What carries bytes between two ends: a model of pipes, and QUIC itself.

mod pipes;
mod quic;

use std::fmt;

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::{Code, Lane, Micros};
use bytes::Bytes;
use thiserror::Error;

pub(crate) use pipes::Pipes;
pub(crate) use quic::Quic;

use crate::Faults;

/// One side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    /// The one across.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// What happens to one end of a pipe.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// The pipe that the client dialled is there.
    Opened(PipeInfo),
    /// The handshake of a pipe that began with early data is over.
    Confirmed,
    Frame(Lane, Bytes),
    Datagram(Bytes),
    /// The pipe is gone. Nothing follows.
    Closed(Option<Code>),
}

/// What waits to be sent is more than a connection may hold; its owner closes it with `SlowReader`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the other side reads too slowly")]
pub(crate) struct Overflow;

/// A kind of network. Client `who` reaches the node over one path and any number of pipes.
pub(crate) trait Net {
    /// A client opens a pipe; `Opened` or `Closed` arrives there.
    fn dial(&mut self, now: Micros, who: usize, kind: PipeKind) -> PipeId;

    /// A client that was here before opens a pipe of streams, and what it says first travels in early data.
    fn dial_early(&mut self, now: Micros, who: usize) -> PipeId {
        self.dial(now, who, PipeKind::Streams)
    }

    /// The client from whose path a pipe comes.
    fn caller(&self, pipe: PipeId) -> Option<usize>;

    /// What one end knows of a pipe.
    fn info(&self, pipe: PipeId) -> Option<PipeInfo>;

    /// Sends a message of a reliable lane.
    fn frame(&mut self, now: Micros, pipe: PipeId, from: End, message: (Lane, Bytes)) -> Result<(), Overflow>;

    /// Sends a datagram; whatever happens to it is counted.
    fn datagram(&mut self, now: Micros, pipe: PipeId, from: End, bytes: Bytes, faults: &mut Faults);

    /// Ends a pipe after what was sent on it; with `SlowReader` at once.
    fn close(&mut self, now: Micros, pipe: PipeId, from: End, code: Code);

    /// When something happens next.
    fn next(&self) -> Option<Micros>;

    /// What happens by `now`, one thing after another.
    fn poll(&mut self, now: Micros, faults: &mut Faults) -> Option<(PipeId, End, Arrival)>;

    /// A fault strikes the newest pipe of a client, or its path.
    fn strike(&mut self, now: Micros, who: usize, strike: &Strike, faults: &mut Faults);

    /// From here on nothing strikes: links carry everything, nobody pauses. What is half open stays so.
    fn calm(&mut self, now: Micros);
}

/// What a path does to every datagram, and how large they may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) latency: Micros,
    pub(crate) jitter: Micros,
    pub(crate) lost_permille: u32,
    pub(crate) doubled_permille: u32,
    pub(crate) late_permille: u32,
    pub(crate) corrupted_permille: u32,
    /// Bytes of the largest datagram that passes.
    pub(crate) max_datagram: usize,
}

/// How late a late datagram is, at most.
pub(crate) const LATE_MAX: Micros = Micros::from_millis(150);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost_permille, doubled_permille, late_permille, corrupted_permille, max_datagram, .. } = self;
        write!(f, "{} + {} ms", self.latency.as_millis(), self.jitter.as_millis())?;
        write!(f, ", of 1,000 datagrams (of at most {max_datagram} bytes) {lost_permille} lost, ")?;
        write!(f, "{doubled_permille} doubled, {late_permille} late, {corrupted_permille} corrupted")
    }
}

/// A fault of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The pipe breaks: both ends hear it; `arrives_permille` of the bytes under way still arrive.
    Break { arrives_permille: u32 },
    /// Nothing reaches these ends any more, and nobody is told.
    HalfOpen { client: bool, server: bool },
    /// Nothing arrives for a while; then everything does.
    Stall(Micros),
    /// The path is gone for a while: datagrams are lost, the rest is late.
    Blackout(Micros),
    /// The client has another address: its pipes migrate if they can, or die in silence.
    Address { latency: Micros },
    /// One end does not read for a while.
    Pause(End, Micros),
    /// The path takes other datagrams than before.
    Resize(usize),
    /// Someone on the path sends the client's last early data again, on a connection of its own.
    Replay,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Break { arrives_permille } => {
                write!(f, "its pipe breaks, {arrives_permille}/1000 of what is under way arrives")
            }
            Self::HalfOpen { client: true, server: true } => f.write_str("its pipe goes dark"),
            Self::HalfOpen { client, .. } => {
                write!(f, "nothing reaches the {} on its pipe any more", if *client { "client" } else { "server" })
            }
            Self::Stall(span) => write!(f, "its path stalls for {} ms", span.as_millis()),
            Self::Blackout(span) => write!(f, "its path is black for {} ms", span.as_millis()),
            Self::Address { latency } => write!(f, "it has a new address, {} ms away", latency.as_millis()),
            Self::Pause(end, span) => write!(f, "the {end} does not read for {} ms", span.as_millis()),
            Self::Resize(bytes) => write!(f, "its path takes datagrams of {bytes} bytes"),
            Self::Replay => f.write_str("someone repeats its last early data"),
        }
    }
}
