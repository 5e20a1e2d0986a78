//! The live role as it runs in `amphi`, with a service that publishes to it over HTTP.

use std::time::Duration;

use amphi_shared_edge::service::ServiceClient;
use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload};
use anyhow::ensure;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::reader::{self, message};
use super::{Measured, PAYLOAD_BYTES, TOPIC, Work};
use crate::harness::Scale;
use crate::load::{Reader, publication as publication_of};
use crate::node::{self, Node};

pub(super) fn measure(work: Work, scale: Scale) -> anyhow::Result<Measured> {
    let node = Node::start(scale, node::Work::default())?;
    let (address, publisher) = (node.live, node.publisher()?);
    let open = |number| {
        let token = node.user(number);
        async move { Ok(Reader::open(number, address, token, (TOPIC, None)).await?.socket) }
    };
    let (spent_ns, arrivals) = reader::read(&node.server, work, payload, open, publish(publisher, work))?;
    let resident_kib = node.server.resident_kib()?;
    node.server.stop()?;
    Ok(Measured { work, spent_ns, arrivals, resident_kib })
}

/// The payload is the last of a publication.
pub(super) fn payload(message: &Bytes) -> Option<&[u8]> {
    publication_of(message)?;
    message.get(message.len().checked_sub(PAYLOAD_BYTES)?..)
}

/// One request per burst, as a match host sends what belongs to one tick.
async fn publish(service: ServiceClient, work: Work) -> anyhow::Result<()> {
    let start = Instant::now();
    for round in 0..work.rounds {
        sleep_until(start + Duration::from_secs(round as u64) / work.hz).await;
        let publications = (0..work.burst).map(|n| publication(round * work.burst + n)).collect();
        let reply: PublishBatchReply =
            service.call("/internal/v1/topics/publish", &PublishBatch { publications }).await?;
        ensure!(!reply.offsets.contains(&0), "a publication was refused");
    }
    Ok(())
}

fn publication(number: usize) -> ServicePublication {
    ServicePublication {
        topic: TOPIC.to_owned(),
        payload: Some(Payload { kind: Some(payload::Kind::Text(message(number))) }),
        ..ServicePublication::default()
    }
}
