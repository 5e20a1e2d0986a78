//! Snapshots as a client reads them.

use std::collections::VecDeque;
use std::sync::Arc;

use amphi_shared_wire::limits::{BASELINE_TICKS_MAX, ENTITIES_MAX, KEYFRAME_TICKS};
use amphi_shared_wire::{BitReader, OutOfBits, Tick};
use thiserror::Error;

use super::SnapshotHeader;
use super::body::{AGE_BITS, DEPTH_BITS, Pace, read_absolute, read_modelled, read_residual};
use super::entities::{Entities, KEPT_TICKS};
use super::ids::{Ids, Leave, read_by_reference};
use crate::code_table::GAP;
use crate::coding::DEPTH_MAX;
use crate::{NetId, Row, Schema, Tables};

/// Rows that room is made for in advance at most.
const ROWS_ROOM_MAX: usize = 1_024;
/// Ticks per second, unless a decoder is told others.
pub(super) const TICK_HZ: u32 = 60;
/// Table sets beside set 0 that a snapshot can name.
const TABLE_SETS_MAX: usize = 15;

/// Why bytes are not a snapshot, or not one that counts.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// The bits end too early.
    #[error("the snapshot ends too early")]
    Truncated,
    /// An unknown set of code tables.
    #[error("the snapshot uses code tables that this build does not have")]
    Tables,
    /// An id beyond 32 bits, or more entities than a room may have.
    #[error("the snapshot names an entity that cannot be")]
    Id,
    /// A body builds on a row that was never received.
    #[error("the snapshot builds on a row that was not received")]
    Baseline,
    /// Too old to count. Not a fault.
    #[error("the snapshot is too old")]
    Stale,
}

impl From<OutOfBits> for SnapshotError {
    fn from(OutOfBits: OutOfBits) -> Self {
        Self::Truncated
    }
}

/// What a snapshot said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its header.
    pub header: SnapshotHeader,
    /// Everything known before was forgotten first.
    pub restarted: bool,
    /// Entities that are no more.
    pub gone: Vec<NetId>,
    /// Entities that are not told of any more, for now or for good.
    pub hidden: Vec<NetId>,
    /// Entities whose newest row it carries.
    pub changed: Vec<NetId>,
}

/// Reads snapshots and keeps the rows they build on.
#[derive(Clone, Debug)]
pub struct SnapshotDecoder {
    schema: Arc<Schema>,
    tick_hz: u32,
    epoch: Option<u8>,
    newest: u32,
    entities: Entities,
    // Ticks and ids of entities that left, oldest first.
    left: VecDeque<(u32, u32)>,
    // Ticks of snapshots in a trained table set and the ids of their rows, by tick.
    lists: VecDeque<(u32, Vec<u32>)>,
    // Rows of the snapshot before: about as many come next.
    rows_room: usize,
    // Trained table sets, by number - 1.
    tables: [Option<Arc<Tables>>; TABLE_SETS_MAX],
}

static NO_ROW: Row = Row { mask: 0, values: Vec::new(), since: Tick(0) };

struct Parsed {
    header: SnapshotHeader,
    left: Vec<(u32, Leave)>,
    rows: Vec<ReadRow>,
}

struct ReadRow {
    id: u32,
    /// Where the entity is known, if it is looked up already.
    place: Option<u32>,
    row: Row,
}

impl SnapshotDecoder {
    /// A decoder that knows no entity.
    pub fn new(schema: Arc<Schema>) -> Self {
        let tables = core::array::from_fn(|_| None);
        Self {
            schema,
            tick_hz: TICK_HZ,
            epoch: None,
            newest: 0,
            entities: Entities::default(),
            left: VecDeque::new(),
            lists: VecDeque::new(),
            rows_room: 0,
            tables,
        }
    }

    /// Reads the snapshots of a match with another tick rate than 60 per second. Only what is reckoned goes by it.
    #[must_use]
    pub fn with_tick_hz(self, tick_hz: u32) -> Self {
        Self { tick_hz, ..self }
    }

    /// Ticks per second.
    pub fn tick_hz(&self) -> u32 {
        self.tick_hz
    }

    /// Takes the tables of a set, 1 to 15, which belong to this decoder's schema. Other numbers are ignored.
    pub fn add_tables(&mut self, set: u8, tables: Arc<Tables>) {
        if let Some(entry) = usize::from(set).checked_sub(1).and_then(|at| self.tables.get_mut(at)) {
            *entry = Some(tables);
        }
    }

    /// Reads a snapshot. After an error nothing of it counts.
    pub fn decode(&mut self, payload: &[u8]) -> Result<Snapshot, SnapshotError> {
        let mut reader = BitReader::new(payload);
        let header = SnapshotHeader::read(&mut reader)?;
        let restarted = self.epoch.is_some_and(|epoch| epoch != header.epoch);
        if !restarted && header.tick.0.saturating_add(BASELINE_TICKS_MAX) < self.newest {
            return Err(SnapshotError::Stale);
        }
        let parsed = if restarted {
            let mut fresh = self.forgetful();
            let parsed = fresh.parse(&mut reader, header)?;
            *self = fresh;
            parsed
        } else {
            self.parse(&mut reader, header)?
        };
        self.epoch = Some(header.epoch);
        Ok(self.keep(parsed, restarted))
    }

    /// Reads a part of the world, which is a snapshot beside the datagrams: it never starts anything over. After an error
    /// nothing of it counts; `Stale` says that what it tells must be told again.
    pub fn decode_part(&mut self, payload: &[u8]) -> Result<Snapshot, SnapshotError> {
        let header = SnapshotHeader::read(&mut BitReader::new(payload))?;
        if self.epoch.is_some_and(|epoch| epoch != header.epoch) {
            return Err(SnapshotError::Stale);
        }
        self.decode(payload)
    }

    /// The newest row of an entity, and its tick.
    pub fn row(&self, id: NetId) -> Option<(Tick, &Row)> {
        self.entities.get(id.0)?.current()
    }

    /// Entities that are there, by ascending id, with their newest rows and the ticks of those.
    pub fn entities(&self) -> impl Iterator<Item = (NetId, Tick, &Row)> {
        self.entities.iter().filter_map(|(id, known)| known.current().map(|(tick, row)| (NetId(id), tick, row)))
    }

    /// The newest tick received.
    pub fn tick(&self) -> Tick {
        Tick(self.newest)
    }

    /// What the rows mean.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn parse(&mut self, reader: &mut BitReader<'_>, header: SnapshotHeader) -> Result<Parsed, SnapshotError> {
        let mut left = Vec::new();
        let mut ids = Ids::default();
        while let Some(entity) = ids.read_left(reader)? {
            left.push(entity);
        }
        let mut rows = Vec::with_capacity(self.rows_room);
        match usize::from(header.tables).checked_sub(1) {
            None => {
                let mut ids = Ids::default();
                while let Some(id) = ids.read(reader)? {
                    rows.push(self.read_body(reader, header.tick, id)?);
                }
            }
            Some(set) => {
                let tables = self.tables[set].clone().ok_or(SnapshotError::Tables)?;
                self.read_sections(reader, &tables, header.tick, &mut rows)?;
            }
        }
        if self.entities.len() + rows.len() + left.len() > 2 * ENTITIES_MAX {
            return Err(SnapshotError::Id);
        }
        self.rows_room = rows.len().min(ROWS_ROOM_MAX);
        Ok(Parsed { header, left, rows })
    }

    fn read_body(&self, reader: &mut BitReader<'_>, tick: Tick, id: u32) -> Result<ReadRow, SnapshotError> {
        if reader.bit()? {
            return Ok(ReadRow { id, place: None, row: read_absolute(reader, &self.pace(tick))? });
        }
        let back = tick.0 % KEYFRAME_TICKS + KEYFRAME_TICKS * reader.bits(AGE_BITS)?;
        let keyframe = tick.0.checked_sub(back).ok_or(SnapshotError::Baseline)?;
        let place = self.entities.place(id).ok_or(SnapshotError::Baseline)?;
        let base = self.entities.at(place).row_at(keyframe).ok_or(SnapshotError::Baseline)?;
        Ok(ReadRow { id, place: Some(place), row: read_residual(reader, &self.pace(tick), base)? })
    }

    /// The rows of a trained table set: sections of one kind of body, each with its ids first.
    fn read_sections(
        &mut self,
        reader: &mut BitReader<'_>,
        tables: &Tables,
        tick: Tick,
        rows: &mut Vec<ReadRow>,
    ) -> Result<(), SnapshotError> {
        let named = if reader.bit()? {
            let named = tick.0.checked_sub(GAP.read(reader)?).and_then(|tick| tick.checked_sub(1));
            let list = self.lists.iter().position(|(tick, _)| Some(*tick) == named);
            Some(list.ok_or(SnapshotError::Baseline)?)
        } else {
            None
        };
        let mut ids = Vec::with_capacity(self.rows_room);
        while reader.bit()? {
            let depth = reader.bits(DEPTH_BITS)? as usize;
            let age = if depth > 0 { reader.bits(AGE_BITS)? } else { 0 };
            ids.clear();
            let before = if reader.bit()? { named.map_or(&[][..], |list| &self.lists[list].1) } else { &[] };
            read_by_reference(reader, before, &mut ids)?;
            for id in ids.iter().copied() {
                rows.push(match depth {
                    0 => ReadRow { id, place: None, row: read_absolute(reader, &self.pace(tick))? },
                    _ => self.read_modelled(reader, tables, tick, (id, age, depth))?,
                });
            }
        }
        rows.sort_by_key(|read| read.id);
        Ok(())
    }

    fn read_modelled(
        &mut self,
        reader: &mut BitReader<'_>,
        tables: &Tables,
        tick: Tick,
        (id, age, depth): (u32, u32, usize),
    ) -> Result<ReadRow, SnapshotError> {
        let spare = self.entities.spare_row();
        let place = self.entities.place(id).ok_or(SnapshotError::Baseline)?;
        let known = self.entities.at(place);
        let back = tick.0 % KEYFRAME_TICKS + KEYFRAME_TICKS * age;
        let mut past: [&Row; DEPTH_MAX] = [&NO_ROW; DEPTH_MAX];
        for (row, older) in past.iter_mut().zip(0..depth as u32) {
            let keyframe = tick.0.checked_sub(back + KEYFRAME_TICKS * older);
            *row = keyframe.and_then(|tick| known.row_at(tick)).ok_or(SnapshotError::Baseline)?;
        }
        let row = read_modelled(reader, &self.pace(tick), tables, (&past[..depth], back), spare)?;
        Ok(ReadRow { id, place: Some(place), row })
    }

    fn pace(&self, tick: Tick) -> Pace<'_> {
        Pace { schema: &self.schema, tick, tick_hz: self.tick_hz }
    }

    /// A decoder that knows the tables and nothing else.
    fn forgetful(&self) -> Self {
        Self { tables: self.tables.clone(), tick_hz: self.tick_hz, ..Self::new(Arc::clone(&self.schema)) }
    }

    fn keep(&mut self, parsed: Parsed, restarted: bool) -> Snapshot {
        let tick = parsed.header.tick.0;
        self.newest = self.newest.max(tick);
        let mut snapshot = Snapshot { header: parsed.header, restarted, ..Snapshot::default() };
        for (id, leave) in parsed.left {
            let place = self.entities.place_or_new(id);
            let known = self.entities.at_mut(place);
            let (was_there, had_left) = (known.current().is_some(), known.left_at());
            known.leave(tick);
            if known.left_at() != had_left {
                self.left.push_back((tick, id));
            }
            if was_there && known.current().is_none() {
                match leave {
                    Leave::Gone => snapshot.gone.push(NetId(id)),
                    Leave::Hidden => snapshot.hidden.push(NetId(id)),
                }
            }
        }
        if parsed.header.tables != 0 {
            self.lists.retain(|(of, _)| *of != tick);
            let at = self.lists.partition_point(|(of, _)| *of < tick);
            self.lists.insert(at, (tick, parsed.rows.iter().map(|read| read.id).collect()));
            while self.lists.front().is_some_and(|(of, _)| of.saturating_add(BASELINE_TICKS_MAX) < self.newest) {
                self.lists.pop_front();
            }
        }
        snapshot.changed.reserve(parsed.rows.len());
        for ReadRow { id, place, row } in parsed.rows {
            let place = place.unwrap_or_else(|| self.entities.place_or_new(id));
            if self.entities.store(place, (tick, row), self.newest) {
                snapshot.changed.push(NetId(id));
            }
        }
        self.forget();
        snapshot
    }

    fn forget(&mut self) {
        while let Some((tick, id)) =
            self.left.front().copied().filter(|(tick, _)| tick.saturating_add(KEPT_TICKS) < self.newest)
        {
            self.left.pop_front();
            // One that has come back stays.
            if self.entities.get(id).is_some_and(|known| known.left_at() == Some(tick) && known.current().is_none()) {
                self.entities.remove(id);
            }
        }
    }
}
