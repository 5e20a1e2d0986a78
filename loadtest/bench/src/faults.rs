//! The bench `faults`: ten million deliveries while what carries them breaks, and not one missing or doubled.
//!
//! Two nodes share a Redis that writes its log (AOF). Services publish numbered messages, each with a key, to some topics, and
//! repeat what was not answered. Readers follow them over plain WebSockets, some of which stop reading for a while; one more
//! topic is read over WebTransport through a network that loses 30 % of all packets both ways. In turn one node is killed and another comes in
//! its place, and Redis is killed and started again. Who loses the connection comes back to whichever node answers, with its
//! position. At last Redis is killed and its files are wiped: every topic is to be reset once, and goes on.

mod publisher;
mod reader;
mod scene;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::task::{JoinSet, LocalSet};

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use reader::Kind;
use scene::Scene;

/// Payload of the floor: about a message.
const FLOOR_BYTES: usize = 16;
/// Longest wait for everything.
const PATIENCE: Duration = Duration::from_secs(600);
/// Messages of each topic after the wipe.
const AFTER: usize = 20;

#[derive(Clone, Copy, Debug)]
struct Work {
    topics: usize,
    /// Readers of each topic; one in four stops now and then.
    readers: usize,
    /// Messages to each topic before the wipe.
    messages: usize,
    /// Of one more topic, read through the bad network.
    lossy_readers: usize,
    lossy_messages: usize,
    /// Packets in a thousand that are lost, each way.
    loss_permille: u64,
    /// Time between two faults, and how many there are at most.
    fault_every: Duration,
    faults_max: usize,
}

impl Work {
    /// Topic and kind of every reader.
    fn seats(self) -> impl Iterator<Item = (usize, Kind)> {
        let kind = |n: usize| if n % 4 == 3 { Kind::Pausing } else { Kind::Plain };
        let seats = (0..self.topics).flat_map(move |topic| (0..self.readers).map(move |n| (topic, kind(n))));
        seats.chain((0..self.lossy_readers).map(move |_| (self.topics, Kind::Lossy)))
    }

    fn messages_of(self, topic: usize) -> usize {
        if topic < self.topics { self.messages } else { self.lossy_messages }
    }
}

/// Builds the bench. One round is enough: it counts, and times nothing.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = match scale {
        Scale::Full => Work {
            topics: 10,
            readers: 100,
            messages: 10_000,
            lossy_readers: 20,
            lossy_messages: 300,
            loss_permille: 300,
            fault_every: Duration::from_secs(5),
            faults_max: usize::MAX,
        },
        Scale::Smoke => Work {
            topics: 2,
            readers: 4,
            messages: 150,
            lossy_readers: 1,
            lossy_messages: 30,
            loss_permille: 20,
            fault_every: Duration::from_millis(400),
            faults_max: 6,
        },
    };
    let ours = Contestant::new("ours", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, run(scale, work))
    });
    Bench::new("faults", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(1)
}

fn topic(number: usize) -> String {
    format!("room:{number}")
}

async fn run(scale: Scale, work: Work) -> anyhow::Result<Sample> {
    let scene = Rc::new(Scene::start(scale, work).await?);
    let mut readers = JoinSet::new();
    for (number, _) in work.seats().enumerate() {
        readers.spawn_local(reader::read(Rc::clone(&scene), number));
    }
    scene.everyone().await;
    let mut publishers = JoinSet::new();
    for topic in 0..=work.topics {
        publishers.spawn_local(publisher::publish(Rc::clone(&scene), topic, 0..work.messages_of(topic)));
    }
    let mut breaking = tokio::task::spawn_local(scene::break_things(Rc::clone(&scene)));
    let progress = tokio::task::spawn_local(scene::say_progress(Rc::clone(&scene)));
    let whole = async {
        while let Some(ended) = publishers.join_next().await {
            ended??;
        }
        scene.all_have(0).await
    };
    tokio::select! {
        done = tokio::time::timeout(PATIENCE, whole) => done.context("not everything came")??,
        Some(ended) = readers.join_next() => ended??,
        ended = &mut breaking => ended??,
    }
    breaking.abort();
    progress.abort();
    let resets_before = scene.resets();
    scene.restart_redis(true)?;
    // What is published before a reader hears of the reset is history that it cannot have.
    tokio::time::timeout(PATIENCE, scene.all_reset()).await.context("not everyone heard of the reset")?;
    let mut publishers = JoinSet::new();
    for topic in 0..=work.topics {
        let from = work.messages_of(topic);
        publishers.spawn_local(publisher::publish(Rc::clone(&scene), topic, from..from + AFTER));
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    tokio::time::timeout(PATIENCE, scene.all_have(AFTER)).await.context("not everything came")??;
    readers.abort_all();
    let tally = scene.tally();
    ensure!(resets_before == 0, "{resets_before} resets although nothing was lost");
    Ok(Sample::new()
        .with("delivered", tally.delivered as f64)
        .with("missing", tally.missing as f64)
        .with("doubled", tally.doubled as f64)
        .with("resets", scene.resets() as f64)
        .with("resets_expected", (work.topics + 1) as f64)
        .beside("node_kills", scene.node_kills() as f64)
        .beside("redis_kills", scene.redis_kills() as f64)
        .beside("reconnects", tally.reconnects as f64)
        .beside("repeated_calls", scene.repeated() as f64)
        .beside("packets_lost", scene.packets_lost() as f64))
}
