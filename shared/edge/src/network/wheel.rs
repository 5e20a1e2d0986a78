//! A hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): setting a timer costs a push, and the thread wakes
//! only for timers that are near.

use amphi_shared_wire::Micros;

use super::ConnId;

/// Length of a fine slot, µs: timers fire up to this much late, never early.
const FINE_US: u64 = 1_000;
const SLOTS: u64 = 256;
/// Length of a coarse slot: one turn of the fine wheel.
const COARSE_US: u64 = FINE_US * SLOTS;

/// Timers of the connections of one thread. A timer that is not wanted any more fires all the same: the connection
/// knows its own deadlines and sets the timer again when it was too early. One that lies more than a turn of the coarse
/// wheel (65 s) ahead is looked at once per turn.
#[derive(Debug)]
pub(crate) struct Wheel {
    fine: Ring,
    coarse: Ring,
    /// Everything before this moment has fired; a multiple of a fine slot.
    fired: Micros,
}

/// The slots of one level, and which of them hold timers.
#[derive(Debug)]
struct Ring {
    slots: Vec<Vec<(Micros, ConnId)>>,
    used: [u64; SLOTS as usize / 64],
}

impl Wheel {
    pub(crate) fn new(now: Micros) -> Self {
        Self { fine: Ring::new(), coarse: Ring::new(), fired: Micros(now.0 / FINE_US * FINE_US) }
    }

    /// Sets a timer.
    pub(crate) fn set(&mut self, at: Micros, conn: ConnId) {
        // One that is due exactly at the border of a slot belongs to the slot before.
        let due = Micros(at.0.saturating_sub(1)).max(self.fired);
        if due.0 / COARSE_US == self.fired.0 / COARSE_US {
            self.fine.push(due.0 / FINE_US, (at, conn));
        } else {
            let farthest = self.fired.0 / COARSE_US + SLOTS - 1;
            self.coarse.push((due.0 / COARSE_US).min(farthest), (at, conn));
        }
    }

    /// Puts every connection whose timer is due into `due`.
    pub(crate) fn fire(&mut self, now: Micros, due: &mut Vec<ConnId>) {
        while self.fired.0 + FINE_US <= now.0 {
            if self.fired.0.is_multiple_of(COARSE_US) {
                self.turn();
            }
            let slot = self.fine.take(self.fired.0 / FINE_US);
            due.extend(slot.into_iter().map(|(_, conn)| conn));
            self.fired = self.skip_to(now);
        }
    }

    /// When [`Wheel::fire`] has something to do; `None` without timers.
    pub(crate) fn next(&self) -> Option<Micros> {
        let (slot, turn) = (self.fired.0 / FINE_US, self.fired.0 / COARSE_US);
        if self.fired.0.is_multiple_of(COARSE_US) && self.coarse.is_used(turn) {
            return Some(self.fired + Micros(FINE_US));
        }
        if let Some(slot) = (slot..(turn + 1) * SLOTS).find(|slot| self.fine.is_used(*slot)) {
            return Some(Micros((slot + 1) * FINE_US));
        }
        (turn + 1..turn + SLOTS).find(|turn| self.coarse.is_used(*turn)).map(|turn| Micros(turn * COARSE_US + FINE_US))
    }

    /// Moves the timers of the turn that begins now to the fine slots.
    fn turn(&mut self) {
        for (at, conn) in self.coarse.take(self.fired.0 / COARSE_US) {
            self.set(at, conn);
        }
    }

    /// The start of the next slot that may hold something, at most `now`'s.
    fn skip_to(&self, now: Micros) -> Micros {
        let after = self.fired + Micros(FINE_US);
        let turn = after.0.next_multiple_of(COARSE_US);
        let mut slots = after.0 / FINE_US..turn / FINE_US;
        let used = slots.find(|slot| self.fine.is_used(*slot)).map_or(turn, |slot| slot * FINE_US);
        Micros(used.min((now.0 / FINE_US * FINE_US).max(after.0)))
    }
}

impl Ring {
    fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS as usize], used: [0; SLOTS as usize / 64] }
    }

    fn push(&mut self, number: u64, timer: (Micros, ConnId)) {
        let index = (number % SLOTS) as usize;
        self.slots[index].push(timer);
        self.used[index / 64] |= 1 << (index % 64);
    }

    fn take(&mut self, number: u64) -> Vec<(Micros, ConnId)> {
        let index = (number % SLOTS) as usize;
        self.used[index / 64] &= !(1 << (index % 64));
        std::mem::take(&mut self.slots[index])
    }

    fn is_used(&self, number: u64) -> bool {
        let index = (number % SLOTS) as usize;
        self.used[index / 64] & 1 << (index % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, life: 1 }
    }

    #[test]
    fn timers_fire_once_never_early_and_at_most_two_slots_late() {
        for offset_us in [0, 1, 999, 255_000, 255_999, 123_456] {
            let start = Micros(1_763_000_000_000_000 + offset_us);
            let mut wheel = Wheel::new(start);
            let times =
                [0, 1, 999, 1_000, 1_001, 255_999, 256_000, 256_001, 700_000, 65_536_000, 65_600_000, 200_000_000];
            for (n, after_us) in times.into_iter().enumerate() {
                wheel.set(start + Micros(after_us), conn(n as u32));
            }
            let (mut now, mut fired) = (start, Vec::new());
            while let Some(next) = wheel.next() {
                assert!(next > now, "time goes on");
                now = next;
                let mut due = Vec::new();
                wheel.fire(now, &mut due);
                for conn in due {
                    let at = start + Micros(times[conn.slot as usize]);
                    if at > now {
                        // Looked at once per turn of the coarse wheel: its connection sets it again.
                        wheel.set(at, conn);
                        continue;
                    }
                    assert!(now.since(at).0 <= 2 * FINE_US, "{} fired at {}", at.0, now.0);
                    fired.push(conn.slot);
                }
            }
            fired.sort_unstable();
            assert_eq!(fired, (0..times.len() as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_long_sleep_fires_everything_that_was_due() {
        let start = Micros::from_secs(1_763_000_000);
        let mut wheel = Wheel::new(start);
        for (n, after_s) in [3, 30, 300].into_iter().enumerate() {
            wheel.set(start + Micros::from_secs(after_s), conn(n as u32));
        }
        let mut due = Vec::new();
        wheel.fire(start + Micros::from_secs(40), &mut due);
        due.sort_unstable_by_key(|conn| conn.slot);
        assert_eq!(due, [conn(0), conn(1)]);
    }
}
