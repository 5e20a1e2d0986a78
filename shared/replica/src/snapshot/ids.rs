//! Ids of entities as bits: by the gaps between them, or by a list that both sides have.

use amphi_shared_wire::{BitReader, BitWriter};

use super::SnapshotError;
use super::recipient::SentRow;
use crate::code_table::{GAP, RUN};

/// How an entity left a client's world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is no more.
    Gone,
    /// The client is not told of it any more; it may come back.
    Hidden,
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

    /// Writes the next entity that left.
    pub(super) fn write_left(&mut self, writer: &mut BitWriter, id: u32, leave: Leave) {
        self.write(writer, id);
        writer.bit(leave == Leave::Hidden);
    }

    /// Reads the next entity that left; `None` behind the last.
    pub(super) fn read_left(&mut self, reader: &mut BitReader<'_>) -> Result<Option<(u32, Leave)>, SnapshotError> {
        let Some(id) = self.read(reader)? else { return Ok(None) };
        Ok(Some((id, if reader.bit()? { Leave::Hidden } else { Leave::Gone })))
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

/// Writes ascending `ids` by the ascending list `before` of a snapshot that the reader has: runs of ids that are there again up to
/// one that is not, to the end of the list; then those that are new.
pub(super) fn write_by_reference(writer: &mut BitWriter, before: &[SentRow], ids: &[u32]) {
    let (mut left, mut run) = (ids.iter().peekable(), 0);
    for row in before {
        while left.next_if(|id| **id < row.id).is_some() {}
        if left.next_if(|id| **id == row.id).is_some() {
            run += 1;
        } else {
            RUN.write(writer, run);
            run = 0;
        }
    }
    // The last of the list is there again.
    if run > 0 {
        RUN.write(writer, run);
    }
    let (mut left, mut gaps) = (before.iter().peekable(), Ids::default());
    for id in ids.iter().copied() {
        while left.next_if(|row| row.id < id).is_some() {}
        if left.next_if(|row| row.id == id).is_none() {
            gaps.write(writer, id);
        }
    }
    writer.bit(false);
}

/// Reads what [`write_by_reference`] wrote, into `ids`.
pub(super) fn read_by_reference(
    reader: &mut BitReader<'_>,
    before: &[u32],
    ids: &mut Vec<u32>,
) -> Result<(), SnapshotError> {
    let mut at = 0;
    while at < before.len() {
        let run = (RUN.read(reader)? as usize).min(before.len() - at);
        ids.extend_from_slice(&before[at..at + run]);
        at += run + 1;
    }
    let mut gaps = Ids::default();
    while let Some(id) = gaps.read(reader)? {
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(())
}
