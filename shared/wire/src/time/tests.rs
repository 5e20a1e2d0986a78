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
