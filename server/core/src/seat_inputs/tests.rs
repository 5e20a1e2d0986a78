use super::*;

const CLOCK: TickClock = TickClock { tick0: Micros(1_000_000), tick_hz: 50 };

fn at(tick: u32, early_us: u64) -> Micros {
    CLOCK.start_of(Tick(tick)) - Micros(early_us)
}

#[test]
fn the_margin_is_the_least_one_in_quarters_of_a_tick() {
    let mut inputs = SeatInputs::default();
    assert_eq!(inputs.arrive(at(10, 12_000), CLOCK, Tick(8), Tick(10)), Arrival::Fresh);
    assert_eq!(inputs.margin(), Some(2));
    assert_eq!(inputs.arrive(at(11, 4_900), CLOCK, Tick(8), Tick(11)), Arrival::Fresh);
    assert_eq!(inputs.arrive(at(12, 9_000), CLOCK, Tick(8), Tick(12)), Arrival::Fresh);
    assert_eq!(inputs.margin(), Some(0));
    inputs.margin_told();
    assert_eq!(inputs.arrive(at(11, 1), CLOCK, Tick(8), Tick(11)), Arrival::Known);
    assert_eq!(inputs.margin(), None);
}

#[test]
fn a_late_input_counts_once_and_has_a_negative_margin() {
    let mut inputs = SeatInputs::default();
    assert_eq!(inputs.play(Tick(1)), Played::Decayed);
    let late = CLOCK.start_of(Tick(1)) + Micros(11_000);
    assert_eq!(inputs.arrive(late, CLOCK, Tick(1), Tick(1)), Arrival::Late);
    assert_eq!(inputs.arrive(late, CLOCK, Tick(1), Tick(1)), Arrival::Known);
    assert_eq!((inputs.margin(), inputs.late()), (Some(-3), 1));
}

#[test]
fn inputs_are_played_in_their_tick_and_decay_without() {
    let mut inputs = SeatInputs::default();
    for tick in [2, 3, 300] {
        inputs.put(Tick(0), Tick(tick), vec![tick as u8]);
    }
    assert_eq!(inputs.play(Tick(1)), Played::Decayed);
    assert_eq!(inputs.play(Tick(2)), Played::Input(vec![2]));
    assert_eq!(inputs.play(Tick(3)), Played::Input(vec![3]));
    assert_eq!(inputs.applied(), Some(Tick(3)));
    assert!((4..34).all(|tick| inputs.play(Tick(tick)) == Played::Decayed));
    assert_eq!(inputs.play(Tick(34)), Played::Nothing);
    // Too far ahead to be kept.
    assert_eq!(inputs.play(Tick(300)), Played::Nothing);
}

#[test]
fn what_waits_is_bounded() {
    let mut inputs = SeatInputs::default();
    let fresh = (0..10_000).filter(|t| inputs.arrive(Micros(0), CLOCK, Tick(5), Tick(*t)) == Arrival::Fresh);
    assert_eq!(fresh.count(), INPUT_LEAD_TICKS_MAX as usize);
    assert_eq!(inputs.arrive(Micros(0), CLOCK, Tick(5), Tick(u32::MAX)), Arrival::Ahead);
}
