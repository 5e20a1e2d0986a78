//! What waits to be written on one connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

use amphi_shared_wire::limits::ORDERED_DATAGRAMS_WAITING_MAX;
use amphi_shared_wire::{LANE_CONTROL, LANE_DATAGRAM, LANE_TOPICS, Lane, Micros};
use bytes::Bytes;

use super::codec::{Opcode, SERVER_HEADER_BYTES_MAX, encode_header};
use super::socket::Socket;
use crate::network::Outlet;

/// Messages of one write: each takes two slices, and the kernel takes 1,024 of them.
const WRITE_MESSAGES_MAX: usize = 32;
/// Answers to clock probes that wait; a client compares no more of them.
const ANSWERS_MAX: usize = 4;
/// A single message with a payload of at most so many bytes is copied behind its head: one slice costs the kernel less
/// than two.
const SHORT_BYTES_MAX: usize = 128;
/// Bytes of one write.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// The WebSocket header and the lane.
const HEAD_BYTES_MAX: usize = SERVER_HEADER_BYTES_MAX + 1;

/// Messages in the order in which they leave. Holds no memory when it is empty.
#[derive(Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Bytes of the first item, head included, that have left.
    written: u32,
    datagrams: u8,
}

struct Item {
    kind: Kind,
    queued_at: Micros,
    payload: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A message of a reliable lane, which the outlet counts.
    Frame(Lane),
    Datagram,
    /// The same as text, without a lane.
    Text,
    Control(Opcode),
    /// The answer to a Hello that there will be no session: lane 0, counted by nobody.
    Refusal,
    /// The answer to a clock probe: the same.
    Answer,
}

/// Messages that go to many connections.
pub(super) struct Group<'a> {
    /// `None`: they are text, on which there is nothing but topics.
    lane: Option<Lane>,
    payloads: &'a [Bytes],
    payload_bytes: usize,
    /// All of them with their heads, as they leave.
    wire: Vec<u8>,
}

impl<'a> Group<'a> {
    pub(super) fn new(lane: Option<Lane>, payloads: &'a [Bytes]) -> Self {
        let payload_bytes = payloads.iter().map(Bytes::len).sum();
        let mut group = Self { lane, payloads, payload_bytes, wire: Vec::new() };
        group.wire.reserve(payload_bytes + payloads.len() * HEAD_BYTES_MAX);
        for payload in payloads {
            let mut head = [0; HEAD_BYTES_MAX];
            let length = encode_head(group.kind(), payload.len(), &mut head);
            group.wire.extend_from_slice(&head[..length]);
            group.wire.extend_from_slice(payload);
        }
        group
    }

    pub(super) fn lane(&self) -> Lane {
        self.lane.unwrap_or(LANE_TOPICS)
    }

    pub(super) fn payloads(&self) -> &'a [Bytes] {
        self.payloads
    }

    fn kind(&self) -> Kind {
        self.lane.map_or(Kind::Text, Kind::Frame)
    }

    /// One write to a socket for which nothing waits; the bytes that have left.
    pub(super) fn write(&self, socket: &mut Socket, outlet: &Outlet) -> io::Result<usize> {
        let written = match socket.write(&self.wire) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        if self.is_whole(written) {
            outlet.frames_left(self.payloads.len(), self.payload_bytes);
        }
        Ok(written)
    }

    /// Whether so many bytes are all of them.
    pub(super) fn is_whole(&self, written: usize) -> bool {
        written == self.wire.len()
    }
}

/// How far a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything has left.
    All,
    /// The socket has no room: it says when it has.
    Blocked,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn push_frame(&mut self, now: Micros, lane: Lane, payload: Bytes) {
        self.push(now, Kind::Frame(lane), payload);
    }

    pub(super) fn push_text(&mut self, now: Micros, payload: Bytes) {
        self.push(now, Kind::Text, payload);
    }

    pub(super) fn push_refusal(&mut self, now: Micros, payload: Bytes) {
        self.push(now, Kind::Refusal, payload);
    }

    /// The answer to a clock probe. Who asks and does not read gets no more than a few.
    pub(super) fn push_answer(&mut self, now: Micros, payload: Bytes) {
        if self.items.iter().filter(|item| item.kind == Kind::Answer).count() < ANSWERS_MAX {
            self.push(now, Kind::Answer, payload);
        }
    }

    /// False: an older datagram had to go for it.
    pub(super) fn push_datagram(&mut self, now: Micros, payload: Bytes) -> bool {
        let crowded = usize::from(self.datagrams) >= ORDERED_DATAGRAMS_WAITING_MAX && self.drop_datagram();
        self.datagrams += 1;
        self.push(now, Kind::Datagram, payload);
        !crowded
    }

    /// Messages of which the first `written` bytes have left already; nothing waits.
    pub(super) fn push_rest(&mut self, now: Micros, group: &Group<'_>, written: usize, outlet: &Outlet) {
        debug_assert!(self.is_empty(), "what waits would come later than what has left");
        let kind = group.kind();
        group.payloads.iter().for_each(|payload| self.push(now, kind, payload.clone()));
        self.left(written, outlet);
    }

    /// A control frame. Of pings and pongs none is pushed while one of its kind waits, so a client that only asks and
    /// never reads costs nothing.
    pub(super) fn push_control(&mut self, now: Micros, opcode: Opcode, payload: Bytes) {
        let kind = Kind::Control(opcode);
        if !self.items.iter().any(|item| item.kind == kind) {
            self.push(now, kind, payload);
        }
    }

    /// Drops what waits, but for the rest of a message whose start has left.
    pub(super) fn clear(&mut self) {
        self.items.truncate(usize::from(self.written > 0));
        self.datagrams = self.items.iter().filter(|item| item.kind == Kind::Datagram).count() as u8;
    }

    /// When the oldest message that may not be dropped was queued.
    pub(super) fn oldest(&self) -> Option<Micros> {
        self.items.iter().find(|item| item.kind != Kind::Datagram).map(|item| item.queued_at)
    }

    /// Writes until everything has left or the socket has no room.
    pub(super) fn write(&mut self, socket: &mut Socket, outlet: &Outlet) -> io::Result<Written> {
        loop {
            if let Err(error) = socket.flush() {
                return blocked(error);
            }
            if self.items.is_empty() {
                self.items = VecDeque::new();
                return Ok(Written::All);
            }
            match self.write_batch(socket) {
                Ok(bytes) => self.left(bytes, outlet),
                Err(error) => return blocked(error),
            }
        }
    }

    fn push(&mut self, now: Micros, kind: Kind, payload: Bytes) {
        self.items.push_back(Item { kind, queued_at: now, payload });
    }

    fn drop_datagram(&mut self) -> bool {
        let started = usize::from(self.written > 0);
        let oldest = self.items.iter().skip(started).position(|item| item.kind == Kind::Datagram);
        let dropped = oldest.and_then(|oldest| self.items.remove(started + oldest)).is_some();
        self.datagrams -= u8::from(dropped);
        dropped
    }

    /// One write of the only message when it is short, else of the first ones.
    fn write_batch(&self, socket: &mut Socket) -> io::Result<usize> {
        match self.items.front() {
            Some(item) if self.items.len() == 1 && item.payload.len() <= SHORT_BYTES_MAX => {
                let mut bytes = [0; HEAD_BYTES_MAX + SHORT_BYTES_MAX];
                let length = item.encode(&mut bytes);
                socket.write(&bytes[self.written as usize..length])
            }
            Some(_) | None => self.write_slices(socket),
        }
    }

    /// One write of the first messages: their heads from the stack, their payloads by reference.
    fn write_slices(&self, socket: &mut Socket) -> io::Result<usize> {
        let mut heads = [([0; HEAD_BYTES_MAX], 0); WRITE_MESSAGES_MAX];
        let (mut messages, mut bytes) = (0, 0);
        for (item, head) in self.items.iter().zip(&mut heads) {
            head.1 = item.encode_head(&mut head.0);
            messages += 1;
            bytes += item.payload.len();
            if bytes >= WRITE_BYTES_MAX {
                break;
            }
        }
        let mut slices = [IoSlice::new(&[]); WRITE_MESSAGES_MAX * 2];
        for (i, (item, (head, length))) in self.items.iter().zip(&heads).take(messages).enumerate() {
            slices[2 * i] = IoSlice::new(&head[..*length]);
            slices[2 * i + 1] = IoSlice::new(&item.payload);
        }
        let mut slices = &mut slices[..messages * 2];
        IoSlice::advance_slices(&mut slices, self.written as usize);
        socket.write_vectored(slices)
    }

    /// `bytes` more have left.
    fn left(&mut self, bytes: usize, outlet: &Outlet) {
        let mut left = bytes + self.written as usize;
        while let Some(item) = self.items.front() {
            let (whole, payload, kind) = (item.bytes(), item.payload.len(), item.kind);
            if left < whole {
                break;
            }
            left -= whole;
            self.items.pop_front();
            match kind {
                Kind::Frame(_) | Kind::Text => outlet.frames_left(1, payload),
                Kind::Datagram => self.datagrams -= 1,
                Kind::Control(_) | Kind::Refusal | Kind::Answer => {}
            }
        }
        self.written = left as u32;
    }
}

impl Item {
    fn bytes(&self) -> usize {
        self.encode_head(&mut [0; HEAD_BYTES_MAX]) + self.payload.len()
    }

    /// Head and payload of a short message.
    fn encode(&self, out: &mut [u8; HEAD_BYTES_MAX + SHORT_BYTES_MAX]) -> usize {
        let mut head = [0; HEAD_BYTES_MAX];
        let at = self.encode_head(&mut head);
        let end = at + self.payload.len();
        out[..at].copy_from_slice(&head[..at]);
        out[at..end].copy_from_slice(&self.payload);
        end
    }

    fn encode_head(&self, out: &mut [u8; HEAD_BYTES_MAX]) -> usize {
        encode_head(self.kind, self.payload.len(), out)
    }
}

fn encode_head(kind: Kind, payload_bytes: usize, out: &mut [u8; HEAD_BYTES_MAX]) -> usize {
    let (opcode, lane) = match kind {
        Kind::Frame(lane) => (Opcode::Binary, Some(lane)),
        Kind::Datagram => (Opcode::Binary, Some(LANE_DATAGRAM)),
        Kind::Refusal | Kind::Answer => (Opcode::Binary, Some(LANE_CONTROL)),
        Kind::Text => (Opcode::Text, None),
        Kind::Control(opcode) => (opcode, None),
    };
    let mut header = [0; SERVER_HEADER_BYTES_MAX];
    let length = encode_header(opcode, payload_bytes + usize::from(lane.is_some()), &mut header);
    out[..length].copy_from_slice(&header[..length]);
    out[length] = lane.unwrap_or_default();
    length + usize::from(lane.is_some())
}

fn blocked(error: io::Error) -> io::Result<Written> {
    if error.kind() == ErrorKind::WouldBlock { Ok(Written::Blocked) } else { Err(error) }
}

#[cfg(test)]
mod tests;
