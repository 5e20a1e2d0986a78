//! A reader of one topic over a WebSocket, without a session engine: it says Hello, subscribes, and then only reads.

use std::net::SocketAddr;

use amphi_shared_wire::proto::{Hello, Link, Position, Subscribe, Subscribed, TopicRequest, link, topic_request};
use amphi_shared_wire::{LANE_CONTROL, LANE_TOPICS, PROTOCOL_MAX, PROTOCOL_MIN, decode_varint};
use anyhow::{bail, ensure};
use bytes::{Buf, Bytes};
use prost::Message as _;

use super::{Message, Socket, subscribed};

/// A publication on the lane of topics (docs/wire.md, *Topics*).
const PUBLICATION: u8 = 1;

/// A connection that reads one topic.
pub(crate) struct Reader {
    pub(crate) socket: Socket,
    /// What it was told at first.
    pub(crate) subscribed: Subscribed,
}

impl Reader {
    /// Connects as client `number` and subscribes, from a position on when there is one.
    ///
    /// # Errors
    /// The server refuses, or does not answer.
    pub(crate) async fn open(
        number: usize,
        to: SocketAddr,
        token: String,
        (topic, since): (&str, Option<Position>),
    ) -> anyhow::Result<Self> {
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
        let mut socket = Socket::open_greeting(number, to, &bytes, None).await?;
        let ask = Subscribe { topic: topic.to_owned(), since, ..Subscribe::default() };
        let ask = TopicRequest { id: 1, kind: Some(topic_request::Kind::Subscribe(ask)) };
        socket.push_binary(&[&[LANE_TOPICS], &ask.encode_to_vec()]);
        loop {
            match socket.next().await? {
                Message::Binary(message) if message.starts_with(&[LANE_TOPICS]) => {
                    if let Some(subscribed) = subscribed(&message.slice(1..))? {
                        return Ok(Self { socket, subscribed });
                    }
                }
                Message::Binary(message) => ensure!(message.starts_with(&[LANE_CONTROL]), "a message on another lane"),
                Message::Text(_) => bail!("text from a binary session"),
                Message::Closed(code) => bail!("the server closed with {code:?}"),
            }
        }
    }

    /// Offset of the next publication, and its message behind it; `None` at the end of the connection.
    ///
    /// # Errors
    /// The server says something else.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<(u64, Bytes)>> {
        loop {
            match self.socket.next().await? {
                Message::Binary(message) => {
                    if let Some(publication) = publication(&message) {
                        return Ok(Some(publication));
                    }
                }
                Message::Text(_) => bail!("text from a binary session"),
                Message::Closed(_) => return Ok(None),
            }
        }
    }
}

/// Offset and rest of a message, if it is a publication.
pub(crate) fn publication(message: &Bytes) -> Option<(u64, Bytes)> {
    let mut rest = message.clone();
    if !rest.starts_with(&[LANE_TOPICS, PUBLICATION]) {
        return None;
    }
    rest.advance(2);
    let (_, alias_bytes) = decode_varint(&rest).ok()??;
    rest.advance(alias_bytes);
    let (offset, offset_bytes) = decode_varint(&rest).ok()??;
    rest.advance(offset_bytes);
    Some((offset, rest))
}
