//! Ticks and times agree.

use super::*;

#[test]
fn tick_and_time_agree_at_every_border() {
    for tick_hz in [5, 7, 30, 60, 128] {
        let clock = TickClock { tick0: Micros(1_763_000_000_123_457), tick_hz };
        for t in (0..100_000).step_by(37) {
            let start = clock.start_of(Tick(t));
            assert_eq!(clock.at(start), Tick(t), "{tick_hz} Hz");
            if t > 0 {
                assert_eq!(clock.at(start - Micros(1)), Tick(t - 1), "{tick_hz} Hz");
            }
        }
    }
}

#[test]
fn a_clock_that_a_peer_made_up_does_no_harm() {
    for tick0 in [0, 1, u64::MAX - 1, u64::MAX] {
        let clock = TickClock { tick0: Micros(tick0), tick_hz: 60 };
        for now in [0, tick0, u64::MAX] {
            let tick = clock.at(Micros(now));
            assert!(clock.start_of(tick).0 >= tick0);
        }
    }
}
