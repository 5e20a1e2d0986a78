//! Bit-packed reading and writing, least significant bit first, for inputs and snapshots.

use thiserror::Error;

/// The input ended before the wanted bits.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the bits end too early")]
pub struct OutOfBits;

/// Appends bits to a byte buffer, least significant bit first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitWriter {
    bytes: Vec<u8>,
    // Bits not yet in `bytes`; fewer than 64 between calls.
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that reuses `bytes`, cleared.
    pub fn reuse(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self::behind(bytes)
    }

    /// A writer that goes on behind `bytes`.
    pub fn behind(bytes: Vec<u8>) -> Self {
        Self { bytes, pending: 0, pending_bits: 0 }
    }

    /// Writes the low `count` bits of `value`, at most 32.
    #[inline]
    pub fn bits(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32);
        self.long(u64::from(value), count);
    }

    /// Writes the low `count` bits of `value`, at most 64.
    #[inline]
    pub fn long(&mut self, value: u64, count: u32) {
        debug_assert!(count <= 64 && value.checked_shr(count).unwrap_or(0) == 0);
        self.pending |= value << self.pending_bits;
        let filled = self.pending_bits + count;
        if filled >= u64::BITS {
            self.bytes.extend_from_slice(&self.pending.to_le_bytes());
            self.pending = value.checked_shr(u64::BITS - self.pending_bits).unwrap_or(0);
        }
        self.pending_bits = filled % u64::BITS;
    }

    /// Writes one bit.
    #[inline]
    pub fn bit(&mut self, value: bool) {
        self.bits(u32::from(value), 1);
    }

    /// Writes an unsigned number of unknown size: short when the number is small.
    ///
    /// Layout: 6 bits hold the bit length `n` of `value`, then the `n - 1` bits below its leading one.
    pub fn uint(&mut self, value: u32) {
        let length = 32 - value.leading_zeros();
        self.bits(length, 6);
        if length > 1 {
            let rest = length - 1;
            self.bits(value & ((1_u64 << rest) - 1) as u32, rest);
        }
    }

    /// Appends `count` bits that start at bit `start` of `bytes`. Panics when they are not all there.
    pub fn copy(&mut self, bytes: &[u8], start: usize, count: usize) {
        assert!(start + count <= bytes.len() * 8, "range outside of the buffer");
        let mut reader = BitReader { bytes, position: start };
        let mut left = count;
        while left > 0 {
            let step = left.min(BitReader::LONG_BITS as usize);
            self.long(reader.peek_long() & ((1 << step) - 1), step as u32);
            reader.position += step;
            left -= step;
        }
    }

    /// Number of bits written.
    pub fn len_bits(&self) -> usize {
        self.bytes.len() * 8 + self.pending_bits as usize
    }

    /// The bytes, the last one filled up with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        let bytes = self.pending_bits.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote. Never panics on hostile bytes.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// Bits that [`peek_long`](Self::peek_long) sees at least.
    pub const LONG_BITS: u32 = u64::BITS - 7;

    /// A reader at the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Reads `count` bits, at most 32.
    #[inline]
    pub fn bits(&mut self, count: u32) -> Result<u32, OutOfBits> {
        let value = self.peek(count);
        self.skip(count)?;
        Ok(value)
    }

    /// Passes over `count` bits; over none when there are fewer.
    #[inline]
    pub fn skip(&mut self, count: u32) -> Result<(), OutOfBits> {
        let end = self.position + count as usize;
        if end > self.bytes.len() * 8 {
            return Err(OutOfBits);
        }
        self.position = end;
        Ok(())
    }

    /// The next `count` bits, at most 32, without reading them; zeros where the input ends.
    #[inline]
    pub fn peek(&self, count: u32) -> u32 {
        debug_assert!(count <= 32);
        (self.peek_long() & ((1 << count) - 1)) as u32
    }

    /// The next [`LONG_BITS`](Self::LONG_BITS) bits, and perhaps some behind them, without reading them; zeros where the input ends.
    #[inline]
    pub fn peek_long(&self) -> u64 {
        let rest = self.bytes.get(self.position / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => last_word(rest),
        };
        word >> (self.position % 8)
    }

    /// Reads one bit.
    #[inline]
    pub fn bit(&mut self) -> Result<bool, OutOfBits> {
        Ok(self.bits(1)? == 1)
    }

    /// Reads what [`BitWriter::uint`] wrote.
    pub fn uint(&mut self) -> Result<u32, OutOfBits> {
        match self.bits(6)? {
            0 => Ok(0),
            1 => Ok(1),
            length @ 2..=32 => Ok(1 << (length - 1) | self.bits(length - 1)?),
            _ => Err(OutOfBits),
        }
    }

    /// Index of the next bit.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Number of bits left, padding included.
    pub fn left(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }
}

/// The last bytes of an input, fewer than eight.
#[cold]
fn last_word(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
