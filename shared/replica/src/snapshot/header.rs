//! What a snapshot says before its rows.

use amphi_shared_wire::{BitReader, BitWriter, Tick};

use super::SnapshotError;
use crate::code_table::GAP;

/// `margin` on the wire when nothing was measured.
const NO_MARGIN: i8 = i8::MIN;

/// The header of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The tick whose state this is.
    pub tick: Tick,
    /// Table set of the rows, 0 to 15.
    pub tables: u8,
    /// Counts, modulo 16, how often the server forgot what the client knows.
    pub epoch: u8,
    /// Newest tick whose input was applied for this seat.
    pub applied: Option<Tick>,
    /// Least arrival margin of inputs since the last snapshot, in quarters of a tick, −127 to 127; negative is late.
    pub margin: Option<i8>,
    /// Inputs of this seat that came too late, modulo 256.
    pub late: u8,
}

impl SnapshotHeader {
    pub(super) fn write(&self, writer: &mut BitWriter) {
        writer.bits(self.tick.0, 32);
        writer.bits(u32::from(self.tables & 15), 4);
        writer.bits(u32::from(self.epoch & 15), 4);
        let age = self.applied.and_then(|applied| self.tick.0.checked_sub(applied.0));
        writer.bit(age.is_some());
        if let Some(age) = age {
            GAP.write(writer, age);
        }
        let margin = self.margin.map_or(NO_MARGIN, |margin| margin.max(-127));
        writer.bits(u32::from(margin as u8), 8);
        writer.bits(u32::from(self.late), 8);
    }

    pub(super) fn read(reader: &mut BitReader<'_>) -> Result<Self, SnapshotError> {
        let tick = Tick(reader.bits(32)?);
        let tables = reader.bits(4)? as u8;
        let epoch = reader.bits(4)? as u8;
        let applied = if reader.bit()? { Some(tick.minus(GAP.read(reader)?)) } else { None };
        let margin = Some(reader.bits(8)? as u8 as i8).filter(|margin| *margin != NO_MARGIN);
        Ok(Self { tick, tables, epoch, applied, margin, late: reader.bits(8)? as u8 })
    }
}
