use proptest::prelude::*;

use super::*;

/// A probe sent at `now` to a clock that is `offset` ahead, with these delays there and back.
fn probe(clock: &mut Clock, now: u64, offset: i64, there: u64, back: u64) -> Option<Micros> {
    let arrives = (now + there).saturating_add_signed(offset);
    clock.answer(Micros(now), (Micros(arrives), Micros(arrives + 50)), Micros(now + there + 50 + back))
}

#[test]
fn the_fastest_probe_counts() {
    let mut clock = Clock::new(200);
    assert_eq!(clock.error_us(Micros(0)), None);
    probe(&mut clock, 1_000_000, 5_000_000, 90_000, 10_000);
    probe(&mut clock, 1_200_000, 5_000_000, 5_000, 5_000);
    probe(&mut clock, 1_400_000, 5_000_000, 10_000, 90_000);
    assert_eq!(clock.offset_us(), 5_000_000);
    assert_eq!(clock.rtt_us(), Some(10_000));
    assert_eq!(clock.server_time(Micros(10)), Micros(5_000_010));
    assert_eq!(clock.local_time(Micros(5_000_010)), Micros(10));
}

#[test]
fn another_clock_starts_over() {
    let mut clock = Clock::new(200);
    clock.follow(7);
    probe(&mut clock, 0, 77, 10, 10);
    clock.follow(7);
    assert!(clock.is_set());
    clock.follow(8);
    assert!(!clock.is_set() && clock.offset_us() == 0);
}

proptest! {
    #[test]
    fn the_error_bound_holds(
        offset in -1_000_000_000_i64..1_000_000_000,
        paths in prop::collection::vec((0_u64..300_000, 0_u64..300_000), 1..60),
        drift_ppm in -200_i64..=200,
    ) {
        let mut clock = Clock::new(200);
        for (i, (there, back)) in paths.into_iter().enumerate() {
            let now = 2_000_000_000 + i as u64 * 5_000_000;
            let skewed = offset + (i as i64 * 5_000_000) * drift_ppm / 1_000_000;
            probe(&mut clock, now, skewed, there, back);
            let end = Micros(now + there + back + 50);
            let error = clock.offset_us().abs_diff(skewed);
            // The clocks drift by up to 0.12 ms within one probe as well.
            prop_assert!(error <= clock.error_us(end).unwrap() + 130, "{error}");
        }
    }

    #[test]
    fn hostile_times_do_no_harm(t0: u64, t1: u64, t2: u64, t3: u64) {
        let mut clock = Clock::new(200);
        clock.answer(Micros(t0), (Micros(t1), Micros(t2)), Micros(t3));
        let _ = clock.server_time(Micros(t3));
        let _ = clock.local_time(Micros(t3));
        let _ = clock.error_us(Micros(u64::MAX));
    }
}
