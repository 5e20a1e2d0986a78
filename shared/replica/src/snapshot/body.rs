//! The row of one entity as bits, absolute or against a baseline, and the ids between.

use amphi_shared_wire::limits::KEYFRAME_TICKS;
use amphi_shared_wire::{BitReader, BitWriter};

use super::SnapshotError;
use super::history::Rows;
use crate::code_table::{ABSOLUTE, RESIDUAL, unzigzag, zigzag};
use crate::coding::{Past, read_component, write_component};
use crate::{Mirror, Row, Schema, Tables};

/// Width of a body's `age`.
pub(super) const AGE_BITS: u32 = 4;
/// Width of a section's number of baselines.
pub(super) const DEPTH_BITS: u32 = 2;

/// Writes the components `mask` of a slot: the mask and the values.
pub(super) fn write_absolute(writer: &mut BitWriter, mirror: &Mirror, (slot, mask): (u32, u64)) {
    let schema = mirror.schema();
    for i in 0..schema.components().len() {
        writer.bit(mask >> i & 1 == 1);
    }
    for (i, _) in schema.in_mask(mask) {
        for value in mirror.component_row(slot, i) {
            ABSOLUTE.write(writer, zigzag(*value));
        }
    }
}

/// Writes how the components `mask` of a slot differ from its row in `base`, which has them all.
pub(super) fn write_residual(writer: &mut BitWriter, mirror: &Mirror, (slot, mask): (u32, u64), base: &Rows) {
    for (i, _) in mirror.schema().in_mask(mask) {
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

/// Writes the components `mask` of a slot against its rows in one to three baselines, newest first, which have them all.
pub(super) fn write_modelled(
    writer: &mut BitWriter,
    tables: &Tables,
    mirror: &Mirror,
    (slot, mask): (u32, u64),
    past: &[&Rows],
) {
    let schema = mirror.schema();
    let rows = |i: usize| core::array::from_fn(|n| past.get(n).map_or(&[][..], |rows| rows.component_row(slot, i)));
    let changed = differing(schema, mask, |i| mirror.component_row(slot, i) != rows(i)[0]);
    let moving = if past.len() > 1 { differing(schema, mask, |i| rows(i)[0] != rows(i)[1]) } else { 0 };
    let coded = code_changed(schema, mask, moving, changed, |bit| {
        writer.bit(bit);
        Ok(bit)
    });
    let age = mirror.tick().0 - past[0].tick();
    for (i, _) in schema.in_mask(coded.unwrap_or(mask)) {
        let past = Past { rows: rows(i), depth: past.len(), age, step: KEYFRAME_TICKS };
        write_component(tables, writer, i, &past, mirror.component_row(slot, i));
    }
}

/// Reads what [`write_modelled`] wrote `age` ticks after the newest of its baselines.
pub(super) fn read_modelled(
    reader: &mut BitReader<'_>,
    schema: &Schema,
    tables: &Tables,
    past: &[&Row],
    age: u32,
) -> Result<Row, SnapshotError> {
    let mut row = past[0].clone();
    let mask = row.mask;
    if past.iter().any(|past| past.mask != mask) {
        return Err(SnapshotError::Baseline);
    }
    let moving = match past {
        [newest, before, ..] => differing(schema, mask, |i| newest.component(schema, i) != before.component(schema, i)),
        _ => 0,
    };
    let coded = code_changed(schema, mask, moving, 0, |_| Ok(reader.bit()?))?;
    let mut start = 0;
    for (i, component) in schema.in_mask(mask) {
        let fields = start..start + component.fields.len();
        start = fields.end;
        if coded >> i & 1 == 1 {
            let rows = core::array::from_fn(|n| past.get(n).map_or(&[][..], |row| &row.values[fields.clone()]));
            let past = Past { rows, depth: past.len(), age, step: KEYFRAME_TICKS };
            read_component(tables, reader, i, &past, &mut row.values[fields])?;
        }
    }
    Ok(row)
}

/// Components of a mask with a property, as a mask.
fn differing(schema: &Schema, mask: u64, differs: impl Fn(usize) -> bool) -> u64 {
    schema.in_mask(mask).filter(|(i, _)| differs(*i)).fold(0, |all, (i, _)| all | 1 << i)
}

/// Says which components are coded, in as few bits as it takes: `changed`, most often those that were `moving`. A reader
/// passes any `changed`. Components without fields are never coded.
fn code_changed(
    schema: &Schema,
    mask: u64,
    moving: u64,
    changed: u64,
    mut bit: impl FnMut(bool) -> Result<bool, SnapshotError>,
) -> Result<u64, SnapshotError> {
    let sent = schema.in_mask(mask).filter(|(_, c)| !c.fields.is_empty());
    if sent.clone().count() < 2 {
        return Ok(sent.fold(0, |all, (i, _)| all | 1 << i));
    }
    if moving != 0 && bit(changed == moving)? {
        return Ok(moving);
    }
    let mut coded = 0;
    for (i, _) in sent {
        coded |= u64::from(bit(changed >> i & 1 == 1)?) << i;
    }
    Ok(coded)
}
