//! How single integers of rows and ids are written. Everything that is sent goes through one of these tables.

use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};

/// Classes beside the last one, whose numbers are written in 32 plain bits.
const CLASSES: usize = 5;
/// The bits that stand for the last class.
const LAST: u64 = (1 << CLASSES) - 1;

/// A prefix code: class *c* is *c* one-bits and a zero-bit, then `extra[c]` plain bits; the last class is all ones
/// and 32 plain bits. A writer takes the first class that holds the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeTable {
    first: [u32; CLASSES],
    extra: [u32; CLASSES],
}

/// Gaps between ascending ids, and ages of inputs.
pub(crate) const GAP: CodeTable = CodeTable::new([0, 2, 5, 9, 16]);
/// Entities of a list that are there again, up to one that is not.
pub(crate) const RUN: CodeTable = CodeTable::new([0, 2, 4, 7, 16]);
/// Differences to a baseline.
pub(crate) const RESIDUAL: CodeTable = CodeTable::new([0, 4, 7, 10, 14]);
/// Values without a baseline.
pub(crate) const ABSOLUTE: CodeTable = CodeTable::new([0, 4, 8, 13, 18]);

impl CodeTable {
    const fn new(extra: [u32; CLASSES]) -> Self {
        let mut first = [0; CLASSES];
        let mut class = 1;
        while class < CLASSES {
            first[class] = first[class - 1] + (1 << extra[class - 1]);
            class += 1;
        }
        Self { first, extra }
    }

    /// Writes an unsigned number.
    pub(crate) fn write(&self, writer: &mut BitWriter, number: u32) {
        match self.class_of(number) {
            Some(class) => {
                let (prefix, above) = ((1 << class) - 1, class as u32 + 1);
                writer.long(prefix | u64::from(number - self.first[class]) << above, above + self.extra[class]);
            }
            None => writer.long(LAST | u64::from(number) << CLASSES, CLASSES as u32 + 32),
        }
    }

    /// Reads an unsigned number.
    pub(crate) fn read(&self, reader: &mut BitReader<'_>) -> Result<u32, OutOfBits> {
        let word = reader.peek_long();
        let class = word.trailing_ones() as usize;
        let Some(extra) = self.extra.get(class).copied() else {
            reader.skip(CLASSES as u32 + 32)?;
            return Ok((word >> CLASSES) as u32);
        };
        let above = class as u32 + 1;
        reader.skip(above + extra)?;
        Ok(self.first[class] + (word >> above & ((1 << extra) - 1)) as u32)
    }

    /// Bits that [`write`](Self::write) needs; more for a greater number.
    pub(crate) fn cost(&self, number: u32) -> usize {
        self.class_of(number).map_or(CLASSES + 32, |class| class + 1 + self.extra[class] as usize)
    }

    fn class_of(&self, number: u32) -> Option<usize> {
        (0..CLASSES).find(|class| number < self.first[*class] + (1 << self.extra[*class]))
    }
}

/// Folds a signed number: 0, −1, 1, −2 become 0, 1, 2, 3.
pub(crate) const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Unfolds what [`zigzag`] folded.
pub(crate) const fn unzigzag(folded: u32) -> i32 {
    (folded >> 1) as i32 ^ -((folded & 1) as i32)
}

#[cfg(test)]
mod tests;
