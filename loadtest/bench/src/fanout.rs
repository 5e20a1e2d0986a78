//! The bench `fanout`: what one publication costs the live role per reader.
//!
//! Readers are WebSockets that read one topic with history and recovery; a service publishes to it over HTTP at a steady
//! rate. Every reader checks the number of every message. With `--hot` there are twice as many readers, and messages
//! come in bursts of five. The floor is a process that writes the same bytes to as many sockets, one `send()` per message
//! and reader. Servers run on a core of their own, and the processor time of all their threads counts from the first
//! publication to the last arrival.
//!
//! Bun (uWebSockets inside), `ws` and Socket.IO do less: they know no positions, no history and no recovery, and publish
//! from inside their own process, so no request is in their time. Their text has the same length as our payload.
//!
//! The load reads on the other core, and its share of a crowd's time is in every latency. `first_ms` is the time until
//! the first reader has a message, the delay that a server adds on purpose; the rest is the writing to thousands.

mod floor;
mod peer;
mod reader;
mod server;

use std::cell::Cell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::peers;
use reader::Arrivals;

/// Bytes of a message, numbers included.
const PAYLOAD_BYTES: usize = 100;
/// The topic that everyone reads.
const TOPIC: &str = "room:1";

/// What is published to whom.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    readers: usize,
    /// Bursts per second.
    hz: u32,
    /// Messages of a burst.
    burst: usize,
    /// Bursts.
    rounds: usize,
}

impl Work {
    fn messages(self) -> usize {
        self.rounds * self.burst
    }

    fn deliveries(self) -> usize {
        self.messages() * self.readers
    }
}

pub(crate) use floor::serve as serve_floor;

/// Builds the bench, with bursts to a larger crowd when it is `hot`.
pub(crate) fn bench(scale: Scale, hot: bool) -> Bench {
    let work = match (hot, scale) {
        (_, Scale::Smoke) => Work { readers: 3, hz: 100, burst: if hot { 5 } else { 1 }, rounds: 5 },
        (false, Scale::Full) => Work { readers: 2_000, hz: 20, burst: 1, rounds: 200 },
        (true, Scale::Full) => Work { readers: 4_000, hz: 10, burst: 5, rounds: 100 },
    };
    let floor_us = Rc::new(Cell::new(0.0));
    let known = Rc::clone(&floor_us);
    let floor = Contestant::new("send() loop", move || {
        let measured = floor::measure(work, scale)?;
        known.set(measured.cpu_us());
        Ok(measured.sample())
    });
    let ours = Contestant::new("ours", move || {
        let measured = server::measure(work, scale)?;
        let (cpu_us, floor_us) = (measured.cpu_us(), floor_us.get());
        Ok(measured.sample().with("floor_us", floor_us).with("ratio_to_floor", cpu_us / floor_us))
    });
    let mut bench = Bench::new("fanout", "cpu_us", floor, ours).rounds(3);
    for (name, kind, command) in [
        ("bun", peer::Kind::Plain, peers::bun("bun")),
        ("ws", peer::Kind::Plain, peers::node("ws")),
        ("socketio", peer::Kind::SocketIo, peers::node("socketio")),
    ] {
        if let Some(command) = command {
            bench = bench.against(Contestant::new(name, move || Ok(peer::measure(&command, kind, work)?.sample())));
        }
    }
    bench
}

/// What one server did.
struct Measured {
    work: Work,
    spent_ns: u64,
    arrivals: Arrivals,
    resident_kib: u64,
}

impl Measured {
    fn cpu_us(&self) -> f64 {
        self.spent_ns as f64 / 1_000.0 / self.arrivals.count().max(1) as f64
    }

    fn sample(&self) -> Sample {
        let (all, first) = (self.arrivals.all_ms(), self.arrivals.first_ms());
        Sample::new()
            .with("cpu_us", self.cpu_us())
            .with("delivered", self.arrivals.count() as f64)
            .with("expected", self.work.deliveries() as f64)
            .with("p50_ms", at(&all, 0.5))
            .with("p99_ms", at(&all, 0.99))
            .with("first_ms_p99", at(&first, 0.99))
            .beside("resident_mib", self.resident_kib as f64 / 1024.0)
    }
}

/// The value at a share of sorted ones.
fn at(sorted: &[f32], share: f64) -> f64 {
    sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0.0).into()
}
