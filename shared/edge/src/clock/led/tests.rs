use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

#[test]
fn readers_see_whole_slews() {
    let (led, done) = (Led::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Slew { at, offset_us, target_us } = led.slew();
                    assert_eq!((at.0 as i64, offset_us), (target_us, target_us));
                }
            });
        }
        for i in 1..20_000_i64 {
            led.answer(|_| Slew { at: Micros(i as u64), offset_us: i, target_us: i });
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(led.slew().target_us, 19_999);
}

#[test]
fn only_a_clock_that_follows_has_an_unknown_error() {
    let led = Led::default();
    assert_eq!(led.error_us(Micros(1)), Some(0));
    led.begin();
    assert_eq!(led.error_us(Micros(1)), None);
    led.answer(|reference| reference.answer(1, 10, Micros(0), (Micros(50), Micros(50)), Micros(100)));
    // Half the round trip, the reference's own error, and nothing left to slew.
    assert_eq!(led.error_us(Micros(100)), Some(60));
}
