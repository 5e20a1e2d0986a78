//! Angles as integers, and a sine that every language computes alike.

/// Units of one full turn.
pub const TURN: i32 = 65_536;
/// Units of a quarter turn.
pub const QUARTER: i32 = TURN / 4;
/// What [`sin`] and [`cos`] return for 1.0.
pub const ONE: i32 = 16_384;

// sin(π/2 · z) ≈ z · (A − z² · (B − z² · C)), 0 ≤ z ≤ 1, in 1/16384. A − B + C is exactly one.
const A: i32 = 25_736;
const B: i32 = 10_512;
const C: i32 = 1_160;

/// Sine of `angle` (65,536 units per turn) in 1/16,384, within 8 units of the real one.
///
/// All intermediate values fit into 31 bits, so a port in doubles or in 32-bit integers is exact.
pub fn sin(angle: u16) -> i32 {
    let angle = i32::from(angle);
    let part = angle % QUARTER;
    let quadrant = angle / QUARTER;
    let z = if quadrant % 2 == 0 { part } else { QUARTER - part };
    let z2 = (z * z) >> 14;
    let inner = B - ((z2 * C) >> 14);
    let outer = A - ((z2 * inner) >> 14);
    let value = (z * outer) >> 14;
    if quadrant < 2 { value } else { -value }
}

/// Cosine of `angle`, see [`sin`].
pub fn cos(angle: u16) -> i32 {
    sin(angle.wrapping_add(QUARTER as u16))
}

/// The angle of the direction (`x`, `z`) on the ground: 0 is +x, a quarter turn is −z. For bots.
///
/// Within 0.3° of the real one; 0 for the zero vector.
pub fn heading(x: i32, z: i32) -> u16 {
    let (a, b) = (i64::from(x.unsigned_abs()), i64::from(z.unsigned_abs()));
    let (low, high) = (a.min(b), a.max(b));
    if high == 0 {
        return 0;
    }
    // atan(r) ≈ r · (π/4 + 0.273 · (1 − r)), 0 ≤ r ≤ 1, with r in 1/16384 and the result in turn units.
    let r = low * i64::from(ONE) / high;
    let octant = (r * (8_192 + ((2_847 * (i64::from(ONE) - r)) >> 14))) >> 14;
    let first = if a >= b { octant } else { i64::from(QUARTER) - octant };
    let half = if x >= 0 { first } else { 2 * i64::from(QUARTER) - first };
    if z <= 0 { half as u16 } else { (half as u16).wrapping_neg() }
}

#[cfg(test)]
mod tests;
