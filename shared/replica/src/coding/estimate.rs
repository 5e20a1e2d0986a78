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
    // As a double, the number has its logarithm's whole part and first three bits in front.
    let front = (f64::from(magnitude.saturating_add(1)).to_bits() >> 49) as i32 - (1_023 << 3);
    front + (0b0011_1100 >> (front & 7) & 1)
}
