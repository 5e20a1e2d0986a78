//! How large a prediction's error will be, from what both sides know: a linear model of logarithms.

/// Codes of one shape, from the smallest expected error to the largest; half an octave each.
pub(super) const BUCKETS: usize = 32;
/// Clues of an estimate.
pub(super) const CLUES: usize = 9;

/// What an error's size depends on, each as [`log8`].
pub(super) type Clues = [i32; CLUES];

/// Weights of the clues, 1/64 each, and a constant behind them.
pub(super) type Weights = [i16; CLUES + 1];

/// Which code an error is written in.
#[inline(always)]
pub(super) fn bucket(weights: &Weights, clues: &Clues) -> usize {
    let sum: i32 = weights.iter().zip(clues).map(|(weight, clue)| i32::from(*weight) * clue).sum();
    // 1/512 octave; the middle of a bucket is a whole number of half octaves.
    let expected = sum + 8 * i32::from(weights[CLUES]) + 128;
    (expected >> 8).clamp(0, BUCKETS as i32 - 1) as usize
}

/// `8 · log2(1 + magnitude)`, rounded by a table of eighths.
pub(super) fn log8(magnitude: u32) -> i32 {
    const EIGHTHS: [i32; 8] = [0, 1, 3, 4, 5, 6, 6, 7];
    let number = magnitude.saturating_add(1);
    let octave = number.ilog2();
    // The three bits below the leading one.
    let eighth = number << (31 - octave) >> 28 & 7;
    8 * octave as i32 + EIGHTHS[eighth as usize]
}
