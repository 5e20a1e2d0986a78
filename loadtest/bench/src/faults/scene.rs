//! What breaks: two nodes, their network, and their Redis; and what every reader has.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use amphi_shared_edge::service::ServiceClient;
use anyhow::Context;

use super::Work;
use super::reader::Kind;
use crate::harness::Scale;
use crate::load::{Dialler, Shape, UdpProxy};
use crate::node::{self, Node};
use crate::redis::Redis;

const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether all is there.
const LOOK: Duration = Duration::from_millis(20);

/// A node and the bad network in front of it.
struct Place {
    node: Node,
    network: UdpProxy,
}

/// What one reader has.
#[derive(Clone, Debug)]
pub(super) struct Read {
    topic: usize,
    kind: Kind,
    /// How often each message came, by its number.
    times: Vec<u8>,
    pub(super) resets: usize,
    pub(super) connections: usize,
    has: usize,
}

impl Read {
    pub(super) fn note(&mut self, number: usize) {
        if self.times.len() <= number {
            self.times.resize(number + 1, 0);
        }
        self.has += usize::from(self.times[number] == 0);
        self.times[number] = self.times[number].saturating_add(1);
    }
}

/// All of it together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: usize,
    pub(super) missing: usize,
    pub(super) doubled: usize,
    pub(super) reconnects: usize,
}

pub(super) struct Scene {
    scale: Scale,
    pub(super) work: Work,
    redis: RefCell<Redis>,
    places: RefCell<[Option<Place>; 2]>,
    pub(super) dialler: Dialler,
    reads: RefCell<Vec<Read>>,
    node_kills: Cell<usize>,
    redis_kills: Cell<usize>,
    pub(super) repeated: Cell<usize>,
    packets_lost: Cell<u64>,
}

impl Scene {
    pub(super) async fn start(scale: Scale, work: Work) -> anyhow::Result<Self> {
        let redis = Redis::start_with_log()?;
        let start = || place(scale, work, &redis);
        let places = RefCell::new([Some(start()?), Some(start()?)]);
        let seat = |(topic, kind)| Read { topic, kind, times: Vec::new(), resets: 0, connections: 0, has: 0 };
        let reads = RefCell::new(work.seats().map(seat).collect());
        let scene = Self {
            scale,
            work,
            redis: RefCell::new(redis),
            places,
            dialler: Dialler::new()?,
            reads,
            node_kills: Cell::default(),
            redis_kills: Cell::default(),
            repeated: Cell::default(),
            packets_lost: Cell::default(),
        };
        for at in 0..2 {
            node::ready(&scene.publisher(at)?.context("a node is gone")?).await?;
        }
        Ok(scene)
    }

    /// How to publish at a node, if it is there.
    pub(super) fn publisher(&self, at: usize) -> anyhow::Result<Option<ServiceClient>> {
        self.places.borrow()[at % 2].as_ref().map(|place| place.node.publisher()).transpose()
    }

    /// Address and token of reader `number` at a node that is there; over the bad network or not.
    pub(super) fn door(&self, at: usize, number: usize, lossy: bool) -> Option<(SocketAddr, String)> {
        let places = self.places.borrow();
        let place = places[at % 2].as_ref()?;
        let address = if lossy { place.network.address } else { place.node.live };
        Some((address, place.node.user(number)))
    }

    /// Topic and kind of a reader.
    pub(super) fn seat(&self, number: usize) -> (usize, Kind) {
        let read = &self.reads.borrow()[number];
        (read.topic, read.kind)
    }

    pub(super) fn note(&self, number: usize, note: impl FnOnce(&mut Read)) {
        note(&mut self.reads.borrow_mut()[number]);
    }

    /// Messages that all readers of a topic have.
    pub(super) fn least(&self, topic: usize) -> usize {
        let reads = self.reads.borrow();
        reads.iter().filter(|read| read.topic == topic).map(|read| read.has).min().unwrap_or(0)
    }

    /// Returns when every reader is connected.
    pub(super) async fn everyone(&self) {
        while self.reads.borrow().iter().any(|read| read.connections == 0) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns when every reader has the messages of its topic and so many more.
    pub(super) async fn all_have(&self, more: usize) -> anyhow::Result<()> {
        while (0..=self.work.topics).any(|topic| self.least(topic) < self.work.messages_of(topic) + more) {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Returns when every reader has heard of a reset.
    pub(super) async fn all_reset(&self) {
        while self.reads.borrow().iter().any(|read| read.resets == 0) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Resets of all topics, as the reader who met most saw them.
    pub(super) fn resets(&self) -> usize {
        let reads = self.reads.borrow();
        let of = |topic| reads.iter().filter(|read| read.topic == topic).map(|read| read.resets).max().unwrap_or(0);
        (0..=self.work.topics).map(of).sum()
    }

    pub(super) fn tally(&self) -> Tally {
        let messages = |read: &Read| self.work.messages_of(read.topic) + super::AFTER;
        self.reads.borrow().iter().fold(Tally::default(), |tally, read| Tally {
            delivered: tally.delivered + read.times.iter().map(|times| usize::from(*times)).sum::<usize>(),
            missing: tally.missing + messages(read) - read.has,
            doubled: tally.doubled + read.times.iter().filter(|times| **times > 1).count(),
            reconnects: tally.reconnects + read.connections - 1,
        })
    }

    pub(super) fn node_kills(&self) -> usize {
        self.node_kills.get()
    }

    pub(super) fn redis_kills(&self) -> usize {
        self.redis_kills.get()
    }

    pub(super) fn repeated(&self) -> usize {
        self.repeated.get()
    }

    pub(super) fn packets_lost(&self) -> u64 {
        let there: u64 = self.places.borrow().iter().flatten().map(|place| place.network.lost()).sum();
        self.packets_lost.get() + there
    }

    /// Kills a node; a new one comes in its place after a while.
    async fn kill_node(&self, at: usize) -> anyhow::Result<()> {
        if let Some(place) = self.places.borrow_mut()[at].take() {
            self.packets_lost.set(self.packets_lost.get() + place.network.lost());
            // In a smoke test the node is a thread of this process, and ends only when its clients have heard it.
            std::thread::spawn(move || drop(place));
        }
        self.node_kills.set(self.node_kills.get() + 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let place = place(self.scale, self.work, &self.redis.borrow())?;
        self.places.borrow_mut()[at] = Some(place);
        Ok(())
    }

    /// Kills Redis and starts it again; `wiped` when it has lost everything.
    pub(super) fn restart_redis(&self, wiped: bool) -> anyhow::Result<()> {
        self.redis_kills.set(self.redis_kills.get() + 1);
        self.redis.borrow_mut().restart(wiped)
    }
}

fn place(scale: Scale, work: Work, redis: &Redis) -> anyhow::Result<Place> {
    let node = Node::start(scale, node::Work { host: false, redis: Some(redis.url()) })?;
    let network = UdpProxy::start(node.live, Shape { delay: Duration::ZERO, loss_permille: work.loss_permille })?;
    Ok(Place { node, network })
}

/// Says how far the readers are, until it is dropped.
pub(super) async fn say_progress(scene: Rc<Scene>) {
    let mut due = tokio::time::interval(PROGRESS_EVERY);
    loop {
        due.tick().await;
        let least = (0..scene.work.topics).map(|topic| scene.least(topic)).min().unwrap_or(0);
        eprintln!(
            "{least} of {} messages are everywhere, through the bad network {} of {}; {} kills of nodes, {} of Redis",
            scene.work.messages,
            scene.least(scene.work.topics),
            scene.work.lossy_messages,
            scene.node_kills(),
            scene.redis_kills()
        );
    }
}

/// Nodes and Redis in turn, until the topics that are read over good networks are. Through the bad one a connection takes
/// longer to come back than a node lives here.
pub(super) async fn break_things(scene: Rc<Scene>) -> anyhow::Result<()> {
    for turn in 0..scene.work.faults_max {
        tokio::time::sleep(scene.work.fault_every).await;
        if (0..scene.work.topics).all(|topic| scene.least(topic) >= scene.work.messages) {
            break;
        }
        match turn % 3 {
            0 => scene.kill_node(0).await?,
            1 => scene.restart_redis(false)?,
            _ => scene.kill_node(1).await?,
        }
    }
    std::future::pending().await
}
