//! A small game: each seat pushes its own spot along a line.

use amphi_shared_replica::{
    Begin, Game, GameEvents, Input, Inputs, MatchMode, Mode, ReplicaApp, Replicate, Request, Requests, Seat, Seats,
    Simulate, authority,
};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
pub(crate) struct Spot {
    pub(crate) x: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Input)]
pub(crate) struct Push(#[input(late = "release")] pub(crate) i8);

/// Asks how often the seat has asked; the count is per match.
#[derive(Clone, Copy, Debug, Replicate)]
pub(crate) struct Count {
    pub(crate) add: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Replicate)]
pub(crate) struct Counted {
    pub(crate) sum: u32,
}

impl Request for Count {
    type Answer = Counted;
}

#[derive(Clone, Default, Deserialize, Resource, Serialize)]
struct Sum(u32);

#[derive(Clone)]
struct Pushing;

impl Plugin for Pushing {
    fn build(&self, app: &mut App) {
        app.replicate::<Spot>()
            .input::<Push>()
            .request::<Count>()
            .state_resource::<Sum>()
            .modes(&[
                Mode { name: "2v2", teams: 2, team_size: 2, duration_s: 600 },
                Mode { name: "crowd", teams: 2, team_size: 1, duration_s: 600 },
                Mode { name: "blink", teams: 2, team_size: 1, duration_s: 1 },
            ])
            .add_systems(Begin, spawn.run_if(authority))
            .add_systems(Simulate, (push, count).run_if(authority));
        app.init_resource::<Sum>();
    }
}

/// Spots without a seat in mode `crowd`.
pub(crate) const CROWD: usize = 5_000;

fn spawn(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>, mode: Res<'_, MatchMode>) {
    if mode.name == "crowd" {
        commands.spawn_batch((0..CROWD).map(|n| Spot { x: 1_000 * n as i32 }));
    }
    for (seat, _) in seats.iter() {
        commands.spawn((seat, Spot::default()));
    }
}

fn push(inputs: Res<'_, Inputs<Push>>, mut spots: Query<'_, '_, (&Seat, &mut Spot)>) {
    for (seat, mut spot) in &mut spots {
        let push = inputs.get(*seat).0;
        assert!(push != i8::MIN, "a fault in the game");
        spot.x += i32::from(push);
    }
}

fn count(asked: Res<'_, Requests<Count>>, mut sum: ResMut<'_, Sum>, mut events: ResMut<'_, GameEvents>) {
    for asked in asked.iter() {
        sum.0 += u32::from(asked.request.add);
        events.answer(asked, &Counted { sum: sum.0 });
    }
}

pub(crate) fn game() -> Game {
    Game::new("pushing", Pushing)
}
