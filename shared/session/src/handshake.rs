//! The handshake as types: Hello read, refusals, what each side brings.

use amphi_shared_wire::limits::{
    HELLO_BYTES_MAX, HELLO_ENTRIES_MAX, SUBSCRIPTIONS_MAX, TOKEN_BYTES_MAX, TOPIC_BYTES_MAX,
};
use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{AppId, Code, Lane, LaneKind, PROTOCOL_MAX, PROTOCOL_MIN, SessionId, TickClock};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// Lane 0: the byte before a `Link`.
pub(crate) const KIND_LINK: u8 = 0;
/// Lane 0: the byte before a `Control`.
pub(crate) const KIND_CONTROL: u8 = 1;
/// Bytes of `game` or `build` in a Hello.
const NAME_BYTES_MAX: usize = 64;

/// A Hello that could be read: bounded and with a protocol this build speaks. The token is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The protocol version both sides will speak: the highest they share.
    pub protocol: u32,
    /// The application.
    pub app: AppId,
    /// Name of the game; empty on a home session.
    pub game: String,
    /// The client's build, for logs.
    pub build: String,
    /// Schema the client was built with.
    pub schema_hash: u64,
    /// Entropy tables the client already has.
    pub tables_known: Vec<u64>,
    /// What the client can do beyond the protocol.
    pub capabilities: Vec<String>,
    /// A user token or a connect token.
    pub token: String,
    /// The session to go on with.
    pub resume: Option<ResumeRequest>,
}

/// A wish to go on with an earlier session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeRequest {
    /// The session.
    pub session: SessionId,
    /// Its secret.
    pub secret: [u8; 16],
    /// Number of this attach; higher than every earlier one of the session.
    pub generation: u32,
    /// Number of messages the client has received, per resumable lane; lanes not named stand at 0.
    pub received: Vec<(Lane, u64)>,
    /// Generation of the newest Welcome the client has read; 0 when it remembers none.
    pub welcomed: u32,
    /// The client's lanes that start anew.
    pub lost: Vec<(Lane, Code)>,
    /// Home session: topics that the client reads, to be subscribed at once.
    pub topics: Vec<TopicPosition>,
}

/// A subscription and how far its reader has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPosition {
    /// The topic's name; not checked beyond its length.
    pub topic: String,
    /// Epoch and offset of the newest publication that was read; `None` before the first answer.
    pub since: Option<(u64, u64)>,
}

/// An answer to a Hello: there will be no session on this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// In words, for people.
    pub message: String,
    /// When to try again, ms; 0 says nothing about it.
    pub retry_after_ms: u32,
}

/// What a node gives a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerParams {
    /// Its id.
    pub session: SessionId,
    /// Proof for a resume; from a cryptographic generator.
    pub secret: [u8; 16],
    /// Names the clock behind the server's times.
    pub clock_id: u64,
    /// Ticks of the match; `None` on a home session.
    pub tick: Option<TickClock>,
    /// What the server can do beyond the protocol; the session has those the client named too.
    pub capabilities: Vec<String>,
}

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectRequest {
    /// A user token or a connect token.
    pub token: String,
    /// The application.
    pub app: AppId,
    /// Name of the game; empty on a home session.
    pub game: String,
    /// The client's build, for logs.
    pub build: String,
    /// Schema the client was built with.
    pub schema_hash: u64,
    /// Entropy tables the client already has.
    pub tables_known: Vec<u64>,
    /// What the client can do beyond the protocol.
    pub capabilities: Vec<String>,
    /// A session of an earlier life of this client. Its lanes start anew: what they held is lost.
    pub resume: Option<Saved>,
    /// Home session: what [`Session::restore`](crate::Session::restore) has set.
    pub topics: Vec<TopicPosition>,
}

/// What a client keeps to find its session again after it lost its memory (a page that was reloaded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The session.
    pub session: SessionId,
    /// Its secret.
    pub secret: [u8; 16],
    /// The newest generation the client has used.
    pub generation: u32,
}

impl Refusal {
    /// A refusal that says nothing about when to try again; `message` explains the code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0 }
    }

    /// The refusal as payload of lane 0. It also says which protocol versions this build speaks.
    pub fn encode(&self) -> Bytes {
        encode_link(link::Kind::Refused(proto::Refused {
            code: self.code.number(),
            message: self.message.clone(),
            retry_after_ms: self.retry_after_ms,
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            capabilities: Vec::new(),
        }))
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, code.help())
    }
}

/// Reads the first message of a connection (the payload of lane 0) and agrees on a protocol version.
///
/// Answers `FrameTooLarge`, `HandshakeInvalid`, `MessageInvalid`, `ProtocolUnsupported`, `TokenInvalid` or
/// `SessionUnknown`.
pub fn parse_hello(lane0_payload: Bytes) -> Result<ClientHello, Refusal> {
    if lane0_payload.len() > HELLO_BYTES_MAX {
        return Err(Code::FrameTooLarge.into());
    }
    if lane0_payload.first() != Some(&KIND_LINK) {
        return Err(Code::HandshakeInvalid.into());
    }
    let link = proto::Link::decode(lane0_payload.slice(1..)).map_err(|_| Refusal::from(Code::HandshakeInvalid))?;
    let Some(link::Kind::Hello(hello)) = link.kind else {
        return Err(Code::HandshakeInvalid.into());
    };
    check_bounds(&hello)?;
    let protocol = agree(hello.protocol_min, hello.protocol_max)?;
    let app = hello.app.parse().map_err(|_| invalid("`app` is not an app id"))?;
    Ok(ClientHello {
        protocol,
        app,
        game: hello.game,
        build: hello.build,
        schema_hash: hello.schema_hash,
        tables_known: hello.tables_known,
        capabilities: hello.capabilities,
        token: hello.token,
        resume: hello.resume.map(parse_resume).transpose()?,
    })
}

/// The highest protocol version inside both ranges.
pub(crate) fn agree(min: u32, max: u32) -> Result<u32, Refusal> {
    let highest = max.min(PROTOCOL_MAX);
    if highest >= min.max(PROTOCOL_MIN) {
        return Ok(highest);
    }
    let ours = if PROTOCOL_MIN == PROTOCOL_MAX {
        format!("{PROTOCOL_MIN}")
    } else {
        format!("{PROTOCOL_MIN} to {PROTOCOL_MAX}")
    };
    Err(Refusal::new(Code::ProtocolUnsupported, format!("this side speaks protocol {ours}, the client {min} to {max}")))
}

/// A `Link` as payload of lane 0.
pub(crate) fn encode_link(kind: link::Kind) -> Bytes {
    let link = proto::Link { kind: Some(kind) };
    let mut out = BytesMut::with_capacity(link.encoded_len() + 1);
    out.put_u8(KIND_LINK);
    out.put_slice(&link.encode_to_vec());
    out.freeze()
}

/// Positions as they travel, without the zeros.
pub(crate) fn encode_positions(positions: impl Iterator<Item = (Lane, u64)>) -> Vec<proto::LanePosition> {
    positions
        .filter(|(_, next_seq)| *next_seq > 0)
        .map(|(lane, next_seq)| proto::LanePosition { lane: u32::from(lane), next_seq })
        .collect()
}

/// Positions of resumable lanes, each at most once; `None` when they are not.
pub(crate) fn decode_positions(positions: &[proto::LanePosition]) -> Option<Vec<(Lane, u64)>> {
    let mut out = Vec::with_capacity(positions.len().min(HELLO_ENTRIES_MAX));
    for position in positions {
        let lane = resumable(position.lane)?;
        if out.iter().any(|(l, _)| *l == lane) {
            return None;
        }
        out.push((lane, position.next_seq));
    }
    Some(out)
}

/// Lost lanes, each at most once; `None` when they are not. An unknown code reads as `LaneLost`.
pub(crate) fn decode_lost(lost: &[proto::LaneLost]) -> Option<Vec<(Lane, Code)>> {
    let mut out: Vec<(Lane, Code)> = Vec::with_capacity(lost.len().min(HELLO_ENTRIES_MAX));
    for entry in lost {
        let lane = resumable(entry.lane)?;
        if out.iter().any(|(l, _)| *l == lane) {
            return None;
        }
        out.push((lane, Code::from_number(entry.code).unwrap_or(Code::LaneLost)));
    }
    Some(out)
}

/// Lost lanes as they travel.
pub(crate) fn encode_lost(lost: impl Iterator<Item = (Lane, Code)>) -> Vec<proto::LaneLost> {
    lost.map(|(lane, code)| proto::LaneLost { lane: u32::from(lane), code: code.number() }).collect()
}

fn resumable(lane: u32) -> Option<Lane> {
    let lane = Lane::try_from(lane).ok()?;
    (LaneKind::of(lane) == Some(LaneKind::Resumed)).then_some(lane)
}

fn check_bounds(hello: &proto::Hello) -> Result<(), Refusal> {
    if hello.token.len() > TOKEN_BYTES_MAX {
        return Err(Code::TokenInvalid.into());
    }
    if hello.game.len() > NAME_BYTES_MAX || hello.build.len() > NAME_BYTES_MAX {
        return Err(invalid("`game` or `build` is too long"));
    }
    let lists = [hello.tables_known.len(), hello.capabilities.len()];
    if lists.iter().any(|n| *n > HELLO_ENTRIES_MAX) {
        return Err(invalid("a list in Hello is too long"));
    }
    if hello.capabilities.iter().any(|c| c.len() > NAME_BYTES_MAX) {
        return Err(invalid("a capability is too long"));
    }
    Ok(())
}

fn parse_resume(resume: proto::Resume) -> Result<ResumeRequest, Refusal> {
    Ok(ResumeRequest {
        session: resume.session.parse().map_err(|_| Refusal::from(Code::SessionUnknown))?,
        secret: resume.secret.as_ref().try_into().map_err(|_| Refusal::from(Code::SessionSecret))?,
        generation: resume.generation,
        received: decode_positions(&resume.received).ok_or_else(|| invalid("`received` names no resumable lane"))?,
        welcomed: resume.welcomed,
        lost: decode_lost(&resume.lost).ok_or_else(|| invalid("`lost` names no resumable lane"))?,
        topics: decode_topics(resume.topics).ok_or_else(|| invalid("`topics` has too many or too long names"))?,
    })
}

fn decode_topics(topics: Vec<proto::TopicPosition>) -> Option<Vec<TopicPosition>> {
    let fit = topics.len() <= SUBSCRIPTIONS_MAX && topics.iter().all(|t| t.topic.len() <= TOPIC_BYTES_MAX);
    let read = |t: proto::TopicPosition| TopicPosition {
        topic: t.topic,
        since: (t.epoch != 0).then_some((t.epoch, t.offset)),
    };
    fit.then(|| topics.into_iter().map(read).collect())
}

/// Topics as they travel, those that fit into `room` bytes of the Hello.
pub(crate) fn encode_topics(topics: &[TopicPosition], room: usize) -> Vec<proto::TopicPosition> {
    // A field's tag and the length of the message in it.
    const FRAMING: usize = 3;
    let mut left = room;
    let fits = |topic: &proto::TopicPosition| {
        let bytes = topic.encoded_len() + FRAMING;
        left = left.saturating_sub(bytes);
        left > 0
    };
    let encode = |t: &TopicPosition| {
        let (epoch, offset) = t.since.unwrap_or_default();
        proto::TopicPosition { topic: t.topic.clone(), epoch, offset }
    };
    topics.iter().take(SUBSCRIPTIONS_MAX).map(encode).take_while(fits).collect()
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(Code::MessageInvalid, message)
}

#[cfg(test)]
mod tests;
