//! Arithmetic that derived [`Replicate`](crate::Replicate) code calls: between numbers and their steps.

/// The number of whole `unit`s nearest to `value`; the nearest bound when it does not fit, 0 for NaN.
pub fn quantise(value: f32, unit: f64) -> i32 {
    (f64::from(value) / unit).round() as i32
}

/// The value of a number of whole `unit`s.
pub fn restore(steps: i32, unit: f64) -> f32 {
    restore_between(f64::from(steps), unit)
}

/// The value of a number of `unit`s, which need not be whole.
pub fn restore_between(steps: f64, unit: f64) -> f32 {
    (steps * unit) as f32
}

/// The whole number nearest to this one, a half away from 0.
pub fn whole(steps: f64) -> i64 {
    steps.round() as i64
}
