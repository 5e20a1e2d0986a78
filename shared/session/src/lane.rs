//! One reliable lane: what is kept until the peer has it, and how far the peer's messages have come.

use std::collections::VecDeque;

use amphi_shared_wire::{Code, Lane, LaneKind, ORDERED_LANES};
use bytes::Bytes;

use crate::Config;

/// Sent messages of a lane that the peer has not confirmed.
#[derive(Debug, Default)]
pub(crate) struct SendLane {
    kept: VecDeque<Bytes>,
    /// Number of the oldest kept message: the peer has confirmed everything below.
    base: u64,
    /// `send` answered `Full`; the owner waits for room.
    pub(crate) full: bool,
    pub(crate) lost: Option<Loss>,
}

/// The lane started anew, and the peer may not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) code: Code,
    /// Generation of the first attach that said so.
    pub(crate) told: Option<u32>,
}

/// A peer's number of received messages that cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

impl SendLane {
    /// Number of the next message.
    pub(crate) fn next_seq(&self) -> u64 {
        self.base + self.kept.len() as u64
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Bytes> {
        self.kept.iter()
    }

    fn push(&mut self, payload: Bytes) -> u64 {
        let seq = self.next_seq();
        self.kept.push_back(payload);
        seq
    }

    /// Forgets what the peer has; says how many bytes that were.
    fn confirm(&mut self, received: u64) -> Result<(usize, usize), OutOfRange> {
        if received > self.next_seq() {
            return Err(OutOfRange);
        }
        let count = received.saturating_sub(self.base) as usize;
        let bytes = self.kept.drain(..count).map(|m| m.len()).sum();
        self.base = self.base.max(received);
        Ok((count, bytes))
    }

    fn start_anew(&mut self, loss: Option<Loss>) -> (usize, usize) {
        let bytes = self.kept.iter().map(Bytes::len).sum();
        let count = self.kept.len();
        self.kept.clear();
        self.base = 0;
        self.lost = loss;
        (count, bytes)
    }
}

/// All resumable lanes of one direction, ours, with one bound on their bytes.
#[derive(Debug, Default)]
pub(crate) struct SendLanes {
    lanes: [SendLane; ORDERED_LANES],
    messages: usize,
    bytes: usize,
}

impl SendLanes {
    /// Keeps a message and says its number; `None` when the lane is full.
    pub(crate) fn push(&mut self, config: &Config, lane: Lane, payload: Bytes) -> Option<u64> {
        let slot = &mut self.lanes[usize::from(lane)];
        if slot.kept.len() >= config.retained_messages_max || self.bytes + payload.len() > config.retained_bytes_max {
            slot.full = true;
            return None;
        }
        self.bytes += payload.len();
        self.messages += 1;
        Some(slot.push(payload))
    }

    /// The peer has everything of this lane below `received`.
    pub(crate) fn confirm(&mut self, lane: Lane, received: u64) -> Result<(), OutOfRange> {
        let (messages, bytes) = self.lanes[usize::from(lane)].confirm(received)?;
        self.messages -= messages;
        self.bytes -= bytes;
        Ok(())
    }

    /// Drops everything kept on a lane and counts from 0.
    pub(crate) fn start_anew(&mut self, lane: Lane, loss: Option<Loss>) {
        let (messages, bytes) = self.lanes[usize::from(lane)].start_anew(loss);
        self.messages -= messages;
        self.bytes -= bytes;
    }

    /// Lanes that were full and take messages again; each is named once.
    pub(crate) fn take_writable(&mut self, config: &Config) -> Vec<Lane> {
        // A quarter of the bytes is free: room for the largest message.
        let room = self.bytes <= config.retained_bytes_max / 4 * 3;
        let mut writable = Vec::new();
        for (lane, slot) in self.lanes.iter_mut().enumerate() {
            if slot.full && room && slot.kept.len() < config.retained_messages_max {
                slot.full = false;
                writable.push(lane as Lane);
            }
        }
        writable
    }

    pub(crate) fn lane(&self, lane: Lane) -> &SendLane {
        &self.lanes[usize::from(lane)]
    }

    pub(crate) fn lane_mut(&mut self, lane: Lane) -> &mut SendLane {
        &mut self.lanes[usize::from(lane)]
    }

    /// Number of messages sent per resumable lane.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (Lane, u64)> {
        resumable_lanes().map(|lane| (lane, self.lane(lane).next_seq()))
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How far the peer's messages of one lane have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceiveLane {
    /// Number of messages received in order.
    pub(crate) next: u64,
    /// What the peer was told of it.
    pub(crate) told: u64,
    /// Messages that come again on this pipe and are dropped.
    pub(crate) repeated: u64,
}

impl ReceiveLane {
    /// Counts a message; false when it came before.
    pub(crate) fn take(&mut self) -> bool {
        if self.repeated > 0 {
            self.repeated -= 1;
            return false;
        }
        self.next += 1;
        true
    }
}

/// Every lane whose messages are kept for resume.
pub(crate) fn resumable_lanes() -> impl Iterator<Item = Lane> {
    (0..ORDERED_LANES as Lane).filter(|lane| LaneKind::of(*lane) == Some(LaneKind::Resumed))
}
