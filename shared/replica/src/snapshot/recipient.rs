//! What one client knows, as far as its acks tell.

use std::collections::VecDeque;

use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::{BASELINE_TICKS_MAX, JOIN_PARTS_UNREAD_MAX, JOIN_ROWS_MIN, KEYFRAME_TICKS};

use super::bodies::Part;
use super::history::is_keyframe;
use super::ids::Leave;
use super::scope::{Scope, Ticket};
use crate::{Mirror, Seat, SeenBy};

/// Room that lists have from the start, so that they do not ask for memory in the middle of a match.
const ROWS_ROOM: usize = 64;

/// What a client knows of one entity. Ticks: 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// 0: the client knows nothing of this slot.
    pub(super) id: u32,
    /// How the client's seat stands to the entity: what is known is that part of its rows.
    relation: SeenBy,
    /// The client is told of it.
    shown: bool,
    /// A row waits.
    waits: bool,
    /// When `shown` changed last.
    turned: u32,
    /// What was sent before this tick does not count any more.
    since: u32,
    /// Newest tick whose row it has acknowledged.
    pub(super) acked: u32,
    /// The 32 ticks up to `acked` whose rows it has acknowledged: bit *i* is `acked - i`.
    recent: u32,
    /// Newest keyframe tick whose row it is known to have.
    keyframe: u32,
    /// The 16 keyframes up to that one: bit *i* is `keyframe - 8 · i`.
    keyframes: u16,
    /// Newest tick whose row is under way.
    sent: u32,
    /// The tick since which a row waits.
    pub(super) waits_since: u32,
}

impl Known {
    /// The client does not have the row that last changed at this tick, and it is not under way.
    fn lacks(&self, changed: u32) -> bool {
        let newest = self.acked.max(self.sent);
        newest == 0 || changed > newest || self.turned > newest
    }

    /// What the client had does not count any more.
    fn forget(&mut self, now: u32) {
        let Self { id, relation, shown, waits, turned, waits_since, .. } = *self;
        *self = Self { id, relation, shown, waits, turned, waits_since, since: now, ..Self::default() };
    }

    fn ack(&mut self, tick: u32) {
        if tick < self.since {
            return;
        }
        if tick > self.acked {
            self.recent = self.recent.checked_shl(tick - self.acked).unwrap_or(0);
            self.acked = tick;
        }
        self.recent |= 1_u32.checked_shl(self.acked - tick).unwrap_or(0);
        if is_keyframe(tick) {
            self.has_keyframe(tick);
        }
    }

    /// Notes that the client has the row of this keyframe.
    pub(super) fn has_keyframe(&mut self, tick: u32) {
        if tick > self.keyframe {
            self.keyframes = self.keyframes.checked_shl((tick - self.keyframe) / KEYFRAME_TICKS).unwrap_or(0);
            self.keyframe = tick;
        }
        self.keyframes |= 1_u16.checked_shl((self.keyframe - tick) / KEYFRAME_TICKS).unwrap_or(0);
    }

    /// The keyframes up to this one whose rows the client is known to have: bit *i* is `newest - 8 · i`.
    pub(super) fn keyframes_at(&self, newest: u32) -> u16 {
        let ticks = newest.checked_sub(self.keyframe).filter(|_| self.keyframe != 0);
        ticks.and_then(|ticks| self.keyframes.checked_shl(ticks / KEYFRAME_TICKS)).unwrap_or(0)
    }

    /// The client is known to have the row of this keyframe.
    pub(super) fn knows(&self, tick: u32) -> bool {
        let back = self.keyframe.checked_sub(tick).map(|ticks| ticks / KEYFRAME_TICKS);
        back.is_some_and(|back| back < u16::BITS && self.keyframes >> back & 1 == 1)
    }

    /// It has acknowledged a row of these ticks; only the last 32 up to `acked` are remembered.
    pub(super) fn acked_within(&self, first: u32, last: u32) -> bool {
        let (Some(newest), oldest) = (self.acked.checked_sub(first), self.acked.saturating_sub(last)) else {
            return false;
        };
        let below = u64::from(self.recent) & ((1_u64 << newest.saturating_add(1).min(32)) - 1);
        below >> oldest.min(32) != 0
    }
}

/// A row that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) id: u32,
    pub(super) part: Part,
}

/// A row in a snapshot whose fate is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentRow {
    pub(super) slot: u32,
    pub(super) id: u32,
    /// The tick since which it had waited.
    pub(super) waits_since: u32,
}

/// A snapshot whose fate is open.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) tick: u32,
    seq: u16,
    /// Table set it was written in. The client keeps the ids of those in trained sets.
    pub(super) tables: u8,
    /// By ascending id.
    pub(super) rows: Vec<SentRow>,
    /// Ids of entities that left.
    pub(super) left: Vec<u32>,
}

/// An entity that left, which the client is told until it acknowledges it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    pub(super) id: u32,
    pub(super) how: Leave,
    since: u32,
}

/// The state of one client's snapshots: what it has acknowledged, what is under way, what waits.
#[derive(Debug, Default)]
pub struct Recipient {
    pub(super) known: Vec<Known>,
    pub(super) waiting: Vec<Waiting>,
    /// Slots whose row was lost.
    lost: Vec<u32>,
    /// By ascending id.
    pub(super) leaving: Vec<Leaving>,
    ticket: Ticket,
    epoch: u8,
    /// Table set that the client has.
    tables: u8,
    /// The newest snapshot it has acknowledged.
    reference: Sent,
    /// Tick of the newest snapshot that left.
    newest_sent: u32,
    /// Encoded, not yet numbered.
    pub(super) fresh: Option<Sent>,
    under_way: VecDeque<Sent>,
    /// When it was last looked what to tell, and by which observer.
    looked: (u32, usize),
    /// Number of the last part of the world.
    part: u32,
    /// A part that is encoded and has not left.
    fresh_part: Option<Sent>,
    /// Parts that the client has not said to have read, by number.
    parts: VecDeque<(u32, Sent)>,
    spare: Vec<Sent>,
}

impl Recipient {
    /// A client that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what the client knows, its tables too; the next snapshots carry everything. To be called whenever its session
    /// attaches.
    pub fn reset(&mut self) {
        self.known.clear();
        self.waiting.clear();
        self.lost.clear();
        self.leaving.clear();
        self.ticket = Ticket::default();
        self.fresh = None;
        self.under_way.clear();
        self.looked = (0, 0);
        self.fresh_part = None;
        self.parts.clear();
        self.reference = Sent::default();
        self.newest_sent = 0;
        self.tables = 0;
        self.epoch = (self.epoch + 1) & 15;
    }

    /// From now until the next [`reset`](Self::reset), the client gets its rows in this table set; it must have the tables.
    pub fn use_tables(&mut self, set: u8) {
        self.tables = set & 15;
    }

    /// Table set that the client gets.
    pub(super) fn tables(&self) -> u8 {
        self.tables
    }

    /// Rows of a snapshot that the client is known to have, recent enough to be named, and its tick.
    pub(super) fn reference(&self, now: Tick) -> Option<(u32, &[SentRow])> {
        let earlier = now.0.checked_sub(self.reference.tick).filter(|ticks| *ticks != 0 && self.reference.tick != 0);
        let recent = earlier.is_some_and(|ticks| ticks <= BASELINE_TICKS_MAX);
        recent.then_some((self.reference.tick, &self.reference.rows))
    }

    /// Counts [`reset`](Self::reset)s, modulo 16.
    pub fn epoch(&self) -> u8 {
        self.epoch
    }

    /// The snapshot encoded last has left under this number of its datagram.
    pub fn sent(&mut self, seq: u16) {
        let Some(mut sent) = self.fresh.take() else { return };
        sent.seq = seq;
        if core::mem::replace(&mut self.newest_sent, sent.tick) == sent.tick {
            self.name_no_list_of(sent.tick);
            sent.tables = 0;
        }
        let oldest = sent.tick.saturating_sub(BASELINE_TICKS_MAX);
        self.under_way.push_back(sent);
        while self.under_way.front().is_some_and(|sent| sent.tick < oldest) {
            if let Some(sent) = self.under_way.pop_front() {
                self.give_up(sent);
            }
        }
    }

    /// Two snapshots of one tick say two lists of ids, and a tick would name either.
    fn name_no_list_of(&mut self, tick: u32) {
        self.under_way.iter_mut().filter(|sent| sent.tick == tick).for_each(|sent| sent.tables = 0);
        if self.reference.tick == tick {
            self.reference = Sent::default();
        }
    }

    /// The client has the snapshot with this number.
    pub fn on_acked(&mut self, seq: u16) {
        if let Some(sent) = self.take(seq) {
            self.note_acked(sent);
        }
    }

    fn note_acked(&mut self, sent: Sent) {
        for row in &sent.rows {
            let known = &mut self.known[row.slot as usize];
            if known.id == row.id {
                known.ack(sent.tick);
            }
        }
        if !sent.left.is_empty() {
            // It may have come back and left again since.
            let told = |leaving: &Leaving| leaving.since <= sent.tick && sent.left.binary_search(&leaving.id).is_ok();
            self.leaving.retain(|leaving| !told(leaving));
        }
        if sent.tables != 0 && sent.tick > self.reference.tick {
            let before = core::mem::replace(&mut self.reference, sent);
            return self.recycle(before);
        }
        self.recycle(sent);
    }

    /// The snapshot with this number did not arrive: what it carried is sent again where nothing newer is under way.
    pub fn on_lost(&mut self, seq: u16) {
        if let Some(sent) = self.take(seq) {
            self.give_up(sent);
        }
    }

    /// The part encoded last has left.
    pub fn part_sent(&mut self) {
        if let Some(part) = self.fresh_part.take() {
            self.parts.push_back((self.part, part));
        }
    }

    /// The client has read the part with this number, or dropped it. False when there was none of that number.
    pub fn on_part(&mut self, number: u32, dropped: bool) -> bool {
        let Some(at) = self.parts.iter().position(|(of, _)| *of == number) else {
            // From before it started over.
            return number <= self.part;
        };
        match self.parts.remove(at) {
            Some((_, part)) if dropped => self.give_up(part),
            Some((_, part)) => self.note_acked(part),
            None => {}
        }
        true
    }

    /// The observer of the snapshot of this tick, when there may be a part beside it.
    pub(super) fn wants_part(&mut self, now: Tick) -> Option<usize> {
        if let Some(part) = self.fresh_part.take() {
            self.give_up(part);
        }
        let (tick, observer) = self.looked;
        let room = self.parts.len() < JOIN_PARTS_UNREAD_MAX && self.waiting.len() >= JOIN_ROWS_MIN;
        (tick == now.0 && room && self.rows_anew() >= JOIN_ROWS_MIN).then_some(observer)
    }

    /// Rows waiting of which the client has nothing, and nothing is under way; counted up to the bound.
    fn rows_anew(&self) -> usize {
        self.waiting.iter().filter(|waiting| self.is_anew(waiting)).take(JOIN_ROWS_MIN).count()
    }

    /// The client has nothing of it, and nothing is under way.
    pub(super) fn is_anew(&self, waiting: &Waiting) -> bool {
        let known = &self.known[waiting.part.slot as usize];
        known.acked == 0 && known.sent == 0
    }

    /// The row of a slot, if it waits.
    pub(super) fn waiting_in(&self, mirror: &Mirror, slot: u32, seat: Option<Seat>) -> Option<Waiting> {
        let known = self.known.get(slot as usize).filter(|known| known.waits)?;
        Some(Waiting { id: known.id, part: Part::of(mirror, slot, mirror.visible(slot, seat)) })
    }

    /// A part is encoded. Its number.
    pub(super) fn note_part(&mut self, part: Sent) -> u32 {
        self.part = self.part.wrapping_add(1).max(1);
        self.fresh_part = Some(part);
        self.part
    }

    /// The snapshot encoded last never left.
    pub(super) fn drop_fresh(&mut self) {
        if let Some(sent) = self.fresh.take() {
            self.give_up(sent);
        }
    }

    /// An empty record for the snapshot of a tick.
    pub(super) fn record(&mut self, tick: Tick) -> Sent {
        let room =
            || Sent { rows: Vec::with_capacity(ROWS_ROOM), left: Vec::with_capacity(ROWS_ROOM), ..Sent::default() };
        let mut sent = self.spare.pop().unwrap_or_else(room);
        sent.tick = tick.0;
        sent.rows.clear();
        sent.left.clear();
        sent
    }

    /// Finds out what the client should be told since the last call. The number of its observer.
    pub(super) fn look(&mut self, mirror: &Mirror, scope: &mut Scope, seat: Option<Seat>) -> usize {
        if self.known.len() < mirror.slots() {
            self.known.resize(mirror.slots(), Known::default());
            self.leaving.reserve(ROWS_ROOM);
            self.lost.reserve(ROWS_ROOM);
        }
        let observer = scope.attend(mirror, &mut self.ticket, seat);
        let left_over = !self.waiting.is_empty();
        let view = (seat, observer);
        match scope.take_inbox(observer) {
            Some(inbox) => {
                inbox.iter().for_each(|slot| self.look_at(mirror, scope, view, *slot));
                scope.put_back(observer, inbox);
            }
            None => (0..mirror.slots() as u32).for_each(|slot| self.look_at(mirror, scope, view, slot)),
        }
        self.looked = (mirror.tick().0, observer);
        let mut lost = core::mem::take(&mut self.lost);
        lost.drain(..).for_each(|slot| self.look_at(mirror, scope, view, slot));
        self.lost = lost;
        if left_over {
            self.look_at_waiting(mirror, seat);
        }
        observer
    }

    /// Rows that waited before may be others, or not be needed any more: an ack came late, or the entity left.
    fn look_at_waiting(&mut self, mirror: &Mirror, seat: Option<Seat>) {
        self.waiting.retain_mut(|waiting| {
            let slot = waiting.part.slot;
            let known = &mut self.known[slot as usize];
            if known.id != waiting.id {
                return false;
            }
            known.waits &= known.lacks(mirror.changed_for(slot, known.relation).0);
            if known.waits {
                waiting.part = Part::of(mirror, slot, mirror.visible(slot, seat));
            }
            known.waits
        });
    }

    /// The rows that were sent do not wait any more.
    pub(super) fn forget_sent(&mut self, count: usize) {
        if count == self.waiting.len() {
            self.waiting.clear();
        } else {
            self.waiting.retain(|waiting| self.known[waiting.part.slot as usize].waits);
        }
    }

    /// A row leaves in the snapshot `sent`.
    pub(super) fn note_sent(&mut self, sent: &mut Sent, slot: u32) {
        let known = &mut self.known[slot as usize];
        known.sent = sent.tick;
        known.waits = false;
        let waits_since = core::mem::take(&mut known.waits_since);
        sent.rows.push(SentRow { slot, id: known.id, waits_since });
    }

    fn look_at(&mut self, mirror: &Mirror, scope: &Scope, (seat, observer): (Option<Seat>, usize), slot: u32) {
        let now = mirror.tick().0;
        let id = if mirror.is_live(slot) { mirror.id(slot).0 } else { 0 };
        let known = &mut self.known[slot as usize];
        if known.id != 0 && known.id != id {
            if known.shown {
                leave(&mut self.leaving, known.id, Leave::Gone, now);
            }
            *known = Known::default();
        }
        if id == 0 {
            return;
        }
        let (relation, mask) = mirror.visible(slot, seat);
        if mask == 0 || !scope.sees(observer, slot) {
            if known.shown {
                (known.shown, known.turned, known.waits) = (false, now, false);
                leave(&mut self.leaving, id, Leave::Hidden, now);
            }
            return;
        }
        if known.id == 0 {
            (known.id, known.since, known.relation) = (id, now, relation);
        }
        if !known.shown {
            // The client keeps the rows of what has left as long as those of the last keyframes.
            if now - known.turned > BASELINE_TICKS_MAX {
                known.forget(now);
            }
            (known.shown, known.turned) = (true, now);
            if let Ok(at) = self.leaving.binary_search_by_key(&id, |leaving| leaving.id) {
                self.leaving.remove(at);
            }
        }
        if known.relation != relation {
            known.forget(now);
            known.relation = relation;
        }
        if !known.waits && known.lacks(mirror.changed_for(slot, relation).0) {
            known.waits = true;
            // A lost row goes on waiting.
            known.waits_since = if known.waits_since == 0 { now } else { known.waits_since };
            self.waiting.push(Waiting { id, part: Part::of(mirror, slot, (relation, mask)) });
        }
    }

    fn take(&mut self, seq: u16) -> Option<Sent> {
        let at = self.under_way.iter().position(|sent| sent.seq == seq)?;
        self.under_way.remove(at)
    }

    fn give_up(&mut self, sent: Sent) {
        for row in &sent.rows {
            let known = &mut self.known[row.slot as usize];
            if known.id == row.id && known.sent == sent.tick {
                known.sent = 0;
                known.waits_since = row.waits_since;
                self.lost.push(row.slot);
            }
        }
        self.recycle(sent);
    }

    fn recycle(&mut self, sent: Sent) {
        if self.spare.len() < 8 {
            self.spare.push(sent);
        }
    }
}

/// Notes that an entity has left, if that is not noted yet.
fn leave(leaving: &mut Vec<Leaving>, id: u32, how: Leave, since: u32) {
    if let Err(at) = leaving.binary_search_by_key(&id, |leaving| leaving.id) {
        leaving.insert(at, Leaving { id, how, since });
    }
}

#[cfg(test)]
impl Recipient {
    /// Slots of the rows in the newest snapshot that was sent.
    pub(super) fn newest_rows(&self) -> Vec<u32> {
        self.under_way.back().map_or_else(Vec::new, |sent| sent.rows.iter().map(|row| row.slot).collect())
    }
}
