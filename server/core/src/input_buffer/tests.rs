//! Early, late, repeated and overtaken inputs.

use super::*;

const CLOCK: TickClock = TickClock { tick0: Micros(1_000_000), tick_hz: 50 };

fn at(tick: u32) -> Micros {
    CLOCK.start_of(Tick(tick))
}

fn arrive(buffer: &mut InputBuffer, now: Micros, current: u32, tick: u32) -> Arrival {
    buffer.arrive((now, CLOCK), Tick(current), Tick(tick), vec![tick as u8])
}

#[test]
fn an_input_waits_for_its_tick_and_is_applied_once() {
    let mut buffer = InputBuffer::default();
    assert_eq!(arrive(&mut buffer, at(9), 8, 10), Arrival::Kept);
    assert_eq!(arrive(&mut buffer, at(9), 8, 10), Arrival::Repeated);
    assert_eq!(buffer.take(Tick(9)), None);
    assert_eq!(buffer.take(Tick(10)), Some(vec![10]));
    assert_eq!(buffer.take(Tick(10)), None);
    assert_eq!(buffer.applied(), Some(Tick(10)));
    assert_eq!(arrive(&mut buffer, at(11), 10, 10), Arrival::Repeated);
}

#[test]
fn margins_are_quarters_of_a_tick_and_the_least_counts() {
    let mut buffer = InputBuffer::default();
    arrive(&mut buffer, at(8), 7, 10);
    arrive(&mut buffer, at(10) + Micros(5_000), 9, 11);
    assert_eq!(buffer.take_margin(), Some(3));
    assert_eq!(buffer.take_margin(), None);
    assert_eq!(arrive(&mut buffer, at(20), 20, 19), Arrival::Late);
    assert_eq!((buffer.take_margin(), buffer.late()), (Some(-4), 1));
}

#[test]
fn an_overtaken_input_still_counts() {
    let mut buffer = InputBuffer::default();
    arrive(&mut buffer, at(5), 4, 8);
    assert_eq!(arrive(&mut buffer, at(5), 4, 7), Arrival::Kept);
    assert_eq!(buffer.take(Tick(7)), Some(vec![7]));
}

#[test]
fn what_lies_too_far_ahead_is_dropped_and_nothing_grows() {
    let mut buffer = InputBuffer::default();
    assert_eq!(arrive(&mut buffer, at(1), 0, INPUT_LEAD_TICKS_MAX + 1), Arrival::Early);
    assert_eq!(arrive(&mut buffer, at(1), 0, u32::MAX), Arrival::Early);
    for tick in 1..=INPUT_LEAD_TICKS_MAX {
        arrive(&mut buffer, at(0), 0, tick);
    }
    assert_eq!(buffer.waiting.len(), INPUT_LEAD_TICKS_MAX as usize);
    buffer.take(Tick(60));
    assert_eq!(buffer.waiting.len(), 4);
}
