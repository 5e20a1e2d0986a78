//! The reference: what was sent one way, and therefore what may and must arrive.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::{LANE_TOPICS, Lane, LaneKind, Micros, ORDERED_LANES};

/// Messages of one lane. Each has a number, counted by the sender's side of the model.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    sent: u64,
    /// Number that comes next.
    expected: u64,
    /// A loss was told or caused: numbers may be skipped once.
    gap_allowed: bool,
    /// The sender heard `Full` and waits to hear `LaneWritable`.
    full: bool,
}

/// One direction of one session.
#[derive(Debug, Default)]
pub(super) struct Flows {
    lanes: [Flow; ORDERED_LANES],
    datagrams_sent: u64,
    /// By sequence number: the datagram's own number, and when it was sent.
    open: BTreeMap<u16, (u64, Micros)>,
    delivered: BTreeSet<u64>,
    newest: BTreeMap<Lane, u64>,
}

impl Flows {
    /// Number of the next message on a lane.
    pub(super) fn next_message(&self, lane: Lane) -> u64 {
        self.lane(lane).sent
    }

    /// `send` took the message.
    pub(super) fn sent(&mut self, lane: Lane) {
        self.lane_mut(lane).sent += 1;
    }

    /// `send` answered `Full`.
    pub(super) fn full(&mut self, lane: Lane) {
        self.lane_mut(lane).full = true;
    }

    /// The sender heard that a lane takes messages again.
    pub(super) fn writable(&mut self, lane: Lane) -> Result<(), String> {
        let was_full = std::mem::take(&mut self.lane_mut(lane).full);
        if was_full { Ok(()) } else { Err(format!("lane {lane} is writable but was never full")) }
    }

    /// A message arrived.
    pub(super) fn arrived(&mut self, lane: Lane, number: u64) -> Result<(), String> {
        let flow = self.lane_mut(lane);
        let gap = flow.gap_allowed || lane == LANE_TOPICS;
        let fits = number == flow.expected || (number > flow.expected && gap);
        if !fits || number >= flow.sent {
            return Err(format!("message {number} arrived on lane {lane}, not {} of {}", flow.expected, flow.sent));
        }
        flow.expected = number + 1;
        flow.gap_allowed = false;
        Ok(())
    }

    /// Messages of a lane may be missing from here on.
    pub(super) fn allow_gap(&mut self, lane: Lane) {
        self.lane_mut(lane).gap_allowed = true;
    }

    /// The sender lost its memory: what it kept is gone, and so is what it knew of its datagrams.
    pub(super) fn sender_forgets(&mut self) {
        self.lanes.iter_mut().for_each(|flow| (flow.gap_allowed, flow.full) = (true, false));
        self.open.clear();
    }

    /// The receiver lost its memory: what was confirmed may come again from the first message on, and what was not
    /// may be gone.
    pub(super) fn receiver_forgets(&mut self) {
        self.lanes.iter_mut().for_each(|flow| (flow.gap_allowed, flow.expected) = (true, 0));
    }

    /// Number of the next datagram.
    pub(super) fn next_datagram(&self) -> u64 {
        self.datagrams_sent
    }

    /// `send_datagram` gave it a sequence number.
    pub(super) fn datagram_sent(&mut self, now: Micros, seq: u16) -> Result<(), String> {
        self.datagrams_sent += 1;
        match self.open.insert(seq, (self.datagrams_sent - 1, now)) {
            Some(_) => Err(format!("datagram number {seq} was given twice")),
            None => Ok(()),
        }
    }

    /// A datagram arrived.
    pub(super) fn datagram_arrived(&mut self, lane: Lane, number: u64) -> Result<(), String> {
        if number >= self.datagrams_sent || !self.delivered.insert(number) {
            return Err(format!("datagram {number} arrived twice or was never sent"));
        }
        let newest = self.newest.entry(lane).or_default();
        if LaneKind::of(lane) == Some(LaneKind::Latest) && number < *newest {
            return Err(format!("datagram lane {lane} went back from {newest} to {number}"));
        }
        *newest = number.max(*newest);
        Ok(())
    }

    /// A datagram's fate: exactly one, and `acked` only when it was delivered.
    pub(super) fn fate(&mut self, seq: u16, acked: bool) -> Result<(), String> {
        match self.open.remove(&seq) {
            None => Err(format!("datagram {seq} has a second fate")),
            Some((number, _)) if acked && !self.delivered.contains(&number) => {
                Err(format!("datagram {number} was acknowledged and never delivered"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Every message has arrived, and everyone was told of room.
    pub(super) fn check_settled(&self) -> Result<(), String> {
        for lane in (0..ORDERED_LANES as Lane).filter(|lane| *lane != LANE_TOPICS) {
            let flow = self.lane(lane);
            if flow.expected != flow.sent {
                return Err(format!("{} of {} messages arrived on lane {lane}", flow.expected, flow.sent));
            }
            if flow.full {
                return Err(format!("lane {lane} was full and nobody heard of room"));
            }
        }
        Ok(())
    }

    /// Every datagram sent before `then` has its fate.
    pub(super) fn check_fates(&self, then: Micros) -> Result<(), String> {
        match self.open.iter().find(|(_, (_, sent))| *sent < then) {
            Some((seq, _)) => Err(format!("datagram {seq} has no fate")),
            None => Ok(()),
        }
    }

    fn lane(&self, lane: Lane) -> &Flow {
        &self.lanes[usize::from(lane)]
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut Flow {
        &mut self.lanes[usize::from(lane)]
    }
}
