//! One topic's publisher: numbered messages with keys, repeated until they are answered.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload::Kind};

use super::scene::Scene;
use super::topic;

/// Messages of one call, and time between two.
const BATCH: usize = 10;
const EVERY: Duration = Duration::from_millis(80);
/// Messages that the slowest reader may be behind: less than the history of a topic.
const AHEAD_MAX: usize = 60;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn publish(scene: Rc<Scene>, number: usize, messages: Range<usize>) -> anyhow::Result<()> {
    let mut place = number;
    let mut next = messages.start;
    while next < messages.end {
        let batch = next..(next + BATCH).min(messages.end);
        while batch.end > scene.least(number) + AHEAD_MAX {
            tokio::time::sleep(PAUSE).await;
        }
        let publications: Vec<_> = batch.clone().map(|message| publication(number, message)).collect();
        while !attempt(&scene, place, publications.clone()).await? {
            scene.repeated.set(scene.repeated.get() + 1);
            place += 1;
            tokio::time::sleep(PAUSE).await;
        }
        next = batch.end;
        tokio::time::sleep(EVERY).await;
    }
    Ok(())
}

/// False: not everything was answered.
async fn attempt(scene: &Scene, place: usize, publications: Vec<ServicePublication>) -> anyhow::Result<bool> {
    let Some(service) = scene.publisher(place)? else { return Ok(false) };
    let call = service.call("/internal/v1/topics/publish", &PublishBatch { publications }).await;
    Ok(call.is_ok_and(|reply: PublishBatchReply| !reply.offsets.contains(&0)))
}

fn publication(number: usize, message: usize) -> ServicePublication {
    ServicePublication {
        topic: topic(number),
        payload: Some(Payload { kind: Some(Kind::Text(format!("{message:08}"))) }),
        key: message.to_string(),
        ..ServicePublication::default()
    }
}
