use proptest::prelude::*;

use super::*;

const DRIFT_PPM: u32 = 200;

/// A probe sent at `now` to a clock that is `offset` ahead, with these delays there and back.
fn probe(clock: &mut Clock, now: u64, offset: i64, there: u64, back: u64) {
    let arrives = (now + there).saturating_add_signed(offset);
    let end = Micros(now + there + 50 + back);
    clock.answer(Micros(now), (Micros(arrives), Micros(arrives + 50)), end, DRIFT_PPM);
}

#[test]
fn the_fastest_probe_counts() {
    let mut clock = Clock::default();
    assert_eq!(clock.error_us(Micros(0)), None);
    probe(&mut clock, 1_000_000, 5_000_000, 90_000, 10_000);
    probe(&mut clock, 1_200_000, 5_000_000, 5_000, 5_000);
    probe(&mut clock, 1_400_000, 5_000_000, 10_000, 90_000);
    let now = Micros(1_500_050);
    assert_eq!(clock.offset_us(now), 5_000_000);
    assert_eq!(clock.rtt_us(), Some(10_000));
    assert_eq!(clock.server_time(now), Micros(6_500_050));
    assert_eq!(clock.local_time(now, Micros(6_500_050)), now);
}

#[test]
fn another_clock_starts_over() {
    let mut clock = Clock::default();
    clock.follow(7);
    probe(&mut clock, 0, 77, 10, 10);
    clock.follow(7);
    assert!(clock.is_set());
    clock.follow(8);
    assert!(!clock.is_set() && clock.offset_us(Micros(9)) == 0);
}

#[test]
fn two_asymmetric_probes_bound_each_other() {
    let mut clock = Clock::default();
    probe(&mut clock, 1_000_000, 0, 20_000, 0);
    let alone = clock.error_us(Micros(1_020_050));
    probe(&mut clock, 1_030_000, 0, 0, 20_000);
    let end = Micros(1_050_050);
    assert_eq!(alone, Some(10_000));
    // One says 0 to 20 ms ahead, the other 0 to 20 ms behind.
    assert!(clock.offset_us(end).abs() < 10 && clock.error_us(end).is_some_and(|error| error < 20));
}

#[test]
fn the_speed_of_the_other_clock_is_learned() {
    let (mut clock, skew_ppm) = (Clock::default(), 120);
    for i in 0..20_i64 {
        let jitter = (i * 7 % 5) as u64 * 40;
        probe(&mut clock, 1_000_000_000 + i as u64 * 5_000_000, i * 5 * skew_ppm, 4_000 + jitter, 4_000);
    }
    assert!((clock.skew_ppm() - 120.0).abs() < 5.0, "{}", clock.skew_ppm());
    // 60 s without an answer: 7.2 ms of drift, of which the fit knows nearly all.
    let later = Micros(1_000_000_000 + 95_000_000 + 60_000_000);
    let truth = (95 + 60) * skew_ppm;
    assert!(clock.offset_us(later).abs_diff(truth) < 500, "{} against {truth}", clock.offset_us(later));
}

#[test]
fn a_clock_that_stepped_is_followed() {
    let mut clock = Clock::default();
    (0..5).for_each(|i| probe(&mut clock, 1_000_000 + i * 100_000, 0, 500, 500));
    (0..40).for_each(|i| probe(&mut clock, 2_000_000 + i * 5_000_000, 3_000_000, 500, 500));
    assert!(clock.offset_us(Micros(202_000_000)).abs_diff(3_000_000) < 10);
}

proptest! {
    #[test]
    fn the_error_bound_holds(
        offset in -1_000_000_000_i64..1_000_000_000,
        paths in prop::collection::vec((0_u64..300_000, 0_u64..300_000), 1..60),
        drift_ppm in -200_i64..=200,
        later in 0_u64..600_000_000,
    ) {
        let mut clock = Clock::default();
        let skewed = |at: u64| offset + (at as i64 - 2_000_000_000) * drift_ppm / 1_000_000;
        for (i, (there, back)) in paths.into_iter().enumerate() {
            let now = 2_000_000_000 + i as u64 * 5_000_000;
            probe(&mut clock, now, skewed(now), there, back);
            for end in [now + there + back + 50, now + later] {
                let error = clock.offset_us(Micros(end)).abs_diff(skewed(end));
                // The clocks drift by up to 0.12 ms within one probe as well.
                prop_assert!(error <= clock.error_us(Micros(end)).unwrap() + 130, "{error}");
            }
        }
    }

    #[test]
    fn hostile_times_do_no_harm(times in prop::collection::vec(any::<(u64, u64, u64, u64)>(), 1..50)) {
        let mut clock = Clock::default();
        for (t0, t1, t2, t3) in times {
            clock.answer(Micros(t0), (Micros(t1), Micros(t2)), Micros(t3), DRIFT_PPM);
            let _ = clock.server_time(Micros(t3));
            let _ = clock.local_time(Micros(t0), Micros(t3));
            let _ = clock.error_us(Micros(u64::MAX));
        }
    }
}
