//! The bench `nodes`: how long a publication takes to readers at two nodes that share a Redis.
//!
//! A service publishes to many topics at one node, in small batches at a steady rate; each topic has readers at both. Time
//! goes from before the call until a reader has the message. Both nodes run on one core, Redis and the readers on the other.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_shared_edge::service::ServiceClient;
use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload::Kind};
use anyhow::{Context, ensure};
use bytes::Bytes;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::{JoinSet, LocalSet};

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::load::Reader;
use crate::node::{self, Node};
use crate::redis::Redis;

/// Readers of each topic at the node where it is published, and at the other one.
const READERS: [usize; 2] = [4, 5];
/// Bytes of a message, its time included.
const PAYLOAD_BYTES: usize = 100;
const TIME_BYTES: usize = 8;
/// Publications of one call, and time between two.
const BATCH: usize = 25;
const EVERY: Duration = Duration::from_millis(5);
/// Longest wait for the last message.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Work {
    topics: usize,
    calls: usize,
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = Work { topics: scale.pick(100, 25), calls: scale.pick(2_000, 2) };
    let ours = Contestant::new("ours", move || ours(scale, work));
    Bench::new("nodes", "ns_per_send", floor::contestant(PAYLOAD_BYTES, scale), ours).rounds(3)
}

fn ours(scale: Scale, work: Work) -> anyhow::Result<Sample> {
    let redis = Redis::start()?;
    let start = || Node::start(scale, node::Work { host: false, redis: Some(redis.url()) });
    let nodes = [start()?, start()?];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = LocalSet::new().block_on(&runtime, run(&nodes, work));
    drop(runtime);
    for node in nodes {
        node.server.stop()?;
    }
    sample
}

async fn run(nodes: &[Node; 2], work: Work) -> anyhow::Result<Sample> {
    for node in nodes {
        node.ready().await?;
    }
    let start = Instant::now();
    let late: [Rc<RefCell<Vec<f64>>>; 2] = Default::default();
    let readers_max = work.topics * READERS.iter().sum::<usize>();
    let (opening, everyone) = (Arc::new(Semaphore::new(64)), Arc::new(Barrier::new(readers_max + 1)));
    let mut readers = JoinSet::new();
    for (at, node) in nodes.iter().enumerate() {
        for number in 0..work.topics * READERS[at] {
            let (address, token) = (node.live, node.user(number));
            let (opening, everyone, late) = (opening.clone(), everyone.clone(), Rc::clone(&late[at]));
            let messages = work.calls * BATCH / work.topics;
            readers.spawn_local(async move {
                let turn = opening.acquire().await?;
                let topic = topic(number % work.topics);
                let mut reader = Reader::open(number, address, token, (&topic, None)).await?;
                drop(turn);
                everyone.wait().await;
                tokio::time::timeout(PATIENCE, read(&mut reader, messages, start, &late)).await.context("too late")?
            });
        }
    }
    tokio::select! {
        _ = everyone.wait() => {}
        Some(ended) = readers.join_next() => ended??,
    }
    let publishing = publish(nodes[0].publisher()?, work, start);
    let reading = async {
        while let Some(ended) = readers.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(publishing, reading)?;
    let [near, far] = late.map(|late| late.take());
    let mut all: Vec<f64> = near.iter().chain(&far).copied().collect();
    all.sort_by(f64::total_cmp);
    let mut far = far;
    far.sort_by(f64::total_cmp);
    Ok(Sample::new()
        .with("p50_ms", at(&all, 0.5))
        .with("p99_ms", at(&all, 0.99))
        .beside("other_node_p50_ms", at(&far, 0.5))
        .beside("other_node_p99_ms", at(&far, 0.99))
        .beside("deliveries", all.len() as f64))
}

fn topic(number: usize) -> String {
    format!("room:{number}")
}

/// Reads so many publications, one after the other, and notes how late each is, ms.
async fn read(reader: &mut Reader, messages: usize, start: Instant, late: &RefCell<Vec<f64>>) -> anyhow::Result<()> {
    let first = reader.subscribed.offset;
    for n in 1..=messages as u64 {
        let (offset, message) = reader.next().await?.context("the node closed")?;
        ensure!(offset == first + n, "publication {offset} came in place of {}", first + n);
        let time = message.len().checked_sub(PAYLOAD_BYTES).and_then(|at| message.get(at..at + TIME_BYTES));
        let published = u64::from_le_bytes(time.context("a short message")?.try_into()?);
        late.borrow_mut().push(start.elapsed().as_micros().saturating_sub(published.into()) as f64 / 1e3);
    }
    Ok(())
}

/// Calls at a steady rate; one that is late does not move those after it.
async fn publish(service: ServiceClient, work: Work, start: Instant) -> anyhow::Result<()> {
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    let service = Rc::new(service);
    for call in 0..work.calls {
        due.tick().await;
        let publications = (0..BATCH).map(|n| publication((call * BATCH + n) % work.topics, start)).collect();
        let service = Rc::clone(&service);
        // The topics of a call come again only when all have had their turn.
        calls.spawn_local(async move {
            let reply: PublishBatchReply =
                service.call("/internal/v1/topics/publish", &PublishBatch { publications }).await?;
            ensure!(!reply.offsets.contains(&0), "a publication was refused");
            Ok(())
        });
        while let Some(ended) = calls.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }
    Ok(())
}

fn publication(number: usize, start: Instant) -> ServicePublication {
    let mut payload = (start.elapsed().as_micros() as u64).to_le_bytes().to_vec();
    payload.resize(PAYLOAD_BYTES, 0xa5);
    ServicePublication {
        topic: topic(number),
        payload: Some(Payload { kind: Some(Kind::Binary(Bytes::from(payload))) }),
        ..ServicePublication::default()
    }
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0.0)
}
