//! What was true: the host's quantised state of the last ticks, against which everything a client holds is compared.

use std::collections::VecDeque;

use amphi_shared_replica::{Mirror, NetId, Row, Schema};
use amphi_shared_wire::Tick;

/// Ticks that are kept: longer than any path delays what it carries.
const TICKS: usize = 600;

/// The newest ticks, oldest first, without gaps.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    frames: VecDeque<Frame>,
}

/// One tick.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) tick: Tick,
    /// By ascending id.
    entries: Vec<Entry>,
}

/// One entity in one tick.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: NetId,
    /// As clients were told.
    pub(crate) told: Row,
    /// As it is, also where clients reckon.
    pub(crate) now: Row,
    /// The tick since which it is as it is.
    pub(crate) rests_since: Tick,
}

impl Ledger {
    /// Notes a tick.
    pub(crate) fn note(&mut self, mirror: &Mirror) {
        let before = self.frames.back();
        let entry = |slot: &u32| {
            let (id, now) = (mirror.id(*slot), mirror.row_now(*slot));
            let rested = before.and_then(|frame| frame.entry(id)).filter(|entry| entry.now.values == now.values);
            let rests_since = rested.map_or(mirror.tick(), |entry| entry.rests_since);
            Entry { id, told: mirror.row(*slot), now, rests_since }
        };
        let frame = Frame { tick: mirror.tick(), entries: mirror.order().iter().map(entry).collect() };
        if self.frames.len() == TICKS {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
    }

    /// A tick, if it is one of those that are kept.
    pub(crate) fn frame(&self, tick: Tick) -> Option<&Frame> {
        let back = self.frames.back()?.tick.0.checked_sub(tick.0)? as usize;
        self.frames.len().checked_sub(back + 1).map(|at| &self.frames[at])
    }
}

impl Frame {
    /// An entity.
    pub(crate) fn entry(&self, id: NetId) -> Option<&Entry> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok().map(|at| &self.entries[at])
    }

    /// All entities, by ascending id.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entity of a seat: the oldest one that names it.
    pub(crate) fn of_seat(&self, schema: &Schema, seat: u8) -> Option<&Entry> {
        // Component 0 of every schema is the seat.
        self.entries.iter().find(|entry| entry.now.component(schema, 0) == Some(&[i32::from(seat)]))
    }
}

/// What a client holds is the part of a row that `mask` lets through. An error says what differs.
pub(crate) fn compare(schema: &Schema, held: &Row, told: &Row, mask: u64) -> Result<(), String> {
    if held.mask & !mask != 0 {
        return Err(format!("components {:#b} are not for this player", held.mask & !mask));
    }
    if held.mask != told.mask & mask {
        return Err(format!("it has components {:#b} of {:#b}", held.mask, told.mask & mask));
    }
    if schema.is_reckoned(held.mask) && held.since != told.since {
        return Err(format!("it goes on since tick {}, truly since {}", held.since, told.since));
    }
    for (at, component) in schema.in_mask(held.mask) {
        let (held, told) = (held.component(schema, at), told.component(schema, at));
        if held != told {
            return Err(format!("{} is {held:?}, truly {told:?}", component.name));
        }
    }
    Ok(())
}
