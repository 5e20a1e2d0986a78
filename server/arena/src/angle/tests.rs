use super::*;

#[allow(clippy::disallowed_methods, reason = "the platform's sine is only compared with, within a tolerance")]
#[test]
fn the_sine_is_close_to_the_real_one() {
    for angle in 0..=u16::MAX {
        let real = (f64::from(angle) / f64::from(TURN) * std::f64::consts::TAU).sin() * f64::from(ONE);
        assert!((f64::from(sin(angle)) - real).abs() <= 8.0, "{angle}: {} for {real}", sin(angle));
    }
}

#[test]
fn the_corners_are_exact() {
    assert_eq!([0, 16_384, 32_768, 49_152].map(sin), [0, ONE, 0, -ONE]);
    assert_eq!([0, 16_384, 32_768, 49_152].map(cos), [ONE, 0, -ONE, 0]);
}

#[test]
fn a_heading_is_the_inverse_of_sine_and_cosine() {
    for angle in (0..=u16::MAX).step_by(7) {
        let found = heading(cos(angle), -sin(angle));
        assert!((found.wrapping_sub(angle) as i16).abs() < 60, "{angle} gives {found}");
    }
    assert_eq!(heading(0, 0), 0);
}
