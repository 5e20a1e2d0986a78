//! The bench `datagrams`: what a datagram costs the server, at the rate and size of a match's inputs.
//!
//! 200 clients send 100 bytes 60 times a second each, spread over the tick, and get them back. Our listener hands them
//! to an owner on a thread of its own, which answers once per tick through a session engine per client, as a room
//! does. The peer is a bare quinn server that answers each datagram at once: it knows no session, no ack that says
//! *used*, no rate and no owner. Our datagrams are 9 bytes longer: header and lane. The floor is a loop of `recv()` and
//! `send()`. Processor time is of all threads of the server, over seconds in the middle of the run; a datagram counts
//! where it is received and where it is sent.

mod echo;
mod floor;
mod load;
mod quinn_echo;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::harness::{Bench, Contestant, Scale, Server, Stage};
use crate::serve::Serve;

/// Bytes of a datagram.
const PAYLOAD_BYTES: usize = 100;
/// Datagrams of a client per second.
const RATE_HZ: u32 = 60;
/// Who comes in this share of the sent ones, at least, came back: the rest is a machine that could not keep up.
const RETURNED_MIN: f64 = 0.98;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Our listener with an owner behind it.
    Ours,
    /// quinn alone.
    Quinn,
    /// `recv()` and `send()`.
    Floor,
}

impl Kind {
    /// Serves until the stage ends.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn serve(self, stage: Stage) -> anyhow::Result<()> {
        match self {
            Self::Ours => echo::serve(stage),
            Self::Quinn => quinn_echo::serve(stage),
            Self::Floor => floor::serve(stage),
        }
    }
}

/// How much is sent.
#[derive(Clone, Copy, Debug)]
struct Work {
    clients: usize,
    /// Time before the count.
    warm_up: Duration,
    /// Time of the count.
    window: Duration,
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = match scale {
        Scale::Full => Work { clients: 200, warm_up: Duration::from_secs(2), window: Duration::from_secs(10) },
        Scale::Smoke => Work { clients: 3, warm_up: Duration::from_millis(50), window: Duration::from_millis(200) },
    };
    let contestant = |name, kind| {
        Contestant::new(name, move || {
            let server = Server::start(scale, Serve::Datagrams(kind))?;
            let sample = match kind {
                Kind::Ours | Kind::Quinn => load::measure(&server, kind, work, scale)?,
                Kind::Floor => floor::measure(&server, work)?,
            };
            server.stop()?;
            Ok(sample)
        })
    };
    let bench =
        Bench::new("datagrams", "cpu_us", contestant("recv() and send()", Kind::Floor), contestant("ours", Kind::Ours));
    bench.against(contestant("quinn", Kind::Quinn))
}
