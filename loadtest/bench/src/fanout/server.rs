//! The live role as it runs in `amphi`, with a service that publishes to it over HTTP.

use std::time::Duration;

use amphi_shared_edge::service::ServiceClient;
use amphi_shared_wire::proto::{
    Hello, Link, Payload, PublishBatch, PublishBatchReply, ServicePublication, Subscribe, TopicRequest, link, payload,
    topic_request,
};
use amphi_shared_wire::{LANE_CONTROL, LANE_TOPICS, PROTOCOL_MAX, PROTOCOL_MIN};
use anyhow::{bail, ensure};
use bytes::Bytes;
use prost::Message as _;
use tokio::time::{Instant, sleep_until};

use super::reader::{self, message};
use super::{Measured, PAYLOAD_BYTES, TOPIC, Work};
use crate::harness::Scale;
use crate::load::{Message, Socket};
use crate::node::{self, Node};

/// A publication on the lane of topics (docs/wire.md, *Topics*).
const PUBLICATION: u8 = 1;

pub(super) fn measure(work: Work, scale: Scale) -> anyhow::Result<Measured> {
    let node = Node::start(scale, node::Work::default())?;
    let (address, publisher) = (node.live, node.publisher()?);
    let open = |number| subscribe(number, address, node.user(number));
    let (spent_ns, arrivals) = reader::read(&node.server, work, payload, open, publish(publisher, work))?;
    let resident_kib = node.server.resident_kib()?;
    node.server.stop()?;
    Ok(Measured { work, spent_ns, arrivals, resident_kib })
}

/// The payload is the last of a publication.
pub(super) fn payload(message: &Bytes) -> Option<&[u8]> {
    message
        .starts_with(&[LANE_TOPICS, PUBLICATION])
        .then(|| &message[message.len() - PAYLOAD_BYTES.min(message.len())..])
}

async fn subscribe(number: usize, address: std::net::SocketAddr, token: String) -> anyhow::Result<Socket> {
    let hello = Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        token,
        build: "bench".to_owned(),
        ..Hello::default()
    };
    // The kind of a message that no resume needs, then the message.
    let mut bytes = vec![0];
    Link { kind: Some(link::Kind::Hello(hello)) }.encode(&mut bytes)?;
    let mut socket = Socket::open_greeting(number, address, &bytes, None).await?;
    let ask = Subscribe { topic: TOPIC.to_owned(), ..Subscribe::default() };
    let ask = TopicRequest { id: 1, kind: Some(topic_request::Kind::Subscribe(ask)) };
    socket.push_binary(&[&[LANE_TOPICS], &ask.encode_to_vec()]);
    loop {
        match socket.next().await? {
            Message::Binary(message) if message.starts_with(&[LANE_TOPICS]) => return Ok(socket),
            Message::Binary(message) => ensure!(message.starts_with(&[LANE_CONTROL]), "a message on another lane"),
            Message::Text(_) | Message::Closed(_) => bail!("the live role did not let a reader in"),
        }
    }
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
