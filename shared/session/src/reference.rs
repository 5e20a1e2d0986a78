//! One time for all nodes: how a node's clock is led to that of a reference.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::CLOCK_SLEW_PPM;

use crate::Clock;

/// An offset that changes slowly: times that it is added to never step and never go back.
///
/// It moves towards `target_us` by [`CLOCK_SLEW_PPM`] at most, and then stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slew {
    /// Local time from which on it moves.
    pub at: Micros,
    /// The offset then, µs.
    pub offset_us: i64,
    /// Where it goes, µs.
    pub target_us: i64,
}

impl Slew {
    /// The offset at local time `now`, µs.
    pub fn offset_us(&self, now: Micros) -> i64 {
        let most = now.since(self.at).0 as u128 * u128::from(CLOCK_SLEW_PPM) / 1_000_000;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let missing = self.target_us.saturating_sub(self.offset_us);
        self.offset_us.saturating_add(missing.clamp(-most, most))
    }

    /// Goes to another target from where it is at `now`.
    pub fn towards(&self, now: Micros, target_us: i64) -> Self {
        Self { at: now, offset_us: self.offset_us(now), target_us }
    }
}

/// A node's estimate of the reference clock, from answers with four timestamps. All times of this node are its own,
/// without the offset.
#[derive(Clone, Debug)]
pub struct ReferenceClock {
    clock: Clock,
    drift_ppm: u32,
    slew: Slew,
    /// How far the reference itself may be off, µs.
    reference_error_us: u64,
}

impl ReferenceClock {
    /// No offset until there is an answer. `drift_ppm` bounds the difference of two clocks' speeds.
    pub fn new(drift_ppm: u32) -> Self {
        Self { clock: Clock::default(), drift_ppm, slew: Slew::default(), reference_error_us: 0 }
    }

    /// Takes an answer of the reference `id`: our send, its receive and send, our receive. Another id starts the
    /// estimate over, not the offset. `error_us` is what the reference says of its own error. Says how the offset goes
    /// on from here.
    pub fn answer(&mut self, id: u64, error_us: u64, sent: Micros, peer: (Micros, Micros), now: Micros) -> Slew {
        self.clock.follow(id);
        self.clock.answer(sent, peer, now, self.drift_ppm);
        self.reference_error_us = error_us;
        if self.clock.is_set() {
            self.slew = self.slew.towards(now, self.clock.offset_us(now));
        }
        self.slew
    }

    /// How far this node's time, offset included, may be from the reference's at `now`, µs; `None` before the first
    /// answer.
    pub fn error_us(&self, now: Micros) -> Option<u64> {
        let missing = self.clock.offset_us(now).abs_diff(self.slew.offset_us(now));
        Some(self.clock.error_us(now)?.saturating_add(missing).saturating_add(self.reference_error_us))
    }

    /// What is added to this node's time at `now`, µs.
    pub fn offset_us(&self, now: Micros) -> i64 {
        self.slew.offset_us(now)
    }
}

#[cfg(test)]
mod tests;
