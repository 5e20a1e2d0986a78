//! What one client knows, as far as its acks tell.

use std::collections::VecDeque;

use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::{BASELINE_TICKS_MAX, KEYFRAME_TICKS};

use super::history::is_keyframe;
use crate::{Mirror, NetId};

/// What a client knows of one entity. Ticks: 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// 0: the client knows nothing of this slot.
    pub(super) id: u32,
    /// Newest tick whose row it has acknowledged.
    pub(super) acked: u32,
    /// The 32 ticks up to `acked` whose rows it has acknowledged: bit *i* is `acked - i`.
    recent: u32,
    /// Newest keyframe tick whose row it is known to have.
    pub(super) keyframe: u32,
    /// The 16 keyframes up to that one: bit *i* is `keyframe - 8 · i`.
    keyframes: u16,
    /// Newest tick whose row is under way.
    pub(super) sent: u32,
    /// Grows while a changed row waits.
    pub(super) waited: u32,
}

impl Known {
    /// The client does not have the row that last changed at this tick, and it is not under way.
    pub(super) fn lacks(&self, changed: u32) -> bool {
        let newest = self.acked.max(self.sent);
        newest == 0 || changed > newest
    }

    fn ack(&mut self, tick: u32) {
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

/// A snapshot whose fate is open.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) tick: u32,
    seq: u16,
    /// Slots and ids of its rows.
    pub(super) rows: Vec<(u32, u32)>,
    pub(super) gone: Vec<u32>,
}

/// The state of one client's snapshots: what it has acknowledged, what is under way, what waits.
#[derive(Debug, Default)]
pub struct Recipient {
    pub(super) known: Vec<Known>,
    /// Ids that left and whose leaving is not acknowledged.
    pub(super) gone: Vec<u32>,
    epoch: u8,
    /// Table set that the client has.
    tables: u8,
    tables_next: u8,
    /// The newest snapshot it has acknowledged.
    reference: Sent,
    /// Encoded, not yet numbered.
    pub(super) fresh: Option<Sent>,
    under_way: VecDeque<Sent>,
    spare: Vec<Sent>,
}

impl Recipient {
    /// A client that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what the client knows; the next snapshots carry everything. To be called whenever its session attaches.
    pub fn reset(&mut self) {
        self.known.clear();
        self.gone.clear();
        self.fresh = None;
        self.under_way.clear();
        self.reference = Sent::default();
        self.tables = self.tables_next;
        self.epoch = (self.epoch + 1) & 15;
    }

    /// From the next [`reset`](Self::reset) on, the client gets its rows in this table set; it must have the tables.
    pub fn use_tables(&mut self, set: u8) {
        self.tables_next = set & 15;
    }

    /// Table set that the client gets.
    pub(super) fn tables(&self) -> u8 {
        self.tables
    }

    /// Rows of a snapshot that the client is known to have, recent enough to be named: its tick, and slots and ids.
    pub(super) fn reference(&self, now: Tick) -> Option<(u32, &[(u32, u32)])> {
        let recent = self.reference.tick != 0 && now.0 - self.reference.tick <= BASELINE_TICKS_MAX;
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
        let oldest = sent.tick.saturating_sub(BASELINE_TICKS_MAX);
        self.under_way.push_back(sent);
        while self.under_way.front().is_some_and(|sent| sent.tick < oldest) {
            if let Some(sent) = self.under_way.pop_front() {
                self.give_up(sent);
            }
        }
    }

    /// The client has the snapshot with this number.
    pub fn on_acked(&mut self, seq: u16) {
        let Some(sent) = self.take(seq) else { return };
        for (slot, id) in &sent.rows {
            let known = &mut self.known[*slot as usize];
            if known.id == *id {
                known.ack(sent.tick);
            }
        }
        self.gone.retain(|id| !sent.gone.contains(id));
        if self.tables != 0 && sent.tick > self.reference.tick {
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

    /// The snapshot encoded last never left.
    pub(super) fn drop_fresh(&mut self) {
        if let Some(sent) = self.fresh.take() {
            self.give_up(sent);
        }
    }

    /// An empty record for the snapshot of a tick.
    pub(super) fn record(&mut self, tick: Tick) -> Sent {
        let mut sent = self.spare.pop().unwrap_or_default();
        sent.tick = tick.0;
        sent.rows.clear();
        sent.gone.clear();
        sent
    }

    /// Finds out what has left since the last call.
    pub(super) fn follow(&mut self, mirror: &Mirror) {
        self.known.resize(mirror.slots(), Known::default());
        for (slot, known) in self.known.iter_mut().enumerate() {
            let slot = slot as u32;
            let live = mirror.is_live(slot) && mirror.id(slot) == NetId(known.id) && mirror.mask(slot) != 0;
            if known.id != 0 && !live {
                self.gone.push(known.id);
                *known = Known::default();
            }
        }
        self.gone.sort_unstable();
        self.gone.dedup();
    }

    fn take(&mut self, seq: u16) -> Option<Sent> {
        let at = self.under_way.iter().position(|sent| sent.seq == seq)?;
        self.under_way.remove(at)
    }

    fn give_up(&mut self, sent: Sent) {
        for (slot, id) in &sent.rows {
            let known = &mut self.known[*slot as usize];
            if known.id == *id && known.sent == sent.tick {
                known.sent = 0;
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
