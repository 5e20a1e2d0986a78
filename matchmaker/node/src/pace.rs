//! How often a person may ask for a ticket.

use std::collections::BTreeMap;

use amphi_shared_wire::limits::{TICKETS_MAX, TICKETS_PER_10_S};
use amphi_shared_wire::{Micros, UserId};

const WINDOW: Micros = Micros::from_secs(10);

/// Counts what each person asked for in the current window of 10 s, and forgets it all with the window.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    started: Micros,
    asked: BTreeMap<UserId, u32>,
}

impl Pace {
    /// Counts one more; when that is too many, how long the window still lasts.
    pub(crate) fn check(&mut self, now: Micros, user: UserId) -> Result<(), Micros> {
        if now.since(self.started) >= WINDOW {
            self.started = now;
            self.asked.clear();
        }
        let left = (self.started + WINDOW).since(now);
        if self.asked.len() >= TICKETS_MAX && !self.asked.contains_key(&user) {
            return Err(left);
        }
        let asked = self.asked.entry(user).or_default();
        if *asked >= TICKETS_PER_10_S {
            return Err(left);
        }
        *asked += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_per_person_and_window() {
        let (mut pace, now) = (Pace::default(), Micros::from_secs(1_000));
        let (ann, bob) = (UserId::from_bits(1), UserId::from_bits(2));
        assert!((0..TICKETS_PER_10_S).all(|_| pace.check(now, ann).is_ok()));
        assert_eq!(pace.check(now + Micros::from_secs(4), ann), Err(Micros::from_secs(6)));
        assert_eq!(pace.check(now, bob), Ok(()));
        assert_eq!(pace.check(now + WINDOW, ann), Ok(()));
    }
}
