//! Snapshots for many clients from one mirror: each row is encoded once per baseline and copied.

use std::sync::Arc;

use amphi_shared_wire::BitWriter;
use amphi_shared_wire::limits::{BASELINE_CLASSES_MAX, KEYFRAME_TICKS};

use super::SnapshotHeader;
use super::body::{AGE_BITS, DEPTH_BITS, write_absolute, write_modelled, write_residual};
use super::history::{History, Rows, age};
use super::ids::{Ids, write_by_reference};
use super::recipient::{Known, Recipient, Sent};
use crate::code_table::GAP;
use crate::coding::DEPTH_MAX;
use crate::{Mirror, NetId, Tables};

/// Waiting counts this much more for the entity that the client controls.
const OWN_GAIN: u32 = 1 << 16;

/// The number of the trained table set that an encoder writes.
const TRAINED: u8 = 1;
/// Bits of a section beside its ids and bodies, and of the reference before all sections.
const SECTION_BITS: usize = 1 + DEPTH_BITS as usize + AGE_BITS as usize + 1 + 1;
const REFERENCE_BITS: usize = 1 + 37;
/// Ticks before the newest acknowledged one that a recipient still knows one by one.
const REMEMBERED_TICKS: u32 = 32;

/// Encodes the snapshots of one world.
#[derive(Debug, Default)]
pub struct SnapshotEncoder {
    history: History,
    tables: Option<Arc<Tables>>,
    // By slot: the bodies encoded in this tick.
    bodies: Vec<Bodies>,
    // The bits of those bodies, each from a byte border.
    bits: Vec<u8>,
    out: Vec<u8>,
    scratch: Vec<u8>,
    candidates: Vec<Candidate>,
    by_wait: Vec<u32>,
    sections: Vec<(Class, usize)>,
    ids: Vec<u32>,
    copies: u64,
    encoded: u64,
}

/// What a body builds on. Clients of one class get the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Class {
    /// Tick of the newest baseline, 0 for an absolute body.
    baseline: u32,
    /// Baselines of a modelled body; 0 for one in table set 0.
    depth: usize,
}

/// Bodies of one slot, by class.
#[derive(Clone, Copy, Debug, Default)]
struct Bodies {
    /// The tick they belong to.
    tick: u32,
    count: usize,
    ranges: [(Class, Range); BASELINE_CLASSES_MAX + 1],
}

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    start_byte: usize,
    bits: usize,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    slot: u32,
    id: u32,
    waited: u32,
    class: Class,
    range: Range,
    chosen: bool,
}

impl SnapshotEncoder {
    /// An encoder that has seen no tick.
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder that writes trained tables for the recipients that use set 1, and set 0 for the others.
    pub fn with_tables(tables: Arc<Tables>) -> Self {
        Self { tables: Some(tables), ..Self::default() }
    }

    /// Bodies copied into snapshots, and bodies encoded for that, since the start.
    pub fn copies_and_bodies(&self) -> (u64, u64) {
        (self.copies, self.encoded)
    }

    /// Takes the mirror of a new tick. To be called once per tick, before its snapshots.
    pub fn start_tick(&mut self, mirror: &Mirror) {
        self.history.note(mirror);
        self.bits.clear();
        self.bodies.resize(mirror.slots(), Bodies::default());
    }

    /// The snapshot of this tick for one client, at most `budget_bytes` long; `None` when not even its header fits.
    ///
    /// `header.tick`, `tables` and `epoch` are filled in here. `own` is the entity the client controls. Call
    /// [`Recipient::sent`] when the snapshot leaves; a snapshot that is never numbered counts as lost.
    pub fn encode(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        header: SnapshotHeader,
        own: Option<NetId>,
        budget_bytes: usize,
    ) -> Option<&[u8]> {
        recipient.drop_fresh();
        recipient.follow(mirror);
        let tables = if self.tables.is_some() { recipient.tables() } else { 0 };
        let header = SnapshotHeader { tick: mirror.tick(), tables, epoch: recipient.epoch(), ..header };
        let mut writer = BitWriter::reuse(core::mem::take(&mut self.out));
        header.write(&mut writer);
        // The two end marks.
        let Some(mut left) = (budget_bytes * 8).checked_sub(writer.len_bits() + 2) else {
            self.out = writer.finish();
            return None;
        };

        let mut sent = recipient.record(mirror.tick());
        left -= self.write_gone(&mut writer, recipient, &mut sent.gone, left);
        self.collect(mirror, recipient, own, tables == TRAINED);
        self.choose(mirror, left, tables == TRAINED);
        if tables == TRAINED {
            self.write_sections(&mut writer, mirror, recipient);
        } else {
            self.write_rows(&mut writer, mirror);
        }
        self.note_sent(mirror, recipient, &mut sent);
        recipient.fresh = Some(sent);
        self.out = writer.finish();
        debug_assert!(self.out.len() <= budget_bytes);
        Some(&self.out)
    }

    /// Rows in table set 0: each with its id and the age of its baseline.
    fn write_rows(&self, writer: &mut BitWriter, mirror: &Mirror) {
        let mut ids = Ids::default();
        for candidate in self.candidates.iter().filter(|c| c.chosen) {
            ids.write(writer, candidate.id);
            let baseline = candidate.class.baseline;
            writer.bit(baseline == 0);
            if baseline != 0 {
                writer.bits(age(mirror.tick().0, baseline), AGE_BITS);
            }
            writer.copy(&self.bits[candidate.range.start_byte..], 0, candidate.range.bits);
        }
        writer.bit(false);
    }

    /// Rows in trained tables: a section per class, the ids first. The largest section names its ids by a snapshot that
    /// the client has.
    fn write_sections(&mut self, writer: &mut BitWriter, mirror: &Mirror, recipient: &Recipient) {
        count_sections(&mut self.sections, self.candidates.iter().filter(|c| c.chosen));
        let largest = self.sections.iter().filter(|(class, _)| class.baseline != 0).max_by_key(|(_, count)| *count);
        let largest = largest.map(|(class, _)| *class);
        let reference = recipient.reference(mirror.tick()).filter(|_| largest.is_some());
        writer.bit(reference.is_some());
        if let Some((tick, _)) = reference {
            GAP.write(writer, mirror.tick().0 - tick - 1);
        }
        for (class, _) in &self.sections {
            writer.bit(true);
            writer.bits(class.depth as u32, DEPTH_BITS);
            if class.depth > 0 {
                writer.bits(age(mirror.tick().0, class.baseline), AGE_BITS);
            }
            let chosen = self.candidates.iter().filter(|c| c.chosen && c.class == *class);
            self.ids.clear();
            self.ids.extend(chosen.clone().map(|c| c.id));
            let before = reference.filter(|_| Some(*class) == largest).map(|(_, rows)| rows);
            let mut spare = BitWriter::reuse(core::mem::take(&mut self.scratch));
            write_by_reference(&mut spare, &[], &self.ids);
            let plain_bits = spare.len_bits();
            let mut spare = BitWriter::reuse(spare.finish());
            let shorter = before.filter(|before| {
                write_by_reference(&mut spare, before, &self.ids);
                spare.len_bits() < plain_bits
            });
            self.scratch = spare.finish();
            writer.bit(shorter.is_some());
            write_by_reference(writer, shorter.unwrap_or(&[]), &self.ids);
            for candidate in chosen {
                writer.copy(&self.bits[candidate.range.start_byte..], 0, candidate.range.bits);
            }
        }
        writer.bit(false);
    }

    fn note_sent(&mut self, mirror: &Mirror, recipient: &mut Recipient, sent: &mut Sent) {
        for candidate in self.candidates.iter().filter(|c| c.chosen) {
            let known = &mut recipient.known[candidate.slot as usize];
            known.sent = mirror.tick().0;
            known.waited = 0;
            sent.rows.push((candidate.slot, candidate.id));
            self.copies += 1;
        }
    }

    // Leaves at least half of the room to rows.
    fn write_gone(&self, writer: &mut BitWriter, recipient: &Recipient, sent: &mut Vec<u32>, room: usize) -> usize {
        let before = writer.len_bits();
        let cost = Ids::cost_max(recipient.gone.last().copied().unwrap_or(0));
        let mut ids = Ids::default();
        for id in recipient.gone.iter().take(room / 2 / cost) {
            ids.write(writer, *id);
            sent.push(*id);
        }
        let used = writer.len_bits() - before;
        writer.bit(false);
        used
    }

    /// Finds the rows that the client lacks, by ascending id.
    fn collect(&mut self, mirror: &Mirror, recipient: &mut Recipient, own: Option<NetId>, modelled: bool) {
        self.candidates.clear();
        for slot in mirror.order().iter().copied().filter(|slot| mirror.mask(*slot) != 0) {
            let known = &mut recipient.known[slot as usize];
            if !known.lacks(mirror.changed(slot).0) {
                continue;
            }
            let id = mirror.id(slot);
            if known.id == 0 {
                known.id = id.0;
                // It may be back before its leaving was acknowledged.
                recipient.gone.retain(|gone| *gone != id.0);
            }
            known.waited = known.waited.saturating_add(if own == Some(id) { OWN_GAIN } else { 1 });
            let (waited, class) = (known.waited, self.class(mirror, slot, known, modelled));
            let (class, range) = self.range(mirror, slot, class);
            self.candidates.push(Candidate { slot, id: id.0, waited, class, range, chosen: false });
        }
    }

    /// Marks what fits into `room` bits: everything, or what has waited longest.
    fn choose(&mut self, mirror: &Mirror, room: usize, modelled: bool) {
        // No gap between two ids is greater than the greatest id.
        let greatest = mirror.order().last().map_or(0, |slot| mirror.id(*slot).0);
        let id_cost = Ids::cost_max(greatest);
        let mut room = room;
        if modelled {
            count_sections(&mut self.sections, self.candidates.iter());
            room = room.saturating_sub(self.sections.len() * SECTION_BITS + REFERENCE_BITS);
        }
        // In set 0 each body says whether it is absolute, and if not the age.
        let kind_cost = |c: &Candidate| match (modelled, c.class.baseline) {
            (true, _) => 0,
            (false, 0) => 1,
            (false, _) => 1 + AGE_BITS as usize,
        };
        let total: usize = self.candidates.iter().map(|c| c.range.bits + id_cost + kind_cost(c)).sum();
        if total <= room {
            self.candidates.iter_mut().for_each(|c| c.chosen = true);
            return;
        }
        self.by_wait.clear();
        self.by_wait.extend(0..self.candidates.len() as u32);
        let candidates = &self.candidates;
        self.by_wait.sort_unstable_by_key(|i| (u32::MAX - candidates[*i as usize].waited, *i));
        let mut left = room;
        for i in &self.by_wait {
            let candidate = &mut self.candidates[*i as usize];
            let cost = candidate.range.bits + id_cost + kind_cost(candidate);
            if cost <= left {
                left -= cost;
                candidate.chosen = true;
            }
        }
    }

    /// The newest keyframe whose row the client has for certain, and how many before it as well.
    fn class(&self, mirror: &Mirror, slot: u32, known: &mut Known, modelled: bool) -> Class {
        if known.acked == 0 {
            return Class::default();
        }
        // A row that did not change between its ack and a keyframe is the row at that keyframe.
        let (id, mask) = (known.id, mirror.mask(slot));
        let usable = |k: &&Rows| k.holds(slot, id, mask);
        for k in self.history.before(mirror.tick()).filter(usable) {
            if known.acked_within(k.changed(slot), k.tick()) {
                known.has_keyframe(k.tick());
            }
            if k.tick() + REMEMBERED_TICKS < known.acked {
                break;
            }
        }
        let newest = self.history.before(mirror.tick()).filter(usable).find(|k| known.knows(k.tick()));
        let Some(baseline) = newest.map(Rows::tick) else { return Class::default() };
        let usable_at = |tick: u32| {
            known.knows(tick)
                && self.history.before(mirror.tick()).find(|k| k.tick() == tick).as_ref().is_some_and(usable)
        };
        let older = |n: u32| baseline.checked_sub(KEYFRAME_TICKS * n).is_some_and(usable_at);
        let depth = (1..DEPTH_MAX as u32).take_while(|n| older(*n)).count() + 1;
        Class { baseline, depth: if modelled { depth } else { 0 } }
    }

    /// The bits of a slot's body in a class, encoded when they are asked for first. Beyond the classes there may be, the
    /// absolute body.
    fn range(&mut self, mirror: &Mirror, slot: u32, class: Class) -> (Class, Range) {
        let bodies = &mut self.bodies[slot as usize];
        if bodies.tick != mirror.tick().0 {
            (bodies.tick, bodies.count) = (mirror.tick().0, 0);
        }
        let bodies = &bodies.ranges[..bodies.count];
        if let Some((_, range)) = bodies.iter().find(|(of, _)| *of == class) {
            return (class, *range);
        }
        let residuals = bodies.iter().filter(|(of, _)| of.baseline != 0).count();
        if class.baseline != 0 && residuals == BASELINE_CLASSES_MAX {
            return self.range(mirror, slot, Class::default());
        }
        let range = self.encode_body(mirror, slot, class);
        self.encoded += 1;
        let bodies = &mut self.bodies[slot as usize];
        bodies.ranges[bodies.count] = (class, range);
        bodies.count += 1;
        (class, range)
    }

    fn encode_body(&mut self, mirror: &Mirror, slot: u32, class: Class) -> Range {
        let mut writer = BitWriter::reuse(core::mem::take(&mut self.scratch));
        let mut past = self.history.before(mirror.tick()).skip_while(|k| k.tick() != class.baseline);
        match (past.next().filter(|_| class.baseline != 0), &self.tables) {
            (Some(newest), Some(tables)) if class.depth > 0 => {
                let rows: [&Rows; DEPTH_MAX] = [newest, past.next().unwrap_or(newest), past.next().unwrap_or(newest)];
                write_modelled(&mut writer, tables, mirror, slot, &rows[..class.depth]);
            }
            (Some(newest), _) => write_residual(&mut writer, mirror, slot, newest),
            (None, _) => write_absolute(&mut writer, mirror, slot),
        }
        let (start_byte, bits) = (self.bits.len(), writer.len_bits());
        self.scratch = writer.finish();
        self.bits.extend_from_slice(&self.scratch);
        Range { start_byte, bits }
    }
}

/// Classes of some candidates, and how many of each.
fn count_sections<'a>(sections: &mut Vec<(Class, usize)>, candidates: impl Iterator<Item = &'a Candidate>) {
    sections.clear();
    for candidate in candidates {
        match sections.iter_mut().find(|(class, _)| *class == candidate.class) {
            Some((_, count)) => *count += 1,
            None => sections.push((candidate.class, 1)),
        }
    }
}

#[cfg(test)]
impl SnapshotEncoder {
    /// Bodies encoded in this tick.
    pub(super) fn bodies_encoded(&self) -> usize {
        let newest = self.bodies.iter().map(|bodies| bodies.tick).max();
        self.bodies.iter().filter(|bodies| Some(bodies.tick) == newest).map(|bodies| bodies.count).sum()
    }
}
