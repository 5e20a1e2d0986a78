//! The bench `spectate`: thousands watch one match.
//!
//! A node runs a match of bots and the live role. At first one viewer reads the match's view, then the whole crowd does.
//! Processor time is counted by thread: what the live role spends per delivery, and what the host's room spends per second
//! with one viewer and with all of them. Viewers check that no frame is missing. `encode_us` is the time for one frame of
//! the same match, encoded in this process: the host makes it once, whoever watches.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_server_arena::TICK_HZ;
use amphi_shared_replica::{SimMode, ViewEncoder};
use amphi_shared_wire::Seed;
use amphi_shared_wire::limits::VIEW_KEYFRAME_MS;
use anyhow::{Context, ensure};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale, Server};
use crate::load::Reader;
use crate::node::{self, MODE, Node};

/// Payload of the floor: about a frame of a view.
const FLOOR_BYTES: usize = 400;
/// Ticks from one frame of a view to the next.
const VIEW_TICKS: u32 = 2;
/// Longest wait for the crowd.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Work {
    viewers: usize,
    /// Time that is measured, with one viewer and with all.
    window: Duration,
    /// Ticks whose frames are encoded here.
    ticks: u32,
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = match scale {
        Scale::Full => Work { viewers: 5_000, window: Duration::from_secs(10), ticks: 3_600 },
        Scale::Smoke => Work { viewers: 3, window: Duration::from_millis(500), ticks: 60 },
    };
    let ours = Contestant::new("ours", move || ours(scale, work));
    Bench::new("spectate", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

fn ours(scale: Scale, work: Work) -> anyhow::Result<Sample> {
    let mut node = Node::start(scale, node::Work { host: true, redis: None })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = LocalSet::new().block_on(&runtime, watch_match(&mut node, work));
    drop(runtime);
    node.server.stop()?;
    Ok(sample?.with("viewers", work.viewers as f64).with("encode_us", encode_us(work.ticks)?))
}

/// Mean time for a frame of a view, µs.
fn encode_us(ticks: u32) -> anyhow::Result<f64> {
    let game = node::game();
    let mode = game.mode(MODE).context("the sample game has no such mode")?;
    let mut sim = game.build(SimMode::Authority, mode.at(TICK_HZ), Seed(5))?;
    let (mut encoder, mut spent, mut frames) = (ViewEncoder::new(), Duration::ZERO, 0_u32);
    let keyframe_ticks = TICK_HZ * VIEW_KEYFRAME_MS as u32 / 1_000;
    for tick in 0..ticks {
        sim.step()?;
        if tick.is_multiple_of(VIEW_TICKS) {
            let start = Instant::now();
            let rows = encoder.encode(sim.mirror(), tick.is_multiple_of(keyframe_ticks));
            spent += start.elapsed();
            frames += 1;
            ensure!(!rows.is_empty(), "a frame without bytes");
        }
    }
    Ok(spent.as_secs_f64() * 1e6 / f64::from(frames))
}

/// What the crowd has read.
#[derive(Default)]
struct Crowd {
    here: Cell<usize>,
    frames: Cell<u64>,
    bytes: Cell<u64>,
}

async fn watch_match(node: &mut Node, work: Work) -> anyhow::Result<Sample> {
    let topic: Rc<str> = format!("match:{}:view:0", node.open_match().await?).into();
    let (crowd, opening) = (Rc::new(Crowd::default()), Arc::new(Semaphore::new(64)));
    let (end, until) = watch::channel(false);
    let mut viewers = JoinSet::new();
    let arrive = |viewers: &mut JoinSet<_>, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let (opening, crowd, topic, until) = (opening.clone(), crowd.clone(), topic.clone(), until.clone());
            let (address, token) = (node.live, node.user(number));
            viewers.spawn_local(async move {
                let turn = opening.acquire().await?;
                let reader = Reader::open(number, address, token, (&topic, None)).await?;
                drop(turn);
                crowd.here.set(crowd.here.get() + 1);
                view(reader, &crowd, until).await
            });
        }
    };
    arrive(&mut viewers, 0..1);
    settle(&mut viewers, &crowd, 1).await?;
    let alone = measure(&node.server, &crowd, work.window).await?;
    arrive(&mut viewers, 1..work.viewers);
    settle(&mut viewers, &crowd, work.viewers).await?;
    let crowded = measure(&node.server, &crowd, work.window).await?;
    end.send_replace(true);
    while let Some(ended) = viewers.join_next().await {
        ended??;
    }
    Ok(Sample::new()
        .with("cpu_us_per_delivery", crowded.live_us / crowded.frames)
        .with("cores", crowded.all_us / 1e6)
        .with("host_us_per_s", crowded.room_us)
        .with("host_us_per_s_alone", alone.room_us)
        .beside("deliveries_per_s", crowded.frames)
        .beside("bytes_per_delivery", crowded.bytes / crowded.frames))
}

/// Reads frame by frame until it is over.
async fn view(mut reader: Reader, crowd: &Crowd, mut until: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut last: Option<u64> = None;
    loop {
        let next = tokio::select! {
            next = reader.next() => next?,
            over = until.wait_for(|over| *over) => {
                over?;
                return Ok(());
            }
        };
        let (offset, message) = next.context("the node closed")?;
        ensure!(last.is_none_or(|last| offset == last + 1), "frame {offset} follows {last:?}");
        last = Some(offset);
        crowd.frames.set(crowd.frames.get() + 1);
        crowd.bytes.set(crowd.bytes.get() + message.len() as u64);
    }
}

/// Waits until so many are here, and each of them has read a while.
async fn settle(viewers: &mut JoinSet<anyhow::Result<()>>, crowd: &Crowd, count: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    while crowd.here.get() < count {
        ensure!(start.elapsed() < PATIENCE, "{} of {count} viewers came", crowd.here.get());
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Some(ended) = viewers.try_join_next() {
            ended??;
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// Per second.
struct Rates {
    frames: f64,
    bytes: f64,
    live_us: f64,
    room_us: f64,
    all_us: f64,
}

async fn measure(server: &Server, crowd: &Crowd, window: Duration) -> anyhow::Result<Rates> {
    let now = || -> anyhow::Result<[u64; 4]> {
        let live = server.cpu_ns_of("websocket")? + server.cpu_ns_of("live-shard")?;
        Ok([live, server.cpu_ns_of("rooms-")?, crowd.frames.get(), crowd.bytes.get()])
    };
    let (before, all, start) = (now()?, server.cpu_ns()?, Instant::now());
    tokio::time::sleep(window).await;
    let (after, all, seconds) = (now()?, server.cpu_ns()?.saturating_sub(all), start.elapsed().as_secs_f64());
    let per_s = |at: usize| after[at].saturating_sub(before[at]) as f64 / seconds;
    Ok(Rates {
        frames: per_s(2),
        bytes: per_s(3),
        live_us: per_s(0) / 1e3,
        room_us: per_s(1) / 1e3,
        all_us: all as f64 / 1e3 / seconds,
    })
}
