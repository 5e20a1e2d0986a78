//! What the machine itself costs: the floor under every bench.

use std::hint::black_box;
use std::net::UdpSocket;
use std::time::Instant;

use anyhow::Context;

use crate::harness::{Bench, Contestant, Sample, Scale};

/// Sends that fill the receiver's buffer, so that every counted send takes the same path in the kernel.
const WARM_UP_SENDS: usize = 20_000;

/// A raw `send()` loop: `sends` datagrams of `payload_bytes` over loopback to a socket that nobody reads.
///
/// Gives `ns_per_send`.
pub(crate) fn udp_send(payload_bytes: usize, sends: usize) -> anyhow::Result<Sample> {
    let receiver = UdpSocket::bind("127.0.0.1:0").context("bind the receiver of the floor")?;
    let sender = UdpSocket::bind("127.0.0.1:0").context("bind the sender of the floor")?;
    sender.connect(receiver.local_addr()?)?;
    let payload = vec![0xA5_u8; payload_bytes];
    for _ in 0..WARM_UP_SENDS {
        sender.send(black_box(&payload))?;
    }
    let start = Instant::now();
    for _ in 0..sends {
        sender.send(black_box(&payload))?;
    }
    let elapsed_ns = start.elapsed().as_nanos() as f64;
    Ok(Sample::new().with("ns_per_send", elapsed_ns / sends as f64))
}

/// The floor of `payload_bytes` as the first contestant of a bench.
pub(crate) fn contestant(payload_bytes: usize, scale: Scale) -> Contestant {
    let sends = scale.pick(300_000, 2_000);
    Contestant::new("send() loop", move || udp_send(payload_bytes, sends))
}

/// The bench `floor`: the floor against itself, so the spread shows how quiet the machine is.
///
/// # Errors
/// When a loopback socket cannot be bound.
pub(crate) fn bench(scale: Scale) -> anyhow::Result<Bench> {
    const PAYLOAD_BYTES: usize = 100;
    let sends = scale.pick(300_000, 2_000);
    let ours = Contestant::new("ours", move || udp_send(PAYLOAD_BYTES, sends));
    Ok(Bench::new("floor", "ns_per_send", contestant(PAYLOAD_BYTES, scale), ours))
}
