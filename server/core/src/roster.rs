//! Who sits where: reservations, people, bots, and how long each was there.

use amphi_shared_replica::SeatState;
use amphi_shared_wire::proto;

use crate::room::SeatPlan;

/// A reserved seat is given to others after this many seconds.
const RESERVED_S: u32 = 30;

/// People of one seat that a result can know. Those after them leave no trace.
const VISITS_MAX: usize = 64;

/// The seats of a room.
#[derive(Debug)]
pub(crate) struct Roster {
    seats: Vec<SeatEntry>,
}

#[derive(Debug, Default)]
struct SeatEntry {
    reserved: Option<String>,
    /// A person sits here, or will from the next tick.
    taken: bool,
    /// Everyone who sat here, in order, with the ticks they were there.
    people: Vec<Visit>,
}

#[derive(Clone, Debug)]
struct Visit {
    user: String,
    name: String,
    ticks: u32,
}

impl Roster {
    /// Empty seats, reserved as planned: each plan takes the first free seat of its team.
    pub(crate) fn new(states: &[SeatState], plans: &[SeatPlan]) -> Self {
        let mut seats: Vec<SeatEntry> = states.iter().map(|_| SeatEntry::default()).collect();
        for plan in plans.iter().filter(|plan| !plan.user.is_empty()) {
            let free = states.iter().zip(&mut seats).find(|(s, e)| s.team == plan.team && e.reserved.is_none());
            if let Some((_, entry)) = free {
                entry.reserved = Some(plan.user.clone());
            }
        }
        Self { seats }
    }

    /// The seat a person may take: their own reservation, else a free one of the team, if one is wanted.
    pub(crate) fn open_seat(&self, states: &[SeatState], team: Option<u8>, user: &str, elapsed_s: u32) -> Option<u8> {
        let free = || self.seats.iter().enumerate().filter(|(_, entry)| !entry.taken);
        let own = free().find(|(_, entry)| entry.reserved.as_deref() == Some(user));
        let open = || {
            let mut of_team = free().filter(|(seat, _)| team.is_none_or(|team| states[*seat].team == team));
            let unreserved = of_team.clone().find(|(_, entry)| entry.reserved.is_none());
            unreserved.or_else(|| of_team.find(|_| elapsed_s >= RESERVED_S))
        };
        own.or_else(open).map(|(seat, _)| seat as u8)
    }

    /// A person sits there, or is about to.
    pub(crate) fn is_taken(&self, seat: u8) -> bool {
        self.seats.get(usize::from(seat)).is_some_and(|entry| entry.taken)
    }

    pub(crate) fn take(&mut self, seat: u8) {
        self.seats[usize::from(seat)].taken = true;
    }

    pub(crate) fn free(&mut self, seat: u8) {
        let entry = &mut self.seats[usize::from(seat)];
        entry.taken = false;
        entry.reserved = None;
    }

    /// Counts a tick for everyone who is connected.
    pub(crate) fn count(&mut self, states: &[SeatState]) {
        for (state, entry) in states.iter().zip(&mut self.seats).filter(|(state, _)| state.connected) {
            if let Some(visit) = entry.people.iter_mut().find(|visit| visit.user == state.user) {
                visit.ticks += 1;
            } else if entry.people.len() < VISITS_MAX {
                entry.people.push(Visit { user: state.user.clone(), name: state.name.clone(), ticks: 1 });
            }
        }
    }

    /// The result of each seat: for the person who was there longest, else for its bot.
    pub(crate) fn results(&self, states: &[SeatState], scores: &[i32], ticks: u32) -> Vec<proto::PlayerResult> {
        let each = states.iter().zip(&self.seats).enumerate();
        each.map(|(seat, (state, entry))| {
            let person = entry.people.iter().max_by_key(|visit| visit.ticks);
            proto::PlayerResult {
                seat: seat as u32,
                team: u32::from(state.team),
                user: person.map(|visit| visit.user.clone()).unwrap_or_default(),
                name: person.map_or_else(|| state.name.clone(), |visit| visit.name.clone()),
                bot: person.is_none(),
                score: scores.get(seat).copied().unwrap_or(0),
                present_permille: person
                    .map_or(0, |visit| (u64::from(visit.ticks) * 1_000 / u64::from(ticks.max(1))).min(1_000) as u32),
            }
        })
        .collect()
    }
}

/// The roster as messages carry it.
pub(crate) fn to_proto(states: &[SeatState]) -> Vec<proto::Seat> {
    let each = states.iter().enumerate();
    each.map(|(seat, state)| proto::Seat {
        seat: seat as u32,
        team: u32::from(state.team),
        name: state.name.clone(),
        user: state.user.clone(),
        bot: state.bot,
        connected: state.connected,
    })
    .collect()
}
