//! The bench `presence`: how soon a watcher sees who comes and which node died, and what a crowd costs it.
//!
//! Two nodes share a Redis. A viewer reads a room at one of them; members are put into the room at the other one, by its
//! API. Joins come alone, each after quiet, and then in a steady stream, so that they fall into a batch. Then the other
//! node is killed with a thousand members, and the time is taken until the one diff that says so. At last a crowd is put in
//! and changes a thousand times per second, while the bytes that reach the viewer are counted.

use std::time::Duration;

use amphi_shared_wire::proto::{
    Done, HoldMembers, Member, PresenceDiff, TopicReply, TopicRequest, WatchPresence, topic_reply, topic_request,
};
use amphi_shared_wire::{LANE_TOPICS, Micros, UserId};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use prost::Message;

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::load::{Client, Dialler, Way};
use crate::node::{self, Node};
use crate::redis::Redis;

const ROOM: &str = "room:1";
/// Payload of the floor: about a diff.
const FLOOR_BYTES: usize = 100;
/// First byte of a reply (docs/wire.md, *Topics*).
const REPLY: u8 = 0;
/// How long members are held.
const HOUR_MS: u32 = 3_600_000;
/// Members of one call.
const CALL: usize = 5_000;
/// Longer than the time between two diffs, so that the next one is the first after quiet.
const QUIET: Duration = Duration::from_millis(400);
/// Time between joins of a steady stream.
const STREAM: Duration = Duration::from_millis(70);
/// Bytes of a frame around a message: the lane, and the WebSocket's head.
const FRAME_BYTES: usize = 1 + 4;

#[derive(Clone, Copy, Debug)]
struct Work {
    joins: usize,
    lost: usize,
    crowd: usize,
    churn: Duration,
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = match scale {
        Scale::Full => Work { joins: 100, lost: 1_000, crowd: 100_000, churn: Duration::from_secs(10) },
        Scale::Smoke => Work { joins: 2, lost: 5, crowd: 300, churn: Duration::from_millis(200) },
    };
    let ours = Contestant::new("ours", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(ours(scale, work))
    });
    Bench::new("presence", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

async fn ours(scale: Scale, work: Work) -> anyhow::Result<Sample> {
    let redis = Redis::start()?;
    let start = || Node::start(scale, node::Work { host: false, redis: Some(redis.url()) });
    let (near, far) = (start()?, start()?);
    let mut viewer = Viewer::open(&near).await?;
    let mut quiet = joins(&mut viewer, &far, (1_000, work.joins), QUIET).await?;
    // With it the node begins to follow the room.
    let first_join_ms = quiet.first().copied().unwrap_or(0.0);
    quiet.sort_by(f64::total_cmp);
    let mut stream = joins(&mut viewer, &far, (100_000, work.joins), STREAM).await?;
    stream.sort_by(f64::total_cmp);

    hold(&far, 200_000, work.lost, HOUR_MS).await?;
    let before = 1 + 2 * work.joins + work.lost;
    viewer.until(|diff| diff.count as usize == before).await.context("the members that will be lost")?;
    let at = viewer.now();
    drop(far);
    let diff = viewer.until(|diff| (diff.count as usize) < before).await.context("the crash")?;
    ensure!(diff.count == 1, "the dead node's members left in several diffs");
    let crash_s = viewer.now().since(at).0 as f64 / 1e6;

    let far = start()?;
    for from in (0..work.crowd).step_by(CALL) {
        hold(&far, 1_000_000 + from, CALL.min(work.crowd - from), HOUR_MS).await?;
    }
    viewer.until(|diff| diff.count as usize > work.crowd).await.context("the crowd")?;
    let (bytes, seconds, changes) = churn(&mut viewer, &far, work).await?;
    let (near_mib, far_mib) = (near.server.resident_kib()? as f64 / 1024.0, far.server.resident_kib()? as f64 / 1024.0);
    let sample = Sample::new()
        .with("join_ms", percentile(&quiet, 0.99))
        .with("crash_s", crash_s)
        .with("bytes_s_at_100k", bytes / seconds)
        .beside("join_ms_p50", percentile(&quiet, 0.5))
        .beside("first_join_ms", first_join_ms)
        .beside("stream_join_ms_p50", percentile(&stream, 0.5))
        .beside("stream_join_ms_p99", percentile(&stream, 0.99))
        .beside("changes_per_s", changes / seconds)
        .beside("resident_mib", near_mib.max(far_mib));
    near.server.stop()?;
    far.server.stop()?;
    Ok(sample)
}

/// Times from the call that puts a member in until the viewer sees it, ms, one after the other.
async fn joins(
    viewer: &mut Viewer,
    node: &Node,
    (from, count): (usize, usize),
    every: Duration,
) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for number in from..from + count {
        viewer.rest(every).await;
        let user = user(number);
        let at = viewer.now();
        hold(node, number, 1, HOUR_MS).await?;
        viewer.until(|diff| diff.count as usize > 200 || diff.joined.iter().any(|member| member.user == user)).await?;
        times.push(viewer.now().since(at).0 as f64 / 1e3);
    }
    Ok(times)
}

/// A thousand joins and leaves per second: bytes that reached the viewer, seconds, and changes.
async fn churn(viewer: &mut Viewer, node: &Node, work: Work) -> anyhow::Result<(f64, f64, f64)> {
    let (mut step, mut changes) = (tokio::time::interval(Duration::from_millis(20)), 0);
    viewer.bytes = 0;
    let (from, until) = (viewer.now(), viewer.now() + Micros(work.churn.as_micros() as u64));
    let mut next = 10_000_000;
    while viewer.now() < until {
        step.tick().await;
        hold(node, next, 10, HOUR_MS).await?;
        hold(node, next - 10, 10, 0).await?;
        (next, changes) = (next + 10, changes + 20);
        viewer.rest(Duration::ZERO).await;
    }
    Ok((viewer.bytes as f64, viewer.now().since(from).0 as f64 / 1e6, f64::from(changes)))
}

async fn hold(node: &Node, from: usize, count: usize, time_ms: u32) -> anyhow::Result<()> {
    let member = |number| Member { user: user(number), name: "Member".to_owned(), ..Member::default() };
    let members = (from..from + count).map(member).collect();
    let hold = HoldMembers { app: String::new(), topic: ROOM.to_owned(), members, time_ms };
    let Done {} = node.publisher()?.call("/internal/v1/topics/presence", &hold).await?;
    Ok(())
}

fn user(number: usize) -> String {
    UserId::from_bits(number as u128).to_string()
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// The watcher: a home session over a WebSocket.
struct Viewer {
    client: Client,
    clock: amphi_shared_edge::clock::Clock,
    bytes: usize,
}

impl Viewer {
    async fn open(node: &Node) -> anyhow::Result<Self> {
        let mut client = Client::home(node.clock, node.user(0));
        client.connect(&Dialler::new()?, (0, node.live), Way::Ws, &[]).await?;
        client.attached().await?;
        let mut viewer = Self { client, clock: node.clock, bytes: 0 };
        // Until the node has its broker.
        loop {
            viewer.client.subscribe(1, ROOM, None);
            if let Some(topic_reply::Kind::Subscribed(_)) = viewer.reply().await? {
                break;
            }
        }
        let watch = topic_request::Kind::WatchPresence(WatchPresence { topic: ROOM.to_owned() });
        let request = TopicRequest { id: 2, kind: Some(watch) };
        viewer.client.engine.send(viewer.now(), LANE_TOPICS, request.encode_to_vec().into())?;
        loop {
            if let Some(topic_reply::Kind::PresenceState(_)) = viewer.reply().await? {
                return Ok(viewer);
            }
        }
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }

    async fn reply(&mut self) -> anyhow::Result<Option<topic_reply::Kind>> {
        let message = self.client.topic_message().await?;
        self.take(&message)
    }

    fn take(&mut self, message: &Bytes) -> anyhow::Result<Option<topic_reply::Kind>> {
        self.bytes += message.len() + FRAME_BYTES;
        let (first, rest) = message.split_first().context("an empty message")?;
        ensure!(*first == REPLY, "a publication that nobody made");
        Ok(TopicReply::decode(rest)?.kind)
    }

    /// The next diff, or new list, of which something holds.
    async fn until(&mut self, holds: impl Fn(&PresenceDiff) -> bool) -> anyhow::Result<PresenceDiff> {
        loop {
            let heard = self.reply().await?;
            let diff = if let Some(topic_reply::Kind::PresenceDiff(diff)) = heard {
                diff
            } else if let Some(topic_reply::Kind::PresenceState(state)) = heard {
                // The crowd has become small enough for a list.
                PresenceDiff { count: state.count, listed: state.listed, ..PresenceDiff::default() }
            } else {
                bail!("{heard:?} instead of a diff")
            };
            if holds(&diff) {
                return Ok(diff);
            }
        }
    }

    /// Reads what comes in a time.
    async fn rest(&mut self, time: Duration) {
        let reading = async { while self.reply().await.is_ok() {} };
        // What is read is counted; that time is over is no failure.
        let _ = tokio::time::timeout(time, reading).await;
    }
}
