//! Squads that come and go: each player sees what is theirs to see, and is told everything once.

mod game;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amphi_clients_rust::{Client, ClientEvent, Said};
use amphi_shared_replica::{Game, Row, Schema, decode_message};
use amphi_shared_wire::{Code, Micros, Rng, Tick};
use game::{Ask, Chime, Given, Orders, Parts, RADIUS, Shot, Whisper, team};

use super::cast::Cast;
use super::ledger::{Entry, Frame};
use super::world::{Play, Turn, Watched, World};
use crate::Report;
use crate::net::Link;

/// Beyond, nobody is in the interest of anybody: the radius and a quarter of a cell, a hysteresis of 0.15, a cell and its
/// margins across, and a quarter of a cell that an observer may have moved.
const FAR: i64 = RADIUS as i64 * 175 / 100;
/// Ticks after which what rests is shown where it is.
const REST_TICKS: u32 = 90;
/// Time between two looks at what a player is shown.
const LOOK_EVERY: Micros = Micros::from_millis(100);

/// What is remembered of a match.
pub(crate) struct Squads {
    schema: Arc<Schema>,
    game: Game,
    parts: Parts,
    hostile: Option<usize>,
    /// By player.
    people: Vec<Person>,
    /// Seats that someone who breaks the rules has held.
    hostile_seats: BTreeSet<u8>,
    /// Number of the last shot and of the last question of anybody.
    number: u32,
    events: u64,
    effects: u64,
    shown: u64,
}

/// What one player has heard since they came.
#[derive(Default)]
struct Person {
    chime: Option<u32>,
    whisper: Option<u32>,
    /// Own shots that were shown.
    own: BTreeSet<u32>,
    /// The last shot of each other seat.
    others: BTreeMap<u8, u32>,
    /// Questions without an answer.
    asked: BTreeMap<u32, u32>,
    looked: Micros,
}

impl Squads {
    fn seat_of(&self, row: &Row) -> Option<i32> {
        row.component(&self.schema, 0).map(|row| row[0])
    }

    fn distance(&self, a: &Row, b: &Row) -> Option<i64> {
        let place = |row: &Row| row.component(&self.schema, self.parts.place).map(|at| [at[0], at[1]].map(i64::from));
        let ([ax, ay], [bx, by]) = (place(a)?, place(b)?);
        Some(((ax - bx) * (ax - bx) + (ay - by) * (ay - by)).isqrt())
    }

    /// The components of an entity that a seat may see by the rules of the game, however far it is.
    fn allowed(&self, seat: i32, entry: &Entry) -> u64 {
        let stash = entry.now.component(&self.schema, self.parts.stash);
        if stash.is_some_and(|row| row[0] >> seat & 1 == 0) {
            return 0;
        }
        let owner = self.seat_of(&entry.now);
        let mut mask = u64::MAX;
        if owner.map(team) != Some(team(seat)) {
            mask &= !(1 << self.parts.plan);
        }
        if owner != Some(seat) {
            mask &= !(1 << self.parts.purse);
        }
        mask
    }

    /// Everything that was known when, at the tick a client holds, is in its world as it is; so far as it must be.
    fn check_whole(&self, client: &Client<Orders>, frame: &Frame, seat: u8) -> Result<(), String> {
        let held: BTreeMap<_, _> = client.received_rows().map(|(id, tick, row)| (id, (tick, row))).collect();
        let own = frame.of_seat(&self.schema, seat).ok_or("the seat has no trooper")?;
        for entry in frame.entries() {
            let mask = self.allowed(i32::from(seat), entry) & entry.told.mask;
            let far = self.distance(&own.now, &entry.now).is_some_and(|distance| distance > i64::from(RADIUS));
            if mask == 0 || far {
                continue;
            }
            let same = |(tick, row): &(Tick, std::borrow::Cow<'_, Row>)| {
                super::ledger::compare(&self.schema, row, &entry.told, mask)
                    .map_err(|what| format!("of entity {} it holds tick {tick}: {what}", entry.id.0))
            };
            held.get(&entry.id).map_or_else(|| Err(format!("it does not know entity {}", entry.id.0)), same)?;
        }
        Ok(())
    }

    /// What is reckoned, and told as it was told last, is where it is within the tolerance.
    fn check_reckoned(&mut self, watched: &Watched<'_, Orders>, frame: &Frame) -> Result<(), String> {
        for (id, _, row) in watched.client.received_rows().filter(|(_, _, row)| self.schema.is_reckoned(row.mask)) {
            let Some(entry) = frame.entry(id).filter(|entry| entry.told.since == row.since) else { continue };
            let mut row = row.into_owned();
            row.go_on(&self.schema, frame.tick, 60);
            self.near(id.0, self.parts.rock, &entry.now, |at| {
                row.component(&self.schema, self.parts.rock).map(|row| f64::from(row[at]))
            })?;
            self.shown += 1;
        }
        Ok(())
    }

    /// What rests is shown where it is within the tolerance.
    fn check_shown(&mut self, watched: &Watched<'_, Orders>, frame: &Frame) -> Result<(), String> {
        let held: BTreeMap<_, _> = watched.client.received_rows().map(|(id, tick, row)| (id, (tick, row))).collect();
        for shown in watched.client.shown_rows(watched.now) {
            let Some(entry) = frame.entry(shown.id) else { continue };
            let rests = frame.tick.0 - entry.rests_since.0 >= REST_TICKS;
            let whole = held
                .get(&shown.id)
                .is_some_and(|(_, row)| super::ledger::compare(&self.schema, row, &entry.told, row.mask).is_ok());
            if !rests || !whole {
                continue;
            }
            let mut start = 0;
            for (number, component) in self.schema.in_mask(shown.row.mask) {
                let value = |at: usize| match &shown.steps {
                    Some(steps) => steps.get(start + at).copied(),
                    None => shown.row.component(&self.schema, number).map(|row| f64::from(row[at])),
                };
                self.near(shown.id.0, number, &entry.now, value)?;
                start += component.fields.len();
            }
            self.shown += 1;
        }
        Ok(())
    }

    fn near(&self, id: u32, number: usize, truth: &Row, value: impl Fn(usize) -> Option<f64>) -> Result<(), String> {
        let component = &self.schema.components()[number];
        let truth = truth.component(&self.schema, number).unwrap_or(&[]);
        let moving: Vec<usize> = if number == self.parts.rock { vec![0, 1] } else { (0..truth.len()).collect() };
        for at in moving {
            let (field, truth) = (&component.fields[at], f64::from(truth[at]));
            let value = value(at).unwrap_or(f64::INFINITY);
            if (value - truth).abs() > f64::from(field.tolerance) + 0.5 {
                return Err(format!(
                    "{}.{} of entity {id} is shown as {value}, truly {truth}",
                    component.name, field.name
                ));
            }
        }
        Ok(())
    }

    fn hear_said(&mut self, who: usize, client: &Client<Orders>, said: &Said) -> Result<(), String> {
        let person = &mut self.people[who];
        let follows = |last: &mut Option<u32>, number: u32, what: &str| {
            let before = last.replace(number);
            let follows = before.is_none_or(|before| before + 1 == number);
            if follows { Ok(()) } else { Err(format!("player {who} hears {what} {number} after {before:?}")) }
        };
        if let Some(Chime { number }) = said.read(&self.game) {
            self.events += 1;
            return follows(&mut person.chime, number, "chime");
        }
        if let Some(Whisper { seat, number }) = said.read(&self.game) {
            self.events += 1;
            if client.seat() != Some(seat) {
                return Err(format!("player {who} hears what was whispered to seat {seat}"));
            }
            return follows(&mut person.whisper, number, "whisper");
        }
        let Some(Shot { seat, number }) = said.read(&self.game) else {
            return Err(format!("player {who} hears an event of kind {}, which cannot be", said.kind));
        };
        if self.hostile_seats.contains(&seat) {
            return Ok(());
        }
        self.effects += 1;
        let once = if client.seat() == Some(seat) {
            person.own.insert(number)
        } else {
            person.others.insert(seat, number).is_none_or(|last| last < number)
        };
        if once { Ok(()) } else { Err(format!("player {who} is shown shot {number} of seat {seat} twice")) }
    }
}

impl Play for Squads {
    type Input = Orders;

    const LINK: Link = Link {
        latency: Micros::from_millis(25),
        jitter: Micros::from_millis(4),
        lost_permille: 40,
        doubled_permille: 20,
        late_permille: 100,
        corrupted_permille: 5,
        max_datagram: 1_000,
    };
    const TURN_EVERY: Micros = Micros::from_millis(100);

    fn game() -> Game {
        game::game()
    }

    fn new(cast: &Cast) -> Self {
        let game = Self::game();
        Self {
            schema: game.schema().clone(),
            parts: Parts::new(&game),
            game,
            hostile: cast.hostile,
            people: cast.players.iter().map(|_| Person::default()).collect(),
            hostile_seats: BTreeSet::new(),
            number: 0,
            events: 0,
            effects: 0,
            shown: 0,
        }
    }

    fn enter(&mut self, who: usize) {
        self.people[who] = Person::default();
    }

    fn turn(&mut self, turn: Turn, client: &mut Client<Orders>, rng: &mut Rng) {
        self.number += 1;
        let way = [0; 2].map(|_: i32| rng.below(3) as i8 - 1);
        let (fire, asks, leap) = (rng.chance(200), rng.chance(60), rng.chance(200));
        if turn.still {
            return client.set_input(Orders { shot: self.number, ..Orders::default() });
        }
        client.set_input(Orders { way, fire, shot: self.number });
        let ask = Ask { number: self.number, leap };
        // A lane that is full asks for nothing.
        if asks
            && client.seat().is_some()
            && let Ok(request) = client.request(turn.now, &ask)
        {
            self.people[turn.who].asked.insert(request, self.number);
        }
    }

    fn hear(&mut self, who: usize, client: &Client<Orders>, event: &ClientEvent) -> Result<(), String> {
        match event {
            ClientEvent::Joined(joined) if self.hostile == Some(who) => {
                self.hostile_seats.insert(joined.seat);
                Ok(())
            }
            ClientEvent::Game(said) => self.hear_said(who, client, said),
            ClientEvent::Answer { request, answer } => {
                let Some(asked) = self.people[who].asked.remove(request) else {
                    return Err(format!("player {who} hears an answer to request {request}, which waits for none"));
                };
                // What is asked after a stall may be too much for one tick.
                let holds = match answer {
                    Ok(body) => decode_message::<Given>(body).is_ok_and(|given| given.number == asked),
                    Err(code) => *code == Code::RateLimited,
                };
                if holds { Ok(()) } else { Err(format!("player {who} asked {asked} and hears {answer:?}")) }
            }
            ClientEvent::Joined(_)
            | ClientEvent::Attached { .. }
            | ClientEvent::Detached
            | ClientEvent::PathSilent
            | ClientEvent::Roster(_)
            | ClientEvent::Ended(_)
            | ClientEvent::Refused(_)
            | ClientEvent::Closed { .. } => Ok(()),
        }
    }

    fn may_see(&self, seat: u8, frame: &Frame, entry: &Entry) -> u64 {
        let own = frame.of_seat(&self.schema, seat);
        let distance = own.and_then(|own| self.distance(&own.now, &entry.now));
        if distance.is_some_and(|distance| distance > FAR) { 0 } else { self.allowed(i32::from(seat), entry) }
    }

    fn watch(&mut self, watched: &Watched<'_, Orders>) -> Result<(), String> {
        let looked = &mut self.people[watched.who].looked;
        if watched.client.seat().is_none() || watched.now < *looked + LOOK_EVERY {
            return Ok(());
        }
        *looked = watched.now;
        let Some(frame) = watched.host.ledger.frame(watched.client.tick()) else { return Ok(()) };
        self.check_reckoned(watched, frame).map_err(|what| format!("player {}: {what}", watched.who))?;
        if watched.peace && watched.client.session().is_attached() {
            self.check_shown(watched, frame).map_err(|what| format!("player {}: {what}", watched.who))?;
        }
        Ok(())
    }

    fn check(world: &World<Self>, who: usize) -> Result<(), String> {
        let (client, play) = (world.client(who), world.play());
        if client.stats().snapshots_trained == 0 {
            return Err(format!("player {who} got no snapshot in the tables of the game"));
        }
        let open = &play.people[who].asked;
        if !open.is_empty() && play.hostile != Some(who) {
            return Err(format!("player {who} waits for answers to {open:?}"));
        }
        let frame = world.host().ledger.frame(client.tick()).ok_or("a tick that was not")?;
        let seat = client.seat().ok_or("no seat")?;
        play.check_whole(client, frame, seat).map_err(|what| format!("player {who}: {what}"))
    }

    fn report(&self, report: &mut Report) {
        report.events += self.events;
        report.effects += self.effects;
        report.shown += self.shown;
    }
}
