//! Rotations in integers: smallest-three quaternions, extrapolated.
//!
//! A rotation is four integers: which part x, y, z, w of the unit quaternion is the largest and taken as positive, and
//! the other three, from 0 for −√½ to `steps` for √½. Computations use quaternions of length [`UNIT`].

use super::past::floored;

/// Length of a quaternion, and 1 in fixed point.
const UNIT: i64 = 1 << UNIT_BITS;
const UNIT_BITS: u32 = 14;
/// √½ · `UNIT` · 2¹⁶.
pub(super) const HALF_ROOT: i64 = 759_250_125;

/// A rotation of length [`UNIT`].
pub(super) type Quaternion = [i64; 4];

/// Half a rotation's angle along its axis; [`UNIT`] is 1 rad.
pub(super) type HalfTurn = [i64; 3];

/// The range of a rotation's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    steps: i64,
    /// 2⁴⁰ / `steps`, rounded up.
    reciprocal: i64,
}

impl Grid {
    /// A range from 0 to `steps`, which is at least 1.
    pub(super) const fn new(steps: u16) -> Self {
        let steps = if steps == 0 { 1 } else { steps as i64 };
        Self { steps, reciprocal: ((1 << 40) + steps - 1) / steps }
    }

    pub(super) const fn steps(self) -> u16 {
        self.steps as u16
    }

    /// A part of a row as a part of a quaternion: (2 · `value` / `steps` − 1) · √½ · `UNIT`, rounded down.
    pub(super) fn unpacked(self, value: i32) -> i64 {
        /// More than √½ · `UNIT`: nothing below is negative, and a product with a reciprocal that is rounded up is exact.
        const ABOVE: i64 = 11_586;
        let centred = 2 * i64::from(value).clamp(0, self.steps) - self.steps;
        let scaled = ((centred * HALF_ROOT) >> 16) + ABOVE * self.steps;
        ((scaled * self.reciprocal) >> 40) - ABOVE
    }
}

/// A rotation that was predicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Predicted(Quaternion);

impl Predicted {
    /// Which part is the largest.
    pub(super) fn largest(&self) -> usize {
        (1..4).fold(0, |most, part| if self.0[part].abs() > self.0[most].abs() { part } else { most })
    }

    /// The other three parts, as they stand in a rotation whose largest part is `largest`.
    pub(super) fn parts(&self, largest: usize, grid: Grid) -> [i32; 3] {
        let steps = grid.steps;
        let sign = if self.0[largest] < 0 { -1 } else { 1 };
        OTHERS[largest & 3].map(|other| {
            let part = self.0[other] * sign;
            // (part / (√½ · UNIT) + 1) / 2 · steps, rounded.
            let scaled = (part * steps * (1 << 16) + HALF_ROOT * (steps + 1)).div_euclid(2 * HALF_ROOT);
            scaled.clamp(0, steps) as i32
        })
    }
}

/// The parts beside the largest one.
const OTHERS: [[usize; 3]; 4] = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]];

/// The quaternion of a rotation. Any integers give some quaternion.
#[inline(always)]
pub(super) fn unpacked(row: &[i32], grid: Grid) -> Quaternion {
    let largest = (row[0] & 3) as usize;
    let mut quaternion = [0; 4];
    let mut squares = 0;
    for (part, value) in OTHERS[largest].into_iter().zip(&row[1..4]) {
        let unpacked = grid.unpacked(*value);
        quaternion[part] = unpacked;
        squares += unpacked * unpacked;
    }
    quaternion[largest] = root(UNIT * UNIT - squares);
    quaternion
}

/// How a rotation turns from one row to a later one.
#[inline(always)]
pub(super) fn turn([x, y, z, w]: &Quaternion, to: &Quaternion) -> HalfTurn {
    logarithm(product(to, &[-x, -y, -z, *w]))
}

/// The rotation `age` ticks after one that turns by `half_turn` in `step` ticks.
#[inline(always)]
pub(super) fn extrapolated(from: &Quaternion, half_turn: HalfTurn, age: u32, step: u32) -> Predicted {
    let scaled = half_turn.map(|part| floored(part * i64::from(age), i64::from(step)));
    Predicted(product(&exponential(scaled), from))
}

fn product([ax, ay, az, aw]: &Quaternion, [bx, by, bz, bw]: &Quaternion) -> Quaternion {
    let parts = [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ];
    parts.map(rounded)
}

/// Arc sine as a series; exact enough up to a right angle in all.
fn logarithm([x, y, z, w]: Quaternion) -> HalfTurn {
    let sign = if w < 0 { -1 } else { 1 };
    let squares = (x * x + y * y + z * z) >> UNIT_BITS;
    let fourth = (squares * squares) >> UNIT_BITS;
    let sixth = (fourth * squares) >> UNIT_BITS;
    let factor = UNIT + squares / 6 + 3 * fourth / 40 + 15 * sixth / 336;
    [x, y, z].map(|part| rounded(part * sign * factor))
}

/// Sine and cosine as series; angles beyond 3 rad stay there.
fn exponential(half_turn: HalfTurn) -> Quaternion {
    let limit = UNIT * 3 / 2;
    let most = half_turn.iter().fold(0, |most, part| most.max(part.abs()));
    let [x, y, z] = if most > limit { half_turn.map(|part| (part * limit).div_euclid(most)) } else { half_turn };
    let squares = (x * x + y * y + z * z) >> UNIT_BITS;
    let fourth = (squares * squares) >> UNIT_BITS;
    let sixth = (fourth * squares) >> UNIT_BITS;
    let sine = UNIT - squares / 6 + fourth / 120 - sixth / 5_040;
    let cosine = UNIT - squares / 2 + fourth / 24 - sixth / 720;
    let [x, y, z] = [x, y, z].map(|part| rounded(part * sine));
    let rest = root(UNIT * UNIT - x * x - y * y - z * z);
    [x, y, z, if cosine < 0 { -rest } else { rest }]
}

/// A product as a number again.
fn rounded(product: i64) -> i64 {
    (product + UNIT / 2) >> UNIT_BITS
}

/// The whole part of a square root; 0 for negative numbers. Below 2⁵² that of a double, which IEEE 754 rounds correctly, is
/// the exact one.
pub(super) fn root(square: i64) -> i64 {
    (square.max(0) as f64).sqrt() as i64
}
