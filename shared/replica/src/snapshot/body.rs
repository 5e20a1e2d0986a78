//! The row of one entity as bits, absolute or against a baseline, and the ids between.

use amphi_shared_wire::limits::{FIELDS_MAX, KEYFRAME_TICKS};
use amphi_shared_wire::{BitReader, BitWriter, Tick};

use super::SnapshotError;
use super::history::Rows;
use crate::code_table::{ABSOLUTE, GAP, RESIDUAL, unzigzag, zigzag};
use crate::coding::{Past, read_component, write_component};
use crate::reckon::reckoned_ticks;
use crate::{ComponentSchema, Mirror, Row, Schema, Tables};

/// Width of a body's `age`.
pub(super) const AGE_BITS: u32 = 4;
/// Width of a section's number of baselines.
pub(super) const DEPTH_BITS: u32 = 2;

/// For bodies whose parts nobody measures.
pub(super) fn unmeasured(_: Option<usize>, _: usize) {}

/// Writes the components `mask` of a slot: the mask and the values. `ended` hears where each component ends, and first where
/// what is before them does, bits.
pub(super) fn write_absolute(
    writer: &mut BitWriter,
    mirror: &Mirror,
    (slot, mask): (u32, u64),
    mut ended: impl FnMut(Option<usize>, usize),
) {
    let schema = mirror.schema();
    for i in 0..schema.components().len() {
        writer.bit(mask >> i & 1 == 1);
    }
    write_since(writer, mirror, (slot, mask));
    ended(None, writer.len_bits());
    for (i, _) in schema.in_mask(mask) {
        for value in mirror.component_row(slot, i) {
            ABSOLUTE.write(writer, zigzag(*value));
        }
        ended(Some(i), writer.len_bits());
    }
}

/// Writes how the components `mask` of a slot differ from its row in `base`, which has them all. `ended`: as for
/// [`write_absolute`].
pub(super) fn write_residual(
    writer: &mut BitWriter,
    mirror: &Mirror,
    (slot, mask): (u32, u64),
    base: &Rows,
    mut ended: impl FnMut(Option<usize>, usize),
) {
    write_since(writer, mirror, (slot, mask));
    ended(None, writer.len_bits());
    let mut buffer = [0; FIELDS_MAX];
    for (i, component) in mirror.schema().in_mask(mask) {
        let (row, old) = (mirror.component_row(slot, i), expected(mirror, slot, (i, component), base, &mut buffer));
        writer.bit(row != old);
        if row != old {
            for (value, old) in row.iter().zip(old) {
                RESIDUAL.write(writer, zigzag(value.wrapping_sub(*old)));
            }
        }
        ended(Some(i), writer.len_bits());
    }
}

/// Says since when what is reckoned goes by itself.
fn write_since(writer: &mut BitWriter, mirror: &Mirror, (slot, mask): (u32, u64)) {
    if mask & mirror.schema().reckoned() != 0 {
        GAP.write(writer, mirror.tick().0 - mirror.since(slot, mask).0);
    }
}

fn read_since(reader: &mut BitReader<'_>, pace: &Pace<'_>, mask: u64) -> Result<Tick, SnapshotError> {
    if mask & pace.schema.reckoned() == 0 {
        return Ok(Tick(0));
    }
    pace.tick.0.checked_sub(GAP.read(reader)?).map(Tick).ok_or(SnapshotError::Baseline)
}

/// What a reader of `base` expects a component to be if nothing has happened to it.
pub(crate) fn expected<'a>(
    mirror: &Mirror,
    slot: u32,
    (i, component): (usize, &ComponentSchema),
    base: &'a Rows,
    buffer: &'a mut [i32; FIELDS_MAX],
) -> &'a [i32] {
    let old = base.component_row(slot, i);
    let Some(reckoning) = &component.reckon else { return old };
    let row = &mut buffer[..old.len()];
    row.copy_from_slice(old);
    let to = mirror.since(slot, 1 << i);
    reckoning.go_on(row, reckoned_ticks(base.since(slot), to.0), mirror.tick_hz());
    row
}

/// What a reader must know of the snapshot beside its bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace<'a> {
    pub(super) schema: &'a Schema,
    pub(super) tick: Tick,
    pub(super) tick_hz: u32,
}

/// Reads what [`write_absolute`] wrote.
pub(super) fn read_absolute(reader: &mut BitReader<'_>, pace: &Pace<'_>) -> Result<Row, SnapshotError> {
    let schema = pace.schema;
    let mut mask = 0;
    for i in 0..schema.components().len() {
        mask |= u64::from(reader.bit()?) << i;
    }
    let since = read_since(reader, pace, mask)?;
    let mut values = Vec::with_capacity(schema.width(mask));
    for _ in 0..schema.width(mask) {
        values.push(unzigzag(ABSOLUTE.read(reader)?));
    }
    Ok(Row { mask, values, since })
}

/// Reads what [`write_residual`] wrote.
pub(super) fn read_residual(reader: &mut BitReader<'_>, pace: &Pace<'_>, base: &Row) -> Result<Row, SnapshotError> {
    let mut row = base.clone();
    let since = read_since(reader, pace, base.mask)?;
    row.go_on(pace.schema, since, pace.tick_hz);
    let mut values = row.values.iter_mut();
    for (_, component) in pace.schema.in_mask(base.mask) {
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
/// `ended`: as for [`write_absolute`].
pub(super) fn write_modelled(
    writer: &mut BitWriter,
    tables: &Tables,
    mirror: &Mirror,
    (slot, mask): (u32, u64),
    past: &[&Rows],
    mut ended: impl FnMut(Option<usize>, usize),
) {
    let schema = mirror.schema();
    write_since(writer, mirror, (slot, mask));
    let mut buffer = [0; FIELDS_MAX];
    let rows = |i: usize| core::array::from_fn(|n| past.get(n).map_or(&[][..], |rows| rows.component_row(slot, i)));
    let changed = || {
        differing(schema, mask, |i| {
            let component = (i, &schema.components()[i]);
            mirror.component_row(slot, i) != expected(mirror, slot, component, past[0], &mut buffer)
        })
    };
    let moving = || if past.len() > 1 { differing(schema, mask, |i| rows(i)[0] != rows(i)[1]) } else { 0 };
    let coded = code_changed(schema, mask, moving, changed, |bit| {
        writer.bit(bit);
        Ok(bit)
    });
    ended(None, writer.len_bits());
    let age = mirror.tick().0 - past[0].tick();
    for (i, component) in schema.in_mask(coded.unwrap_or(mask)) {
        let past = if component.reckon.is_some() {
            Past::reckoned(expected(mirror, slot, (i, component), past[0], &mut buffer), age)
        } else {
            Past { rows: rows(i), depth: past.len(), age, step: KEYFRAME_TICKS }
        };
        write_component(tables, writer, i, &past, mirror.component_row(slot, i));
        ended(Some(i), writer.len_bits());
    }
}

/// Reads what [`write_modelled`] wrote `age` ticks after the newest of its baselines, into a row that is not needed any more.
pub(super) fn read_modelled(
    reader: &mut BitReader<'_>,
    pace: &Pace<'_>,
    tables: &Tables,
    (past, age): (&[&Row], u32),
    mut row: Row,
) -> Result<Row, SnapshotError> {
    let schema = pace.schema;
    row.clone_from(past[0]);
    let mask = row.mask;
    if past.iter().any(|past| past.mask != mask) {
        return Err(SnapshotError::Baseline);
    }
    let since = read_since(reader, pace, mask)?;
    row.go_on(schema, since, pace.tick_hz);
    let mut buffer = [0; FIELDS_MAX];
    let moving = || match past {
        [newest, before, ..] => differing(schema, mask, |i| newest.component(schema, i) != before.component(schema, i)),
        _ => 0,
    };
    let coded = code_changed(schema, mask, moving, || 0, |_| Ok(reader.bit()?))?;
    let mut start = 0;
    for (i, component) in schema.in_mask(mask) {
        let fields = start..start + component.fields.len();
        start = fields.end;
        if coded >> i & 1 == 1 {
            let past = if component.reckon.is_some() {
                let expected = &mut buffer[..fields.len()];
                expected.copy_from_slice(&row.values[fields.clone()]);
                Past::reckoned(expected, age)
            } else {
                let rows = core::array::from_fn(|n| past.get(n).map_or(&[][..], |row| &row.values[fields.clone()]));
                Past { rows, depth: past.len(), age, step: KEYFRAME_TICKS }
            };
            read_component(tables, reader, i, &past, &mut row.values[fields])?;
        }
    }
    Ok(row)
}

/// Components of a mask with a property, as a mask.
fn differing(schema: &Schema, mask: u64, mut differs: impl FnMut(usize) -> bool) -> u64 {
    schema.in_mask(mask).filter(|(i, _)| differs(*i)).fold(0, |all, (i, _)| all | 1 << i)
}

/// Says which components are coded, in as few bits as it takes: `changed`, most often those that were `moving`. A reader
/// passes any `changed`. Components without fields are never coded.
fn code_changed(
    schema: &Schema,
    mask: u64,
    moving: impl FnOnce() -> u64,
    changed: impl FnOnce() -> u64,
    mut bit: impl FnMut(bool) -> Result<bool, SnapshotError>,
) -> Result<u64, SnapshotError> {
    let sent = mask & schema.with_fields();
    if sent.count_ones() < 2 {
        return Ok(sent);
    }
    let (moving, changed) = (moving(), changed());
    if moving != 0 && bit(changed == moving)? {
        return Ok(moving);
    }
    let mut coded = 0;
    for (i, _) in schema.in_mask(sent) {
        coded |= u64::from(bit(changed >> i & 1 == 1)?) << i;
    }
    Ok(coded)
}
