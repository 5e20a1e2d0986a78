//! The row of one entity as bits, absolute or against a baseline, and the ids between.

use amphi_shared_wire::{BitReader, BitWriter};

use super::SnapshotError;
use super::history::Rows;
use crate::code_table::{ABSOLUTE, GAP, RESIDUAL, unzigzag, zigzag};
use crate::{Mirror, Row, Schema};

/// Width of a body's `age`.
pub(super) const AGE_BITS: u32 = 4;

/// Writes mask and values of a slot.
pub(super) fn write_absolute(writer: &mut BitWriter, mirror: &Mirror, slot: u32) {
    let (schema, mask) = (mirror.schema(), mirror.mask(slot));
    for i in 0..schema.components().len() {
        writer.bit(mask >> i & 1 == 1);
    }
    for (i, _) in schema.in_mask(mask) {
        for value in mirror.component_row(slot, i) {
            ABSOLUTE.write(writer, zigzag(*value));
        }
    }
}

/// Writes a slot's differences to its row in `base`, which has the same mask.
pub(super) fn write_residual(writer: &mut BitWriter, mirror: &Mirror, slot: u32, base: &Rows) {
    for (i, _) in mirror.schema().in_mask(mirror.mask(slot)) {
        let (row, old) = (mirror.component_row(slot, i), base.component_row(slot, i));
        writer.bit(row != old);
        if row != old {
            for (value, old) in row.iter().zip(old) {
                RESIDUAL.write(writer, zigzag(value.wrapping_sub(*old)));
            }
        }
    }
}

/// Reads what [`write_absolute`] wrote.
pub(super) fn read_absolute(reader: &mut BitReader<'_>, schema: &Schema) -> Result<Row, SnapshotError> {
    let mut mask = 0;
    for i in 0..schema.components().len() {
        mask |= u64::from(reader.bit()?) << i;
    }
    let mut values = Vec::with_capacity(schema.width(mask));
    for _ in 0..schema.width(mask) {
        values.push(unzigzag(ABSOLUTE.read(reader)?));
    }
    Ok(Row { mask, values })
}

/// Reads what [`write_residual`] wrote.
pub(super) fn read_residual(reader: &mut BitReader<'_>, schema: &Schema, base: &Row) -> Result<Row, SnapshotError> {
    let mut row = base.clone();
    let mut values = row.values.iter_mut();
    for (_, component) in schema.in_mask(base.mask) {
        let changed = reader.bit()?;
        for value in values.by_ref().take(component.fields.len()) {
            if changed {
                *value = value.wrapping_add(unzigzag(RESIDUAL.read(reader)?));
            }
        }
    }
    Ok(row)
}

/// Ascending ids between bit ranges: bit 1 and the gap before each, bit 0 behind the last.
#[derive(Debug, Default)]
pub(super) struct Ids {
    previous: u32,
}

impl Ids {
    /// Writes the next id, greater than the one before.
    pub(super) fn write(&mut self, writer: &mut BitWriter, id: u32) {
        writer.bit(true);
        GAP.write(writer, id - self.previous - 1);
        self.previous = id;
    }

    /// Reads the next id; `None` behind the last.
    pub(super) fn read(&mut self, reader: &mut BitReader<'_>) -> Result<Option<u32>, SnapshotError> {
        if !reader.bit()? {
            return Ok(None);
        }
        let gap = GAP.read(reader)?;
        let id = self.previous.checked_add(1).and_then(|next| next.checked_add(gap)).ok_or(SnapshotError::Id)?;
        self.previous = id;
        Ok(Some(id))
    }

    /// Bits of one id when no gap is greater than `gap_max`.
    pub(super) fn cost_max(gap_max: u32) -> usize {
        1 + GAP.cost(gap_max)
    }
}
