//! The game: most things lie about, some go round, and pawns walk.

use amphi_shared_replica::{
    Begin, Input, Inputs, Mode, ReplicaApp as _, Replicate, Row, Schema, Seat, Seats, SimTick, Simulate, authority,
};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Commands, Component, IntoScheduleConfigs as _, Query, Res, With};

use super::PLAYERS;

/// The game, and how large it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    pub(super) entities: u32,
    /// Of which so many move in each tick.
    pub(super) moving: u32,
}

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Place {
    #[replica(unit = "1/64")]
    x: i32,
    #[replica(unit = "1/64")]
    y: i32,
}

#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Thing {
    number: u32,
}

#[derive(Component)]
struct GoesRound;

#[derive(Clone, Debug, Default, PartialEq, Input)]
pub(super) struct Walk {
    #[input(range = "-1..=1")]
    way: [i8; 2],
}

impl Walk {
    /// What a player wants in a tick: around a square.
    pub(super) fn at(tick: u32) -> Self {
        let way = [[1, 0], [0, 1], [-1, 0], [0, -1]];
        Self { way: way[tick as usize / 30 % 4] }
    }
}

impl Plugin for Plane {
    fn build(&self, app: &mut App) {
        app.interpolate::<Place>().replicate::<Thing>().transient::<GoesRound>().input::<Walk>();
        app.modes(&[Mode { name: "plane", teams: 1, team_size: PLAYERS as u8 + 1, duration_s: 3_600 }]);
        let plane = *self;
        let spawn = move |mut commands: Commands<'_, '_>, seats: Res<'_, Seats>| {
            let pawns = seats.0.len() as u32;
            for number in 0..plane.entities {
                let mut entity = commands.spawn((place(plane, number, 0), Thing { number }));
                if number < pawns {
                    entity.insert(Seat(number as u8));
                } else if number < plane.moving {
                    entity.insert(GoesRound);
                }
            }
        };
        app.add_systems(Begin, spawn.run_if(authority));
        let go_round = move |tick: Res<'_, SimTick>,
                             mut things: Query<'_, '_, (&Thing, &mut Place), With<GoesRound>>| {
            things.iter_mut().for_each(|(thing, mut at)| *at = place(plane, thing.number, tick.0.0));
        };
        app.add_systems(Simulate, (walk, go_round).chain());
    }
}

fn walk(inputs: Res<'_, Inputs<Walk>>, mut pawns: Query<'_, '_, (&Seat, &mut Place)>) {
    for (seat, mut place) in &mut pawns {
        let [dx, dy] = inputs.get(*seat).way.map(|step| i32::from(step) * 4);
        place.x += dx;
        place.y += dy;
    }
}

/// Where a thing is that is no pawn: those that move go to and fro, each at its own pace.
fn place(plane: Plane, number: u32, tick: u32) -> Place {
    // A jumble of the plane's 4,096 × 4,096 squares.
    let mixed = number.wrapping_mul(0x9e37_79b1);
    let (x, y) = ((mixed >> 20) as i32 * 64, (mixed >> 8 & 0xfff) as i32 * 64);
    if number >= plane.moving {
        return Place { x, y };
    }
    let swing = |step: u32, span: u32| {
        let way = (tick * step + number) % (2 * span);
        way.min(2 * span - way) as i32
    };
    Place { x: x + swing(3 + number % 5, 640), y: y + swing(2 + number % 7, 900) }
}

/// Whether a row tells where a thing was at the tick of the row.
pub(super) fn is_exact(plane: Plane, schema: &Schema, tick: u32, row: &Row) -> bool {
    let part = |name| row.component(schema, schema.component(name)?);
    let (Some(at), Some(thing)) = (part("Place").map(Place::read), part("Thing").map(Thing::read)) else {
        return false;
    };
    thing.number <= PLAYERS as u32 || at == place(plane, thing.number, tick)
}
