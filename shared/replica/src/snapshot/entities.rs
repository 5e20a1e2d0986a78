//! The entities that a decoder knows, and the rows it keeps of them.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::{BASELINE_TICKS_MAX, KEYFRAME_TICKS};

use crate::Row;

/// Rows are kept as baselines this many ticks before the newest snapshot.
pub(super) const KEPT_TICKS: u32 = 2 * BASELINE_TICKS_MAX;
/// Rows that are not needed any more and whose memory is kept at most.
const SPARE_ROWS_MAX: usize = 1_024;

/// Entities by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Entities {
    places: BTreeMap<u32, u32>,
    /// By place.
    known: Vec<Known>,
    free: Vec<u32>,
    /// Rows whose memory is used again.
    spare: Vec<Row>,
}

/// What is known of one entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Oldest first, at most one per span of keyframe ticks.
    rows: VecDeque<(u32, Row)>,
    left_at: Option<u32>,
}

impl Entities {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Where an entity is known. Its place stays the same until the entity is removed.
    pub(super) fn place(&self, id: u32) -> Option<u32> {
        self.places.get(&id).copied()
    }

    /// Where an entity is known, from now on if it was not.
    pub(super) fn place_or_new(&mut self, id: u32) -> u32 {
        *self.places.entry(id).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                self.known.push(Known::default());
                self.known.len() as u32 - 1
            })
        })
    }

    pub(super) fn at(&self, place: u32) -> &Known {
        &self.known[place as usize]
    }

    pub(super) fn at_mut(&mut self, place: u32) -> &mut Known {
        &mut self.known[place as usize]
    }

    pub(super) fn get(&self, id: u32) -> Option<&Known> {
        self.place(id).map(|place| self.at(place))
    }

    /// By ascending id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Known)> {
        self.places.iter().map(|(id, place)| (*id, self.at(*place)))
    }

    pub(super) fn remove(&mut self, id: u32) {
        if let Some(place) = self.places.remove(&id) {
            self.known[place as usize] = Known::default();
            self.free.push(place);
        }
    }

    /// Keeps a row; true when it is the newest one of its entity.
    pub(super) fn store(&mut self, place: u32, (tick, row): (u32, Row), newest: u32) -> bool {
        let (is_newest, spare) = self.known[place as usize].store(tick, row, newest);
        if let Some(row) = spare {
            self.give_back(row);
        }
        is_newest
    }

    /// A row to write into.
    pub(super) fn spare_row(&mut self) -> Row {
        self.spare.pop().unwrap_or_default()
    }

    fn give_back(&mut self, row: Row) {
        if self.spare.len() < SPARE_ROWS_MAX {
            self.spare.push(row);
        }
    }
}

impl Known {
    pub(super) fn current(&self) -> Option<(Tick, &Row)> {
        let (tick, row) = self.rows.back()?;
        self.left_at.is_none_or(|left| left < *tick).then_some((Tick(*tick), row))
    }

    pub(super) fn left_at(&self) -> Option<u32> {
        self.left_at
    }

    /// The newest row that is not after `tick`.
    pub(super) fn row_at(&self, tick: u32) -> Option<&Row> {
        self.rows.iter().rev().find(|(of, _)| *of <= tick).map(|(_, row)| row)
    }

    /// Marks it as left, unless a newer row is known; also before its first row: that one may still be on its way. The
    /// server repeats itself until it hears an ack, and may have shown it in between.
    pub(super) fn leave(&mut self, tick: u32) {
        if self.rows.back().is_none_or(|(newest, _)| *newest <= tick) {
            self.left_at = self.left_at.max(Some(tick));
        }
    }

    /// Keeps a row. Whether it is the newest one, and a row that is not needed any more.
    fn store(&mut self, tick: u32, row: Row, newest: u32) -> (bool, Option<Row>) {
        let span = |tick: u32| tick.div_ceil(KEYFRAME_TICKS);
        // As a rule it is the newest.
        let newest_known = self.rows.back().is_none_or(|(of, _)| *of <= tick);
        let at = if newest_known { self.rows.len() } else { self.rows.partition_point(|(of, _)| *of <= tick) };
        let is_newest = newest_known && self.left_at.is_none_or(|left| left < tick);
        if self.rows.get(at).is_some_and(|(of, _)| span(*of) == span(tick)) {
            return (false, Some(row));
        }
        if let Some(older) = at.checked_sub(1).and_then(|at| self.rows.get_mut(at))
            && span(older.0) == span(tick)
        {
            let (_, replaced) = core::mem::replace(older, (tick, row));
            return (is_newest, Some(replaced));
        }
        self.rows.insert(at, (tick, row));
        let mut spare = None;
        while self.rows.get(1).is_some_and(|(of, _)| of.saturating_add(KEPT_TICKS) < newest) {
            spare = self.rows.pop_front().map(|(_, row)| row);
        }
        (is_newest, spare)
    }
}
