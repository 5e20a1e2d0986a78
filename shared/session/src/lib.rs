//! The session engine: handshake, resume, lanes, datagram acks, clock and limits, without sockets and clocks.
//!
//! One [`Session`] is one client's state at one node, over any number of connections ("pipes"). The same engine runs
//! at both ends. A driver hands in what arrives (`handle_*`), then drains [`Session::poll_output`] to the end and asks
//! [`Session::poll_timeout`] when to call again. `docs/wire.md` describes the bytes.
//!
//! * Resumable lanes (0, 2 to 8) deliver exactly once and in order, whatever happens to the connections.
//! * Lane 1 runs in order on one connection and is not kept.
//! * Lanes 16 to 32 travel in datagrams; the engine says which arrived ([`Event::Acked`]) and which did not.

#![forbid(unsafe_code)]

mod clock;
mod config;
mod datagram;
mod handshake;
mod input_lead;
mod lane;
mod output;
mod pipe;
mod probe;
mod rate;
mod reference;
mod rtt;
mod session;
mod stats;

pub use clock::Clock;
pub use config::Config;
pub use handshake::{
    ClientHello, ConnectRequest, Refusal, ResumeRequest, Saved, ServerParams, TopicPosition, parse_hello,
};
pub use input_lead::InputLead;
pub use output::{Event, Output, SendError};
pub use pipe::{PipeId, PipeInfo, PipeKind};
pub use probe::answer_probe;
pub use rate::{RateLimit, RateTable};
pub use reference::{ReferenceClock, Slew};
pub use session::Session;
pub use stats::{DatagramStats, Stats};
