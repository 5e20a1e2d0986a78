//! The reference: what was sent, and therefore what may and must arrive.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::{Code, LANE_TOPICS, Lane, LaneKind, ORDERED_LANES};

use crate::net::End;

/// Messages of one lane towards one end. Each has a number, counted by the sender's model.
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

/// Datagrams towards one end.
#[derive(Debug, Default)]
struct Datagrams {
    sent: u64,
    /// By sequence number: the datagram's own number.
    open: BTreeMap<u16, u64>,
    delivered: BTreeSet<u64>,
    newest: BTreeMap<Lane, u64>,
}

/// Both directions.
#[derive(Debug, Default)]
pub(crate) struct Model {
    flows: [[Flow; ORDERED_LANES]; 2],
    datagrams: [Datagrams; 2],
    closed: [Option<Code>; 2],
    pub(crate) messages: u64,
    pub(crate) delivered: u64,
}

impl Model {
    /// Number of the next message on `lane` towards `to`.
    pub(crate) fn next_message(&self, to: End, lane: Lane) -> u64 {
        self.flow(to, lane).sent
    }

    /// `send` took the message.
    pub(crate) fn sent(&mut self, to: End, lane: Lane) {
        self.flow_mut(to, lane).sent += 1;
    }

    /// `send` answered `Full`.
    pub(crate) fn full(&mut self, to: End, lane: Lane) {
        self.flow_mut(to, lane).full = true;
    }

    /// The sender heard that a lane takes messages again.
    pub(crate) fn writable(&mut self, to: End, lane: Lane) -> Result<(), String> {
        let flow = self.flow_mut(to, lane);
        if !flow.full {
            return Err(format!("lane {lane} towards the {to:?} is writable but was never full"));
        }
        flow.full = false;
        Ok(())
    }

    /// A message arrived.
    pub(crate) fn arrived(&mut self, to: End, lane: Lane, number: u64) -> Result<(), String> {
        self.messages += 1;
        let flow = self.flow_mut(to, lane);
        let gap = flow.gap_allowed || lane == LANE_TOPICS;
        let fits = number == flow.expected || (number > flow.expected && gap);
        if !fits || number >= flow.sent {
            let Flow { expected, sent, .. } = *flow;
            return Err(format!("lane {lane} towards the {to:?}: message {number}, expected {expected} of {sent}"));
        }
        flow.expected = number + 1;
        flow.gap_allowed = false;
        Ok(())
    }

    /// Messages of a lane towards `to` may be missing from here on.
    pub(crate) fn allow_gap(&mut self, to: End, lane: Lane) {
        self.flow_mut(to, lane).gap_allowed = true;
    }

    /// The client lost its memory.
    pub(crate) fn client_forgets(&mut self) {
        for lane in 0..ORDERED_LANES {
            let up = &mut self.flows[End::Server as usize][lane];
            (up.gap_allowed, up.full) = (true, false);
            // What was confirmed may come again from the first message on, and what was not may be gone.
            let down = &mut self.flows[End::Client as usize][lane];
            (down.gap_allowed, down.expected) = (true, 0);
        }
        self.datagrams[End::Server as usize].open.clear();
    }

    /// Number of the next datagram towards `to`.
    pub(crate) fn next_datagram(&self, to: End) -> u64 {
        self.datagrams[to as usize].sent
    }

    /// `send_datagram` gave it a sequence number.
    pub(crate) fn datagram_sent(&mut self, to: End, seq: u16) -> Result<(), String> {
        let datagrams = &mut self.datagrams[to as usize];
        datagrams.sent += 1;
        match datagrams.open.insert(seq, datagrams.sent - 1) {
            Some(_) => Err(format!("sequence number {seq} was given twice")),
            None => Ok(()),
        }
    }

    /// A datagram arrived.
    pub(crate) fn datagram_arrived(&mut self, to: End, lane: Lane, number: u64) -> Result<(), String> {
        self.delivered += 1;
        let datagrams = &mut self.datagrams[to as usize];
        if number >= datagrams.sent || !datagrams.delivered.insert(number) {
            return Err(format!("datagram {number} towards the {to:?} came twice or was never sent"));
        }
        let newest = datagrams.newest.entry(lane).or_default();
        if LaneKind::of(lane) == Some(LaneKind::Latest) && number < *newest {
            return Err(format!("lane {lane} went back from {newest} to {number}"));
        }
        *newest = number.max(*newest);
        Ok(())
    }

    /// A datagram's fate: exactly one, and `acked` only when it was delivered.
    pub(crate) fn fate(&mut self, to: End, seq: u16, acked: bool) -> Result<(), String> {
        let datagrams = &mut self.datagrams[to as usize];
        match datagrams.open.remove(&seq) {
            None => Err(format!("datagram seq {seq} towards the {to:?} has a second fate")),
            Some(number) if acked && !datagrams.delivered.contains(&number) => {
                Err(format!("datagram {number} towards the {to:?} was acked, not delivered"))
            }
            Some(_) => Ok(()),
        }
    }

    /// One side's session ended.
    pub(crate) fn closed(&mut self, end: End, code: Code) {
        self.closed[end as usize] = Some(code);
    }

    /// How one side's session ended.
    pub(crate) fn closed_with(&self, end: End) -> Option<Code> {
        self.closed[end as usize]
    }

    /// In peace everything has arrived, everyone was told, every datagram has its fate.
    pub(crate) fn check_settled(&self) -> Result<(), String> {
        for to in [End::Client, End::Server] {
            for lane in (0..ORDERED_LANES as Lane).filter(|lane| *lane != LANE_TOPICS) {
                let flow = self.flow(to, lane);
                if flow.expected != flow.sent {
                    return Err(format!("lane {lane} towards the {to:?}: {} of {} arrived", flow.expected, flow.sent));
                }
                if flow.full {
                    return Err(format!("lane {lane} towards the {to:?} was full and nobody heard of room"));
                }
            }
            if let Some(seq) = self.datagrams[to as usize].open.keys().next() {
                return Err(format!("datagram seq {seq} towards the {to:?} has no fate"));
            }
        }
        Ok(())
    }

    fn flow(&self, to: End, lane: Lane) -> &Flow {
        &self.flows[to as usize][usize::from(lane)]
    }

    fn flow_mut(&mut self, to: End, lane: Lane) -> &mut Flow {
        &mut self.flows[to as usize][usize::from(lane)]
    }
}
