//! Snapshots for many clients from one mirror: each row is encoded once per baseline and copied.

use std::sync::Arc;

use amphi_shared_wire::BitWriter;

use super::SnapshotHeader;
use super::bodies::{Bodies, Class, Range};
use super::body::{AGE_BITS, DEPTH_BITS};
use super::history::age;
use super::ids::{Ids, write_by_reference};
use super::recipient::{Recipient, Waiting};
use super::scope::Scope;
use crate::code_table::GAP;
use crate::interest::{Place, Space};
use crate::{Measured, Mirror, Seat, Tables};

/// The number of the trained table set that an encoder writes, and a host's clients are given.
pub const TRAINED_SET: u8 = 1;
/// Bits of a section beside its ids and bodies, and of the reference before all sections.
const SECTION_BITS: usize = 1 + DEPTH_BITS as usize + AGE_BITS as usize + 1 + 1;
const REFERENCE_BITS: usize = 1 + 37;
/// Rows that do not fit, one after the other, until a snapshot counts as full.
const MISFITS_MAX: usize = 16;

/// Encodes the snapshots of one world.
#[derive(Debug, Default)]
pub struct SnapshotEncoder {
    scope: Scope,
    bodies: Bodies,
    out: Vec<u8>,
    /// The ids of a section, and the same by reference.
    scratch: [Vec<u8>; 2],
    candidates: Vec<Candidate>,
    /// Inverse priorities, ids and places among those that wait.
    urgent: Vec<(u32, u32, u32)>,
    /// By group of bodies that touch each other.
    together: Vec<Together>,
    sections: Vec<(Class, usize)>,
    ids: Vec<u32>,
    rows: SharedRows,
    copies: u64,
}

/// The rows of the snapshot encoded last: as a rule others say exactly the same.
#[derive(Debug, Default)]
struct SharedRows {
    tick: u32,
    /// Ids, and where their bodies are.
    rows: Vec<(u32, Range)>,
    out: Vec<u8>,
    bits: usize,
}

/// What a snapshot makes of a group of bodies that touch each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Together {
    Open,
    /// All that changed is in, or waits.
    Done,
    /// There is too much of it: told as if it were no group.
    Apart,
}

/// A row that the client lacks.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    slot: u32,
    id: u32,
    class: Class,
    range: Range,
}

impl SnapshotEncoder {
    /// An encoder that has seen no tick.
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder that writes trained tables for the recipients that use set 1, and set 0 for the others.
    pub fn with_tables(tables: Arc<Tables>) -> Self {
        Self { bodies: Bodies::with_tables(tables), ..Self::default() }
    }

    /// Bodies copied into snapshots, and bodies encoded for that, since the start.
    pub fn copies_and_bodies(&self) -> (u64, u64) {
        (self.copies, self.bodies.encoded())
    }

    /// From the next tick on, counts what the components cost: see [`measured`](Self::measured).
    pub fn start_measuring(&mut self) {
        self.bodies.start_measuring();
    }

    /// What was counted since the start of the measuring.
    pub fn measured(&self) -> Option<&Measured> {
        self.bodies.measured()
    }

    /// Takes the mirror of a new tick. To be called once per tick, before its snapshots.
    pub fn start_tick(&mut self, mirror: &Mirror) {
        self.scope.follow(mirror);
        self.bodies.start_tick(mirror);
    }

    /// The snapshot of this tick for one client, at most `budget_bytes` long; `None` when not even its header fits.
    ///
    /// `header.tick`, `tables` and `epoch` are filled in here. The client has this seat: that decides what it may see, what
    /// is near, and what goes first. Without a seat everything is near. Call [`Recipient::sent`] when the snapshot leaves;
    /// a snapshot that is never numbered counts as lost.
    pub fn encode(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        header: SnapshotHeader,
        seat: Option<Seat>,
        budget_bytes: usize,
    ) -> Option<&[u8]> {
        recipient.drop_fresh();
        let observer = recipient.look(mirror, &mut self.scope, seat);
        let tables = if self.bodies.is_trained() { recipient.tables() } else { 0 };
        let header = SnapshotHeader { tick: mirror.tick(), tables, epoch: recipient.epoch(), ..header };
        let mut writer = BitWriter::reuse(core::mem::take(&mut self.out));
        header.write(&mut writer);
        // The two end marks.
        let Some(mut left) = (budget_bytes * 8).checked_sub(writer.len_bits() + 2) else {
            self.out = writer.finish();
            return None;
        };

        let mut sent = recipient.record(mirror.tick());
        sent.tables = tables;
        left -= self.write_left(&mut writer, recipient, &mut sent.left, left);
        self.choose(mirror, recipient, (seat, observer), Room::new(recipient, left, tables == TRAINED_SET));
        self.candidates.sort_unstable_by_key(|candidate| candidate.id);
        if tables == TRAINED_SET {
            self.write_sections(&mut writer, mirror, recipient);
        } else {
            self.write_rows(&mut writer, mirror);
        }
        for candidate in &self.candidates {
            recipient.note_sent(&mut sent, candidate.slot);
        }
        recipient.forget_sent(self.candidates.len());
        self.copies += self.candidates.len() as u64;
        self.bodies.count(self.candidates.iter().map(|candidate| candidate.range));
        recipient.fresh = Some(sent);
        self.out = writer.finish();
        debug_assert!(self.out.len() <= budget_bytes);
        Some(&self.out)
    }

    /// What the client has nothing of yet and the snapshot of this tick had no room for: the most urgent of it, in table
    /// set 0, and its number. `None` when little is left over, or enough is under way. To be called after the snapshot;
    /// call [`Recipient::part_sent`] when it leaves.
    pub fn encode_part(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        seat: Option<Seat>,
        budget_bytes: usize,
    ) -> Option<(u32, &[u8])> {
        let observer = recipient.wants_part(mirror.tick())?;
        let header = SnapshotHeader { tick: mirror.tick(), epoch: recipient.epoch(), ..SnapshotHeader::default() };
        let mut writer = BitWriter::reuse(core::mem::take(&mut self.out));
        header.write(&mut writer);
        // Nobody has left.
        writer.bit(false);
        let bits = (budget_bytes * 8).saturating_sub(writer.len_bits() + 1);
        let room = Room { anew: true, ..Room::new(recipient, bits, false) };
        self.choose_most_urgent(mirror, recipient, (seat, observer), room);
        self.candidates.sort_unstable_by_key(|candidate| candidate.id);
        self.write_rows(&mut writer, mirror);
        let mut part = recipient.record(mirror.tick());
        for candidate in &self.candidates {
            recipient.note_sent(&mut part, candidate.slot);
        }
        recipient.forget_sent(self.candidates.len());
        self.copies += self.candidates.len() as u64;
        self.bodies.count(self.candidates.iter().map(|candidate| candidate.range));
        self.out = writer.finish();
        Some((recipient.note_part(part), &self.out))
    }

    /// Rows in table set 0: each with its id and the age of its baseline.
    fn write_rows(&mut self, writer: &mut BitWriter, mirror: &Mirror) {
        let now = mirror.tick().0;
        let rows = self.candidates.iter().map(|candidate| (candidate.id, candidate.range));
        if self.rows.tick != now || !rows.clone().eq(self.rows.rows.iter().copied()) {
            self.rows.tick = now;
            self.rows.rows.clear();
            self.rows.rows.extend(rows);
            let mut shared = BitWriter::reuse(core::mem::take(&mut self.rows.out));
            let mut ids = Ids::default();
            for candidate in &self.candidates {
                ids.write(&mut shared, candidate.id);
                let baseline = candidate.class.baseline;
                shared.bit(baseline == 0);
                if baseline != 0 {
                    shared.bits(age(now, baseline), AGE_BITS);
                }
                self.bodies.copy(&mut shared, candidate.range);
            }
            shared.bit(false);
            self.rows.bits = shared.len_bits();
            self.rows.out = shared.finish();
        }
        writer.copy(&self.rows.out, 0, self.rows.bits);
    }

    /// Rows in trained tables: a section per class, the ids first. The largest section names its ids by a snapshot that
    /// the client has.
    fn write_sections(&mut self, writer: &mut BitWriter, mirror: &Mirror, recipient: &Recipient) {
        count_sections(&mut self.sections, &self.candidates);
        let largest = self.sections.iter().filter(|(class, _)| class.baseline != 0).max_by_key(|(_, count)| *count);
        let largest = largest.map(|(class, _)| *class);
        let reference = recipient.reference(mirror.tick()).filter(|_| largest.is_some());
        writer.bit(reference.is_some());
        if let Some((tick, _)) = reference {
            GAP.write(writer, mirror.tick().0 - tick - 1);
        }
        for (class, _) in &self.sections {
            writer.bit(true);
            writer.bits(class.depth, DEPTH_BITS);
            if class.depth > 0 {
                writer.bits(age(mirror.tick().0, class.baseline), AGE_BITS);
            }
            let chosen = self.candidates.iter().filter(|c| c.class == *class);
            self.ids.clear();
            self.ids.extend(chosen.clone().map(|c| c.id));
            let before = reference.filter(|_| Some(*class) == largest).map(|(_, rows)| rows);
            let [plain, shorter] = &mut self.scratch;
            let plain_bits = refill(plain, |writer| write_by_reference(writer, &[], &self.ids));
            let shorter_bits = before.map(|rows| refill(shorter, |writer| write_by_reference(writer, rows, &self.ids)));
            let shorter_bits = shorter_bits.filter(|bits| *bits < plain_bits);
            writer.bit(shorter_bits.is_some());
            match shorter_bits {
                Some(bits) => writer.copy(shorter, 0, bits),
                None => writer.copy(plain, 0, plain_bits),
            }
            for candidate in chosen {
                self.bodies.copy(writer, candidate.range);
            }
        }
        writer.bit(false);
    }

    // Leaves at least half of the room to rows.
    fn write_left(&self, writer: &mut BitWriter, recipient: &Recipient, sent: &mut Vec<u32>, room: usize) -> usize {
        let before = writer.len_bits();
        let cost = Ids::cost_max(recipient.leaving.last().map_or(0, |leaving| leaving.id)) + 1;
        let mut ids = Ids::default();
        for leaving in recipient.leaving.iter().take(room / 2 / cost) {
            ids.write_left(writer, leaving.id, leaving.how);
            sent.push(leaving.id);
        }
        let used = writer.len_bits() - before;
        writer.bit(false);
        used
    }

    /// Finds the rows that the client lacks and that fit: everything, or what is most urgent.
    fn choose(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        (seat, observer): (Option<Seat>, usize),
        room: Room,
    ) {
        self.candidates.clear();
        let mut all = room;
        self.sections.clear();
        let fits = recipient.waiting.iter().all(|Waiting { id, part }| {
            let known = &mut recipient.known[part.slot as usize];
            let (class, range) = *self.bodies.get(mirror, *part, known, room.modelled);
            self.candidates.push(Candidate { slot: part.slot, id: *id, class, range });
            all.take(&mut self.sections, class, range)
        });
        if !fits {
            self.choose_most_urgent(mirror, recipient, (seat, observer), room);
        }
    }

    fn choose_most_urgent(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        (seat, observer): (Option<Seat>, usize),
        mut room: Room,
    ) {
        self.candidates.clear();
        let urgency = Urgency {
            mirror,
            own: seat.and_then(|seat| mirror.slot_of_seat(seat)),
            place: self.scope.place_of(observer),
        };
        self.urgent.clear();
        for (place, waiting) in recipient.waiting.iter().enumerate() {
            if room.anew && !recipient.is_anew(waiting) {
                continue;
            }
            let slot = waiting.part.slot;
            let priority = urgency.of(slot, recipient.known[slot as usize].waits_since);
            self.urgent.push((u32::MAX - priority, waiting.id, place as u32));
        }
        // More than that many cannot fit, so the rest needs no order.
        let most = room.bits / room.id_bits.max(1) + MISFITS_MAX + 1;
        if self.urgent.len() > most {
            self.urgent.select_nth_unstable(most);
            self.urgent.truncate(most);
        }
        self.urgent.sort_unstable();
        self.sections.clear();
        // A part only holds what is new to the client: nothing that it shows can be torn apart.
        self.together.clear();
        self.together.resize(if room.anew { 0 } else { mirror.groups().count() }, Together::Open);
        let (mut misfits, mut only_own) = (0, true);
        for at in 0..self.urgent.len() {
            let (inverse, _, place) = self.urgent[at];
            let waiting = recipient.waiting[place as usize];
            let group = mirror.groups().of(waiting.part.slot).filter(|group| *group < self.together.len());
            let fits = match group.map(|group| (group, self.together[group])) {
                Some((_, Together::Done)) => continue,
                Some((group, Together::Open)) => {
                    let all = self.take_group(mirror, recipient, seat, mirror.groups().slots(group), &mut room);
                    // What does not fit behind the own entity would wait for ever.
                    let apart = !all && only_own;
                    self.together[group] = if apart { Together::Apart } else { Together::Done };
                    all || apart && self.take(mirror, recipient, waiting, &mut room)
                }
                Some((_, Together::Apart)) | None => self.take(mirror, recipient, waiting, &mut room),
            };
            misfits = if fits { 0 } else { misfits + 1 };
            // Only the own entity is as urgent as can be.
            only_own &= !fits || inverse == 0;
            if misfits > MISFITS_MAX {
                break;
            }
        }
    }

    /// Takes what waits of a group, or nothing.
    fn take_group(
        &mut self,
        mirror: &Mirror,
        recipient: &mut Recipient,
        seat: Option<Seat>,
        slots: &[u32],
        room: &mut Room,
    ) -> bool {
        let (before, candidates, sections) = (*room, self.candidates.len(), self.sections.len());
        let fits = slots.iter().all(|slot| match recipient.waiting_in(mirror, *slot, seat) {
            Some(waiting) => self.take(mirror, recipient, waiting, room),
            None => true,
        });
        if !fits {
            *room = before;
            self.candidates.truncate(candidates);
            self.sections.truncate(sections);
        }
        fits
    }

    /// Takes a row, if there is room.
    fn take(&mut self, mirror: &Mirror, recipient: &mut Recipient, waiting: Waiting, room: &mut Room) -> bool {
        let Waiting { id, part } = waiting;
        let known = &mut recipient.known[part.slot as usize];
        let (class, range) = *self.bodies.get(mirror, part, known, room.modelled);
        let fits = room.take(&mut self.sections, class, range);
        if fits {
            self.candidates.push(Candidate { slot: part.slot, id, class, range });
        }
        fits
    }
}

/// What is left of a snapshot for rows.
#[derive(Clone, Copy, Debug)]
struct Room {
    bits: usize,
    id_bits: usize,
    modelled: bool,
    /// Only for rows of which the client has nothing.
    anew: bool,
}

impl Room {
    fn new(recipient: &Recipient, bits: usize, modelled: bool) -> Self {
        // No gap between two ids is greater than the greatest id.
        let greatest = recipient.waiting.iter().map(|waiting| waiting.id).max().unwrap_or(0);
        let bits = if modelled { bits.saturating_sub(REFERENCE_BITS) } else { bits };
        Self { bits, id_bits: Ids::cost_max(greatest), modelled, anew: false }
    }

    /// Takes the room of a row, if there is as much.
    fn take(&mut self, sections: &mut Vec<(Class, usize)>, class: Class, range: Range) -> bool {
        // In set 0 each body says whether it is absolute, and if not the age.
        let new_section = self.modelled && !sections.iter().any(|(of, _)| *of == class);
        let kind_bits = match (self.modelled, class.baseline) {
            (true, _) if new_section => SECTION_BITS,
            (true, _) => 0,
            (false, 0) => 1,
            (false, _) => 1 + AGE_BITS as usize,
        };
        let Some(left) = self.bits.checked_sub(range.bits as usize + self.id_bits + kind_bits) else { return false };
        self.bits = left;
        if new_section {
            sections.push((class, 0));
        }
        true
    }
}

/// How urgent rows are to a client.
struct Urgency<'a> {
    mirror: &'a Mirror,
    own: Option<u32>,
    /// Where it is.
    place: Option<Place>,
}

impl Urgency<'_> {
    /// Grows with every tick that the row waits.
    fn of(&self, slot: u32, waits_since: u32) -> u32 {
        if self.own == Some(slot) {
            return u32::MAX;
        }
        let waited = (self.mirror.tick().0 - waits_since + 1).min(1 << 12);
        let importance = u32::from(self.mirror.selection(slot).importance.0).max(1);
        // 28 bits, and 8 more.
        ((u64::from(waited * importance) * u64::from(self.nearness(slot))) >> 5) as u32
    }

    fn nearness(&self, slot: u32) -> u32 {
        let there = |space: &Space| self.mirror.mask(slot) >> space.component & 1 == 1;
        let (Some(place), Some(space)) = (self.place, self.mirror.interest().filter(|space| there(space))) else {
            return 256;
        };
        let reach = self.mirror.selection(slot).reach.0;
        space.nearness(reach, place, space.place(self.mirror.component_row(slot, space.component)))
    }
}

/// Writes anew into a buffer. How many bits.
fn refill(buffer: &mut Vec<u8>, write: impl FnOnce(&mut BitWriter)) -> usize {
    let mut writer = BitWriter::reuse(core::mem::take(buffer));
    write(&mut writer);
    let bits = writer.len_bits();
    *buffer = writer.finish();
    bits
}

/// Classes of some candidates, and how many of each.
fn count_sections(sections: &mut Vec<(Class, usize)>, candidates: &[Candidate]) {
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
        self.bodies.encoded_in_tick()
    }
}
