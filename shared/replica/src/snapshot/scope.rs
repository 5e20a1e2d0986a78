//! Which entities a client should be told of: observers, the cells they look at, and what they should look at again.
//!
//! Whoever notices something pushes it: a slot that differs goes into the inbox of each observer of its cell, and so does
//! everything in a cell that an observer begins or ceases to look at. An observer at rest among entities at rest costs
//! nothing.

use amphi_shared_wire::limits::BASELINE_TICKS_MAX;

use super::cells::{Cells, EVERYWHERE, Key};
use crate::interest::{LEVELS, Place, Space};
use crate::{Mirror, Seat};

/// An observer that does not look for so many ticks is forgotten; when it is back it starts anew.
const ABSENT_TICKS_MAX: u32 = 2 * BASELINE_TICKS_MAX;

/// Room that an inbox has from the start.
const INBOX_ROOM: usize = 1_024;

/// Who looks where.
#[derive(Debug, Default)]
pub(super) struct Scope {
    tick: Option<u32>,
    /// The game limits interest.
    limited: bool,
    slots: usize,
    cells: Cells,
    observers: Vec<Observer>,
    /// Observers in use that look at everything.
    everyone: Vec<u32>,
    teams: Vec<u8>,
    serial: u32,
    spare: Vec<(Place, u32)>,
}

/// What a recipient keeps of its observer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ticket {
    number: u32,
    /// 0: none.
    serial: u32,
}

#[derive(Debug, Default)]
struct Observer {
    /// 0: free.
    serial: u32,
    seat: Option<Seat>,
    looked: u32,
    /// Where it is.
    place: Option<Place>,
    views: [View; LEVELS as usize],
    /// All cells that it looks at, as a bit set.
    watched: Vec<u64>,
    inbox: Vec<u32>,
    /// Everything must be looked at again.
    anew: bool,
}

/// The cells of one reach that an observer looks at.
#[derive(Debug, Default)]
struct View {
    /// Where the observer was when it chose them.
    from: Option<Place>,
    /// In ascending order, with their numbers.
    cells: Vec<(Place, u32)>,
}

impl Observer {
    fn watches(&self, cell: u32) -> bool {
        self.watched.get(cell as usize / 64).is_some_and(|word| word >> (cell % 64) & 1 == 1)
    }

    fn mark(&mut self, cell: u32, watched: bool) {
        let word = cell as usize / 64;
        if self.watched.len() <= word {
            self.watched.resize(word + 1, 0);
        }
        let bit = 1 << (cell % 64);
        self.watched[word] = if watched { self.watched[word] | bit } else { self.watched[word] & !bit };
    }
}

impl Scope {
    /// Takes what a tick has changed.
    pub(super) fn follow(&mut self, mirror: &Mirror) {
        self.slots = mirror.slots();
        self.limited = mirror.interest().is_some();
        self.cells.resize(self.slots);
        let now = mirror.tick().0;
        let follows = self.tick.is_some_and(|tick| now == tick.wrapping_add(1));
        self.tick = Some(now);
        self.forget_absent(now);
        if !follows || self.teams != mirror.teams() {
            self.teams.clear();
            self.teams.extend_from_slice(mirror.teams());
            self.observers.iter_mut().for_each(|observer| observer.anew = true);
        }
        if follows {
            for (slot, _) in mirror.removed() {
                // A slot may have a new entity already.
                self.notify(*slot);
                if !mirror.is_live(*slot) {
                    self.cells.take(*slot);
                }
            }
            mirror.noticed().iter().for_each(|slot| self.place(mirror, *slot));
        } else {
            for slot in 0..mirror.slots() as u32 {
                self.cells.take(slot);
            }
            mirror.order().iter().for_each(|slot| self.place(mirror, *slot));
        }
        for number in 0..self.observers.len() as u32 {
            self.look(mirror, number);
        }
        if self.limited {
            mirror.noticed().iter().for_each(|slot| self.notify(*slot));
            self.cells.sweep();
        } else {
            self.notify_all(mirror.noticed());
        }
    }

    /// The number of a recipient's observer.
    pub(super) fn attend(&mut self, mirror: &Mirror, ticket: &mut Ticket, seat: Option<Seat>) -> usize {
        let number = ticket.number as usize;
        let known = ticket.serial != 0 && self.observers.get(number).is_some_and(|o| o.serial == ticket.serial);
        if !known || self.observers[number].seat != seat {
            if known {
                self.dismiss(ticket.number);
            }
            *ticket = self.admit(seat);
            self.look(mirror, ticket.number);
        }
        let observer = &mut self.observers[ticket.number as usize];
        observer.looked = mirror.tick().0;
        ticket.number as usize
    }

    /// An entity in this slot is one that the observer should be told of.
    pub(super) fn sees(&self, observer: usize, slot: u32) -> bool {
        if !self.limited {
            return true;
        }
        let observer = &self.observers[observer];
        observer.seat.is_none() || self.cells.of(slot).is_some_and(|cell| cell == EVERYWHERE || observer.watches(cell))
    }

    /// Where the observer is.
    pub(super) fn place_of(&self, observer: usize) -> Option<Place> {
        self.observers[observer].place
    }

    /// Takes the slots to look at again; `None` is all of them. Give the list back with [`put_back`](Self::put_back).
    pub(super) fn take_inbox(&mut self, observer: usize) -> Option<Vec<u32>> {
        let observer = &mut self.observers[observer];
        if core::mem::take(&mut observer.anew) {
            observer.inbox.clear();
            return None;
        }
        Some(core::mem::take(&mut observer.inbox))
    }

    /// Keeps the memory of an inbox.
    pub(super) fn put_back(&mut self, observer: usize, mut inbox: Vec<u32>) {
        inbox.clear();
        self.observers[observer].inbox = inbox;
    }

    fn admit(&mut self, seat: Option<Seat>) -> Ticket {
        let free = self.observers.iter().position(|observer| observer.serial == 0);
        let number = free.unwrap_or_else(|| {
            self.observers.push(Observer::default());
            self.observers.len() - 1
        });
        self.serial += 1;
        let observer = &mut self.observers[number];
        (observer.serial, observer.seat, observer.anew) = (self.serial, seat, true);
        observer.inbox.reserve(INBOX_ROOM);
        let number = number as u32;
        if seat.is_none() {
            self.everyone.push(number);
        } else {
            self.cells.watch(EVERYWHERE, number);
        }
        Ticket { number, serial: self.serial }
    }

    fn dismiss(&mut self, number: u32) {
        let observer = &mut self.observers[number as usize];
        observer.serial = 0;
        observer.place = None;
        observer.watched.fill(0);
        observer.inbox.clear();
        for view in &mut observer.views {
            view.from = None;
            view.cells.drain(..).for_each(|(_, cell)| self.cells.unwatch(cell, number));
        }
        self.cells.unwatch(EVERYWHERE, number);
        self.everyone.retain(|other| *other != number);
    }

    fn forget_absent(&mut self, now: u32) {
        for number in 0..self.observers.len() {
            let observer = &self.observers[number];
            if observer.serial != 0 && now.saturating_sub(observer.looked) > ABSENT_TICKS_MAX {
                self.dismiss(number as u32);
            }
        }
    }

    /// Puts a slot into the cell where its entity is. Who looked at the cell it leaves must look again.
    fn place(&mut self, mirror: &Mirror, slot: u32) {
        let old = self.cells.of(slot);
        let key = mirror.interest().and_then(|space| {
            let place = place_of(mirror, space, slot)?;
            let level = mirror.selection(slot).reach.0.min(LEVELS - 1);
            // It stays in its cell until it is well outside.
            let stays = old.filter(|cell| *cell != EVERYWHERE).map(|cell| self.cells.key(cell));
            let stays = stays.filter(|(of, cell)| *of == level && space.keeps(level, *cell, place));
            Some(stays.unwrap_or_else(|| (level, space.cell(level, place))))
        });
        let new = match key {
            Some(key) => self.cells.at(key),
            None => EVERYWHERE,
        };
        if old != Some(new) {
            self.notify(slot);
            self.cells.put(slot, new);
        }
    }

    /// Lets everyone who looks at a slot's cell look at the slot again.
    fn notify(&mut self, slot: u32) {
        let Some(cell) = self.cells.of(slot) else { return };
        let room = 2 * self.slots + 256;
        for number in self.cells.observers(cell).chain(self.everyone.iter().copied()) {
            let observer = &mut self.observers[number as usize];
            if observer.inbox.len() < room {
                observer.inbox.push(slot);
            } else {
                // It has not looked for long.
                observer.anew = true;
            }
        }
    }

    /// Lets everyone look at these slots again.
    fn notify_all(&mut self, slots: &[u32]) {
        let room = 2 * self.slots + 256;
        for observer in self.observers.iter_mut().filter(|observer| observer.serial != 0) {
            if observer.inbox.len() + slots.len() <= room {
                observer.inbox.extend_from_slice(slots);
            } else {
                // It has not looked for long.
                observer.anew = true;
            }
        }
    }

    /// Moves an observer with the entity of its seat.
    fn look(&mut self, mirror: &Mirror, number: u32) {
        let observer = &self.observers[number as usize];
        let (Some(space), Some(seat)) = (mirror.interest(), observer.seat.filter(|_| observer.serial != 0)) else {
            return;
        };
        let place = mirror.slot_of_seat(seat).and_then(|slot| place_of(mirror, space, slot)).or(observer.place);
        let Some(place) = place else { return };
        self.observers[number as usize].place = Some(place);
        // All reaches, used or not: what enters first must not tell when another one came.
        for level in 0..LEVELS {
            let from = self.observers[number as usize].views[usize::from(level)].from;
            if from.is_none_or(|from| space.has_moved(level, from, place)) {
                self.subscribe(space, number, (level, place));
            }
        }
    }

    /// Makes an observer look at the cells around a place.
    fn subscribe(&mut self, space: &Space, number: u32, (level, place): Key) {
        let view = &mut self.observers[number as usize].views[usize::from(level)];
        view.from = Some(place);
        let mut before = core::mem::take(&mut view.cells);
        let mut after = core::mem::take(&mut self.spare);
        after.reserve(space.around(level, place).count());
        for cell in space.around(level, place) {
            let was = find(&before, cell);
            if space.is_near(level, cell, place, was.is_some()) {
                after.push((cell, was.unwrap_or_else(|| self.cells.at((level, cell)))));
            }
        }
        for (_, number_of) in before.iter().filter(|(cell, _)| find(&after, *cell).is_none()) {
            self.turn(number, *number_of, false);
        }
        for (_, number_of) in after.iter().filter(|(cell, _)| find(&before, *cell).is_none()) {
            self.turn(number, *number_of, true);
        }
        self.observers[number as usize].views[usize::from(level)].cells = after;
        before.clear();
        self.spare = before;
    }

    /// An observer begins or ceases to look at a cell.
    fn turn(&mut self, number: u32, cell: u32, begins: bool) {
        if begins {
            self.cells.watch(cell, number);
        } else {
            self.cells.unwatch(cell, number);
        }
        let observer = &mut self.observers[number as usize];
        observer.mark(cell, begins);
        observer.inbox.extend(self.cells.slots(cell));
    }
}

fn place_of(mirror: &Mirror, space: &Space, slot: u32) -> Option<Place> {
    let there = mirror.mask(slot) >> space.component & 1 == 1;
    there.then(|| space.place(mirror.component_row(slot, space.component)))
}

/// The number of a cell in an ascending list.
fn find(cells: &[(Place, u32)], cell: Place) -> Option<u32> {
    cells.binary_search_by_key(&cell, |(cell, _)| *cell).ok().map(|at| cells[at].1)
}
