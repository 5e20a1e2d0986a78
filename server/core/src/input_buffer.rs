//! Inputs of one seat that wait for their tick, and how early they came.

use std::collections::BTreeMap;

use amphi_shared_wire::limits::INPUT_LEAD_TICKS_MAX;
use amphi_shared_wire::{Micros, Tick, TickClock};

/// Inputs of one seat.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputBuffer {
    /// By tick; all of them lie ahead, at most [`INPUT_LEAD_TICKS_MAX`] ticks.
    waiting: BTreeMap<u32, Vec<u8>>,
    /// Newest tick an input was seen for.
    newest: Option<u32>,
    /// Newest tick whose input was applied.
    applied: Option<Tick>,
    /// Least arrival margin since it was last taken, in quarters of a tick.
    margin: Option<i8>,
    /// Ticks whose input came too late, modulo 256.
    late: u8,
}

/// What became of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It waits for its tick.
    Kept,
    /// It was there already: clients repeat what is not acknowledged.
    Repeated,
    /// Its tick is over.
    Late,
    /// Its tick lies too far ahead.
    Early,
}

impl InputBuffer {
    /// An input has arrived while `current` is the last simulated tick.
    pub(crate) fn arrive(
        &mut self,
        (now, clock): (Micros, TickClock),
        current: Tick,
        tick: Tick,
        bytes: Vec<u8>,
    ) -> Arrival {
        if self.newest.is_some_and(|newest| tick.0 <= newest) {
            // A datagram that overtook this one does not make it late.
            if tick > current && !self.waiting.contains_key(&tick.0) {
                self.waiting.insert(tick.0, bytes);
                return Arrival::Kept;
            }
            return Arrival::Repeated;
        }
        if tick > current.plus(INPUT_LEAD_TICKS_MAX) {
            return Arrival::Early;
        }
        self.newest = Some(tick.0);
        let margin = margin(now, clock, tick);
        self.margin = Some(self.margin.map_or(margin, |least| least.min(margin)));
        if tick <= current {
            self.late = self.late.wrapping_add(1);
            return Arrival::Late;
        }
        self.waiting.insert(tick.0, bytes);
        Arrival::Kept
    }

    /// The input for `tick`, which is about to run; what is older is forgotten.
    pub(crate) fn take(&mut self, tick: Tick) -> Option<Vec<u8>> {
        self.waiting = self.waiting.split_off(&tick.0);
        let bytes = self.waiting.remove(&tick.0)?;
        self.applied = Some(tick);
        Some(bytes)
    }

    /// Newest tick whose input was applied.
    pub(crate) fn applied(&self) -> Option<Tick> {
        self.applied
    }

    /// Least arrival margin since the last call, in quarters of a tick.
    pub(crate) fn take_margin(&mut self) -> Option<i8> {
        self.margin.take()
    }

    /// Ticks whose input came too late, modulo 256.
    pub(crate) fn late(&self) -> u8 {
        self.late
    }
}

/// Time from `now` to the start of `tick`, in quarters of a tick, at most 127 either way.
fn margin(now: Micros, clock: TickClock, tick: Tick) -> i8 {
    // Tick t is simulated when the one before it is over.
    let start = clock.start_of(tick).0 as i64;
    let quarters = (start - now.0 as i64) * 4 / clock.period().0 as i64;
    quarters.clamp(-127, 127) as i8
}

#[cfg(test)]
mod tests;
