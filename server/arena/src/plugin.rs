//! The game as a Bevy plugin: what is registered, and in which order its systems run.

use amphi_shared_replica::{
    Begin, Inputs, Mode, Nearby, ReplicaApp as _, Seat, Seats, SimRng, SimTick, Simulate, Touching, authority,
    predicting,
};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{DetectChangesMut as _, Entity, IntoScheduleConfigs as _, Query, Res, ResMut};

use crate::bots::{self, View};
use crate::components::{BALL, CRATE, Player, Pose, Scoreboard, Thing, Touch};
use crate::event::{Death, Goal, Pulse, Shove};
use crate::input::ArenaInput;
use crate::map;
use crate::movement::{self, HALF_WIDTH, HEIGHT, PlayerBody, Statics};
use crate::physics::{Physics, ledge};
use crate::predicted::{self, NEARBY_M};
use crate::pulse;
use crate::rules;

/// Ticks per second that all numbers of the arena are made for.
pub const TICK_HZ: u32 = 60;

/// The modes on offer; the last one is for trying out.
pub const MODES: [Mode; 5] = [
    Mode { name: "1v1", teams: 2, team_size: 1, duration_s: 180 },
    Mode { name: "2v2", teams: 2, team_size: 2, duration_s: 180 },
    Mode { name: "4v4", teams: 2, team_size: 4, duration_s: 180 },
    Mode { name: "8v8", teams: 2, team_size: 8, duration_s: 180 },
    Mode { name: "blitz", teams: 2, team_size: 3, duration_s: 20 },
];

// What overlapping players add to each other's velocity, units per tick.
const PARTING_PUSH: i32 = 60;

/// The sample game.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arena;

impl Plugin for Arena {
    fn build(&self, app: &mut App) {
        app.predict::<PlayerBody>().interpolate::<PlayerBody>();
        app.replicate::<Player>().replicate::<Thing>().interpolate::<Pose>().replicate::<Scoreboard>();
        app.state_resource::<Physics>().state_resource::<Touch>().transient_resource::<Statics>();
        app.event::<Pulse>().event::<Shove>().event::<Death>().event::<Goal>();
        app.nearby::<PlayerBody>(Nearby::within(&["x", "y", "z"], NEARBY_M));
        app.nearby::<Pose>(Nearby::within(&["x", "y", "z"], NEARBY_M)).nearby::<Scoreboard>(Nearby::always());
        app.input::<ArenaInput>().modes(&MODES);
        app.tables(include_bytes!("../arena.tables"));
        app.insert_resource(Statics { blocks: map::blocks(), ledges: Vec::new() });
        app.add_systems(Begin, (rules::begin.run_if(authority), predicted::begin.run_if(predicting)).chain());
        app.add_systems(
            Simulate,
            (
                play_bots.run_if(authority),
                (predicted::gather, predicted::guess).chain().run_if(predicting),
                rules::referee,
                survey,
                walk,
                part,
                pulse::fight,
                move_things,
                meet.run_if(authority),
                rules::copy_poses,
                rules::watch_ball.run_if(authority),
            )
                .chain(),
        );
    }
}

/// Writes the inputs of seats that no person holds.
fn play_bots(
    seats: Res<'_, Seats>,
    tick: Res<'_, SimTick>,
    players: Query<'_, '_, (&Seat, &Player, &PlayerBody)>,
    things: Query<'_, '_, (&Thing, &Pose)>,
    mut rng: ResMut<'_, SimRng>,
    mut inputs: ResMut<'_, Inputs<ArenaInput>>,
) {
    let Some((_, ball)) = things.iter().find(|(thing, _)| thing.kind == BALL) else { return };
    let view = View::new(tick.0.0, players.iter().map(|(seat, player, body)| (*seat, *player, *body)), ball);
    for (seat, state) in seats.iter() {
        if state.bot {
            inputs.set(seat, bots::brain(&view, seat, &mut rng.0));
        }
    }
}

/// Finds the tops of the crates, where feet find hold.
fn survey(mut statics: ResMut<'_, Statics>, things: Query<'_, '_, (&Thing, &Pose)>) {
    statics.ledges.clear();
    statics.ledges.extend(things.iter().filter(|(thing, _)| thing.kind == CRATE).map(|(_, pose)| ledge(pose)));
}

/// Moves the players.
fn walk(
    inputs: Res<'_, Inputs<ArenaInput>>,
    statics: Res<'_, Statics>,
    mut players: Query<'_, '_, (&Seat, &mut PlayerBody)>,
) {
    for (seat, mut body) in &mut players {
        let next = movement::step(*body, inputs.get(*seat), &statics);
        body.set_if_neq(next);
    }
}

/// Pushes players apart who stand in each other.
fn part(mut players: Query<'_, '_, (Entity, &Seat, &Player, &mut PlayerBody)>, mut touching: ResMut<'_, Touching>) {
    let alive = players.iter().filter(|(_, _, player, _)| player.alive());
    let mut all: Vec<(Seat, Entity, PlayerBody)> =
        alive.map(|(entity, seat, _, body)| (*seat, entity, *body)).collect();
    all.sort_unstable_by_key(|(seat, ..)| *seat);
    for (entity, seat, player, mut body) in &mut players {
        let others = all.iter().filter(|(other, ..)| other != seat && player.alive());
        let mut push = |(other, met, near): &(Seat, Entity, PlayerBody)| {
            let push = parting(*seat, &body, *other, near)?;
            if seat < other {
                touching.pair(entity, *met);
            }
            Some(push)
        };
        let [x, z] = others.filter_map(&mut push).fold([0, 0], |sum, push| [sum[0] + push[0], sum[1] + push[1]]);
        if [x, z] != [0, 0] {
            body.push([x, 0, z]);
        }
    }
}

/// The push that `body` gets from another one it overlaps, units per tick.
fn parting(seat: Seat, body: &PlayerBody, other: Seat, near: &PlayerBody) -> Option<[i32; 2]> {
    let (x, y, z) = (body.x - near.x, body.y - near.y, body.z - near.z);
    let apart = 2 * HALF_WIDTH;
    if x.abs() >= apart || z.abs() >= apart || y.abs() >= HEIGHT {
        return None;
    }
    let distance = (x * x + z * z).isqrt();
    match distance {
        0 if seat < other => Some([PARTING_PUSH, 0]),
        0 => Some([-PARTING_PUSH, 0]),
        1.. if distance < apart => Some([x * PARTING_PUSH / distance, z * PARTING_PUSH / distance]),
        _ => None,
    }
}

/// Steps the physics, with all capsules where their players are.
fn move_things(mut physics: ResMut<'_, Physics>, players: Query<'_, '_, (&Seat, &Player, &PlayerBody)>) {
    for (seat, player, body) in &players {
        physics.place(*seat, body, player.alive());
    }
    physics.step();
}

/// Says which players touch the ball.
fn meet(
    physics: Res<'_, Physics>,
    players: Query<'_, '_, (Entity, &Seat)>,
    things: Query<'_, '_, (Entity, &Thing)>,
    mut touching: ResMut<'_, Touching>,
) {
    let Some((ball, thing)) = things.iter().find(|(_, thing)| thing.kind == BALL) else { return };
    for seat in physics.players_at(usize::from(thing.index)) {
        if let Some((player, _)) = players.iter().find(|(_, of)| **of == seat) {
            touching.pair(player, ball);
        }
    }
}
