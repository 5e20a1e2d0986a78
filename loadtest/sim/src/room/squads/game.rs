//! The game: two teams, what only a team or some seats may see, things that move, rest, come and go.

use amphi_shared_replica::{
    Begin, Game, GameEvents, Input, Inputs, Interest, Mode, Reckon, ReplicaApp, Replicate, Request, Requests, Seat,
    Seats, SimMode, SimRng, SimTick, Simulate, Trainer, VisibleTo, authority,
};
use amphi_shared_wire::{Rng, Seed};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Commands, Component, Entity, IntoScheduleConfigs, Query, Res, ResMut, Resource, With};
use serde::{Deserialize, Serialize};

/// Seats of each team.
const TEAM: u8 = 8;
/// Half the width of the field.
const HALF: i32 = 600;
/// How far a client sees.
pub(super) const RADIUS: i32 = 300;
/// What a trooper walks in a tick.
const STRIDE: i32 = 6;
const CRITTERS: usize = 48;
const STASHES: usize = 10;
const ROCKS: usize = 12;
/// Ticks between two chimes.
const CHIME_TICKS: u32 = 10;
/// Ticks that the trained tables learn from.
const TRAINING_TICKS: u32 = 240;

/// What a player wants.
#[derive(Clone, Default, PartialEq, Input)]
pub(crate) struct Orders {
    #[input(range = "-1..=1")]
    pub(super) way: [i8; 2],
    pub(super) fire: bool,
    /// Number of the shot, never used twice by anybody.
    #[input(range = "0..=1000000")]
    pub(super) shot: u32,
}

/// Where something is.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Place {
    x: i32,
    y: i32,
}

/// Someone who plays.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Trooper {
    shot: u32,
}

/// What the own team knows of a trooper.
#[derive(Clone, Component, Copy, Debug, Replicate)]
#[replica(seen_by = "team")]
struct Plan {
    aim: i32,
    word: u16,
}

/// What the trooper alone knows.
#[derive(Clone, Component, Copy, Debug, Replicate)]
#[replica(seen_by = "owner")]
struct Purse {
    coins: u32,
}

/// For some seats alone, as it says itself.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Stash {
    seats: u16,
    worth: u32,
}

/// Wanders and rests.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Critter {
    mood: u8,
    until: u32,
}

/// Flies by itself, seen from everywhere.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Rock {
    #[replica(unit = "1/64", tolerance = 8)]
    x: f32,
    #[replica(unit = "1/64", tolerance = 8)]
    y: f32,
    #[replica(unit = "1/256")]
    vx: f32,
    #[replica(unit = "1/256")]
    vy: f32,
}

/// Said to everyone, numbered.
#[derive(Debug, Replicate)]
pub(super) struct Chime {
    pub(super) number: u32,
}

/// Said to one seat, numbered.
#[derive(Debug, Replicate)]
pub(super) struct Whisper {
    pub(super) seat: u8,
    pub(super) number: u32,
}

/// A shot is heard.
#[derive(Debug, Replicate)]
#[replica(by = "seat")]
pub(super) struct Shot {
    pub(super) seat: u8,
    pub(super) number: u32,
}

/// Asks for coins; `leap` also for another place.
#[derive(Clone, Copy, Debug, Replicate)]
pub(super) struct Ask {
    pub(super) number: u32,
    pub(super) leap: bool,
}

/// The answer names the question.
#[derive(Debug, Replicate)]
pub(super) struct Given {
    pub(super) number: u32,
}

impl Request for Ask {
    type Answer = Given;
}

/// Numbers of what is said.
#[derive(Clone, Debug, Default, Resource, Serialize, Deserialize)]
struct Numbers {
    chime: u32,
    whispers: [u32; 2 * TEAM as usize],
}

/// The game, with code tables or without.
#[derive(Clone)]
pub(super) struct SquadsGame {
    tables: &'static [u8],
}

impl Plugin for SquadsGame {
    fn build(&self, app: &mut App) {
        app.predict::<Place>().interpolate::<Place>().predict::<Trooper>();
        app.replicate::<Plan>().replicate::<Purse>().replicate::<Stash>().replicate::<Critter>();
        app.reckon::<Rock>(&Reckon::new().moving("x", "vx").moving("y", "vy"));
        app.interest::<Place>(Interest::new(&["x", "y"], f64::from(RADIUS)));
        app.input::<Orders>().event::<Chime>().event::<Whisper>().effect::<Shot>().request::<Ask>();
        app.init_resource::<Numbers>().state_resource::<Numbers>();
        app.modes(&[Mode { name: "squads", teams: 2, team_size: TEAM, duration_s: 3_600 }]);
        app.tables(self.tables);
        app.add_systems(Begin, begin.run_if(authority));
        let world = (think, give, stir, breed, hide, toss, talk).chain().run_if(authority);
        app.add_systems(Simulate, (bots.run_if(authority), march, world).chain());
    }
}

/// The game with tables that were trained on itself.
pub(super) fn game() -> Game {
    static TABLES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    Game::new("squads", SquadsGame { tables: TABLES.get_or_init(train) })
}

fn train() -> Vec<u8> {
    let plain = Game::new("squads", SquadsGame { tables: &[] });
    let mode = plain.modes()[0].at(60);
    let mut trainer = Trainer::new(plain.schema().clone());
    let Ok(mut sim) = plain.build(SimMode::Authority, mode, Seed(1)) else { return Vec::new() };
    for _ in 0..TRAINING_TICKS {
        if sim.step().is_ok() {
            trainer.note(sim.mirror());
        }
    }
    trainer.finish().to_bytes().to_vec()
}

fn anywhere(rng: &mut Rng) -> Place {
    let mut along = || rng.below(2 * HALF as u64) as i32 - HALF;
    Place { x: along(), y: along() }
}

fn rock(rng: &mut Rng) -> Rock {
    let mut between = |most: i32| rng.below(2 * most as u64) as f32 - most as f32;
    Rock { x: between(HALF), y: between(HALF), vx: between(200), vy: between(200) }
}

fn critter(rng: &mut Rng, now: u32) -> (Place, Critter) {
    (anywhere(rng), Critter { mood: 0, until: now + 200 + rng.below(2_000) as u32 })
}

fn stash(rng: &mut Rng) -> (Place, Stash, VisibleTo) {
    let seats = rng.next_u64() as u16;
    (anywhere(rng), Stash { seats, worth: 1 }, VisibleTo(u64::from(seats)))
}

fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>, mut rng: ResMut<'_, SimRng>) {
    let rng = &mut rng.0;
    for (seat, _) in seats.iter() {
        // Not too far from each other, so that they come and go.
        let place = anywhere(rng);
        let place = Place { x: place.x / 2, y: place.y / 2 };
        commands.spawn((seat, place, Trooper { shot: 0 }, Plan { aim: 0, word: 0 }, Purse { coins: 0 }));
    }
    for _ in 0..CRITTERS {
        commands.spawn(critter(rng, 0));
    }
    for _ in 0..STASHES {
        commands.spawn(stash(rng));
    }
    for _ in 0..ROCKS {
        commands.spawn(rock(rng));
    }
}

fn bots(
    seats: Res<'_, Seats>,
    tick: Res<'_, SimTick>,
    mut inputs: ResMut<'_, Inputs<Orders>>,
    mut rng: ResMut<'_, SimRng>,
) {
    let bots = seats.iter().filter(|(seat, state)| state.bot && (tick.0.0 + u32::from(seat.0)).is_multiple_of(40));
    for (seat, _) in bots {
        let way = [0; 2].map(|_: i32| rng.0.below(3) as i8 - 1);
        inputs.set(seat, Orders { way, ..Orders::default() });
    }
}

/// What clients predict, too.
fn march(
    inputs: Res<'_, Inputs<Orders>>,
    mut events: ResMut<'_, GameEvents>,
    mut troopers: Query<'_, '_, (&Seat, &mut Place, &mut Trooper)>,
) {
    for (seat, mut place, mut trooper) in &mut troopers {
        let Orders { way, fire, shot } = *inputs.get(*seat);
        let [x, y] = way.map(|way| i32::from(way) * STRIDE);
        if (x, y) != (0, 0) {
            *place = Place { x: (place.x + x).clamp(-HALF, HALF), y: (place.y + y).clamp(-HALF, HALF) };
        }
        if fire && shot != trooper.shot {
            trooper.shot = shot;
            events.send(&Shot { seat: seat.0, number: shot });
        }
    }
}

fn think(tick: Res<'_, SimTick>, mut rng: ResMut<'_, SimRng>, mut plans: Query<'_, '_, (&Seat, &mut Plan)>) {
    for (seat, mut plan) in &mut plans {
        if (tick.0.0 + 7 * u32::from(seat.0)).is_multiple_of(50) {
            *plan = Plan { aim: rng.0.below(1_000) as i32, word: plan.word.wrapping_add(1) };
        }
    }
}

fn give(
    asked: Res<'_, Requests<Ask>>,
    mut events: ResMut<'_, GameEvents>,
    mut rng: ResMut<'_, SimRng>,
    mut troopers: Query<'_, '_, (&Seat, &mut Place, &mut Purse)>,
) {
    for asked in asked.iter() {
        events.answer(asked, &Given { number: asked.request.number });
        for (_, mut place, mut purse) in troopers.iter_mut().filter(|(seat, ..)| **seat == asked.seat) {
            purse.coins += 1;
            if asked.request.leap {
                *place = anywhere(&mut rng.0);
            }
        }
    }
}

/// Critters move for a while, then rest for longer.
fn stir(
    tick: Res<'_, SimTick>,
    mut rng: ResMut<'_, SimRng>,
    mut critters: Query<'_, '_, (Entity, &mut Place, &mut Critter)>,
) {
    for (entity, mut place, mut critter) in &mut critters {
        let phase = (tick.0.0 + 37 * entity.index_u32()) % 320;
        if phase < 90 {
            place.x += if phase < 45 { 4 } else { -3 };
        }
        if phase == 0 {
            critter.mood = rng.0.below(200) as u8;
        }
    }
}

/// Some critters go, others come; and stashes, too.
fn breed(
    mut commands: Commands<'_, '_>,
    tick: Res<'_, SimTick>,
    mut rng: ResMut<'_, SimRng>,
    critters: Query<'_, '_, (Entity, &Critter)>,
    stashes: Query<'_, '_, Entity, With<Stash>>,
) {
    for (entity, _) in critters.iter().filter(|(_, critter)| critter.until <= tick.0.0) {
        commands.entity(entity).despawn();
        commands.spawn(critter(&mut rng.0, tick.0.0));
    }
    if tick.0.0.is_multiple_of(150) {
        let mut all: Vec<_> = stashes.iter().collect();
        all.sort_unstable();
        let gone = rng.0.below(all.len() as u64) as usize;
        commands.entity(all[gone]).despawn();
        commands.spawn(stash(&mut rng.0));
    }
}

/// Stashes change those who may see them.
fn hide(
    tick: Res<'_, SimTick>,
    mut rng: ResMut<'_, SimRng>,
    mut stashes: Query<'_, '_, (Entity, &mut Stash, &mut VisibleTo)>,
) {
    for (entity, mut stash, mut seats) in &mut stashes {
        let turn = tick.0.0 + 11 * entity.index_u32();
        if turn.is_multiple_of(110) {
            stash.seats = rng.0.next_u64() as u16;
            *seats = VisibleTo(u64::from(stash.seats));
        }
        if turn.is_multiple_of(25) {
            stash.worth += 1;
        }
    }
}

/// Rocks fly, and are kicked now and then.
fn toss(mut rng: ResMut<'_, SimRng>, mut rocks: Query<'_, '_, &mut Rock>) {
    for mut rock in &mut rocks {
        if rng.0.chance(8) {
            let Rock { vx, vy, .. } = self::rock(&mut rng.0);
            (rock.vx, rock.vy) = (vx, vy);
        }
        let turn = |at: f32, speed: f32| if at.abs() > HALF as f32 && at * speed > 0.0 { -speed } else { speed };
        (rock.vx, rock.vy) = (turn(rock.x, rock.vx), turn(rock.y, rock.vy));
        (rock.x, rock.y) = (rock.x + rock.vx / 60.0, rock.y + rock.vy / 60.0);
    }
}

fn talk(
    tick: Res<'_, SimTick>,
    seats: Res<'_, Seats>,
    mut numbers: ResMut<'_, Numbers>,
    mut events: ResMut<'_, GameEvents>,
) {
    if tick.0.0.is_multiple_of(CHIME_TICKS) {
        numbers.chime += 1;
        events.send(&Chime { number: numbers.chime });
    }
    for (Seat(seat), _) in seats.iter().filter(|(Seat(seat), _)| (tick.0.0 + 3 * u32::from(*seat)).is_multiple_of(45)) {
        numbers.whispers[usize::from(seat)] += 1;
        events.send_to(Seat(seat), &Whisper { seat, number: numbers.whispers[usize::from(seat)] });
    }
}

/// Numbers of the components that decide who sees what, and where.
pub(super) struct Parts {
    pub(super) place: usize,
    pub(super) plan: usize,
    pub(super) purse: usize,
    pub(super) stash: usize,
    pub(super) rock: usize,
}

impl Parts {
    pub(super) fn new(game: &Game) -> Self {
        let number = |name| game.schema().component(name).unwrap_or(usize::MAX);
        Self {
            place: number(Place::NAME),
            plan: number(Plan::NAME),
            purse: number(Purse::NAME),
            stash: number(Stash::NAME),
            rock: number(Rock::NAME),
        }
    }
}

/// The team of a seat.
pub(super) fn team(seat: i32) -> i32 {
    seat / i32::from(TEAM)
}
