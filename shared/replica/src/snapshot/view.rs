//! The rows of a view: each frame builds on the one before, and a keyframe on nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use amphi_shared_wire::limits::ENTITIES_MAX;
use amphi_shared_wire::{BitReader, BitWriter};

use super::SnapshotError;
use super::body::{read_absolute, read_residual, write_absolute, write_residual};
use super::history::Rows;
use super::ids::Ids;
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

    /// `ViewFrame.rows` of the mirror's tick.
    pub fn encode(&mut self, mirror: &Mirror, keyframe: bool) -> Vec<u8> {
        if keyframe {
            self.before.clear();
        }
        let mut writer = BitWriter::new();
        self.write_gone(&mut writer, mirror);
        let mut ids = Ids::default();
        for slot in mirror.order().iter().copied().filter(|slot| mirror.mask(*slot) != 0) {
            let id = mirror.id(slot).0;
            if self.before.holds(slot, id, mirror.mask(slot)) {
                if mirror.changed(slot).0 > self.before.tick() {
                    ids.write(&mut writer, id);
                    writer.bit(false);
                    write_residual(&mut writer, mirror, slot, &self.before);
                }
            } else {
                ids.write(&mut writer, id);
                writer.bit(true);
                write_absolute(&mut writer, mirror, slot);
            }
        }
        writer.bit(false);
        self.before.copy(mirror);
        writer.finish()
    }

    fn write_gone(&self, writer: &mut BitWriter, mirror: &Mirror) {
        let there = |slot: u32, id: u32| mirror.is_live(slot) && mirror.id(slot).0 == id && mirror.mask(slot) != 0;
        let mut gone: Vec<u32> = self.before.ids().filter(|(id, slot)| !there(*slot, *id)).map(|(id, _)| id).collect();
        gone.sort_unstable();
        let mut ids = Ids::default();
        gone.into_iter().for_each(|id| ids.write(writer, id));
        writer.bit(false);
    }
}

/// Reads the rows of a view.
#[derive(Clone, Debug)]
pub struct ViewDecoder {
    schema: Arc<Schema>,
    rows: BTreeMap<u32, Row>,
}

impl ViewDecoder {
    /// A decoder that waits for a keyframe.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self { schema, rows: BTreeMap::new() }
    }

    /// Reads `ViewFrame.rows`; the frame must build on the one read before, or be a keyframe. Says which rows changed.
    /// After an error only a keyframe helps.
    pub fn decode(&mut self, rows: &[u8], keyframe: bool) -> Result<Vec<NetId>, SnapshotError> {
        if keyframe {
            self.rows.clear();
        }
        let mut reader = BitReader::new(rows);
        let mut ids = Ids::default();
        while let Some(id) = ids.read(&mut reader)? {
            self.rows.remove(&id);
        }
        let mut changed = Vec::new();
        let mut ids = Ids::default();
        while let Some(id) = ids.read(&mut reader)? {
            let row = if reader.bit()? {
                read_absolute(&mut reader, &self.schema)?
            } else {
                let base = self.rows.get(&id).ok_or(SnapshotError::Baseline)?;
                read_residual(&mut reader, &self.schema, base)?
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
