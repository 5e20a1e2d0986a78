//! Inputs of one seat: which are waiting, which came late, and by how much they make it.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::limits::INPUT_LEAD_TICKS_MAX;
use amphi_shared_wire::{Micros, Tick, TickClock};

/// Ticks played without an input whose late arrival is still counted.
const MISSED_MAX: usize = 64;
/// After this many ticks without an input a seat stands still.
const DECAY_TICKS: u32 = 30;

/// What to play in a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Played {
    /// The input of this tick.
    Input(Vec<u8>),
    /// None came: the last one decays.
    Decayed,
    /// None came for long: nothing.
    Nothing,
}

/// What became of an arriving input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Fresh,
    /// It came before, or its tick is long over.
    Known,
    Late,
    Ahead,
}

/// The inputs of one seated person.
#[derive(Debug, Default)]
pub(crate) struct SeatInputs {
    // What commands brought: the same in a replay.
    waiting: BTreeMap<u32, Vec<u8>>,
    missing: u32,
    // What only a live room knows.
    announced: BTreeMap<u32, ()>,
    missed: VecDeque<u32>,
    applied: Option<Tick>,
    margin: Option<i8>,
    late: u8,
}

impl SeatInputs {
    /// Sorts an arriving input for `tick` when `now_tick` was the last one played, and measures its margin.
    pub(crate) fn arrive(&mut self, now: Micros, clock: TickClock, now_tick: Tick, tick: Tick) -> Arrival {
        if tick.0 > now_tick.0.saturating_add(INPUT_LEAD_TICKS_MAX) {
            return Arrival::Ahead;
        }
        if tick <= now_tick {
            let Some(at) = self.missed.iter().position(|missed| *missed == tick.0) else { return Arrival::Known };
            self.missed.remove(at);
            self.late = self.late.wrapping_add(1);
            self.measure(now, clock, tick);
            return Arrival::Late;
        }
        if self.announced.insert(tick.0, ()).is_some() {
            return Arrival::Known;
        }
        self.measure(now, clock, tick);
        Arrival::Fresh
    }

    /// An input that a command brought.
    pub(crate) fn put(&mut self, now_tick: Tick, tick: Tick, bytes: Vec<u8>) {
        if tick > now_tick && tick.0 <= now_tick.0.saturating_add(INPUT_LEAD_TICKS_MAX + 1) {
            self.waiting.insert(tick.0, bytes);
        }
    }

    /// What to play in `tick`.
    pub(crate) fn play(&mut self, tick: Tick) -> Played {
        self.announced = self.announced.split_off(&(tick.0 + 1));
        let later = self.waiting.split_off(&(tick.0 + 1));
        let due = std::mem::replace(&mut self.waiting, later).remove(&tick.0);
        match due {
            Some(bytes) => {
                self.missing = 0;
                self.applied = Some(tick);
                Played::Input(bytes)
            }
            None => {
                self.missing = self.missing.saturating_add(1);
                if self.missed.len() == MISSED_MAX {
                    self.missed.pop_front();
                }
                self.missed.push_back(tick.0);
                if self.missing <= DECAY_TICKS { Played::Decayed } else { Played::Nothing }
            }
        }
    }

    /// Newest tick whose input was played.
    pub(crate) fn applied(&self) -> Option<Tick> {
        self.applied
    }

    /// Least margin since [`margin_told`](Self::margin_told), quarters of a tick.
    pub(crate) fn margin(&self) -> Option<i8> {
        self.margin
    }

    pub(crate) fn margin_told(&mut self) {
        self.margin = None;
    }

    /// Late inputs, modulo 256.
    pub(crate) fn late(&self) -> u8 {
        self.late
    }

    fn measure(&mut self, now: Micros, clock: TickClock, tick: Tick) {
        let (start, quarter) = (clock.start_of(tick).0 as i128, i128::from(clock.period().0) / 4);
        let margin = (start - i128::from(now.0)).div_euclid(quarter.max(1)).clamp(-127, 127) as i8;
        self.margin = Some(self.margin.map_or(margin, |least| least.min(margin)));
    }
}

#[cfg(test)]
mod tests;
