//! Lane framing: how messages of lanes lie on a stream, on an ordered pipe and in a datagram.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::limits::{DATAGRAM_HEADER_BYTES, FRAME_BYTES_MAX};

/// Number of a lane.
pub type Lane = u8;

/// Control: handshake, acks, clock, close, and sequenced `Control` messages.
pub const LANE_CONTROL: Lane = 0;
/// Topics of a home session; not resumed by sequence but by topic position.
pub const LANE_TOPICS: Lane = 1;
/// What a room says beside snapshots; the first of the game lanes 2 to 7.
pub const LANE_ROOM: Lane = 2;
/// Join state and tables, in chunks, never ahead of lanes 2 to 7.
pub const LANE_BULK: Lane = 8;
/// Snapshots, newest wins; the first of the `latest` lanes 16 to 31.
pub const LANE_SNAPSHOT: Lane = 16;
/// Inputs, newest wins.
pub const LANE_INPUT: Lane = 17;
/// As the lane of a QUIC stream: the stream is an ordered pipe, whose messages are those of a WebSocket.
pub const LANE_PIPE: Lane = 62;
/// On an ordered pipe: the frame holds a datagram, session header included.
pub const LANE_DATAGRAM: Lane = 63;
/// Number of lanes that run on ordered reliable pipes: 0 to 8.
pub const ORDERED_LANES: usize = 9;

/// How a lane delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// Exactly once, in order, over any number of connections.
    Resumed,
    /// In order on one connection; recovery is the user's (topic positions).
    Ordered,
    /// Newest wins; anything may be lost.
    Latest,
    /// Each by itself; anything may be lost.
    Unordered,
}

impl LaneKind {
    /// The kind of a lane; `None` when there is no such lane.
    pub const fn of(lane: Lane) -> Option<Self> {
        match lane {
            LANE_TOPICS => Some(Self::Ordered),
            0 | 2..=8 => Some(Self::Resumed),
            16..=31 => Some(Self::Latest),
            32 => Some(Self::Unordered),
            _ => None,
        }
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// A frame is longer than [`FRAME_BYTES_MAX`].
    #[error("the frame is larger than {FRAME_BYTES_MAX} bytes")]
    TooLarge,
    /// Empty, or a varint that does not end.
    #[error("the frame has no readable header")]
    Header,
    /// There is no such lane.
    #[error("there is no lane {0}")]
    Lane(u64),
}

/// Appends `value` as a LEB128 varint (as in Protobuf).
pub fn encode_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a varint of at most 10 bytes: its value and length, or `None` when `bytes` ends first.
pub fn decode_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        if i == 9 && *byte > 1 {
            return Err(FrameError::Header);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= 10 { Err(FrameError::Header) } else { Ok(None) }
}

/// One message of a lane that has a stream of its own: `varint length, payload`.
pub fn encode_stream_message(payload: &[u8], out: &mut Vec<u8>) {
    encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// One frame on an ordered message pipe (a WebSocket message): `u8 lane, payload`.
pub fn encode_pipe_frame(lane: Lane, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + 1);
    out.extend_from_slice(&[lane]);
    out.extend_from_slice(payload);
    out.freeze()
}

/// Splits a frame of an ordered message pipe into lane and payload.
pub fn decode_pipe_frame(mut frame: Bytes) -> Result<(Lane, Bytes), FrameError> {
    if frame.len() > FRAME_BYTES_MAX + 1 {
        return Err(FrameError::TooLarge);
    }
    if frame.is_empty() {
        return Err(FrameError::Header);
    }
    let lane = frame.get_u8();
    if lane != LANE_DATAGRAM && usize::from(lane) >= ORDERED_LANES {
        return Err(FrameError::Lane(u64::from(lane)));
    }
    Ok((lane, frame))
}

/// Cuts the bytes of one lane's stream into messages.
#[derive(Debug)]
pub struct StreamDecoder {
    buffer: BytesMut,
    message_bytes_max: usize,
}

impl StreamDecoder {
    /// A decoder at the start of a stream, behind its lane byte.
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), message_bytes_max: FRAME_BYTES_MAX }
    }

    /// A decoder of a stream that is an ordered pipe ([`LANE_PIPE`]): its messages are frames of
    /// [`decode_pipe_frame`].
    pub fn of_pipe() -> Self {
        Self { buffer: BytesMut::new(), message_bytes_max: FRAME_BYTES_MAX + 1 }
    }

    /// Appends bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Gives back the memory when nothing is buffered.
    pub fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Bytes that are no whole message yet, or that [`StreamDecoder::poll`] has not handed out.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole message; `None` when more bytes are needed.
    pub fn poll(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((length, header)) = decode_varint(&self.buffer)? else {
            return Ok(None);
        };
        if length > self.message_bytes_max as u64 {
            return Err(FrameError::TooLarge);
        }
        let end = header + length as usize;
        if self.buffer.len() < end {
            return Ok(None);
        }
        self.buffer.advance(header);
        Ok(Some(self.buffer.split_to(length as usize).freeze()))
    }
}

impl Default for StreamDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The session header of every datagram: sequence number, newest received one, and 32 before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramHeader {
    /// Sequence number of this datagram, modulo 2¹⁶; the first of a session is 1.
    pub seq: u16,
    /// Newest sequence number received from the peer; 0 before the first.
    pub ack: u16,
    /// Bit `i`: sequence number `ack - 1 - i` was received too.
    pub ack_bits: u32,
}

/// A datagram: header, lane, payload. An empty payload on lane 0 only acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The session header.
    pub header: DatagramHeader,
    /// 0 (nothing but acks), 16 to 31 or 32.
    pub lane: Lane,
    /// What the lane carries.
    pub payload: Bytes,
}

impl Datagram {
    /// Layout: `u16 seq, u16 ack, u32 ack_bits` (little-endian), `u8 lane`, payload.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(DATAGRAM_HEADER_BYTES + 1 + self.payload.len());
        out.extend_from_slice(&self.header.seq.to_le_bytes());
        out.extend_from_slice(&self.header.ack.to_le_bytes());
        out.extend_from_slice(&self.header.ack_bits.to_le_bytes());
        out.extend_from_slice(&[self.lane]);
        out.extend_from_slice(&self.payload);
        out.freeze()
    }

    /// Parses a datagram.
    pub fn decode(mut bytes: Bytes) -> Result<Self, FrameError> {
        if bytes.len() < DATAGRAM_HEADER_BYTES + 1 {
            return Err(FrameError::Header);
        }
        let header = DatagramHeader { seq: bytes.get_u16_le(), ack: bytes.get_u16_le(), ack_bits: bytes.get_u32_le() };
        let lane = bytes.get_u8();
        match LaneKind::of(lane) {
            Some(LaneKind::Latest | LaneKind::Unordered) => {}
            Some(LaneKind::Resumed) if lane == LANE_CONTROL && bytes.is_empty() => {}
            Some(LaneKind::Resumed | LaneKind::Ordered) | None => return Err(FrameError::Lane(u64::from(lane))),
        }
        Ok(Self { header, lane, payload: bytes })
    }
}

#[cfg(test)]
mod tests;
