//! Everything that reads a peer's bytes, behind one list of entry points.
//!
//! Each takes any bytes and returns; a panic is a finding. `loadtest/fuzz` has a target for each, and a test here plays
//! its corpus (`loadtest/fuzz/corpus`), which `cargo run -p amphi-loadtest-decoders` writes from the golden vectors.

#![forbid(unsafe_code)]

mod frames;
mod game;
mod pieces;
mod player;
mod replica;
mod sessions;
mod tokens;
mod topics;

pub use amphi_shared_edge::fuzz_websocket as websocket;
pub use frames::{datagrams, frames};
pub use pieces::{Piece, join, split};
pub use player::player;
pub use replica::{inputs, modelled, schema, snapshots, tables, views};
pub use sessions::{PipeEvent, hello, sessions};
pub use tokens::{claims, jwks, tokens};
pub use topics::{Ask, records, topics};

/// A way in.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// Name of its fuzz target and of the folder of its corpus.
    pub name: &'static str,
    /// Reads bytes of a peer.
    ///
    /// # Panics
    /// It has a fault.
    pub read: fn(&[u8]),
}

/// All of them.
pub const DECODERS: [Decoder; 15] = [
    Decoder { name: "claims", read: claims },
    Decoder { name: "datagrams", read: datagrams },
    Decoder { name: "frames", read: frames },
    Decoder { name: "hello", read: hello },
    Decoder { name: "inputs", read: inputs },
    Decoder { name: "jwks", read: jwks },
    Decoder { name: "player", read: player },
    Decoder { name: "records", read: records },
    Decoder { name: "sessions", read: sessions },
    Decoder { name: "snapshots", read: snapshots },
    Decoder { name: "tables", read: tables },
    Decoder { name: "tokens", read: tokens },
    Decoder { name: "topics", read: topics },
    Decoder { name: "views", read: views },
    Decoder { name: "websocket", read: websocket },
];

#[cfg(test)]
mod tests;
