//! The rows of a view: each frame builds on the one before, and a keyframe on nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use amphi_shared_wire::limits::ENTITIES_MAX;
use amphi_shared_wire::{BitReader, BitWriter, Tick};

use super::SnapshotError;
use super::body::{Pace, read_absolute, read_residual, unmeasured, write_absolute, write_residual};
use super::decoder::TICK_HZ;
use super::history::Rows;
use super::ids::{Ids, Leave};
use crate::{Mirror, NetId, Row, Schema};

/// Encodes the rows of a view, once for all who watch.
#[derive(Debug, Default)]
pub struct ViewEncoder {
    before: Rows,
}

impl ViewEncoder {
    /// An encoder whose first frame must be a keyframe.
    pub fn new() -> Self {
        Self::default()
    }

    /// `ViewFrame.rows` of the mirror's tick: what everyone may see.
    pub fn encode(&mut self, mirror: &Mirror, keyframe: bool) -> Vec<u8> {
        if keyframe {
            self.before.clear();
        }
        let mut writer = BitWriter::new();
        self.write_left(&mut writer, mirror);
        let mut ids = Ids::default();
        for slot in mirror.order().iter().copied() {
            let (relation, mask) = mirror.visible(slot, None);
            let id = mirror.id(slot).0;
            if mask == 0 {
                continue;
            }
            if self.before.holds(slot, id, u64::MAX, mask) {
                if mirror.changed_for(slot, relation).0 > self.before.tick() {
                    ids.write(&mut writer, id);
                    writer.bit(false);
                    write_residual(&mut writer, mirror, (slot, mask), &self.before, unmeasured);
                }
            } else {
                ids.write(&mut writer, id);
                writer.bit(true);
                write_absolute(&mut writer, mirror, (slot, mask), unmeasured);
            }
        }
        writer.bit(false);
        self.before.copy_public(mirror);
        writer.finish()
    }

    fn write_left(&self, writer: &mut BitWriter, mirror: &Mirror) {
        let is = |slot: u32, id: u32| mirror.is_live(slot) && mirror.id(slot).0 == id;
        let shown = |slot: u32, id: u32| is(slot, id) && mirror.visible(slot, None).1 != 0;
        let left = self.before.ids().filter(|(id, slot)| !shown(*slot, *id));
        let mut left: Vec<(u32, Leave)> =
            left.map(|(id, slot)| (id, if is(slot, id) { Leave::Hidden } else { Leave::Gone })).collect();
        left.sort_unstable_by_key(|(id, _)| *id);
        let mut ids = Ids::default();
        left.into_iter().for_each(|(id, leave)| ids.write_left(writer, id, leave));
        writer.bit(false);
    }
}

/// Reads the rows of a view.
#[derive(Clone, Debug)]
pub struct ViewDecoder {
    schema: Arc<Schema>,
    tick_hz: u32,
    rows: BTreeMap<u32, Row>,
}

impl ViewDecoder {
    /// A decoder that waits for a keyframe.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self { schema, tick_hz: TICK_HZ, rows: BTreeMap::new() }
    }

    /// Reads the view of a match with another tick rate than 60 per second. Only what is reckoned goes by it.
    #[must_use]
    pub fn with_tick_hz(self, tick_hz: u32) -> Self {
        Self { tick_hz, ..self }
    }

    /// Reads `ViewFrame.rows` of a tick; the frame must build on the one read before, or be a keyframe. Says which rows changed.
    /// After an error only a keyframe helps.
    pub fn decode(&mut self, tick: Tick, rows: &[u8], keyframe: bool) -> Result<Vec<NetId>, SnapshotError> {
        if keyframe {
            self.rows.clear();
        }
        let schema = Arc::clone(&self.schema);
        let pace = Pace { schema: &schema, tick, tick_hz: self.tick_hz };
        let mut reader = BitReader::new(rows);
        let mut ids = Ids::default();
        while let Some((id, _)) = ids.read_left(&mut reader)? {
            self.rows.remove(&id);
        }
        let mut changed = Vec::new();
        let mut ids = Ids::default();
        while let Some(id) = ids.read(&mut reader)? {
            let row = if reader.bit()? {
                read_absolute(&mut reader, &pace)?
            } else {
                let base = self.rows.get(&id).ok_or(SnapshotError::Baseline)?;
                read_residual(&mut reader, &pace, base)?
            };
            self.rows.insert(id, row);
            changed.push(NetId(id));
            if self.rows.len() > ENTITIES_MAX {
                return Err(SnapshotError::Id);
            }
        }
        Ok(changed)
    }

    /// The entities of the frame read last, by ascending id.
    pub fn entities(&self) -> impl Iterator<Item = (NetId, &Row)> {
        self.rows.iter().map(|(id, row)| (NetId(*id), row))
    }
}
