//! Snapshots as a client reads them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use amphi_shared_wire::limits::{BASELINE_TICKS_MAX, ENTITIES_MAX, KEYFRAME_TICKS};
use amphi_shared_wire::{BitReader, OutOfBits, Tick};
use thiserror::Error;

use super::SnapshotHeader;
use super::body::{AGE_BITS, Ids, read_absolute, read_residual};
use crate::{NetId, Row, Schema};

/// Rows are kept as baselines this many ticks before the newest snapshot.
const KEPT_TICKS: u32 = 2 * BASELINE_TICKS_MAX;

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
    /// Entities that left.
    pub gone: Vec<NetId>,
    /// Entities whose newest row it carries.
    pub changed: Vec<NetId>,
}

/// Reads snapshots and keeps the rows they build on.
#[derive(Clone, Debug)]
pub struct SnapshotDecoder {
    schema: Arc<Schema>,
    epoch: Option<u8>,
    newest: u32,
    entities: BTreeMap<u32, Known>,
    // Ticks and ids of entities that left, oldest first.
    left: VecDeque<(u32, u32)>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    // Oldest first, at most one per span of keyframe ticks.
    rows: VecDeque<(u32, Row)>,
    gone_at: Option<u32>,
}

struct Parsed {
    header: SnapshotHeader,
    gone: Vec<u32>,
    rows: Vec<(u32, Row)>,
}

impl SnapshotDecoder {
    /// A decoder that knows no entity.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self { schema, epoch: None, newest: 0, entities: BTreeMap::new(), left: VecDeque::new() }
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
            Self::new(Arc::clone(&self.schema)).parse(&mut reader, header)?
        } else {
            self.parse(&mut reader, header)?
        };
        if restarted {
            *self = Self::new(Arc::clone(&self.schema));
        }
        self.epoch = Some(header.epoch);
        Ok(self.keep(parsed, restarted))
    }

    /// The newest row of an entity, and its tick.
    pub fn row(&self, id: NetId) -> Option<(Tick, &Row)> {
        self.entities.get(&id.0)?.current()
    }

    /// Entities that are there, by ascending id, with their newest rows and the ticks of those.
    pub fn entities(&self) -> impl Iterator<Item = (NetId, Tick, &Row)> {
        self.entities.iter().filter_map(|(id, known)| known.current().map(|(tick, row)| (NetId(*id), tick, row)))
    }

    /// The newest tick received.
    pub fn tick(&self) -> Tick {
        Tick(self.newest)
    }

    /// What the rows mean.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn parse(&self, reader: &mut BitReader<'_>, header: SnapshotHeader) -> Result<Parsed, SnapshotError> {
        let mut gone = Vec::new();
        let mut ids = Ids::default();
        while let Some(id) = ids.read(reader)? {
            gone.push(id);
        }
        let mut rows = Vec::new();
        let mut ids = Ids::default();
        while let Some(id) = ids.read(reader)? {
            rows.push((id, self.read_body(reader, header.tick, id)?));
        }
        if self.entities.len() + rows.len() + gone.len() > 2 * ENTITIES_MAX {
            return Err(SnapshotError::Id);
        }
        Ok(Parsed { header, gone, rows })
    }

    fn read_body(&self, reader: &mut BitReader<'_>, tick: Tick, id: u32) -> Result<Row, SnapshotError> {
        if reader.bit()? {
            return read_absolute(reader, &self.schema);
        }
        let back = tick.0 % KEYFRAME_TICKS + KEYFRAME_TICKS * reader.bits(AGE_BITS)?;
        let keyframe = tick.0.checked_sub(back).ok_or(SnapshotError::Baseline)?;
        let base = self.entities.get(&id).and_then(|known| known.at(keyframe)).ok_or(SnapshotError::Baseline)?;
        read_residual(reader, &self.schema, base)
    }

    fn keep(&mut self, parsed: Parsed, restarted: bool) -> Snapshot {
        let tick = parsed.header.tick.0;
        self.newest = self.newest.max(tick);
        let mut snapshot = Snapshot { header: parsed.header, restarted, ..Snapshot::default() };
        for id in parsed.gone {
            let known = self.entities.entry(id).or_default();
            let (was_there, had_left) = (known.current().is_some(), known.gone_at);
            known.leave(tick);
            if known.gone_at != had_left {
                self.left.push_back((tick, id));
            }
            if was_there && known.current().is_none() {
                snapshot.gone.push(NetId(id));
            }
        }
        for (id, row) in parsed.rows {
            if self.entities.entry(id).or_default().store(tick, row, self.newest) {
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
            if self.entities.get(&id).is_some_and(|known| known.gone_at == Some(tick)) {
                self.entities.remove(&id);
            }
        }
    }
}

impl Known {
    fn current(&self) -> Option<(Tick, &Row)> {
        let (tick, row) = self.rows.back()?;
        self.gone_at.is_none_or(|gone| gone < *tick).then_some((Tick(*tick), row))
    }

    /// The newest row that is not after `tick`.
    fn at(&self, tick: u32) -> Option<&Row> {
        self.rows.iter().rev().find(|(of, _)| *of <= tick).map(|(_, row)| row)
    }

    /// Marks it as gone, also before its first row: that one may still be on its way. The server repeats itself until
    /// it hears an ack; only the first time counts.
    fn leave(&mut self, tick: u32) {
        let newest = self.rows.back().map_or(0, |(newest, _)| *newest);
        let gone = self.gone_at.is_some_and(|gone| gone >= newest);
        if newest <= tick && !gone {
            self.gone_at = Some(tick);
        }
    }

    /// Keeps a row; true when it is the newest one.
    fn store(&mut self, tick: u32, row: Row, newest: u32) -> bool {
        let span = |tick: u32| tick.div_ceil(KEYFRAME_TICKS);
        let at = self.rows.partition_point(|(of, _)| *of <= tick);
        let is_newest = at == self.rows.len() && self.gone_at.is_none_or(|gone| gone < tick);
        let newer_in_span = self.rows.get(at).is_some_and(|(of, _)| span(*of) == span(tick));
        if newer_in_span {
            return false;
        }
        if at > 0 && span(self.rows[at - 1].0) == span(tick) {
            self.rows[at - 1] = (tick, row);
        } else {
            self.rows.insert(at, (tick, row));
        }
        while self.rows.get(1).is_some_and(|(of, _)| of.saturating_add(KEPT_TICKS) < newest) {
            self.rows.pop_front();
        }
        is_newest
    }
}
