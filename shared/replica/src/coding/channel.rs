//! Where coded numbers go to or come from. One walk over a component serves writing, reading and training, so the three
//! cannot disagree.

use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};

use super::estimate::{Clues, Weights, bucket};
use super::prefix::{ESCAPE, LITERALS, SYMBOLS};
use super::tables::{Bucket, Shape};
use crate::code_table::{unzigzag, zigzag};

/// What is known of an error before it is coded.
pub(super) struct Spot<'a> {
    pub(super) shape: usize,
    /// The number's field, or a rotation's first one.
    pub(super) field: usize,
    pub(super) weights: &'a Weights,
    pub(super) clues: Clues,
}

impl Spot<'_> {
    #[inline(always)]
    fn bucket<'a>(&self, shapes: &'a [Shape]) -> &'a Bucket {
        &shapes[self.shape].buckets[bucket(self.weights, &self.clues)]
    }
}

/// A direction of coding. Each call takes the number that is written, and returns the one that stands in the bits;
/// a reader ignores what it is given.
pub(super) trait Channel {
    /// An error, or `None` for the escape.
    fn error(&mut self, spot: &Spot<'_>, error: Option<i32>) -> Result<Option<i32>, OutOfBits>;

    /// Plain bits.
    fn bits(&mut self, value: u32, count: u32) -> Result<u32, OutOfBits>;
}

/// Writes.
pub(super) struct Writing<'a> {
    pub(super) shapes: &'a [Shape],
    pub(super) writer: &'a mut BitWriter,
}

impl Channel for Writing<'_> {
    #[inline(always)]
    fn error(&mut self, spot: &Spot<'_>, error: Option<i32>) -> Result<Option<i32>, OutOfBits> {
        let bucket = spot.bucket(self.shapes);
        match error {
            Some(error) => {
                let split = Split::of(zigzag(error), bucket.shift);
                let (word, length) = bucket.code.word(split.symbol);
                // No number has more than 32 bits below its word.
                let plain = u64::from(split.rest) | u64::from(split.low) << split.rest_bits;
                self.writer.long(u64::from(word) | plain << length, length + split.rest_bits + bucket.shift);
            }
            None => bucket.code.write(self.writer, ESCAPE),
        }
        Ok(error)
    }

    fn bits(&mut self, value: u32, count: u32) -> Result<u32, OutOfBits> {
        self.writer.bits(value, count);
        Ok(value)
    }
}

/// Reads.
pub(super) struct Reading<'a, 'b> {
    pub(super) shapes: &'a [Shape],
    pub(super) reader: &'a mut BitReader<'b>,
}

impl Channel for Reading<'_, '_> {
    #[inline(always)]
    fn error(&mut self, spot: &Spot<'_>, _: Option<i32>) -> Result<Option<i32>, OutOfBits> {
        let bucket = spot.bucket(self.shapes);
        let word = self.reader.peek_long();
        let (symbol, length) = bucket.code.symbol(word);
        if symbol == ESCAPE {
            self.reader.skip(length)?;
            return Ok(None);
        }
        let (first, rest_bits) = CLASS_OF[symbol];
        let plain_bits = rest_bits + bucket.shift;
        self.reader.skip(length + plain_bits)?;
        // Too large only in bits that no writer made.
        if plain_bits > u32::BITS {
            return Err(OutOfBits);
        }
        let plain = word >> length;
        let high = u64::from(first) + (plain & ((1 << rest_bits) - 1));
        let folded = high << bucket.shift | plain >> rest_bits & ((1 << bucket.shift) - 1);
        Ok(Some(unzigzag(u32::try_from(folded).map_err(|_| OutOfBits)?)))
    }

    fn bits(&mut self, _: u32, count: u32) -> Result<u32, OutOfBits> {
        self.reader.bits(count)
    }
}

// Tables, because whether a number is a literal is hard to predict for a processor.

/// [`Split::class`] by symbol.
static CLASS_OF: [(u32, u32); SYMBOLS] = {
    let mut classes = [(0, 0); SYMBOLS];
    let mut symbol = 0;
    while symbol < ESCAPE {
        classes[symbol] = Split::class(symbol);
        symbol += 1;
    }
    classes
};

/// [`Split::symbol`] by number.
static SYMBOL_OF: [(u8, u8); 128] = {
    let mut symbols = [(0, 0); 128];
    let mut number = 0;
    while number < symbols.len() {
        let (symbol, rest_bits) = Split::symbol(number as u32);
        symbols[number] = (symbol as u8, rest_bits as u8);
        number += 1;
    }
    symbols
};

/// A folded number as a symbol, the bits that tell it from the others of its class, and its lowest bits.
pub(super) struct Split {
    pub(super) symbol: usize,
    pub(super) rest: u32,
    pub(super) rest_bits: u32,
    pub(super) low: u32,
}

impl Split {
    pub(super) fn of(folded: u32, shift: u32) -> Self {
        let (high, low) = (folded >> shift, folded & ((1 << shift) - 1));
        let (symbol, rest_bits) = match SYMBOL_OF.get(high as usize) {
            Some((symbol, rest_bits)) => (usize::from(*symbol), u32::from(*rest_bits)),
            None => Self::symbol(high),
        };
        let rest = high.wrapping_sub(LITERALS as u32 - 4) & ((1 << rest_bits) - 1);
        Self { symbol, rest, rest_bits, low }
    }

    /// The symbol of a number, and how many bits tell the numbers of its class apart.
    const fn symbol(number: u32) -> (usize, u32) {
        if number < LITERALS as u32 {
            return (number as usize, 0);
        }
        // 12 … 15, 16 … 23, 24 … 39, and so on: classes of 4, 8, 16, … numbers.
        let rest_bits = (number - LITERALS as u32 + 4).ilog2();
        (LITERALS + rest_bits as usize - 2, rest_bits)
    }

    /// First number of a symbol, and how many bits tell its numbers apart.
    pub(super) const fn class(symbol: usize) -> (u32, u32) {
        if symbol < LITERALS {
            return (symbol as u32, 0);
        }
        let rest_bits = (symbol - LITERALS) as u32 + 2;
        ((1 << rest_bits) + LITERALS as u32 - 4, rest_bits)
    }
}
