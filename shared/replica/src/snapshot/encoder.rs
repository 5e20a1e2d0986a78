//! Snapshots for many clients from one mirror: each row is encoded once per baseline and copied.

use amphi_shared_wire::BitWriter;
use amphi_shared_wire::limits::BASELINE_CLASSES_MAX;

use super::body::{Ids, write_absolute, write_residual};
use super::history::{History, age};
use super::recipient::{Known, Recipient};
use super::{SnapshotHeader, body};
use crate::{Mirror, NetId};

/// Waiting counts this much more for the entity that the client controls.
const OWN_GAIN: u32 = 1 << 16;

/// Encodes the snapshots of one world.
#[derive(Debug, Default)]
pub struct SnapshotEncoder {
    history: History,
    // By slot: the bodies encoded in this tick.
    bodies: Vec<Bodies>,
    // The bits of those bodies, each from a byte border.
    bits: Vec<u8>,
    scratch: Vec<u8>,
    candidates: Vec<Candidate>,
    by_wait: Vec<u32>,
}

/// Bodies of one slot, by baseline tick; 0 is absolute.
#[derive(Clone, Copy, Debug, Default)]
struct Bodies {
    count: usize,
    ranges: [(u32, Range); BASELINE_CLASSES_MAX + 1],
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
    range: Range,
    chosen: bool,
}

impl SnapshotEncoder {
    /// An encoder that has seen no tick.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the mirror of a new tick. To be called once per tick, before its snapshots.
    pub fn start_tick(&mut self, mirror: &Mirror) {
        self.history.note(mirror);
        self.bits.clear();
        self.bodies.clear();
        self.bodies.resize(mirror.slots(), Bodies::default());
    }

    /// The snapshot of this tick for one client, at most `budget_bytes` long; `None` when not even its header fits.
    ///
    /// `header.tick` and `header.epoch` are filled in here. `own` is the entity the client controls. Call
    /// [`Recipient::sent`] when the snapshot leaves; a snapshot that is never numbered counts as lost.
    pub fn encode(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        header: SnapshotHeader,
        own: Option<NetId>,
        budget_bytes: usize,
    ) -> Option<Vec<u8>> {
        recipient.drop_fresh();
        recipient.follow(mirror);
        let header = SnapshotHeader { tick: mirror.tick(), epoch: recipient.epoch(), ..header };
        let mut writer = BitWriter::reuse(Vec::with_capacity(budget_bytes));
        header.write(&mut writer);
        // The two end marks.
        let mut left = (budget_bytes * 8).checked_sub(writer.len_bits() + 2)?;

        let mut sent = recipient.record(mirror.tick());
        left -= self.write_gone(&mut writer, recipient, &mut sent.gone, left);
        self.collect(mirror, recipient, own);
        self.choose(mirror, left);

        let mut ids = Ids::default();
        for candidate in self.candidates.iter().filter(|c| c.chosen) {
            ids.write(&mut writer, candidate.id);
            writer.copy(&self.bits[candidate.range.start_byte..], 0, candidate.range.bits);
            let known = &mut recipient.known[candidate.slot as usize];
            known.sent = mirror.tick().0;
            known.waited = 0;
            sent.rows.push((candidate.slot, candidate.id));
        }
        writer.bit(false);
        recipient.fresh = Some(sent);
        Some(writer.finish())
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
    fn collect(&mut self, mirror: &Mirror, recipient: &mut Recipient, own: Option<NetId>) {
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
            let (waited, baseline) = (known.waited, self.baseline(mirror, slot, known));
            let range = self.range(mirror, slot, baseline);
            self.candidates.push(Candidate { slot, id: id.0, waited, range, chosen: false });
        }
    }

    /// Marks what fits into `room` bits: everything, or what has waited longest.
    fn choose(&mut self, mirror: &Mirror, room: usize) {
        // No gap between two ids is greater than the greatest id.
        let greatest = mirror.order().last().map_or(0, |slot| mirror.id(*slot).0);
        let id_cost = Ids::cost_max(greatest);
        let total: usize = self.candidates.iter().map(|c| c.range.bits + id_cost).sum();
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
            let cost = candidate.range.bits + id_cost;
            if cost <= left {
                left -= cost;
                candidate.chosen = true;
            }
        }
    }

    /// The keyframe tick whose row the client has for certain; 0 when there is none.
    fn baseline(&self, mirror: &Mirror, slot: u32, known: &Known) -> u32 {
        if known.acked == 0 {
            return 0;
        }
        let usable = |k: &&super::history::Rows| k.holds(slot, known.id, mirror.mask(slot));
        // A row that did not change between its ack and a keyframe is the row at that keyframe.
        let newer = self.history.before(mirror.tick()).take_while(|k| k.tick() >= known.acked);
        let rested = newer.filter(usable).find(|k| k.changed(slot) <= known.acked);
        let acked = || self.history.before(mirror.tick()).filter(usable).find(|k| k.tick() == known.keyframe);
        rested.or_else(acked).map_or(0, |k| k.tick())
    }

    /// The bits of a slot's body against a baseline, encoded when they are asked for first.
    fn range(&mut self, mirror: &Mirror, slot: u32, baseline: u32) -> Range {
        let bodies = self.bodies[slot as usize];
        let known = |wanted: u32| bodies.ranges[..bodies.count].iter().find(|(b, _)| *b == wanted).map(|(_, r)| *r);
        if let Some(range) = known(baseline) {
            return range;
        }
        let residuals = bodies.ranges[..bodies.count].iter().filter(|(b, _)| *b != 0).count();
        if baseline != 0 && residuals == BASELINE_CLASSES_MAX {
            return self.range(mirror, slot, 0);
        }
        let range = self.encode_body(mirror, slot, baseline);
        let bodies = &mut self.bodies[slot as usize];
        bodies.ranges[bodies.count] = (baseline, range);
        bodies.count += 1;
        range
    }

    fn encode_body(&mut self, mirror: &Mirror, slot: u32, baseline: u32) -> Range {
        let mut writer = BitWriter::reuse(core::mem::take(&mut self.scratch));
        match self.history.before(mirror.tick()).find(|k| baseline != 0 && k.tick() == baseline) {
            Some(base) => {
                writer.bit(false);
                writer.bits(age(mirror.tick().0, baseline), body::AGE_BITS);
                write_residual(&mut writer, mirror, slot, base);
            }
            None => {
                writer.bit(true);
                write_absolute(&mut writer, mirror, slot);
            }
        }
        let (start_byte, bits) = (self.bits.len(), writer.len_bits());
        self.scratch = writer.finish();
        self.bits.extend_from_slice(&self.scratch);
        Range { start_byte, bits }
    }
}

#[cfg(test)]
impl SnapshotEncoder {
    /// Bodies encoded in this tick.
    pub(super) fn bodies_encoded(&self) -> usize {
        self.bodies.iter().map(|bodies| bodies.count).sum()
    }
}
