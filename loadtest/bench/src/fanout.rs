//! The bench `fanout`: what one publication costs the live role per viewer.
//!
//! Viewers are WebSockets that read one view topic; a service publishes frames over HTTP at a steady rate, as a match
//! host does. The floor is a process that writes the same frames to as many sockets at the same rate, one `send()`
//! each. Both servers run on a core of their own and count the processor time of all their threads.

mod floor;
mod server;
mod viewer;

use serde::{Deserialize, Serialize};

use crate::harness::{Bench, Contestant, Sample, Scale, Server, Stage};
use crate::serve::Serve;

/// Bytes of a view frame.
const PAYLOAD_BYTES: usize = 400;
/// Frames per second.
const RATE_HZ: u32 = 60;

/// What a server of this bench serves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Viewers to wait for.
    viewers: usize,
    /// Frames to publish to them.
    frames: usize,
}

/// Which server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// The live role.
    Live,
    /// The loop of `send()`.
    Floor,
}

impl Kind {
    /// Serves until the viewers have left; says its address, and a token when it wants one, when it is ready.
    pub(crate) fn serve(self, work: Work, stage: Stage) -> anyhow::Result<()> {
        match self {
            Self::Live => server::serve(work, stage),
            Self::Floor => floor::serve(work, stage),
        }
    }
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = Work { viewers: scale.pick(500, 3), frames: scale.pick(300, 5) };
    let contestant = |kind: Kind, name| Contestant::new(name, move || run(kind, work, scale));
    Bench::new("fanout", "us_cpu_per_delivery", contestant(Kind::Floor, "send() loop"), contestant(Kind::Live, "ours"))
}

fn run(kind: Kind, work: Work, scale: Scale) -> anyhow::Result<Sample> {
    let server = Server::start(scale, Serve::Fanout(kind, work))?;
    let before_ns = server.cpu_ns()?;
    let late = viewer::watch(server.ready(), work)?;
    let spent_ns = server.cpu_ns()?.saturating_sub(before_ns);
    let sample = figures(spent_ns as f64, work, &late);
    let sample = sample.with("resident_mib", server.resident_kib()? as f64 / 1024.0);
    server.stop()?;
    Ok(sample)
}

/// Spreads are the times from the first viewer's copy of a frame to the last one's.
fn figures(spent_ns: f64, work: Work, spreads_us: &[f64]) -> Sample {
    let deliveries = (work.viewers * work.frames) as f64;
    let at = |share: f64| spreads_us.get(((spreads_us.len() - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
    Sample::new()
        .with("us_cpu_per_delivery", spent_ns / 1_000.0 / deliveries)
        .with("spread_us_p50", at(0.5))
        .with("spread_us_p99", at(0.99))
}
