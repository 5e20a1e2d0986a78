//! The resumable lanes: what is kept until the peer has it, and how far the peer's messages have come.

use std::collections::VecDeque;

use amphi_shared_wire::{Code, Lane, LaneKind, Micros, ORDERED_LANES};
use bytes::Bytes;

use crate::Config;

/// Sent messages of a lane that the peer has not confirmed.
#[derive(Debug)]
pub(crate) struct SendLane {
    kept: VecDeque<Kept>,
    /// Number of the oldest kept message: the peer has confirmed everything below.
    base: u64,
    /// `send` answered `Full`; the owner waits for room.
    full: bool,
    pub(crate) lost: Option<Loss>,
}

/// A message that is kept until the peer has it.
#[derive(Debug)]
struct Kept {
    payload: Bytes,
    sent: Micros,
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

/// Both directions of one lane.
#[derive(Debug)]
struct Slot {
    lane: Lane,
    send: SendLane,
    receive: ReceiveLane,
}

/// Every resumable lane of a session, with one bound on the bytes that are kept. A lane that was never used costs
/// nothing: most home sessions use none.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    used: Vec<Slot>,
    messages: usize,
    bytes: usize,
}

/// A lane on which nothing was ever sent.
static UNUSED: SendLane = SendLane { kept: VecDeque::new(), base: 0, full: false, lost: None };

impl SendLane {
    /// Number of the next message.
    pub(crate) fn next_seq(&self) -> u64 {
        self.base + self.kept.len() as u64
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Bytes> {
        self.kept.iter().map(|kept| &kept.payload)
    }

    /// Forgets what the peer has; says how many messages and bytes that were.
    fn confirm(&mut self, received: u64) -> (usize, usize) {
        let count = received.saturating_sub(self.base) as usize;
        let bytes = self.kept.drain(..count).map(|kept| kept.payload.len()).sum();
        self.base = self.base.max(received);
        (count, bytes)
    }

    fn start_anew(&mut self, loss: Option<Loss>) -> (usize, usize) {
        let freed = (self.kept.len(), self.kept().map(Bytes::len).sum());
        self.kept.clear();
        self.base = 0;
        self.lost = loss;
        freed
    }
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

impl Lanes {
    /// Keeps a message and says its number; `None` when the lane is full.
    pub(crate) fn push(&mut self, now: Micros, config: &Config, lane: Lane, payload: Bytes) -> Option<u64> {
        let bytes = self.bytes() + payload.len();
        let full = self.messages >= config.retained_messages_max || bytes > config.retained_bytes_max;
        let send = &mut self.slot(lane).send;
        if full {
            send.full = true;
            return None;
        }
        let seq = send.next_seq();
        send.kept.push_back(Kept { payload, sent: now });
        self.bytes = bytes;
        self.messages += 1;
        Some(seq)
    }

    /// The peer has everything of this lane below `received`.
    pub(crate) fn confirm(&mut self, lane: Lane, received: u64) -> Result<(), OutOfRange> {
        if received > self.sent(lane).next_seq() {
            return Err(OutOfRange);
        }
        if received > self.sent(lane).base() {
            let freed = self.slot(lane).send.confirm(received);
            self.release(freed);
        }
        Ok(())
    }

    /// Drops everything kept on a lane and counts from 0.
    pub(crate) fn start_anew(&mut self, lane: Lane, loss: Option<Loss>) {
        if loss.is_some() || self.used.iter().any(|slot| slot.lane == lane) {
            let freed = self.slot(lane).send.start_anew(loss);
            self.release(freed);
        }
    }

    /// The peer counts from `told` on a fresh pipe: what has arrived since then comes again.
    pub(crate) fn count_received_from(&mut self, told: &[u64; ORDERED_LANES]) {
        for Slot { lane, receive, .. } in &mut self.used {
            let told = told[usize::from(*lane)];
            *receive = ReceiveLane { next: receive.next, told, repeated: receive.next - told };
        }
    }

    /// Nothing has arrived on any lane.
    pub(crate) fn forget_received(&mut self) {
        self.used.iter_mut().for_each(|slot| slot.receive = ReceiveLane::default());
    }

    /// Lanes that were full and take messages again; each is named once.
    pub(crate) fn take_writable(&mut self, config: &Config) -> Vec<Lane> {
        // A quarter is free: room for the largest message.
        let room = self.bytes() <= config.retained_bytes_max / 4 * 3
            && self.messages() <= config.retained_messages_max / 4 * 3;
        let mut writable = Vec::new();
        for slot in &mut self.used {
            if slot.send.full && room {
                slot.send.full = false;
                writable.push(slot.lane);
            }
        }
        writable
    }

    /// Gives back the memory of queues that are empty.
    pub(crate) fn rest(&mut self) {
        for slot in self.used.iter_mut().filter(|slot| slot.send.kept.is_empty()) {
            slot.send.kept = VecDeque::new();
        }
    }

    /// What was sent on a lane.
    pub(crate) fn sent(&self, lane: Lane) -> &SendLane {
        self.used.iter().find(|slot| slot.lane == lane).map_or(&UNUSED, |slot| &slot.send)
    }

    pub(crate) fn sent_mut(&mut self, lane: Lane) -> &mut SendLane {
        &mut self.slot(lane).send
    }

    /// What has arrived on a lane.
    pub(crate) fn received(&self, lane: Lane) -> ReceiveLane {
        self.used.iter().find(|slot| slot.lane == lane).map_or_else(ReceiveLane::default, |slot| slot.receive)
    }

    pub(crate) fn received_mut(&mut self, lane: Lane) -> &mut ReceiveLane {
        &mut self.slot(lane).receive
    }

    /// Lanes on which anything was sent, lost or received, in no order, with both directions.
    pub(crate) fn used_mut(&mut self) -> impl Iterator<Item = (&mut SendLane, &mut ReceiveLane)> {
        self.used.iter_mut().map(|slot| (&mut slot.send, &mut slot.receive))
    }

    /// Number of messages sent per resumable lane.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (Lane, u64)> {
        resumable_lanes().map(|lane| (lane, self.sent(lane).next_seq()))
    }

    /// Number of messages received per resumable lane.
    pub(crate) fn received_positions(&self) -> impl Iterator<Item = (Lane, u64)> {
        resumable_lanes().map(|lane| (lane, self.received(lane).next))
    }

    /// What is received now, by lane.
    pub(crate) fn received_now(&self) -> [u64; ORDERED_LANES] {
        std::array::from_fn(|lane| self.received(lane as Lane).next)
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest message was sent that the peer has not confirmed.
    pub(crate) fn oldest(&self) -> Option<Micros> {
        self.used.iter().filter_map(|slot| slot.send.kept.front()).map(|kept| kept.sent).min()
    }

    fn release(&mut self, (messages, bytes): (usize, usize)) {
        self.messages -= messages;
        self.bytes -= bytes;
    }

    fn slot(&mut self, lane: Lane) -> &mut Slot {
        let at = self.used.iter().position(|slot| slot.lane == lane).unwrap_or_else(|| {
            let send = SendLane { kept: VecDeque::new(), base: 0, full: false, lost: None };
            self.used.reserve_exact(1);
            self.used.push(Slot { lane, send, receive: ReceiveLane::default() });
            self.used.len() - 1
        });
        &mut self.used[at]
    }
}

/// Every lane whose messages are kept for resume.
pub(crate) fn resumable_lanes() -> impl Iterator<Item = Lane> {
    (0..ORDERED_LANES as Lane).filter(|lane| LaneKind::of(*lane) == Some(LaneKind::Resumed))
}
