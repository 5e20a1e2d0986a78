//! Players who crowd together and push each other: what a prediction knows of those near is what it gets right.

use amphi_clients_rust::Client;
use amphi_shared_replica::{
    Begin, Game, Input, Inputs, Mode, Nearby, OwnSeat, ReplicaApp, Replicate, Seat, Seats, Simulate, authority,
};
use amphi_shared_wire::{Micros, Rng};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Commands, Component, IntoScheduleConfigs, Query, Res, ResMut};

use super::cast::Cast;
use super::world::{Play, Turn, World};
use crate::net::Link;

/// Steps between two who do not push each other.
const APART: i32 = 256;
/// What someone walks in a tick.
const STRIDE: i32 = 16;
/// Half the width of the place where they meet.
const HALF: i32 = 1_024;
/// How far is near.
const NEAR: f64 = 768.0;

/// What a player wants.
#[derive(Clone, Copy, Default, PartialEq, Input)]
pub(crate) struct Way {
    #[input(range = "-1..=1")]
    way: [i8; 2],
}

/// Someone in the crowd, and where they go.
#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Body {
    x: i32,
    y: i32,
    going: [i8; 2],
}

#[derive(Clone)]
struct CrowdGame {
    near: bool,
}

impl Plugin for CrowdGame {
    fn build(&self, app: &mut App) {
        app.predict::<Body>().interpolate::<Body>().input::<Way>();
        if self.near {
            app.nearby::<Body>(Nearby::within(&["x", "y"], NEAR));
        }
        app.modes(&[Mode { name: "crowd", teams: 2, team_size: 8, duration_s: 3_600 }]);
        app.add_systems(Begin, begin.run_if(authority));
        app.add_systems(Simulate, (guess, walk, push).chain());
    }
}

fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    for (seat, _) in seats.iter() {
        let at = i32::from(seat.0);
        commands.spawn((seat, Body { x: at % 4 * APART - HALF / 2, y: at / 4 * APART - HALF / 2, going: [0; 2] }));
    }
}

/// Others go on as they go.
fn guess(own: Res<'_, OwnSeat>, bodies: Query<'_, '_, (&Seat, &Body)>, mut inputs: ResMut<'_, Inputs<Way>>) {
    let Some(own) = own.0 else { return };
    for (seat, body) in bodies.iter().filter(|(seat, _)| **seat != own) {
        inputs.set(*seat, Way { way: body.going });
    }
}

fn walk(inputs: Res<'_, Inputs<Way>>, mut bodies: Query<'_, '_, (&Seat, &mut Body)>) {
    for (seat, mut body) in &mut bodies {
        let way = inputs.get(*seat).way;
        let [x, y] = way.map(|way| i32::from(way) * STRIDE);
        *body = Body { x: (body.x + x).clamp(-HALF, HALF), y: (body.y + y).clamp(-HALF, HALF), going: way };
    }
}

/// Those who are too close part, by half of what is missing each, along the axis on which they are farther apart.
fn push(mut bodies: Query<'_, '_, (&Seat, &mut Body)>) {
    let mut all: Vec<_> = bodies.iter_mut().collect();
    all.sort_unstable_by_key(|(seat, _)| **seat);
    for first in 0..all.len() {
        for second in first + 1..all.len() {
            let (a, b) = (*all[first].1, *all[second].1);
            let (x, y) = (b.x - a.x, b.y - a.y);
            let missing = APART - x.abs().max(y.abs());
            if missing <= 0 {
                continue;
            }
            let half = missing.midpoint(1);
            let sign = |way: i32| if way < 0 { -half } else { half };
            let (x, y) = if x.abs() >= y.abs() { (sign(x), 0) } else { (0, sign(y)) };
            *all[first].1 = Body { x: a.x - x, y: a.y - y, ..a };
            *all[second].1 = Body { x: b.x + x, y: b.y + y, ..b };
        }
    }
}

/// The crowd, with those near predicted or not.
#[derive(Debug)]
pub(crate) struct Crowd<const NEARBY: bool>;

impl<const NEARBY: bool> Play for Crowd<NEARBY> {
    type Input = Way;

    const LINK: Link = Link {
        latency: Micros::from_millis(25),
        jitter: Micros::from_millis(2),
        lost_permille: 10,
        doubled_permille: 0,
        late_permille: 0,
        corrupted_permille: 0,
        max_datagram: 1_000,
    };
    const TURN_EVERY: Micros = Micros::from_millis(400);

    fn game() -> Game {
        Game::new("crowd", CrowdGame { near: NEARBY })
    }

    fn new(_: &Cast) -> Self {
        Self
    }

    fn turn(&mut self, turn: Turn, client: &mut Client<Way>, rng: &mut Rng) {
        let way = [0; 2].map(|_: i32| rng.below(3) as i8 - 1);
        client.set_input(Way { way: if turn.still { [0; 2] } else { way } });
    }

    fn check(world: &World<Self>, who: usize) -> Result<(), String> {
        let client = world.client(who);
        let own = client.own::<Body>();
        let received = client.received::<Body>();
        let truth = client.own_id().and_then(|id| received.iter().find(|(known, _)| *known == id));
        if own.is_none() || own != truth.map(|(_, body)| *body) {
            return Err(format!("player {who} stands at {own:?}, truly at {truth:?}"));
        }
        Ok(())
    }
}
