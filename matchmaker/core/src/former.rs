//! Forming one match around the ticket that has waited longest.

use amphi_shared_wire::{Micros, TicketId};

use crate::pool::{Pool, Queue};
use crate::region::share_region;
use crate::split::{Atom, Shape, split};
use crate::ticket::Ticket;
use crate::{Bots, Config, Mode, Rating};

/// Neighbours in rating that are looked at for one ticket.
const NEIGHBOURS_MAX: usize = 512;

/// Players that are considered for each seat of a match, nearest first.
const CANDIDATES_PER_SEAT: usize = 4;
/// Steps of the search for tickets that fill a match exactly.
const FILLING_STEPS_MAX: usize = 1_000;

/// Tickets that play together, with the team of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) members: Vec<(TicketId, u8)>,
}

/// Everything one round of forming looks at.
#[derive(Clone, Copy)]
pub(crate) struct Former<'a> {
    pub(crate) now: Micros,
    pub(crate) config: &'a Config,
    pub(crate) mode: &'a Mode,
    pub(crate) pool: &'a Pool,
    pub(crate) queue: &'a Queue,
}

impl<'a> Former<'a> {
    /// The match around `seed`, if there is one yet. The seed's clock decides for all: its window has grown widest,
    /// and no newcomer can reset it. When bots are due, whoever waits beats a bot, however far the ratings are apart.
    pub(crate) fn group(&self, seed: &Ticket) -> Option<Group> {
        let seats = self.mode.seats();
        let bots_due = self.bots_due(seed);
        let limit = if bots_due { f64::INFINITY } else { self.window(seed) };
        let room = seats - seed.size();
        let mut players = 0;
        let near = self.neighbours(seed).take_while(|(distance, _)| *distance <= limit).map(|(_, other)| other);
        let candidates: Vec<&Ticket> = near
            .filter(|other| other.size() <= room && self.meets(seed, other))
            .take_while(|other| {
                let enough = players >= seats * CANDIDATES_PER_SEAT;
                players += other.size();
                !enough
            })
            .collect();
        let mut filling = Filling { former: self, candidates: &candidates, chosen: vec![seed], steps: 0 };
        let full = filling.fill(0, room, candidates.iter().map(|other| other.size()).sum());
        let chosen = match (full, bots_due) {
            (true, _) => filling.chosen,
            (false, true) => self.nearest_that_fit(seed, &candidates),
            (false, false) => return None,
        };
        let teams = self.teams(&chosen)?;
        let team = |team: usize| u8::try_from(team).unwrap_or(u8::MAX);
        Some(Group { members: chosen.iter().zip(teams).map(|(t, n)| (t.asked.ticket, team(n))).collect() })
    }

    /// Players who could join `seed` at once: within its window and a shared region. Its own are not counted.
    pub(crate) fn players_in_window(&self, seed: &Ticket) -> usize {
        let window = self.window(seed);
        let near = self.neighbours(seed).take_while(|(distance, _)| *distance <= window);
        near.filter(|(_, other)| self.meets(seed, other)).map(|(_, other)| other.size()).sum()
    }

    /// Distance of the nearest ticket that the window of `seed` does not reach yet, in points.
    pub(crate) fn nearest_outside(&self, seed: &Ticket) -> Option<f64> {
        let window = self.window(seed);
        self.neighbours(seed).map(|(distance, _)| distance).find(|distance| *distance > window)
    }

    /// Whether rating would allow someone whom no region within the accepted latency allows.
    pub(crate) fn region_is_in_the_way(&self, seed: &Ticket) -> bool {
        let window = self.window(seed);
        let mut near = self.neighbours(seed).take_while(|(distance, _)| *distance <= window);
        near.any(|(_, other)| !self.meets(seed, other))
    }

    /// The rating distance `seed` accepts, in points.
    pub(crate) fn window(&self, seed: &Ticket) -> f64 {
        self.config.window(seed.waited(self.now), seed.rating.uncertainty)
    }

    /// Whoever fits, nearest first; bots take the rest.
    fn nearest_that_fit<'t>(&self, seed: &'t Ticket, candidates: &[&'t Ticket]) -> Vec<&'t Ticket> {
        let mut chosen = vec![seed];
        for other in candidates {
            chosen.push(other);
            if self.teams(&chosen).is_none() {
                chosen.pop();
            }
        }
        chosen
    }

    fn bots_due(&self, seed: &Ticket) -> bool {
        match self.mode.bots {
            Bots::Never => false,
            Bots::After(wait) => seed.waited(self.now) >= wait,
        }
    }

    fn meets(&self, seed: &Ticket, other: &Ticket) -> bool {
        let limit = self.config.latency_ms(seed.waited(self.now));
        share_region(&seed.asked.latencies, &other.asked.latencies, limit)
    }

    fn teams(&self, chosen: &[&Ticket]) -> Option<Vec<usize>> {
        let strength = |ticket: &Ticket| ticket.rating.mean * ticket.size() as f64;
        let atoms: Vec<Atom> = chosen.iter().map(|t| Atom { size: t.size(), strength: strength(t) }).collect();
        let shape = Shape {
            teams: usize::from(self.mode.teams),
            team_size: usize::from(self.mode.team_size),
            empty_seat: Rating::BOT.mean,
        };
        split(&atoms, shape)
    }

    /// The other queued tickets, nearest rating first, with their distance in points.
    fn neighbours(&self, seed: &Ticket) -> impl Iterator<Item = (f64, &'a Ticket)> + use<'a> {
        let place = (seed.rank(), seed.asked.ticket);
        let mut below = self.queue.by_rating.range(..place).rev().peekable();
        let mut above = self.queue.by_rating.range(place..).filter(move |entry| **entry != place).peekable();
        let (pool, rank) = (self.pool, place.0);
        std::iter::from_fn(move || {
            let (down, up) = (below.peek().map(|(r, _)| rank - r), above.peek().map(|(r, _)| r - rank));
            let next = match (down, up) {
                (Some(down), Some(up)) if down <= up => below.next(),
                (Some(_), None) => below.next(),
                (_, Some(_)) => above.next(),
                (None, None) => None,
            };
            next.copied()
        })
        .take(NEIGHBOURS_MAX)
        .filter_map(move |(other, id)| Some(((other - rank).abs() as f64 / 1_000.0, pool.ticket(id)?)))
    }
}

/// The search for tickets that fill a match exactly: nearest first, going back when parties do not add up.
struct Filling<'f, 'a, 't> {
    former: &'f Former<'a>,
    candidates: &'f [&'t Ticket],
    chosen: Vec<&'t Ticket>,
    steps: usize,
}

impl Filling<'_, '_, '_> {
    /// Whether the candidates from `at` on, who are `left` players, fill `room` seats. If so, `chosen` has them.
    fn fill(&mut self, at: usize, room: usize, left: usize) -> bool {
        if room == 0 {
            return self.former.teams(&self.chosen).is_some();
        }
        self.steps += 1;
        let Some(next) = self.candidates.get(at).filter(|_| left >= room && self.steps <= FILLING_STEPS_MAX) else {
            return false;
        };
        let left = left - next.size();
        if next.size() <= room {
            self.chosen.push(next);
            if self.fill(at + 1, room - next.size(), left) {
                return true;
            }
            self.chosen.pop();
        }
        self.fill(at + 1, room, left)
    }
}
