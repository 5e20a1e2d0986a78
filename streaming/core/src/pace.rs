//! How often one person may do something: GCRA on `Micros`.

use std::collections::BTreeMap;

use amphi_shared_wire::{Micros, UserId};

/// A rate with a burst (GCRA, ITU-T I.371 annex A): `burst` at once, then one per `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Time in which one more is earned.
    pub interval: Micros,
    /// How many may come at once.
    pub burst: u32,
}

impl Pace {
    /// Takes one from the balance behind `due`; the error is the time to wait.
    pub(crate) fn take(self, now: Micros, due: &mut Micros) -> Result<(), Micros> {
        let earliest = (*due).max(now);
        let allowance = Micros(self.interval.0 * u64::from(self.burst.saturating_sub(1)));
        let wait = earliest.since(now).since(allowance);
        if wait > Micros(0) {
            return Err(wait);
        }
        *due = earliest + self.interval;
        Ok(())
    }
}

/// One pace for each of many people. A person whose balance is full again takes no memory.
#[derive(Debug)]
pub(crate) struct Paces {
    pace: Pace,
    people_max: usize,
    due: BTreeMap<UserId, Micros>,
}

impl Paces {
    pub(crate) fn new(pace: Pace, people_max: usize) -> Self {
        Self { pace, people_max, due: BTreeMap::new() }
    }

    /// Takes one from the balance of `user`; the error is the time to wait.
    pub(crate) fn take(&mut self, now: Micros, user: UserId) -> Result<(), Micros> {
        if self.due.len() >= self.people_max && !self.due.contains_key(&user) {
            self.due.retain(|_, due| *due > now);
            if self.due.len() >= self.people_max {
                return Err(self.pace.interval);
            }
        }
        self.pace.take(now, self.due.entry(user).or_default())
    }
}

#[cfg(test)]
mod tests;
