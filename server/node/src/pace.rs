//! When a room's ticks are due, and what happens when they are late.

use amphi_shared_wire::{Micros, Tick, TickClock};

/// Ticks a late room may make up for at a time. Beyond: the rest is skipped, so lateness never feeds on itself.
const CATCH_UP_TICKS_MAX: u32 = 4;

/// The schedule of one room. Its first step is tick 1; tick numbers are never skipped, only moments are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    clock: TickClock,
    next: Tick,
    skipped: u32,
    overruns: u64,
}

impl Pace {
    pub(crate) fn new(clock: TickClock) -> Self {
        Self { clock, next: Tick(1), skipped: 0, overruns: 0 }
    }

    /// When the next tick is due.
    pub(crate) fn due(&self) -> Micros {
        self.clock.start_of(self.next.plus(self.skipped))
    }

    /// Number of ticks to run now. Counts those that are late by a whole tick or more.
    pub(crate) fn take(&mut self, now: Micros) -> u32 {
        if now < self.due() {
            return 0;
        }
        let behind = self.clock.at(now).0 - (self.next.0 + self.skipped) + 1;
        self.overruns += u64::from(behind - 1);
        let run = behind.min(CATCH_UP_TICKS_MAX);
        self.skipped += behind - run;
        self.next = self.next.plus(run);
        run
    }

    /// The clock that ticks follow from now on: skipped moments have moved it.
    pub(crate) fn clock(&self) -> TickClock {
        TickClock { tick0: self.clock.tick0 + self.delay(), ..self.clock }
    }

    /// How far skipped moments have moved the ticks.
    pub(crate) fn delay(&self) -> Micros {
        self.clock.start_of(Tick(self.skipped)).since(self.clock.tick0)
    }

    /// Ticks that were late by a whole tick or more, made up for or not.
    pub(crate) fn overruns(&self) -> u64 {
        self.overruns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: TickClock = TickClock { tick0: Micros(1_000_000), tick_hz: 10 };

    fn at(tenths: u64) -> Micros {
        Micros(1_000_000 + tenths * 100_000)
    }

    #[test]
    fn ticks_run_when_they_are_due() {
        let mut pace = Pace::new(CLOCK);
        assert_eq!((pace.due(), pace.take(at(0)), pace.take(at(1))), (at(1), 0, 1));
        assert_eq!((pace.due(), pace.take(at(1)), pace.take(at(2) + Micros(99_999))), (at(2), 0, 1));
        assert_eq!(pace.overruns(), 0);
    }

    #[test]
    fn a_late_room_makes_up_for_a_little_and_skips_the_rest() {
        let mut pace = Pace::new(CLOCK);
        assert_eq!((pace.take(at(3)), pace.overruns()), (3, 2));
        assert_eq!((pace.take(at(103)), pace.overruns()), (4, 2 + 99));
        assert_eq!((pace.take(at(103)), pace.due()), (0, at(104)), "no lateness is left");
        assert_eq!((pace.delay(), pace.clock().start_of(Tick(8))), (Micros(9_600_000), at(104)));
        assert_eq!(pace.take(at(104)), 1);
    }
}
