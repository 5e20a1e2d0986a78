//! Mirrors of past ticks, as baselines.

use std::collections::VecDeque;

use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::{BASELINE_TICKS_MAX, KEYFRAME_TICKS};

use crate::{Mirror, SeenBy};

/// Keyframes that a body can name.
pub(super) const KEYFRAMES_MAX: usize = (BASELINE_TICKS_MAX / KEYFRAME_TICKS) as usize;

/// The rows of a mirror at one tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    tick: u32,
    // By slot; id 0: free.
    ids: Vec<u32>,
    masks: Vec<u64>,
    changed: [Vec<u32>; SeenBy::COUNT],
    widths: Vec<usize>,
    columns: Vec<Vec<i32>>,
}

impl Rows {
    /// Copies a mirror, into the memory this already has.
    pub(crate) fn copy(&mut self, mirror: &Mirror) {
        self.tick = mirror.tick().0;
        self.ids.clear();
        self.ids.resize(mirror.slots(), 0);
        for slot in mirror.order() {
            self.ids[*slot as usize] = mirror.id(*slot).0;
        }
        mirror.copy_columns(&mut self.masks, &mut self.changed, &mut self.columns);
        self.widths.clear();
        self.widths.extend(mirror.schema().components().iter().map(|c| c.fields.len()));
    }

    /// Copies what everyone may see.
    pub(crate) fn copy_public(&mut self, mirror: &Mirror) {
        self.copy(mirror);
        for slot in mirror.order() {
            self.masks[*slot as usize] = mirror.visible(*slot, None).1;
        }
    }

    pub(crate) fn tick(&self) -> u32 {
        self.tick
    }

    /// The slot holds this entity, and of the components `seen` these.
    pub(crate) fn holds(&self, slot: u32, id: u32, seen: u64, mask: u64) -> bool {
        self.ids.get(slot as usize) == Some(&id) && self.masks[slot as usize] & seen == mask
    }

    /// Tick in which that part of the slot's row last changed that this relation sees.
    pub(crate) fn changed_for(&self, slot: u32, relation: SeenBy) -> u32 {
        // Without components that some do not see there is one list.
        let own = self.changed[relation as usize].get(slot as usize);
        own.copied().unwrap_or_else(|| self.changed[SeenBy::Owner as usize][slot as usize])
    }

    /// The tick of what is reckoned in a slot's row.
    pub(crate) fn since(&self, slot: u32) -> u32 {
        self.changed[SeenBy::Owner as usize][slot as usize]
    }

    pub(crate) fn component_row(&self, slot: u32, component: usize) -> &[i32] {
        let (start, width) = (slot as usize * self.widths[component], self.widths[component]);
        &self.columns[component][start..start + width]
    }

    /// Ids of the entities with any component, with their slots.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (u32, u32)> {
        let slots = self.ids.iter().zip(&self.masks).enumerate();
        slots.filter(|(_, (id, mask))| **id != 0 && **mask != 0).map(|(slot, (id, _))| (*id, slot as u32))
    }

    pub(crate) fn clear(&mut self) {
        self.ids.clear();
    }
}

/// The rows at the last keyframe ticks.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    // Newest first.
    keyframes: VecDeque<Rows>,
}

impl History {
    /// Keeps the mirror when its tick is a keyframe.
    pub(crate) fn note(&mut self, mirror: &Mirror) {
        if !is_keyframe(mirror.tick().0) {
            return;
        }
        let spare = if self.keyframes.len() == KEYFRAMES_MAX { self.keyframes.pop_back() } else { None };
        let mut rows = spare.unwrap_or_default();
        rows.copy(mirror);
        self.keyframes.push_front(rows);
    }

    /// The keyframes that a body of this tick can name, newest first.
    pub(crate) fn before(&self, tick: Tick) -> impl Iterator<Item = &Rows> {
        self.keyframes.iter().filter(move |k| k.tick < tick.0 && age(tick.0, k.tick) < KEYFRAMES_MAX as u32)
    }

    /// Where the rows at a keyframe are, if a body of tick `now` can name it.
    pub(crate) fn place(&self, now: Tick, keyframe: u32) -> Option<usize> {
        let newest = self.keyframes.front()?.tick;
        if keyframe >= now.0 || age(now.0, keyframe) >= KEYFRAMES_MAX as u32 {
            return None;
        }
        // As a rule none is missing between two.
        let place = (newest.checked_sub(keyframe)? / KEYFRAME_TICKS) as usize;
        let there = self.keyframes.get(place).is_some_and(|rows| rows.tick == keyframe);
        if there { Some(place) } else { self.keyframes.iter().position(|rows| rows.tick == keyframe) }
    }

    /// The rows at a place.
    pub(crate) fn get(&self, place: usize) -> Option<&Rows> {
        self.keyframes.get(place)
    }
}

/// True for the ticks to which baselines are aligned.
pub(crate) fn is_keyframe(tick: u32) -> bool {
    tick.is_multiple_of(KEYFRAME_TICKS)
}

/// How many keyframes before `tick` a keyframe lies, as a body names it.
pub(crate) fn age(tick: u32, keyframe: u32) -> u32 {
    (tick - tick % KEYFRAME_TICKS - keyframe) / KEYFRAME_TICKS
}
