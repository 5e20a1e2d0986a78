//! Datagrams: sequence numbers, acks, and what became of each.

use std::collections::VecDeque;

use amphi_shared_wire::limits::{DATAGRAM_SENT_MAX, LATEST_IN_FLIGHT_MAX, UNORDERED_WAITING_MAX};
use amphi_shared_wire::{Datagram, DatagramHeader, LANE_CONTROL, LANE_SNAPSHOT, Lane, LaneKind, Micros};
use bytes::Bytes;

use crate::{DatagramStats, PipeKind};

/// Newer datagrams that must have arrived before one counts as lost (RFC 9002 section 6.1.1).
const REORDERING: u8 = 3;
const LATEST_LANES: usize = 16;

/// What became of a sent datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Acked(u16),
    Lost(u16),
}

/// What the peer's acks said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Acks {
    pub(crate) fates: Vec<Fate>,
    pub(crate) rtt: Option<Micros>,
}

/// Both directions of one session's datagrams, over all its pipes.
#[derive(Debug)]
pub(crate) struct Datagrams {
    next_seq: u16,
    sent: VecDeque<Sent>,
    given_up: VecDeque<u16>,
    /// Ordered pipes: datagrams that do not fit into flight, the oldest of each lane first.
    waiting: Vec<Waiting>,
    received: Received,
    pub(crate) ack_due: Option<Micros>,
    pub(crate) stats: DatagramStats,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: u16,
    at: Micros,
    newer_acks: u8,
}

#[derive(Debug)]
struct Waiting {
    seq: u16,
    lane: Lane,
    payload: Bytes,
}

#[derive(Debug, Default)]
struct Received {
    /// Newest number, counted without wrapping; 0 before the first.
    newest: u64,
    /// Bit `i`: the number `i + 1` below the newest arrived too.
    bits: u32,
    /// Newest number per latest lane.
    lanes: [u64; LATEST_LANES],
}

impl Datagrams {
    pub(crate) fn new() -> Self {
        Self {
            next_seq: 1,
            sent: VecDeque::new(),
            given_up: VecDeque::new(),
            waiting: Vec::new(),
            received: Received::default(),
            ack_due: None,
            stats: DatagramStats::default(),
        }
    }

    /// A number for the next datagram.
    pub(crate) fn number(&mut self) -> u16 {
        let seq = self.next_seq;
        self.next_seq = if seq == u16::MAX { 1 } else { seq + 1 };
        seq
    }

    /// True when a datagram may leave at once on a pipe of this kind.
    pub(crate) fn may_leave(&self, kind: PipeKind) -> bool {
        match kind {
            PipeKind::Streams => true,
            PipeKind::Ordered => self.sent.len() < LATEST_IN_FLIGHT_MAX,
        }
    }

    /// Keeps a datagram until there is room, the newest of a latest lane and the newest few of the unordered one; says
    /// which one was dropped for it.
    pub(crate) fn wait(&mut self, seq: u16, lane: Lane, payload: Bytes) -> Option<u16> {
        let room = if LaneKind::of(lane) == Some(LaneKind::Latest) { 1 } else { UNORDERED_WAITING_MAX };
        let mut of_lane = (0..self.waiting.len()).filter(|at| self.waiting[*at].lane == lane);
        let oldest = of_lane.next().filter(|_| of_lane.count() + 1 >= room);
        let dropped = oldest.map(|at| self.waiting.remove(at).seq);
        self.waiting.push(Waiting { seq, lane, payload });
        if dropped.is_some() {
            self.stats.lost += 1;
            *(if room == 1 { &mut self.stats.replaced } else { &mut self.stats.overflowed }) += 1;
        }
        dropped
    }

    /// The oldest waiting datagram, as it leaves, when there is room on an ordered pipe.
    pub(crate) fn next_waiting(&mut self, now: Micros) -> Option<Bytes> {
        if !self.may_leave(PipeKind::Ordered) {
            return None;
        }
        let newest = self.next_seq;
        // Waiting numbers lie less than half the space below the next one, so this is their age.
        let (oldest, _) = self.waiting.iter().enumerate().max_by_key(|(_, w)| newest.wrapping_sub(w.seq))?;
        let waiting = self.waiting.remove(oldest);
        // At most two are in flight here, so nothing is pushed out.
        let (bytes, _) = self.leave(now, waiting.seq, waiting.lane, waiting.payload);
        Some(bytes)
    }

    /// A datagram as it leaves at `now`, and the oldest one that is given up for it when too many are unresolved.
    pub(crate) fn leave(&mut self, now: Micros, seq: u16, lane: Lane, payload: Bytes) -> (Bytes, Option<u16>) {
        let pushed_out = (self.sent.len() == DATAGRAM_SENT_MAX).then(|| self.sent.pop_front()).flatten().map(|s| s.seq);
        pushed_out.into_iter().for_each(|seq| self.give_up(seq));
        self.sent.push_back(Sent { seq, at: now, newer_acks: 0 });
        (self.encode(seq, lane, payload), pushed_out)
    }

    /// A datagram that only acknowledges.
    pub(crate) fn ack_only(&mut self) -> Bytes {
        self.encode(0, LANE_CONTROL, Bytes::new())
    }

    fn encode(&mut self, seq: u16, lane: Lane, payload: Bytes) -> Bytes {
        self.ack_due = None;
        let header = DatagramHeader { seq, ack: wrap(self.received.newest), ack_bits: self.received.bits };
        Datagram { header, lane, payload }.encode()
    }

    /// Counts a received datagram; false when it is to be dropped. `ack_at`: when to acknowledge at the latest.
    pub(crate) fn receive(&mut self, seq: u16, lane: Lane, ack_at: Micros) -> bool {
        let Some(number) = self.received.number(seq) else {
            return false;
        };
        // An ack says that the payload was used: an older one on a latest lane is dropped without one.
        if let Some(newest) = self.newest_of(lane)
            && number < *newest
        {
            return false;
        }
        if !self.received.note(number) {
            return false;
        }
        self.ack_due = self.ack_due.or(Some(ack_at));
        if let Some(newest) = self.newest_of(lane) {
            *newest = number;
        }
        match LaneKind::of(lane) {
            Some(LaneKind::Latest | LaneKind::Unordered) => true,
            Some(LaneKind::Resumed | LaneKind::Ordered) | None => false,
        }
    }

    /// The newest number of a latest lane.
    fn newest_of(&mut self, lane: Lane) -> Option<&mut u64> {
        (LaneKind::of(lane) == Some(LaneKind::Latest))
            .then(|| &mut self.received.lanes[usize::from(lane - LANE_SNAPSHOT)])
    }

    /// False when the header acknowledges what has no number yet.
    pub(crate) fn may_acknowledge(&self, header: DatagramHeader) -> bool {
        header.ack == 0 || !is_newer(header.ack, self.next_seq.wrapping_sub(1))
    }

    /// Reads the acks in a received header.
    pub(crate) fn acknowledge(&mut self, now: Micros, header: DatagramHeader, kind: PipeKind) -> Acks {
        let mut acks = Acks::default();
        if header.ack == 0 {
            return acks;
        }
        let mut newly = Vec::new();
        self.sent.retain(|sent| {
            let arrived = covers(header, sent.seq);
            if arrived {
                newly.push(sent.seq);
                if sent.seq == header.ack {
                    acks.rtt = Some(now.since(sent.at));
                }
            }
            !arrived
        });
        self.stats.acked += newly.len() as u64;
        acks.fates.extend(newly.iter().map(|seq| Fate::Acked(*seq)));
        let before = self.given_up.len();
        self.given_up.retain(|seq| !covers(header, *seq));
        self.stats.late += (before - self.given_up.len()) as u64;
        let newer_max = match kind {
            PipeKind::Streams => REORDERING,
            // Nothing overtakes there: whatever a newer one came without was dropped on the way.
            PipeKind::Ordered => 1,
        };
        self.count_newer(&newly, newer_max, &mut acks.fates);
        acks
    }

    /// Gives up datagrams that so many newer ones have overtaken.
    fn count_newer(&mut self, newly: &[u16], newer_max: u8, fates: &mut Vec<Fate>) {
        let mut lost = Vec::new();
        self.sent.retain_mut(|sent| {
            let newer = newly.iter().filter(|seq| is_newer(**seq, sent.seq)).count();
            sent.newer_acks = sent.newer_acks.saturating_add(newer.min(usize::from(REORDERING)) as u8);
            let keep = sent.newer_acks < newer_max;
            if !keep {
                lost.push(sent.seq);
            }
            keep
        });
        self.report_lost(lost, fates);
    }

    /// Gives up datagrams that were sent before `deadline`.
    pub(crate) fn expire(&mut self, deadline: Micros) -> Vec<Fate> {
        let (mut lost, mut fates) = (Vec::new(), Vec::new());
        self.sent.retain(|sent| {
            let keep = sent.at > deadline;
            if !keep {
                lost.push(sent.seq);
            }
            keep
        });
        self.report_lost(lost, &mut fates);
        fates
    }

    /// Gives up everything in flight or waiting: the pipe is gone.
    pub(crate) fn abandon(&mut self) -> Vec<Fate> {
        let mut lost: Vec<u16> = self.sent.drain(..).map(|s| s.seq).collect();
        lost.extend(self.waiting.drain(..).map(|w| w.seq));
        self.ack_due = None;
        let mut fates = Vec::new();
        self.report_lost(lost, &mut fates);
        fates
    }

    /// Send time of the oldest unresolved datagram.
    pub(crate) fn oldest(&self) -> Option<Micros> {
        self.sent.front().map(|s| s.at)
    }

    fn report_lost(&mut self, lost: Vec<u16>, fates: &mut Vec<Fate>) {
        for seq in lost {
            self.give_up(seq);
            fates.push(Fate::Lost(seq));
        }
    }

    /// Remembers for the statistics that this one was given up.
    fn give_up(&mut self, seq: u16) {
        self.stats.lost += 1;
        if self.given_up.len() == DATAGRAM_SENT_MAX {
            self.given_up.pop_front();
        }
        self.given_up.push_back(seq);
    }
}

impl Received {
    /// The unwrapped number of `seq`; `None` when there is no such number.
    fn number(&self, seq: u16) -> Option<u64> {
        if seq == 0 {
            return None;
        }
        if self.newest == 0 {
            return Some(u64::from(seq));
        }
        let step = seq.wrapping_sub(wrap(self.newest)) as i16;
        self.newest.checked_add_signed(i64::from(step)).filter(|n| *n > 0)
    }

    /// Marks a number as received; false when it is repeated or too old to tell.
    fn note(&mut self, number: u64) -> bool {
        if number > self.newest {
            let step = number - self.newest;
            let first = self.newest == 0;
            self.bits = match step {
                1..=31 => self.bits << step | 1 << (step - 1),
                32 => 1 << 31,
                _ => 0,
            };
            if first {
                self.bits = 0;
            }
            self.newest = number;
            return true;
        }
        let below = self.newest - number;
        if !(1..=32).contains(&below) {
            return false;
        }
        let bit = 1 << (below - 1);
        let fresh = self.bits & bit == 0;
        self.bits |= bit;
        fresh
    }
}

/// The low 16 bits.
fn wrap(number: u64) -> u16 {
    number as u16
}

/// True when `a` comes after `b` on the circle of 16-bit numbers.
fn is_newer(a: u16, b: u16) -> bool {
    (a.wrapping_sub(b) as i16) > 0
}

/// True when the header says that `seq` arrived.
fn covers(header: DatagramHeader, seq: u16) -> bool {
    let below = header.ack.wrapping_sub(seq);
    below == 0 || (below <= 32 && header.ack_bits >> (below - 1) & 1 == 1)
}

#[cfg(test)]
mod tests;
