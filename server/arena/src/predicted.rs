//! What a client's world has instead of a server's: the things that are near, and a guess of what others want.

use amphi_shared_replica::{Inputs, OwnSeat, Seat, Seats};
use bevy_ecs::prelude::{Commands, Query, Res, ResMut};

use crate::angle::{self, ONE};
use crate::components::{Pose, Thing, Touch};
use crate::input::ArenaInput;
use crate::movement::{PlayerBody, RUN_SPEED};
use crate::physics::Physics;

/// How far from the own player others and things are predicted, m: what both walk in a third of a second, and an arm's reach.
pub(crate) const NEARBY_M: f64 = 6.0;

/// The physics of a client: nothing is in it yet.
pub(crate) fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    commands.insert_resource(Physics::subset(seats.0.len()));
    commands.insert_resource(Touch::default());
}

/// Brings into the physics what has come near, corrects what the server sees elsewhere, and drops what is gone.
pub(crate) fn gather(
    mut physics: ResMut<'_, Physics>,
    seats: Res<'_, Seats>,
    things: Query<'_, '_, (&Thing, &Pose)>,
    players: Query<'_, '_, (&Seat, &PlayerBody)>,
) {
    let mut near: Vec<(usize, Pose)> = things.iter().map(|(thing, pose)| (usize::from(thing.index), *pose)).collect();
    // In one order everywhere: bodies are simulated in the order in which they came.
    near.sort_unstable_by_key(|(index, _)| *index);
    for index in 0..physics.things() {
        if near.binary_search_by_key(&index, |(near, _)| *near).is_err() {
            physics.release(index);
        }
    }
    near.iter().for_each(|(index, pose)| physics.hold(*index, pose));
    for (seat, _) in seats.iter() {
        if !players.iter().any(|(near, _)| *near == seat) {
            physics.place(seat, &PlayerBody::default(), false);
        }
    }
}

/// Others go on as they go: the direction held that keeps their velocity, the view where it is. That they will fire or jump
/// is not guessed.
pub(crate) fn guess(
    own: Res<'_, OwnSeat>,
    players: Query<'_, '_, (&Seat, &PlayerBody)>,
    mut inputs: ResMut<'_, Inputs<ArenaInput>>,
) {
    let Some(own) = own.0 else { return };
    for (seat, body) in players.iter().filter(|(seat, _)| **seat != own) {
        inputs.set(*seat, held(body));
    }
}

/// The input under which a body keeps its velocity on the ground.
fn held(body: &PlayerBody) -> ArenaInput {
    let (sin, cos) = (angle::sin(body.yaw), angle::cos(body.yaw));
    let share = |speed: i32| (speed / ONE * 127 / RUN_SPEED).clamp(-127, 127) as i8;
    ArenaInput {
        move_x: share(sin * body.vx + cos * body.vz),
        move_y: share(cos * body.vx - sin * body.vz),
        yaw: body.yaw,
        pitch: body.pitch,
        ..ArenaInput::default()
    }
}

#[cfg(test)]
mod tests {
    use super::held;
    use crate::movement::{self, PlayerBody, Statics};

    #[test]
    fn a_runner_runs_on() {
        for (vx, vz, yaw) in [(512, 0, 0), (-300, 400, 9_000), (0, -510, 50_000), (0, 0, 3)] {
            let statics = Statics { blocks: crate::map::blocks(), ledges: Vec::new() };
            let mut body = PlayerBody { vx, vz, ..PlayerBody::at([0; 3], yaw) };
            for _ in 0..8 {
                body = movement::step(body, &held(&body), &statics);
            }
            assert!((body.vx - vx).abs() < 60 && (body.vz - vz).abs() < 60, "{vx} {vz} became {body:?}");
        }
    }
}
