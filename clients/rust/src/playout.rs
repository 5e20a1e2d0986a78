//! Rows of everything that is not predicted, played out a little behind the server so that there is always a next one.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use amphi_shared_replica::{NetId, Reckoning, Replicate, Row, Schema};
use amphi_shared_wire::{Micros, Tick, TickClock};

/// Samples per entity.
const SAMPLES_MAX: usize = 24;
/// Latenesses that are remembered.
const LATENESS_MAX: usize = 128;
/// The delay never exceeds this.
const DELAY_MAX: Micros = Micros::from_millis(250);
/// Share of the way to the wanted delay per snapshot.
const APPROACH: f64 = 0.05;

/// Samples of received rows, and how far behind they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Playout {
    samples: BTreeMap<u32, VecDeque<(Tick, Row)>>,
    newest: Tick,
    lateness_us: VecDeque<u64>,
    delay_us: f64,
}

/// What is reckoned since a tick, at a server time.
fn reckoned<C: Replicate>(reckoning: &Reckoning, values: &[i32], since: Tick, (time, clock): (Micros, TickClock)) -> C {
    let (tick, part) = tick_at((time, clock));
    let ticks = tick.0.saturating_sub(since.0);
    let at = |ticks: u32| {
        let mut row = values.to_vec();
        reckoning.go_on(&mut row, ticks, clock.tick_hz);
        C::read(&row)
    };
    C::lerp(&at(ticks), &at(ticks + 1), part)
}

/// The tick that a server time is in, and how much of it has passed.
fn tick_at((time, clock): (Micros, TickClock)) -> (Tick, f32) {
    let tick = clock.at(time);
    let part = time.since(clock.start_of(tick)).0 as f32 / clock.period().0.max(1) as f32;
    (tick, part.clamp(0.0, 1.0))
}

impl Playout {
    /// A snapshot of `tick` has arrived at server time `now`.
    pub(crate) fn start_snapshot(&mut self, now: Micros, clock: TickClock, tick: Tick) {
        if self.lateness_us.len() == LATENESS_MAX {
            self.lateness_us.pop_front();
        }
        self.lateness_us.push_back(now.since(clock.start_of(tick)).0);
        let mut sorted: Vec<u64> = self.lateness_us.iter().copied().collect();
        sorted.sort_unstable();
        let p98 = sorted[(sorted.len() - 1) * 98 / 100];
        let wanted = (p98 + clock.period().0).min(DELAY_MAX.0) as f64;
        self.delay_us = if self.delay_us == 0.0 { wanted } else { self.delay_us + (wanted - self.delay_us) * APPROACH };
    }

    /// An entity's row in the snapshot of `tick`.
    pub(crate) fn push(&mut self, id: NetId, tick: Tick, row: Row) {
        let samples = self.samples.entry(id.0).or_default();
        if let Some((last, rested)) = samples.back() {
            if *last >= tick {
                return;
            }
            // It rested until the snapshot before this one.
            if self.newest > *last && self.newest < tick {
                let rested = rested.clone();
                samples.push_back((self.newest, rested));
            }
        }
        samples.push_back((tick, row));
        while samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
    }

    /// The snapshot of `tick` is read.
    pub(crate) fn end_snapshot(&mut self, tick: Tick) {
        self.newest = self.newest.max(tick);
    }

    pub(crate) fn remove(&mut self, id: NetId) {
        self.samples.remove(&id.0);
    }

    pub(crate) fn clear(&mut self) {
        self.samples.clear();
    }

    /// How far behind server time entities are shown.
    pub(crate) fn delay(&self) -> Micros {
        Micros(self.delay_us as u64)
    }

    /// A component of an entity at a server time, between the two samples around it; held at both ends.
    pub(crate) fn sample<C: Replicate>(&self, schema: &Schema, id: NetId, at: (Micros, TickClock)) -> Option<C> {
        let component = schema.component(C::NAME)?;
        let samples = self.samples.get(&id.0)?;
        let (from, to, t) = between(samples, at)?;
        if let Some(reckoning) = &schema.components()[component].reckon {
            // Right until the tick of the newer sample.
            return Some(reckoned(reckoning, from.component(schema, component)?, from.since, at));
        }
        let read = |row: &Row| row.component(schema, component).map(C::read);
        if t == 0.0 { read(from) } else { Some(C::lerp(&read(from)?, &read(to)?, t)) }
    }

    /// Every entity at a server time, by id: the two rows around it, and how far it is from one to the other. Of one that is
    /// reckoned, the rows at the ticks around the time.
    pub(crate) fn rows<'a>(
        &'a self,
        schema: &'a Schema,
        at: (Micros, TickClock),
    ) -> impl Iterator<Item = (NetId, Cow<'a, Row>, Cow<'a, Row>, f32)> {
        self.samples.iter().filter_map(move |(id, samples)| {
            let (from, to, t) = between(samples, at)?;
            if schema.is_reckoned(from.mask) {
                let (tick, part) = tick_at(at);
                let gone_on = |tick: Tick| {
                    let mut row = from.clone();
                    row.go_on(schema, tick, at.1.tick_hz);
                    Cow::Owned(row)
                };
                return Some((NetId(*id), gone_on(tick), gone_on(tick.plus(1)), part));
            }
            Some((NetId(*id), Cow::Borrowed(from), Cow::Borrowed(to), t))
        })
    }
}

/// The samples around a server time, and how far it is from one to the other; the same one twice at both ends.
fn between(samples: &VecDeque<(Tick, Row)>, (time, clock): (Micros, TickClock)) -> Option<(&Row, &Row, f32)> {
    let newer = samples.iter().position(|(tick, _)| clock.start_of(*tick) > time);
    let i = match newer {
        None => samples.len().checked_sub(1)?,
        Some(0) => 0,
        Some(i) => {
            let ((older, from), (newer, to)) = (&samples[i - 1], &samples[i]);
            let (start, end) = (clock.start_of(*older), clock.start_of(*newer));
            let t = time.since(start).0 as f32 / end.since(start).0.max(1) as f32;
            return Some((from, to, t.clamp(0.0, 1.0)));
        }
    };
    let (_, row) = samples.get(i)?;
    Some((row, row, 0.0))
}
