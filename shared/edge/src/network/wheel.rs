//! A hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): setting a timer costs a push, and the thread wakes
//! only for timers that are near and still wanted.

use amphi_shared_wire::Micros;

use super::ConnId;

/// Length of a fine slot, µs: timers fire up to this much late, never early.
const FINE_US: u64 = 1_000;
const SLOTS: u64 = 256;
/// Length of a coarse slot: one turn of the fine wheel.
const COARSE_US: u64 = FINE_US * SLOTS;

/// Timers of the connections of one thread, at most one each: a transport moves its timers with every packet, and a
/// wake-up for each that is not wanted any more would cost more than the packet. One that lies more than a turn of the
/// coarse wheel (65 s) ahead is looked at once per turn: the connection knows its own deadlines and sets the timer
/// again when it was too early.
#[derive(Debug)]
pub(crate) struct Wheel {
    fine: Ring,
    coarse: Ring,
    /// Everything before this moment has fired; a multiple of a fine slot.
    fired: Micros,
    /// Where the timer of each connection lies, by the connection's slot.
    places: Vec<Option<Place>>,
}

/// The slots of one level, and which of them hold timers.
#[derive(Debug)]
struct Ring {
    slots: Vec<Vec<(Micros, ConnId)>>,
    used: [u64; SLOTS as usize / 64],
}

/// Where a timer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    is_coarse: bool,
    /// The slot of the ring.
    index: u8,
    /// The place in that slot.
    position: u32,
}

impl Wheel {
    pub(crate) fn new(now: Micros) -> Self {
        let fired = Micros(now.0 / FINE_US * FINE_US);
        Self { fine: Ring::new(), coarse: Ring::new(), fired, places: Vec::new() }
    }

    /// Sets the timer of a connection; the one it had is gone.
    pub(crate) fn set(&mut self, at: Micros, conn: ConnId) {
        let (is_coarse, number) = self.aim(at);
        let index = (number % SLOTS) as u8;
        if self.places.len() <= conn.slot as usize {
            self.places.resize(conn.slot as usize + 1, None);
        }
        match self.places[conn.slot as usize] {
            Some(place) if (place.is_coarse, place.index) == (is_coarse, index) => {
                self.ring(is_coarse).slots[usize::from(index)][place.position as usize] = (at, conn);
            }
            Some(_) | None => {
                self.clear(conn);
                let position = self.ring(is_coarse).push(number, (at, conn));
                self.places[conn.slot as usize] = Some(Place { is_coarse, index, position });
            }
        }
    }

    /// Takes the timer of a connection away.
    pub(crate) fn clear(&mut self, conn: ConnId) {
        let Some(place) = self.places.get_mut(conn.slot as usize).and_then(Option::take) else {
            return;
        };
        if let Some(moved) = self.ring(place.is_coarse).remove(place) {
            self.places[moved.slot as usize] = Some(place);
        }
    }

    /// Puts every connection whose timer is due into `due`.
    pub(crate) fn fire(&mut self, now: Micros, due: &mut Vec<ConnId>) {
        while self.fired.0 + FINE_US <= now.0 {
            if self.fired.0.is_multiple_of(COARSE_US) {
                self.turn();
            }
            for (_, conn) in self.fine.take(self.fired.0 / FINE_US) {
                self.places[conn.slot as usize] = None;
                due.push(conn);
            }
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

    /// The ring for a timer, and the number of the slot in it.
    fn aim(&self, at: Micros) -> (bool, u64) {
        // One that is due exactly at the border of a slot belongs to the slot before.
        let due = Micros(at.0.saturating_sub(1)).max(self.fired);
        if due.0 / COARSE_US == self.fired.0 / COARSE_US {
            (false, due.0 / FINE_US)
        } else {
            let farthest = self.fired.0 / COARSE_US + SLOTS - 1;
            (true, (due.0 / COARSE_US).min(farthest))
        }
    }

    fn ring(&mut self, is_coarse: bool) -> &mut Ring {
        if is_coarse { &mut self.coarse } else { &mut self.fine }
    }

    /// Moves the timers of the turn that begins now to the fine slots.
    fn turn(&mut self) {
        for (at, conn) in self.coarse.take(self.fired.0 / COARSE_US) {
            self.places[conn.slot as usize] = None;
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

    /// Says where in its slot the timer lies.
    fn push(&mut self, number: u64, timer: (Micros, ConnId)) -> u32 {
        let index = (number % SLOTS) as usize;
        self.slots[index].push(timer);
        self.used[index / 64] |= 1 << (index % 64);
        self.slots[index].len() as u32 - 1
    }

    /// Says whose timer takes the place of the removed one.
    fn remove(&mut self, place: Place) -> Option<ConnId> {
        let index = usize::from(place.index);
        let slot = &mut self.slots[index];
        slot.swap_remove(place.position as usize);
        if slot.is_empty() {
            self.used[index / 64] &= !(1 << (index % 64));
        }
        slot.get(place.position as usize).map(|(_, conn)| *conn)
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

    #[test]
    fn a_timer_that_was_moved_or_cleared_wakes_nobody() {
        let start = Micros::from_secs(1_763_000_000);
        let mut wheel = Wheel::new(start);
        let after = Micros::from_millis;
        for slot in 0..4 {
            wheel.set(start + after(25), conn(slot));
        }
        wheel.set(start + after(40_000), conn(0));
        wheel.clear(conn(1));
        wheel.clear(conn(1));
        // Its place was taken over from the one before it.
        wheel.set(start + after(50), conn(3));
        let mut due = Vec::new();
        wheel.fire(start + after(30), &mut due);
        assert_eq!(due, [conn(2)]);
        assert_eq!(wheel.next(), Some(start + after(50)));
        wheel.set(start + after(20_000), conn(3));
        // Nothing before the coarse slot of the next timer begins.
        assert!(wheel.next().is_some_and(|next| next > start + after(19_000)));
        due.clear();
        wheel.fire(start + after(60_000), &mut due);
        assert_eq!(due, [conn(3), conn(0)]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn timers_moved_at_random_fire_when_they_were_last_set() {
        let start = Micros::from_secs(1_763_000_000);
        let (mut wheel, mut rng) = (Wheel::new(start), amphi_shared_wire::Seed(7).rng());
        let (mut now, mut wanted) = (start, vec![None::<Micros>; 50]);
        for _ in 0..20_000 {
            let slot = rng.below(50) as usize;
            let at = now + Micros(rng.below(2_000_000));
            if rng.below(4) == 0 {
                wheel.clear(conn(slot as u32));
                wanted[slot] = None;
            } else {
                wheel.set(at, conn(slot as u32));
                wanted[slot] = Some(at);
            }
            now += Micros(rng.below(3_000));
            let mut due = Vec::new();
            wheel.fire(now, &mut due);
            for conn in due {
                let at = wanted[conn.slot as usize].take().expect("fired once, and only while it was wanted");
                assert!(at <= now);
            }
            assert!(wanted.iter().flatten().all(|at| at.0 + 2 * FINE_US > now.0), "nothing was forgotten");
        }
    }
}
