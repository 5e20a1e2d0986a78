//! Arithmetic that derived [`Replicate`](crate::Replicate) code calls: quantising and blending single numbers.

/// The number of whole `unit`s nearest to `value`; the nearest bound when it does not fit, 0 for NaN.
pub fn quantise(value: f32, unit: f64) -> i32 {
    (f64::from(value) / unit).round() as i32
}

/// The value of a number of whole `unit`s.
pub fn restore(steps: i32, unit: f64) -> f32 {
    (f64::from(steps) * unit) as f32
}

/// The integer nearest to the point at `t` between `a` and `b`.
pub fn linear(a: i64, b: i64, t: f32) -> i64 {
    a + ((b - a) as f64 * f64::from(t)).round() as i64
}

/// The angle at `t` on the shorter way from `a` to `b`, where a full turn is 2^`bits`; not reduced to one turn.
pub fn turn(a: i64, b: i64, bits: u32, t: f32) -> i64 {
    let full = 1_i64 << bits;
    let way = (b - a + full / 2).rem_euclid(full) - full / 2;
    a + (way as f64 * f64::from(t)).round() as i64
}

/// The angle at `t` on the shorter way from `a` to `b`, in radians.
pub fn angle(a: f32, b: f32, t: f32) -> f32 {
    let full = core::f32::consts::TAU;
    let way = (b - a + full / 2.0).rem_euclid(full) - full / 2.0;
    a + way * t
}

/// The rotation at `t` between `a` and `b` (x, y, z, w): normalised straight line on the shorter way, with the
/// length of `a`.
pub fn quaternion(a: [f32; 4], b: [f32; 4], t: f32) -> [f32; 4] {
    let dot: f32 = (0..4).map(|i| a[i] * b[i]).sum();
    let sign = if dot < 0.0 { -1.0 } else { 1.0 };
    let mixed: [f32; 4] = core::array::from_fn(|i| a[i] + (b[i] * sign - a[i]) * t);
    let length = |q: [f32; 4]| q.iter().map(|v| v * v).sum::<f32>().sqrt();
    let (wanted, got) = (length(a), length(mixed));
    if got > 0.0 { mixed.map(|v| v * wanted / got) } else { a }
}
