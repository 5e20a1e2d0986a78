//! Rows of everything that is not predicted, played out a little behind the server so that there is always a next one.
//!
//! Between two samples an entity is on the [`Curve`](amphi_shared_replica::Curve) of its components. Where the next one is late
//! it goes on for a moment, and what comes then is shown going over. Samples stay as they were told.

mod track;

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_replica::{NetId, Replicate, Row, Schema};
use amphi_shared_wire::{Micros, Tick, TickClock};

use self::track::{Scene, Track};

/// Arrivals of snapshots that are remembered.
const ARRIVALS_MAX: usize = 128;
/// The delay never exceeds this.
const DELAY_MAX: Micros = Micros::from_millis(250);
/// Share of the way to the wanted delay per snapshot.
const APPROACH: f64 = 0.05;

/// Samples of received rows, and how far behind they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Playout {
    tracks: BTreeMap<u32, Track>,
    newest: Tick,
    arrivals: VecDeque<Arrival>,
    delay_us: f64,
    /// The tick that was shown when the last snapshot arrived.
    shown: f64,
}

/// A snapshot's arrival.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    lateness_us: u64,
    /// Ticks since the one before.
    gap_ticks: u32,
}

/// A server time in ticks, which need not be whole.
fn tick_at((time, clock): (Micros, TickClock)) -> f64 {
    let tick = clock.at(time);
    let part = time.since(clock.start_of(tick)).0 as f64 / clock.period().0.max(1) as f64;
    f64::from(tick.0) + part.clamp(0.0, 1.0)
}

/// The value that so many percent of these are not above.
fn percentile<T: Copy + Ord>(values: impl Iterator<Item = T>, percent: usize) -> Option<T> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied()
}

impl Playout {
    /// A snapshot of `tick` has arrived at server time `now`.
    pub(crate) fn start_snapshot(&mut self, now: Micros, clock: TickClock, tick: Tick) {
        if self.arrivals.len() == ARRIVALS_MAX {
            self.arrivals.pop_front();
        }
        let gap_ticks = if self.newest == Tick(0) { 1 } else { tick.0.saturating_sub(self.newest.0).max(1) };
        self.arrivals.push_back(Arrival { lateness_us: now.since(clock.start_of(tick)).0, gap_ticks });
        let lateness = percentile(self.arrivals.iter().map(|arrival| arrival.lateness_us), 98).unwrap_or(0);
        let gap = percentile(self.arrivals.iter().map(|arrival| arrival.gap_ticks), 50).unwrap_or(1);
        let wanted = lateness.saturating_add(clock.period().0 * u64::from(gap)).min(DELAY_MAX.0) as f64;
        self.delay_us = if self.delay_us == 0.0 { wanted } else { self.delay_us + (wanted - self.delay_us) * APPROACH };
        self.shown = tick_at((now - self.delay(), clock));
    }

    /// An entity's row in the snapshot of `tick`.
    pub(crate) fn push(&mut self, (schema, tick_hz): (&Schema, u32), id: NetId, tick: Tick, row: Row) {
        let track = self.tracks.entry(id.0).or_default();
        if track.is_ahead(self.shown) {
            track.hold(Scene { schema, tick_hz, newest: self.newest }, self.shown);
        }
        track.push(self.newest, tick, row);
    }

    /// The rows of the snapshot of `tick`, or of a part of the world, which has none, are pushed.
    pub(crate) fn end_rows(&mut self, (schema, tick_hz): (&Schema, u32), tick: Option<Tick>) {
        let (shown, before) = (self.shown, Scene { schema, tick_hz, newest: self.newest });
        self.newest = tick.map_or(self.newest, |tick| tick.max(self.newest));
        let scene = Scene { newest: self.newest, ..before };
        for track in self.tracks.values_mut() {
            // It went on, and now it is known that it rests.
            if track.is_ahead(shown) && track.rests(scene.newest) && !track.rests(before.newest) {
                track.hold(before, shown);
            }
            track.settle(scene, shown);
        }
    }

    pub(crate) fn remove(&mut self, id: NetId) {
        self.tracks.remove(&id.0);
    }

    pub(crate) fn clear(&mut self) {
        self.tracks.clear();
        self.newest = Tick(0);
    }

    /// How far behind server time entities are shown.
    pub(crate) fn delay(&self) -> Micros {
        Micros(self.delay_us as u64)
    }

    /// A component of an entity at a server time.
    pub(crate) fn sample<C: Replicate>(&self, schema: &Schema, id: NetId, at: (Micros, TickClock)) -> Option<C> {
        let component = schema.component(C::NAME)?;
        let (row, steps) = self.tracks.get(&id.0)?.at(self.scene(schema, at), tick_at(at))?;
        let values = row.component(schema, component)?;
        let start = schema.width(row.mask & ((1 << component) - 1));
        match steps.as_ref().and_then(|steps| steps.get(start..start + values.len())) {
            Some(steps) => Some(C::read_between(steps)),
            None => Some(C::read(values)),
        }
    }

    /// Every entity at a server time, by id: the row in force, and where its numbers are unless they are as it has them.
    pub(crate) fn rows<'a>(
        &'a self,
        schema: &'a Schema,
        at: (Micros, TickClock),
    ) -> impl Iterator<Item = (NetId, &'a Row, Option<Vec<f64>>)> {
        let (scene, tick) = (self.scene(schema, at), tick_at(at));
        self.tracks.iter().filter_map(move |(id, track)| {
            let (row, steps) = track.at(scene, tick)?;
            Some((NetId(*id), row, steps))
        })
    }

    fn scene<'a>(&self, schema: &'a Schema, (_, clock): (Micros, TickClock)) -> Scene<'a> {
        Scene { schema, tick_hz: clock.tick_hz, newest: self.newest }
    }
}

#[cfg(test)]
mod tests;
