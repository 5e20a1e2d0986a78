//! What a correction moved is shown moving back; the simulated state is never touched.

use amphi_shared_replica::{Lerp, Row, Schema};

/// Share of an offset that is left after a tick.
const KEEP: f32 = 0.85;
/// Offsets beyond this many steps are a teleport and are shown at once.
const OFFSET_MAX: i32 = 1 << 15;

/// Offsets between what is shown and what is simulated, per integer of the own row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Smoothing {
    offsets: Vec<f32>,
    mask: u64,
}

impl Smoothing {
    /// A correction has replaced `before` by `after`, both of the same tick.
    pub(crate) fn corrected(&mut self, schema: &Schema, before: &Row, after: &Row) {
        if before.mask != after.mask {
            self.offsets.clear();
            return;
        }
        if self.mask != after.mask || self.offsets.len() != after.values.len() {
            self.mask = after.mask;
            self.offsets = vec![0.0; after.values.len()];
        }
        let lerps =
            schema.in_mask(after.mask).flat_map(|(_, component)| component.fields.iter().map(|field| field.lerp));
        for (i, lerp) in lerps.enumerate().take(after.values.len()) {
            let moved = before.values[i].wrapping_sub(after.values[i]);
            let small = moved.abs_diff(0) <= OFFSET_MAX as u32;
            match lerp {
                Lerp::Linear if small => self.offsets[i] += moved as f32,
                Lerp::Linear => self.offsets[i] = 0.0,
                Lerp::Step | Lerp::Angle | Lerp::Quaternion | Lerp::SmallestThree => {}
            }
        }
    }

    /// A tick has passed.
    pub(crate) fn tick(&mut self) {
        for offset in &mut self.offsets {
            *offset = if offset.abs() < 0.5 { 0.0 } else { *offset * KEEP };
        }
    }

    /// The row to show.
    pub(crate) fn shown(&self, row: &Row) -> Row {
        let mut shown = row.clone();
        if self.mask == row.mask && self.offsets.len() == row.values.len() {
            for (value, offset) in shown.values.iter_mut().zip(&self.offsets) {
                *value = value.wrapping_add(*offset as i32);
            }
        }
        shown
    }
}
