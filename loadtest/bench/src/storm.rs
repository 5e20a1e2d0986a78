//! The bench `storm`: everyone loses the connection at the same moment and comes back at once.
//!
//! Viewers of the live role, each with a home session and three topics, are cut without a word; a service publishes to
//! every match meanwhile. All dial again in the same instant, without the jitter that real clients have, resume, and
//! ask for what they missed. The clock stops when the last of them has its Welcome and has read exactly the missed
//! publication. A match of bots runs in the same process on the same core, and says what its ticks took. One process
//! holds the load on the other core, so its share of the handshakes is in the time too.
//!
//! With `--topics` it is the readers of a node that dies, see [`topics`].
//!
//! A client that is refused waits as long as the refusal says, or 100 ms; a connection that breaks is dialled again.

mod topics;
mod viewer;

use std::rc::Rc;
use std::time::{Duration, Instant};

use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload::Kind};
use anyhow::{Context, ensure};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::load::{Dialler, Way};
use crate::node::{self, Node};
use viewer::Viewer;

/// Payload of the floor: about a Hello.
const FLOOR_BYTES: usize = 400;
/// Viewers of one match.
const VIEWERS_PER_MATCH: usize = 100;
/// A publication at which a reader may start (docs/wire.md, *Topics*).
const KEYFRAME: u32 = 1;
/// Publications of one call.
const BATCH: usize = 50;
/// The match's own tick times cover about this long.
const TICKS_SEEN: Duration = Duration::from_secs(3);

pub(crate) use topics::bench as of_topics;

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let viewers = scale.pick(9_000, 5);
    let ours = Contestant::new("ours", move || ours(scale, viewers));
    Bench::new("storm", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

fn ours(scale: Scale, viewers: usize) -> anyhow::Result<Sample> {
    let plain = storm(scale, Way::Ws, viewers)?;
    let tls = storm(scale, Way::Wss, viewers)?;
    let tick_us_p99 = plain.tick_us_p99.max(tls.tick_us_p99);
    let sample =
        Sample::new().with("plain_s", plain.seconds).with("tls_s", tls.seconds).with("tick_us_p99", tick_us_p99);
    let sample = sample.beside("tls_p50_s", tls.p50_s).beside("tls_dials_per_viewer", tls.dials);
    let sample = sample.beside("plain_p50_s", plain.p50_s).beside("plain_dials_per_viewer", plain.dials);
    Ok(sample.beside("calm_tick_us_p99", plain.calm_tick_us_p99))
}

/// What a storm was like.
struct Storm {
    seconds: f64,
    /// Time until half of them were back.
    p50_s: f64,
    /// Connections that each of them needed.
    dials: f64,
    tick_us_p99: f64,
    calm_tick_us_p99: f64,
}

fn storm(scale: Scale, way: Way, viewers: usize) -> anyhow::Result<Storm> {
    let mut node = Node::start(scale, node::Work { host: true, redis: None })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let storm = LocalSet::new().block_on(&runtime, run(&mut node, way, viewers));
    drop(runtime);
    node.server.stop()?;
    storm
}

async fn run(node: &mut Node, way: Way, viewers: usize) -> anyhow::Result<Storm> {
    let topics = (0..viewers.div_ceil(VIEWERS_PER_MATCH)).map(|n| format!("match:mch_{n}:view:0"));
    let topics: Vec<String> = topics.collect();
    publish(node, &topics, KEYFRAME).await?;
    let (said, mut hears) = mpsc::unbounded_channel();
    let (phase, phases) = watch::channel(viewer::Phase::Open);
    let dialler = Rc::new(Dialler::new()?);
    let opening = Rc::new(tokio::sync::Semaphore::new(64));
    let mut clients = JoinSet::new();
    for number in 0..viewers {
        let topic = format!("match:mch_{}", number / VIEWERS_PER_MATCH);
        let viewer = Viewer::new(node, number, &topic, (way, Rc::clone(&dialler)));
        clients.spawn_local(viewer.live(Rc::clone(&opening), phases.clone(), said.clone()));
    }
    wait(&mut clients, &mut hears, viewers).await?;
    let match_id = node.open_match().await?.to_string();
    // The first ticks of a room are not like the others.
    tokio::time::sleep(TICKS_SEEN).await;
    let calm_tick_us_p99 = tick_us_p99(node, &match_id).await?;
    phase.send_replace(viewer::Phase::Cut);
    wait(&mut clients, &mut hears, viewers).await?;
    publish(node, &topics, 0).await?;
    let start = Instant::now();
    phase.send_replace(viewer::Phase::Back);
    let (mut times, mut dials) = (Vec::with_capacity(viewers), 0);
    let mut worst = 0.0_f64;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    while times.len() < viewers {
        tokio::select! {
            Some(needed) = hears.recv() => {
                times.push(start.elapsed().as_secs_f64());
                dials += needed;
            }
            Some(ended) = clients.join_next() => ended??,
            _ = look.tick() => worst = worst.max(tick_us_p99(node, &match_id).await.unwrap_or(0.0)),
        }
    }
    // What the host reports is up to a second old.
    for _ in 0..4 {
        look.tick().await;
        worst = worst.max(tick_us_p99(node, &match_id).await?);
    }
    phase.send_replace(viewer::Phase::Over);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(Storm {
        seconds: times.last().copied().unwrap_or(0.0),
        p50_s: times[times.len() / 2],
        dials: f64::from(dials) / viewers as f64,
        tick_us_p99: worst,
        calm_tick_us_p99,
    })
}

/// Waits until every viewer has said something.
async fn wait(
    clients: &mut JoinSet<anyhow::Result<()>>,
    hears: &mut mpsc::UnboundedReceiver<u32>,
    viewers: usize,
) -> anyhow::Result<()> {
    let mut said = 0;
    while said < viewers {
        tokio::select! {
            Some(_) = hears.recv() => said += 1,
            Some(ended) = clients.join_next() => ended??,
        }
    }
    Ok(())
}

/// One publication to each topic; a reader may start at a keyframe.
async fn publish(node: &Node, topics: &[String], flags: u32) -> anyhow::Result<()> {
    let service = node.publisher()?;
    for topics in topics.chunks(BATCH) {
        let publication = |topic: &String| ServicePublication {
            topic: topic.clone(),
            flags,
            payload: Some(Payload { kind: Some(Kind::Binary(vec![0xa5; FLOOR_BYTES].into())) }),
            app: String::new(),
            key: String::new(),
        };
        let batch = PublishBatch { publications: topics.iter().map(publication).collect() };
        let reply: PublishBatchReply = service.call("/internal/v1/topics/publish", &batch).await?;
        ensure!(reply.offsets.iter().all(|offset| *offset > 0), "a publication was refused");
    }
    Ok(())
}

/// What the host has said last of its ticks.
async fn tick_us_p99(node: &Node, match_id: &str) -> anyhow::Result<f64> {
    let report = node.report().await?;
    let room = report.rooms.iter().find(|room| room.match_id == match_id).context("the match is not reported")?;
    Ok(f64::from(room.tick_us_p99))
}
