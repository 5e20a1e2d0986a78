//! `storm --topics`: the node that thousands read at is killed, and all of them come to the other one at once.
//!
//! Two nodes share a Redis. Every reader follows one topic at the first node, which is killed; while nobody is connected
//! there are publications to every topic, and they go on while everyone comes back. The other node has never heard of those
//! topics. Each reader says its position, and checks that it gets every publication after it once. The clock stops when the
//! last of them has what was published while it was away. What Redis is asked is its own count of scripts, less the
//! publications: the reads of history.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use amphi_shared_edge::service::ServiceClient;
use amphi_shared_wire::proto::{Payload, Position, PublishBatch, PublishBatchReply, ServicePublication, payload::Kind};
use anyhow::{Context, ensure};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use super::viewer::Phase;
use super::{BATCH, FLOOR_BYTES, wait};
use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::load::Reader;
use crate::node::{self, Node};
use crate::redis::Redis;

/// Readers of one topic.
const READERS_PER_TOPIC: usize = 100;
/// Publications to each topic before, while nobody is connected, and while everyone comes back.
const BEFORE: u64 = 3;
const AWAY: u64 = 5;
const DURING: u64 = 5;
/// Time between those.
const EVERY: Duration = Duration::from_millis(200);
/// Pause after a connection that was refused or broke.
const PAUSE: Duration = Duration::from_millis(100);
/// Whoever is not back by then will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let readers = scale.pick(9_000, 5);
    let ours = Contestant::new("ours", move || ours(scale, readers));
    Bench::new("storm", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

/// What went wrong.
#[derive(Default)]
struct Faults {
    lost: Cell<u64>,
    doubled: Cell<u64>,
}

fn ours(scale: Scale, readers: usize) -> anyhow::Result<Sample> {
    let redis = Redis::start()?;
    let start = || Node::start(scale, node::Work { host: false, redis: Some(redis.url()) });
    let (first, second) = (start()?, start()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sample = LocalSet::new().block_on(&runtime, run((first, &second), &redis, readers));
    drop(runtime);
    second.server.stop()?;
    sample
}

async fn run((first, second): (Node, &Node), redis: &Redis, readers: usize) -> anyhow::Result<Sample> {
    let topics: Vec<String> = (0..readers.div_ceil(READERS_PER_TOPIC)).map(|n| format!("room:{n}")).collect();
    first.ready().await?;
    second.ready().await?;
    let publisher = second.publisher()?;
    publish(&publisher, &topics, BEFORE).await?;
    let (faults, opening) = (Rc::new(Faults::default()), Rc::new(Semaphore::new(64)));
    let (said, mut hears) = mpsc::unbounded_channel();
    let (phase, phases) = watch::channel(Phase::Open);
    let mut clients = JoinSet::new();
    for number in 0..readers {
        let place = Place {
            number,
            topic: topics[number / READERS_PER_TOPIC].clone(),
            nodes: [(first.live, first.user(number)), (second.live, second.user(number))],
            faults: Rc::clone(&faults),
        };
        clients.spawn_local(place.live(Rc::clone(&opening), phases.clone(), said.clone()));
    }
    wait(&mut clients, &mut hears, readers).await?;
    drop(first);
    phase.send_replace(Phase::Cut);
    wait(&mut clients, &mut hears, readers).await?;
    publish(&publisher, &topics, AWAY).await?;
    let before = redis.scripts_run()?;
    let start = Instant::now();
    phase.send_replace(Phase::Back);
    let publishing = async {
        for _ in 0..DURING {
            tokio::time::sleep(EVERY).await;
            publish(&publisher, &topics, 1).await?;
        }
        anyhow::Ok(())
    };
    let counting = async {
        let mut times = Vec::with_capacity(readers);
        while times.len() < readers {
            tokio::select! {
                Some(_) = hears.recv() => times.push(start.elapsed().as_secs_f64()),
                Some(ended) = clients.join_next() => ended??,
            }
        }
        anyhow::Ok(times)
    };
    let (published, times) = tokio::join!(publishing, counting);
    published?;
    let times = times?;
    // Each reads on to the last publication.
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let reads = (redis.scripts_run()? - before).saturating_sub(DURING * topics.len() as u64);
    Ok(Sample::new()
        .with("seconds", times.last().copied().unwrap_or(0.0))
        .with("history_reads", reads as f64)
        .with("lost", faults.lost.get() as f64)
        .with("doubled", faults.doubled.get() as f64)
        .beside("p50_s", times[times.len() / 2])
        .beside("topics", topics.len() as f64)
        .beside("reads_per_topic", reads as f64 / topics.len() as f64))
}

/// So many publications to each topic.
async fn publish(service: &ServiceClient, topics: &[String], count: u64) -> anyhow::Result<()> {
    for _ in 0..count {
        for topics in topics.chunks(BATCH) {
            let publication = |topic: &String| ServicePublication {
                topic: topic.clone(),
                payload: Some(Payload { kind: Some(Kind::Binary(vec![0xa5; FLOOR_BYTES].into())) }),
                ..ServicePublication::default()
            };
            let batch = PublishBatch { publications: topics.iter().map(publication).collect() };
            let reply: PublishBatchReply = service.call("/internal/v1/topics/publish", &batch).await?;
            ensure!(!reply.offsets.contains(&0), "a publication was refused");
        }
    }
    Ok(())
}

/// A reader, and the nodes it knows, with its tokens there.
struct Place {
    number: usize,
    topic: String,
    nodes: [(SocketAddr, String); 2],
    faults: Rc<Faults>,
}

impl Place {
    /// Goes through the phases, and says so after each.
    async fn live(
        self,
        opening: Rc<Semaphore>,
        mut phases: watch::Receiver<Phase>,
        said: mpsc::UnboundedSender<u32>,
    ) -> anyhow::Result<()> {
        // Whoever counts stops when one has failed.
        let say = || {
            let _ = said.send(1);
        };
        let turn = opening.acquire().await?;
        let first = self.open(0, None).await?;
        drop(turn);
        let at = Position { epoch: first.subscribed.epoch, offset: first.subscribed.offset };
        say();
        phases.wait_for(|phase| *phase >= Phase::Cut).await?;
        drop(first);
        say();
        phases.wait_for(|phase| *phase >= Phase::Back).await?;
        tokio::time::timeout(PATIENCE, self.recover(at, say)).await.context("a reader did not get everything")?
    }

    /// Comes back, and reads to the last publication; says when it has what it missed.
    async fn recover(&self, at: Position, say: impl Fn()) -> anyhow::Result<()> {
        let mut reader = loop {
            match self.open(1, Some(at)).await {
                Ok(reader) => break reader,
                // Not all in the same millisecond again.
                Err(_) => tokio::time::sleep(PAUSE + Duration::from_millis(self.number as u64 % 97)).await,
            }
        };
        if !reader.subscribed.recovered {
            self.faults.lost.set(self.faults.lost.get() + AWAY);
        }
        let (mut read, missed) = (at.offset, at.offset + AWAY);
        while read < missed + DURING {
            let (offset, _) = reader.next().await?.context("the node closed")?;
            match offset.checked_sub(read + 1) {
                None => self.faults.doubled.set(self.faults.doubled.get() + 1),
                Some(hole) => self.faults.lost.set(self.faults.lost.get() + hole),
            }
            if read < missed && offset >= missed {
                say();
            }
            read = read.max(offset);
        }
        Ok(())
    }

    async fn open(&self, node: usize, since: Option<Position>) -> anyhow::Result<Reader> {
        let (address, token) = &self.nodes[node];
        Reader::open(self.number, *address, token.clone(), (&self.topic, since)).await
    }
}
