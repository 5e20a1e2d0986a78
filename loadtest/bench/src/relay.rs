//! The bench `relay`: how much later a datagram comes back when a live node carries it.
//!
//! Players send 100 bytes 60 times a second each over WebSockets, spread over the tick, and get them back at once. Half
//! of them are connected to the host itself, half come through a relay in front of it, at the same time, so a slow
//! moment of the machine falls on both. Host and relay share a process and its core: what is added is two more hops
//! between threads and one QUIC connection, each way. The figure is the difference of the 99th percentiles.

mod server;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amphi_shared_session::{Config, ConnectRequest, Output, PipeId, PipeInfo, PipeKind, Session};
use amphi_shared_wire::{LANE_CONTROL, LANE_DATAGRAM, Micros, WS_BINARY};
use anyhow::{bail, ensure};
use bytes::{Buf, Bytes};
use tokio::time::MissedTickBehavior;

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale, Server};
use crate::load::{Message, Socket};
use crate::serve::Serve;
use server::Ready;
pub(crate) use server::serve;

/// Bytes of a datagram.
const PAYLOAD_BYTES: usize = 100;
/// Datagrams of a player per second.
const RATE_HZ: u32 = 60;

/// How much is sent.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// Players on each way.
    players: usize,
    /// Datagrams of each, the warm-up included.
    datagrams: usize,
    /// Of these: first ones that do not count.
    warm_up: usize,
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = match scale {
        Scale::Full => Work { players: 8, datagrams: 720, warm_up: 120 },
        Scale::Smoke => Work { players: 2, datagrams: 10, warm_up: 2 },
    };
    let ours = Contestant::new("ours", move || {
        let server = Server::start(scale, Serve::Relay)?;
        let ready = serde_json::from_str(server.ready())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sample = runtime.block_on(measure(ready, work))?;
        drop(runtime);
        server.stop()?;
        Ok(sample)
    });
    Bench::new("relay", "ns_per_send", floor::contestant(PAYLOAD_BYTES, scale), ours)
}

async fn measure(Ready { direct, relay }: Ready, work: Work) -> anyhow::Result<Sample> {
    let count = 2 * work.players;
    let mut players = Vec::with_capacity(count);
    for number in 0..count {
        let (is_relayed, server) = if number % 2 == 0 { (false, direct) } else { (true, relay) };
        // All are spread over the tick, and direct ones stand between relayed ones.
        let offset = Duration::from_secs(1) / RATE_HZ * number as u32 / count as u32;
        players.push((is_relayed, tokio::spawn(play(number, server, offset, work))));
    }
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    for (is_relayed, player) in players {
        let times = player.await??;
        if is_relayed { &mut relayed } else { &mut direct }.extend(times);
    }
    let (direct, relayed) = (Spread::of(direct), Spread::of(relayed));
    Ok(Sample::new()
        .with("added_us_p99", relayed.p99 - direct.p99)
        .with("relay_us_p99", relayed.p99)
        .with("direct_us_p99", direct.p99)
        .beside("added_us_p50", relayed.p50 - direct.p50)
        .beside("relay_us_p50", relayed.p50)
        .beside("direct_us_p50", direct.p50))
}

/// Sends datagrams and takes them back; the time of each, µs.
async fn play(number: usize, server: SocketAddr, offset: Duration, work: Work) -> anyhow::Result<Vec<f64>> {
    let mut socket = Socket::open(number, server, ("/session", WS_BINARY), None).await?;
    socket.push_binary(&[&[LANE_CONTROL], &hello()]);
    socket.flush().await?;
    let start = Instant::now();
    let mut ticks = tokio::time::interval_at((start + offset).into(), Duration::from_secs(1) / RATE_HZ);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sent, mut times) = (0, Vec::with_capacity(work.datagrams));
    while times.len() < work.datagrams {
        tokio::select! {
            _ = ticks.tick(), if sent < work.datagrams => {
                let mut payload = [0; PAYLOAD_BYTES];
                payload[..8].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
                socket.push_binary(&[&[LANE_DATAGRAM], &payload]);
                socket.flush().await?;
                sent += 1;
            }
            message = socket.next() => match message? {
                Message::Binary(mut frame) => {
                    ensure!(frame.len() == 1 + PAYLOAD_BYTES && frame.get_u8() == LANE_DATAGRAM, "not what was sent");
                    let was = Duration::from_nanos(frame.get_u64_le());
                    times.push(start.elapsed().saturating_sub(was).as_nanos() as f64 / 1_000.0);
                }
                Message::Text(_) => bail!("a text message"),
                Message::Closed(code) => bail!("closed with {code:?} after {} of {}", times.len(), work.datagrams),
            },
        }
    }
    Ok(times.split_off(work.warm_up))
}

/// A first message that any listener takes.
fn hello() -> Bytes {
    let mut session = Session::connect(Config::default(), ConnectRequest::default());
    session.dial(Micros(1), PipeInfo { id: PipeId(1), kind: PipeKind::Ordered, max_datagram: 1_000, early: false });
    std::iter::from_fn(|| session.poll_output())
        .find_map(|output| match output {
            Output::Frame { payload, .. } => Some(payload),
            Output::Datagram { .. } | Output::ClosePipe { .. } | Output::Event(_) => None,
        })
        .unwrap_or_default()
}

struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        Self { p50: at(0.5), p99: at(0.99) }
    }
}
