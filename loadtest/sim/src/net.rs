//! Pipes: ordered queues per lane or one for all, and datagram links that lose, double and reorder.

use std::collections::VecDeque;

use amphi_shared_session::{PipeId, PipeInfo, PipeKind};
use amphi_shared_wire::{Code, Lane, Micros, ORDERED_LANES, Rng};
use bytes::Bytes;

use crate::Faults;

/// One side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    /// The one across.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Frame(Lane, Bytes),
    Datagram(Bytes),
    Closed(Option<Code>),
}

/// One pipe between the two ends.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) info: PipeInfo,
    ways: [Way; 2],
    latency: Micros,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Ordered pipes use the first queue for everything.
    queues: [VecDeque<(Micros, Item)>; ORDERED_LANES],
    loose: Vec<(Micros, Bytes)>,
    newest_loose: Micros,
    /// The receiver sees it end at this time, with this code.
    ends: Option<(Micros, Option<Code>)>,
    /// Nothing arrives any more, and nobody says so.
    dark: bool,
    /// The receiver has left.
    left: bool,
    stalled_until: Micros,
}

impl Pipe {
    pub(crate) fn new(id: PipeId, kind: PipeKind, latency: Micros) -> Self {
        Self { info: PipeInfo { id, kind, max_datagram: 1_000, early: false }, ways: Default::default(), latency }
    }

    /// Sends a message of a reliable lane.
    pub(crate) fn frame(&mut self, now: Micros, to: End, lane: Lane, payload: Bytes, rng: &mut Rng) {
        let at = now + self.latency + Micros(rng.below(10_000));
        let queue = match self.info.kind {
            PipeKind::Streams => usize::from(lane),
            PipeKind::Ordered => 0,
        };
        self.ways[to as usize].push(queue, at, Item::Frame(lane, payload));
    }

    /// Sends a datagram; `faulty` links lose, double and reorder.
    pub(crate) fn datagram(&mut self, now: Micros, to: End, bytes: Bytes, faulty: bool, dice: (&mut Rng, &mut Faults)) {
        let (rng, faults) = dice;
        let latency = self.latency;
        let way = &mut self.ways[to as usize];
        match self.info.kind {
            PipeKind::Ordered => way.push(0, now + latency, Item::Datagram(bytes)),
            PipeKind::Streams if faulty && rng.chance(30) => faults.lost += 1,
            PipeKind::Streams => {
                let copies = if faulty && rng.chance(20) { 2 } else { 1 };
                faults.doubled += copies - 1;
                let spread = if faulty && rng.chance(100) { 150_000 } else { 2_000 };
                for _ in 0..copies {
                    let at = now + latency + Micros(rng.below(spread));
                    faults.reordered += u64::from(at < way.newest_loose);
                    way.newest_loose = way.newest_loose.max(at);
                    way.loose.push((at, bytes.clone()));
                }
            }
        }
    }

    /// `end` closes the pipe: the other side sees it after everything sent so far.
    pub(crate) fn close(&mut self, now: Micros, end: End, code: Option<Code>) {
        self.ways[end as usize].left = true;
        let way = &mut self.ways[end.other() as usize];
        let last = way.queues.iter().filter_map(|queue| queue.back()).map(|(at, _)| *at).max();
        let at = (now + self.latency).max(last.unwrap_or(now));
        way.ends.get_or_insert((at, code));
    }

    /// Breaks the pipe: of what is on its way only some arrives, then both sides see the end.
    pub(crate) fn break_up(&mut self, now: Micros, rng: &mut Rng) {
        for way in &mut self.ways {
            for queue in &mut way.queues {
                queue.truncate(rng.below(queue.len() as u64 + 1) as usize);
            }
            let last = way.queues.iter().filter_map(|queue| queue.back()).map(|(at, _)| *at).max();
            way.ends = Some((last.unwrap_or(now).max(now) + Micros(1), None));
        }
    }

    /// Nothing reaches `to` any more, and nobody is told.
    pub(crate) fn go_dark(&mut self, to: End) {
        self.ways[to as usize].dark = true;
    }

    /// Nothing arrives before `until`.
    pub(crate) fn stall(&mut self, until: Micros) {
        self.ways.iter_mut().for_each(|way| way.stalled_until = way.stalled_until.max(until));
    }

    /// Nothing arrives any more, at neither end.
    pub(crate) fn is_over(&self) -> bool {
        self.ways.iter().all(|way| way.left || way.dark)
    }

    /// When something arrives next, and where.
    pub(crate) fn next_arrival(&self) -> Option<(Micros, End)> {
        [End::Client, End::Server].into_iter().filter_map(|end| Some((self.ways[end as usize].due()?, end))).min()
    }

    /// Takes what arrives at `end` at `now`.
    pub(crate) fn arrive(&mut self, now: Micros, end: End) -> Option<Item> {
        self.ways[end as usize].take(now)
    }
}

impl Way {
    fn push(&mut self, queue: usize, at: Micros, item: Item) {
        if self.ends.is_some() || self.dark || self.left {
            return;
        }
        // A queue never reorders.
        let last = self.queues[queue].back().map_or(Micros(0), |(at, _)| *at);
        self.queues[queue].push_back((at.max(last), item));
    }

    fn due(&self) -> Option<Micros> {
        if self.dark || self.left {
            return None;
        }
        let queued = self.queues.iter().filter_map(|queue| queue.front()).map(|(at, _)| *at);
        let loose = self.loose.iter().map(|(at, _)| *at);
        let first = queued.chain(loose).chain(self.ends.map(|(at, _)| at)).min()?;
        Some(first.max(self.stalled_until))
    }

    fn take(&mut self, now: Micros) -> Option<Item> {
        if self.due()? > now {
            return None;
        }
        let queues = self.queues.iter().enumerate();
        let queue = queues.filter_map(|(i, q)| Some((q.front()?.0, i))).min().filter(|(at, _)| *at <= now);
        if let Some((_, queue)) = queue {
            return self.queues[queue].pop_front().map(|(_, item)| item);
        }
        if let Some(i) = self.loose.iter().position(|(at, _)| *at <= now) {
            return Some(Item::Datagram(self.loose.remove(i).1));
        }
        self.left = true;
        self.ends.map(|(_, code)| Item::Closed(code))
    }
}
