//! What was told of one entity lately, and where it is shown by that.

use std::collections::VecDeque;

use amphi_shared_replica::{Around, Row, Sample, Schema};
use amphi_shared_wire::Tick;

/// Samples per entity.
const SAMPLES_MAX: usize = 24;
/// An entity without news for longer than this has rested.
const GAP_TICKS_MAX: u32 = 8;
/// In this time what is shown goes over to what came late, ticks.
const BLEND_TICKS: f64 = 6.0;

/// What there is to know beside the samples.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) schema: &'a Schema,
    pub(super) tick_hz: u32,
    /// Tick of the newest snapshot.
    pub(super) newest: Tick,
}

/// Samples of an entity, by tick, and what is left of the last correction.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    samples: VecDeque<Told>,
    offset: Option<Offset>,
    ahead: Option<Ahead>,
}

#[derive(Clone, Debug)]
struct Told {
    tick: Tick,
    row: Row,
    /// Nobody told it: the entity was as before when this tick was told.
    rested: bool,
}

/// A correction that is shown little by little.
#[derive(Clone, Debug)]
struct Offset {
    /// The tick at which it was shown in full.
    since: f64,
    mask: u64,
    error: Vec<f64>,
    /// The numbers that it was the error of.
    of: Vec<f64>,
}

/// What was shown beyond the last sample, before something newer became known.
#[derive(Clone, Debug)]
struct Ahead {
    last: Tick,
    mask: u64,
    shown: Vec<f64>,
}

impl Track {
    /// Takes a row, unless a newer one is there.
    pub(super) fn push(&mut self, newest: Tick, tick: Tick, row: Row) {
        if let Some(last) = self.samples.back() {
            if last.tick >= tick {
                return;
            }
            if newest < tick && self.rests(newest) {
                let rested = Told { tick: newest, row: last.row.clone(), rested: true };
                self.samples.push_back(rested);
            }
        }
        self.samples.push_back(Told { tick, row, rested: false });
        while self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }

    /// The snapshot of `newest` says that it rests: it would have told otherwise.
    ///
    /// Where there is too much to tell, an entity is not told in every snapshot. So it takes as long as it took the last time.
    pub(super) fn rests(&self, newest: Tick) -> bool {
        let Some(last) = self.samples.back() else { return false };
        let mut told = self.samples.iter().rev().filter(|told| !told.rested).map(|told| told.tick);
        let gap = told.next().zip(told.next()).map_or(1, |(last, before)| last.0 - before.0);
        newest.0.saturating_sub(last.tick.0) >= if gap > GAP_TICKS_MAX { 1 } else { gap }
    }

    /// It is shown at a later tick than it was told of.
    pub(super) fn is_ahead(&self, tick: f64) -> bool {
        self.samples.back().is_some_and(|last| f64::from(last.tick.0) < tick)
    }

    /// Keeps what is shown at `tick`, for [`Self::settle`].
    pub(super) fn hold(&mut self, scene: Scene<'_>, tick: f64) {
        let Some(last) = self.samples.back().map(|last| last.tick) else { return };
        if let Some((row, steps)) = self.at(scene, tick) {
            let shown = steps.unwrap_or_else(|| row.values.iter().copied().map(f64::from).collect());
            self.ahead = Some(Ahead { last, mask: row.mask, shown });
        }
    }

    /// Goes on from what was held: whatever is different now is shown going over.
    pub(super) fn settle(&mut self, scene: Scene<'_>, tick: f64) {
        let Some(ahead) = self.ahead.take() else { return };
        self.offset = None;
        let Some((i, moment)) = self.moment(scene, tick) else { return };
        let row = &self.samples[i].row;
        if row.mask != ahead.mask {
            return;
        }
        let of = self.steps(scene, i, (tick, moment));
        let mut error = Vec::with_capacity(of.len());
        for (number, component) in scene.schema.in_mask(row.mask) {
            let range = error.len()..error.len() + component.fields.len();
            let glides = component.interpolate && !self.jumped(scene, number, (i, ahead.last));
            match (ahead.shown.get(range.clone()), of.get(range.clone())) {
                (Some(shown), Some(now)) if glides => error.extend(scene.schema.curves()[number].error(shown, now)),
                _ => error.resize(range.end, 0.0),
            }
        }
        if error.iter().any(|error| *error != 0.0) {
            self.offset = Some(Offset { since: tick, mask: row.mask, error, of });
        }
    }

    /// The row that is in force at `tick`, and where its numbers are, unless they are as the row has them.
    pub(super) fn at(&self, scene: Scene<'_>, tick: f64) -> Option<(&Row, Option<Vec<f64>>)> {
        let (i, moment) = self.moment(scene, tick)?;
        let Told { tick: since, row, .. } = &self.samples[i];
        let offset = self.offset.as_ref().filter(|offset| offset.mask == row.mask);
        let share = offset.map_or(0.0, |offset| offset.share(tick));
        let goes = match self.samples.get(i + 1) {
            Some(next) => next.row != *row,
            None => moment > f64::from(since.0),
        };
        if share == 0.0 && !goes && !scene.schema.is_reckoned(row.mask) {
            return Some((row, None));
        }
        let mut steps = self.steps(scene, i, (tick, moment));
        if let Some(offset) = offset.filter(|_| share > 0.0) {
            offset.correct(scene.schema, &mut steps, share);
        }
        Some((row, Some(steps)))
    }

    /// The newest sample that is not later than `tick`, and the tick to show by it: its own when it rests from there on.
    fn moment(&self, scene: Scene<'_>, tick: f64) -> Option<(usize, f64)> {
        let later = self.samples.iter().rposition(|told| f64::from(told.tick.0) <= tick);
        let i = later.unwrap_or(0);
        let since = f64::from(self.samples.get(i)?.tick.0);
        let held = i + 1 == self.samples.len() && self.rests(scene.newest);
        Some((i, if held { since } else { tick.max(since) }))
    }

    /// The numbers of sample `i` at a tick; what is not reckoned at the moment that belongs to it.
    fn steps(&self, scene: Scene<'_>, i: usize, (tick, moment): (f64, f64)) -> Vec<f64> {
        let row = &self.samples[i].row;
        let mut out = Vec::with_capacity(row.values.len());
        let gone_on = scene.schema.is_reckoned(row.mask).then(|| {
            let at = |tick: u32| {
                let mut row = row.clone();
                row.go_on(scene.schema, Tick(tick), scene.tick_hz);
                row
            };
            let whole = tick.max(0.0) as u32;
            (at(whole), at(whole.saturating_add(1)), tick.max(0.0) - f64::from(whole))
        });
        let mut start = 0;
        for (number, component) in scene.schema.in_mask(row.mask) {
            let curve = &scene.schema.curves()[number];
            let end = start + component.fields.len();
            match (&gone_on, self.around(scene.schema, i, number)) {
                (Some((from, to, part)), _) if component.reckon.is_some() => {
                    curve.line(&from.values[start..end], &to.values[start..end], *part, &mut out);
                }
                (_, Some(around)) if component.interpolate => {
                    // A component that the next row does not have is held.
                    let held = around.to.is_none() && i + 1 < self.samples.len();
                    let moment = if held { f64::from(around.from.tick) } else { moment };
                    curve.at(&around, moment, scene.tick_hz, &mut out);
                }
                _ => out.extend(row.values[start..end].iter().copied().map(f64::from)),
            }
            start = end;
        }
        out
    }

    fn around(&self, schema: &Schema, i: usize, component: usize) -> Option<Around<'_>> {
        let sample = |i: usize| {
            let told = self.samples.get(i)?;
            Some(Sample { tick: told.tick.0, row: told.row.component(schema, component)? })
        };
        let before = [1, 2].map(|back| i.checked_sub(back).and_then(sample));
        Some(Around { before, from: sample(i)?, to: sample(i + 1) })
    }

    /// A component was put elsewhere by sample `i`, which came after tick `last`.
    fn jumped(&self, scene: Scene<'_>, component: usize, (i, last): (usize, Tick)) -> bool {
        let Some(Around { before: [Some(from), before], from: to, .. }) = self.around(scene.schema, i, component)
        else {
            return false;
        };
        to.tick > last.0 && scene.schema.curves()[component].is_teleport(before, from, to, scene.tick_hz)
    }
}

impl Offset {
    /// How much of it is shown at a tick: all at first, without a bend at either end.
    fn share(&self, tick: f64) -> f64 {
        let gone = ((tick - self.since) / BLEND_TICKS).clamp(0.0, 1.0);
        (1.0 - gone) * (1.0 - gone) * (1.0 + 2.0 * gone)
    }

    fn correct(&self, schema: &Schema, steps: &mut [f64], share: f64) {
        let mut start = 0;
        for (number, component) in schema.in_mask(self.mask) {
            let range = start..start + component.fields.len();
            start = range.end;
            if let (Some(steps), Some(error), Some(of)) =
                (steps.get_mut(range.clone()), self.error.get(range.clone()), self.of.get(range))
            {
                schema.curves()[number].correct(steps, (error, of), share);
            }
        }
    }
}
