//! The rows a component is predicted from.

use amphi_shared_wire::limits::{FIELDS_MAX, KEYFRAME_TICKS};

use super::estimate::{Clues, log8};

/// Baselines a row is predicted from at most.
pub(crate) const DEPTH_MAX: usize = 3;
/// Differences beyond this predict nothing; it keeps products below 2⁵³.
const DIFFERENCE_MAX: i32 = 1 << 20;

/// One component in the last one to three baselines, the newest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past<'a> {
    /// As many as are known; all of the component's width.
    pub(crate) rows: [&'a [i32]; DEPTH_MAX],
    /// How many of `rows` count: 1 to [`DEPTH_MAX`].
    pub(crate) depth: usize,
    /// Ticks from the newest baseline to the row: 1 to 255.
    pub(crate) age: u32,
    /// Ticks between baselines: 1 to 255.
    pub(crate) step: u32,
}

impl<'a> Past<'a> {
    /// The past of what is reckoned: it has gone on to `expected`, and more is not known.
    pub(crate) fn reckoned(expected: &'a [i32], age: u32) -> Self {
        Self { rows: [expected; DEPTH_MAX], depth: 1, age, step: KEYFRAME_TICKS }
    }

    /// First difference of a field.
    pub(super) fn first(&self, field: usize) -> i32 {
        if self.depth < 2 {
            return 0;
        }
        bounded(self.rows[0][field].wrapping_sub(self.rows[1][field]))
    }

    /// Second difference of a field.
    pub(super) fn second(&self, field: usize) -> i32 {
        if self.depth < 3 {
            return 0;
        }
        let before = self.rows[1][field].wrapping_sub(self.rows[2][field]);
        bounded(self.rows[0][field].wrapping_sub(self.rows[1][field]).wrapping_sub(before))
    }

    /// A field of the newest row, as a number to compute with.
    pub(super) fn bounded(&self, field: usize) -> i32 {
        bounded(self.rows[0][field])
    }
}

/// The whole part of a fraction, rounded down; `divisor` is positive, and as a rule a power of two.
pub(super) fn floored(number: i64, divisor: i64) -> i64 {
    if divisor & (divisor - 1) == 0 { number >> divisor.trailing_zeros() } else { number.div_euclid(divisor) }
}

fn bounded(difference: i32) -> i32 {
    difference.clamp(-DIFFERENCE_MAX, DIFFERENCE_MAX)
}

/// The errors of a kind of fields so far: their sum, and its logarithm.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    sum: u32,
    log: i32,
}

impl Errors {
    fn add(&mut self, error: i32) {
        self.sum = self.sum.saturating_add(error.unsigned_abs());
        self.log = log8(self.sum);
    }
}

/// What is known of a component's motion before it is coded, and of the errors while it is.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    pub(super) first: [i32; FIELDS_MAX],
    pub(super) second: [i32; FIELDS_MAX],
    numbers: [i32; 2],
    turns: [i32; 2],
    age: i32,
    number_errors: Errors,
    turn_errors: Errors,
}

impl Motion {
    /// The motion of the number fields; rotations are added by [`Self::turned`].
    #[inline(always)]
    pub(super) fn new(past: &Past<'_>, numbers: impl Iterator<Item = usize>) -> Self {
        let (mut first, mut second) = ([0; FIELDS_MAX], [0; FIELDS_MAX]);
        let mut sums = [0_u32; 2];
        for field in numbers {
            first[field] = past.first(field);
            second[field] = past.second(field);
            sums[0] += first[field].unsigned_abs();
            sums[1] += second[field].unsigned_abs();
        }
        let (numbers, age) = (sums.map(log8), log8(past.age));
        Self {
            first,
            second,
            numbers,
            turns: [0; 2],
            age,
            number_errors: Errors::default(),
            turn_errors: Errors::default(),
        }
    }

    /// Notes how fast the component turns, and how much that changes.
    pub(super) fn turned(&mut self, speed: u32, change: u32) {
        self.turns = [log8(speed), log8(change)];
    }

    pub(super) fn number_error(&mut self, error: i32) {
        self.number_errors.add(error);
    }

    pub(super) fn turn_error(&mut self, error: i32) {
        self.turn_errors.add(error);
    }

    /// The clues for a field's error; `first` and `second` are its own differences.
    pub(super) fn clues(&self, first: i32, second: i32) -> Clues {
        [
            log8(first.unsigned_abs()),
            log8(second.unsigned_abs()),
            self.numbers[0],
            self.numbers[1],
            self.turns[0],
            self.turns[1],
            self.number_errors.log,
            self.turn_errors.log,
            self.age,
        ]
    }
}
