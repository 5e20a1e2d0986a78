//! The bodies of one tick: each is encoded when it is asked for first, and then copied.

use std::sync::Arc;

use amphi_shared_wire::BitWriter;
use amphi_shared_wire::limits::{BASELINE_CLASSES_MAX, KEYFRAME_TICKS};

use super::body::{unmeasured, write_absolute, write_modelled, write_residual};
use super::history::{History, KEYFRAMES_MAX, Rows};
use super::measured::Measure;
use super::recipient::Known;
use crate::coding::DEPTH_MAX;
use crate::{Measured, Mirror, SeenBy, Tables};

/// What a body builds on. Clients of one class that see the same components get the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    /// Tick of the newest baseline, 0 for an absolute body.
    pub(super) baseline: u32,
    /// Baselines of a modelled body; 0 for one in table set 0.
    pub(super) depth: u32,
}

/// Where a body's bits are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    start_byte: u32,
    pub(super) bits: u32,
}

/// Part of an entity, as some clients see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) slot: u32,
    pub(super) relation: SeenBy,
    /// All components that the relation sees.
    pub(super) seen: u64,
    /// Those that the entity has.
    pub(super) mask: u64,
}

impl Part {
    /// What is visible of a slot.
    pub(super) fn of(mirror: &Mirror, slot: u32, (relation, mask): (SeenBy, u64)) -> Self {
        Self { slot, relation, seen: mirror.schema().seen_by(relation), mask }
    }
}

/// The bodies of one tick.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    tables: Option<Arc<Tables>>,
    history: History,
    tick: u32,
    // The newest keyframe before `tick`, and by age where the history has those before; `usize::MAX` where it has not.
    newest: u32,
    keyframes: [usize; KEYFRAMES_MAX],
    // By slot: the tick and the first of its parts.
    parts_of: Vec<(u32, u32)>,
    parts: Vec<Shared>,
    // The bits of all bodies, each from a byte border.
    bits: Vec<u8>,
    encoded: u64,
    /// Only where somebody asked for it.
    measure: Option<Box<Measure>>,
}

/// What all clients share that see the same components of an entity.
#[derive(Clone, Copy, Debug)]
struct Shared {
    mask: u64,
    /// The next part of the same slot.
    next: u32,
    /// Baselines whose `keyframes` are known.
    looked: u8,
    /// Keyframes that hold this part, newest first, as a bit set by age; and those at which it was at rest.
    holds: u16,
    rests: u16,
    bodies: u8,
    ranges: [(Class, Range); BASELINE_CLASSES_MAX + 1],
}

const NONE: u32 = u32::MAX;

impl Bodies {
    pub(super) fn with_tables(tables: Arc<Tables>) -> Self {
        Self { tables: Some(tables), ..Self::default() }
    }

    /// There are trained tables.
    pub(super) fn is_trained(&self) -> bool {
        self.tables.is_some()
    }

    /// Takes the mirror of a new tick.
    pub(super) fn start_tick(&mut self, mirror: &Mirror) {
        self.history.note(mirror);
        self.tick = mirror.tick().0;
        self.newest = self.tick.saturating_sub(1) / KEYFRAME_TICKS * KEYFRAME_TICKS;
        for age in 0..KEYFRAMES_MAX as u32 {
            let place = self.history.place(mirror.tick(), self.keyframe(age)).filter(|_| self.keyframe(age) != 0);
            self.keyframes[age as usize] = place.unwrap_or(usize::MAX);
        }
        self.parts.clear();
        self.bits.clear();
        if let Some(measure) = &mut self.measure {
            measure.start_tick(mirror.schema().components().len());
        }
        self.parts_of.resize(mirror.slots(), (0, NONE));
    }

    /// Bodies encoded since the start.
    pub(super) fn encoded(&self) -> u64 {
        self.encoded
    }

    /// From now on the bits of components are counted.
    pub(super) fn start_measuring(&mut self) {
        self.measure.get_or_insert_default();
    }

    /// What was counted.
    pub(super) fn measured(&self) -> Option<&Measured> {
        self.measure.as_ref().map(|measure| measure.total())
    }

    /// These bodies leave, one to a client each.
    pub(super) fn count(&mut self, ranges: impl Iterator<Item = Range>) {
        if let Some(measure) = &mut self.measure {
            ranges.for_each(|range| measure.count(range.start_byte, range.bits));
        }
    }

    /// The body of a part for a client that knows this much. Beyond the classes there may be, the absolute one.
    pub(super) fn get(&mut self, mirror: &Mirror, part: Part, known: &mut Known, modelled: bool) -> &(Class, Range) {
        let at = self.shared(part);
        let class = self.class(at, part, known, modelled);
        let body = self.body(mirror, at, part, class);
        &self.parts[at].ranges[body]
    }

    /// Appends a body to a snapshot.
    pub(super) fn copy(&self, writer: &mut BitWriter, range: Range) {
        writer.copy(&self.bits[range.start_byte as usize..], 0, range.bits as usize);
    }

    /// The place of a part among `parts`.
    fn shared(&mut self, part: Part) -> usize {
        let (tick, first) = &mut self.parts_of[part.slot as usize];
        if *tick != self.tick {
            (*tick, *first) = (self.tick, NONE);
        }
        let mut at = *first;
        while let Some(shared) = self.parts.get(at as usize) {
            if shared.mask == part.mask {
                return at as usize;
            }
            at = shared.next;
        }
        let new = self.parts.len();
        let shared = Shared {
            mask: part.mask,
            next: *first,
            looked: 0,
            holds: 0,
            rests: 0,
            bodies: 0,
            ranges: Default::default(),
        };
        *first = new as u32;
        self.parts.push(shared);
        new
    }

    /// The newest keyframe whose row the client has for certain, and how many before it as well.
    fn class(&mut self, at: usize, part: Part, known: &mut Known, modelled: bool) -> Class {
        if known.acked == 0 {
            return Class::default();
        }
        let Some(newest) = self.newest(at, part, known) else { return Class::default() };
        let baseline = self.keyframe(newest);
        if !modelled {
            return Class { baseline, depth: 0 };
        }
        let older = |n: &u32| newest + n < KEYFRAMES_MAX as u32 && self.has(at, part, known, newest + n);
        Class { baseline, depth: (1..DEPTH_MAX as u32).take_while(older).count() as u32 + 1 }
    }

    /// The age of the newest keyframe that the client has.
    fn newest(&mut self, at: usize, part: Part, known: &mut Known) -> Option<u32> {
        // As a rule it is one that was acknowledged itself, and the row did not rest at a newer one.
        let acked = known.keyframes_at(self.keyframe(0)).trailing_zeros();
        if acked < KEYFRAMES_MAX as u32 {
            self.look_back(at, part, known.id, acked);
            let Shared { holds, rests, .. } = self.parts[at];
            let younger = (1 << acked) - 1;
            if holds >> acked & 1 == 1 && rests & younger == 0 {
                return Some(acked);
            }
        }
        (0..KEYFRAMES_MAX as u32).find(|age| self.has(at, part, known, *age))
    }

    /// The keyframe of this age, or 0.
    fn keyframe(&self, age: u32) -> u32 {
        self.newest.saturating_sub(age * KEYFRAME_TICKS)
    }

    /// The rows at the keyframe of this age.
    fn rows(&self, age: u32) -> Option<&Rows> {
        self.history.get(*self.keyframes.get(age as usize)?)
    }

    /// The client has the row at the keyframe of this age, and it can be built on.
    fn has(&mut self, at: usize, part: Part, known: &mut Known, age: u32) -> bool {
        let keyframe = self.keyframe(age);
        self.look_back(at, part, known.id, age);
        let Shared { holds, rests, .. } = self.parts[at];
        if holds >> age & 1 == 0 {
            return false;
        }
        if known.knows(keyframe) {
            return true;
        }
        // A row that did not change between its ack and a keyframe is the row at that keyframe.
        let rested = || self.rows(age).map(|rows| rows.changed_for(part.slot, part.relation));
        let has = rests >> age & 1 == 1 && rested().is_some_and(|since| known.acked_within(since, keyframe));
        if has {
            known.has_keyframe(keyframe);
        }
        has
    }

    fn look_back(&mut self, at: usize, part: Part, id: u32, age: u32) {
        while u32::from(self.parts[at].looked) <= age {
            let looked = self.parts[at].looked;
            let rows = self.rows(u32::from(looked)).filter(|rows| rows.holds(part.slot, id, part.seen, part.mask));
            let rests = rows.map(|rows| rows.changed_for(part.slot, part.relation) < rows.tick());
            let shared = &mut self.parts[at];
            shared.looked += 1;
            shared.holds |= u16::from(rests.is_some()) << looked;
            shared.rests |= u16::from(rests == Some(true)) << looked;
        }
    }

    /// The place of a body among those of its part.
    fn body(&mut self, mirror: &Mirror, at: usize, part: Part, class: Class) -> usize {
        let shared = &self.parts[at];
        let bodies = &shared.ranges[..usize::from(shared.bodies)];
        if let Some(body) = bodies.iter().position(|(of, _)| *of == class) {
            return body;
        }
        let residuals = bodies.iter().filter(|(of, _)| of.baseline != 0).count();
        if class.baseline != 0 && residuals == BASELINE_CLASSES_MAX {
            return self.body(mirror, at, part, Class::default());
        }
        let range = self.encode(mirror, part, class);
        let shared = &mut self.parts[at];
        let body = usize::from(shared.bodies);
        shared.ranges[body] = (class, range);
        shared.bodies += 1;
        body
    }

    fn encode(&mut self, mirror: &Mirror, part: Part, class: Class) -> Range {
        self.encoded += 1;
        if let Some(mut measure) = self.measure.take() {
            let range = self.write(mirror, part, class, measure.body(self.bits.len()));
            self.measure = Some(measure);
            return range;
        }
        self.write(mirror, part, class, unmeasured)
    }

    fn write(&mut self, mirror: &Mirror, part: Part, class: Class, ended: impl FnMut(Option<usize>, usize)) -> Range {
        let start_byte = self.bits.len();
        let mut writer = BitWriter::behind(core::mem::take(&mut self.bits));
        let newest = self.newest.saturating_sub(class.baseline) / KEYFRAME_TICKS;
        let part = (part.slot, part.mask);
        match (self.rows(newest).filter(|_| class.baseline != 0), &self.tables) {
            (Some(rows), Some(tables)) if class.depth > 0 => {
                let past: [&Rows; DEPTH_MAX] = core::array::from_fn(|n| self.rows(newest + n as u32).unwrap_or(rows));
                write_modelled(&mut writer, tables, mirror, part, &past[..class.depth as usize], ended);
            }
            (Some(rows), _) => write_residual(&mut writer, mirror, part, rows, ended),
            (None, _) => write_absolute(&mut writer, mirror, part, ended),
        }
        let bits = writer.len_bits() - start_byte * 8;
        self.bits = writer.finish();
        Range { start_byte: start_byte as u32, bits: bits as u32 }
    }
}

#[cfg(test)]
impl Bodies {
    /// Bodies encoded in this tick.
    pub(super) fn encoded_in_tick(&self) -> usize {
        self.parts.iter().map(|part| usize::from(part.bodies)).sum()
    }
}
