//! Rotations in integers: smallest-three quaternions, extrapolated.
//!
//! A rotation is four integers: which part x, y, z, w of the unit quaternion is the largest and taken as positive, and
//! the other three, from 0 for −√½ to `steps` for √½. Computations use quaternions of length [`UNIT`].

/// Length of a quaternion, and 1 in fixed point.
const UNIT: i64 = 1 << 14;
/// √½ · `UNIT` · 2¹⁶.
const HALF_ROOT: i64 = 759_250_125;

type Quaternion = [i64; 4];

/// Half a rotation's angle along its axis; [`UNIT`] is 1 rad.
pub(super) type HalfTurn = [i64; 3];

/// A rotation that was predicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Predicted(Quaternion);

impl Predicted {
    /// Which part is the largest.
    pub(super) fn largest(&self) -> usize {
        (1..4).fold(0, |most, part| if self.0[part].abs() > self.0[most].abs() { part } else { most })
    }

    /// The other three parts, as they stand in a rotation whose largest part is `largest`.
    pub(super) fn parts(&self, largest: usize, steps: i32) -> [i32; 3] {
        let steps = i64::from(steps);
        let sign = if self.0[largest] < 0 { -1 } else { 1 };
        let mut others = (0..4).filter(|part| *part != largest);
        core::array::from_fn(|_| {
            let part = self.0[others.next().unwrap_or(0)] * sign;
            // (part / (√½ · UNIT) + 1) / 2 · steps, rounded.
            let scaled = (part * steps * (1 << 16) + HALF_ROOT * (steps + 1)).div_euclid(2 * HALF_ROOT);
            scaled.clamp(0, steps) as i32
        })
    }
}

/// The quaternion of a rotation. Any integers give some quaternion.
fn unpacked(row: &[i32], steps: i32) -> Quaternion {
    let steps = i64::from(steps);
    let largest = (row[0] & 3) as usize;
    let mut quaternion = [0; 4];
    let mut squares = 0;
    let others = (0..4).filter(|part| *part != largest);
    for (part, value) in others.zip(&row[1..4]) {
        let centred = 2 * i64::from(*value).clamp(0, steps) - steps;
        quaternion[part] = (centred * HALF_ROOT).div_euclid(steps << 16);
        squares += quaternion[part] * quaternion[part];
    }
    quaternion[largest] = root(UNIT * UNIT - squares);
    quaternion
}

/// How a rotation turns from one row to a later one.
pub(super) fn turn(from: &[i32], to: &[i32], steps: i32) -> HalfTurn {
    let [x, y, z, w] = unpacked(from, steps);
    logarithm(product(&unpacked(to, steps), &[-x, -y, -z, w]))
}

/// The rotation `age` ticks after a row that turns by `half_turn` in `step` ticks.
pub(super) fn extrapolated(row: &[i32], steps: i32, half_turn: HalfTurn, age: u32, step: u32) -> Predicted {
    let scaled = half_turn.map(|part| (part * i64::from(age)).div_euclid(i64::from(step)));
    Predicted(product(&exponential(scaled), &unpacked(row, steps)))
}

fn product([ax, ay, az, aw]: &Quaternion, [bx, by, bz, bw]: &Quaternion) -> Quaternion {
    let parts = [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ];
    parts.map(|part| (part + UNIT / 2).div_euclid(UNIT))
}

/// Arc sine as a series; exact enough up to a right angle in all.
fn logarithm([x, y, z, w]: Quaternion) -> HalfTurn {
    let sign = if w < 0 { -1 } else { 1 };
    let squares = (x * x + y * y + z * z).div_euclid(UNIT);
    let fourth = (squares * squares).div_euclid(UNIT);
    let sixth = (fourth * squares).div_euclid(UNIT);
    let factor = UNIT + squares / 6 + 3 * fourth / 40 + 15 * sixth / 336;
    [x, y, z].map(|part| (part * sign * factor + UNIT / 2).div_euclid(UNIT))
}

/// Sine and cosine as series; angles beyond 3 rad stay there.
fn exponential(half_turn: HalfTurn) -> Quaternion {
    let limit = UNIT * 3 / 2;
    let most = half_turn.iter().fold(0, |most, part| most.max(part.abs()));
    let [x, y, z] = if most > limit { half_turn.map(|part| (part * limit).div_euclid(most)) } else { half_turn };
    let squares = (x * x + y * y + z * z).div_euclid(UNIT);
    let fourth = (squares * squares).div_euclid(UNIT);
    let sixth = (fourth * squares).div_euclid(UNIT);
    let sine = UNIT - squares / 6 + fourth / 120 - sixth / 5_040;
    let cosine = UNIT - squares / 2 + fourth / 24 - sixth / 720;
    let [x, y, z] = [x, y, z].map(|part| (part * sine + UNIT / 2).div_euclid(UNIT));
    let rest = root(UNIT * UNIT - x * x - y * y - z * z);
    [x, y, z, if cosine < 0 { -rest } else { rest }]
}

/// The whole part of a square root; 0 for negative numbers.
fn root(square: i64) -> i64 {
    square.max(0).isqrt()
}
