//! The bench `messages`: numbered messages over game lanes while connections break under them.
//!
//! Real sockets, real transports: an owner behind our listener sends to every client on lanes 2 to 7 as fast as it is
//! acknowledged, and each client sends back at 50 messages a second: with its acks that stays below what a client may say
//! (`MESSAGES_PER_S_MAX`). Every message holds its number, so whoever
//! receives it sees what was lost, doubled or reordered. Clients change their connection all the time: over native
//! QUIC, WebTransport or WebSocket at random, in parallel to the old one, after a close, or after the old one went
//! silent. QUIC and WebTransport run through a network that loses packets both ways. Only the floor has no sockets.

mod load;
mod server;
mod tally;

use serde::{Deserialize, Serialize};

use crate::floor;
use crate::harness::{Bench, Contestant, Scale, Server, Stage};
use crate::serve::Serve;

/// Bytes of a message: its number, and some more.
const PAYLOAD_BYTES: usize = 32;
/// The lanes of a game.
const LANES: std::ops::RangeInclusive<u8> = 2..=7;

/// How much is sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    clients: usize,
    /// Messages to each client.
    down: u64,
    /// Messages from each client.
    up: u64,
    /// A client changes its connection after this many messages.
    change_after: u64,
}

impl Work {
    fn of(scale: Scale) -> Self {
        match scale {
            Scale::Full => Self { clients: 100, down: 99_000, up: 1_000, change_after: 600 },
            Scale::Smoke => Self { clients: 2, down: 600, up: 20, change_after: 60 },
        }
    }
}

/// Serves until the stage ends.
///
/// # Errors
/// When nothing can listen.
pub(crate) fn serve(work: Work, stage: Stage) -> anyhow::Result<()> {
    server::serve(work, stage)
}

/// Builds the bench. One round is enough: it counts, and times nothing.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = Work::of(scale);
    let ours = Contestant::new("ours", move || {
        let server = Server::start(scale, Serve::Messages(work))?;
        let sample = load::measure(server.ready(), work)?;
        server.stop()?;
        Ok(sample)
    });
    Bench::new("messages", "ns_per_send", floor::contestant(PAYLOAD_BYTES, scale), ours).rounds(1)
}
