//! A small game: each seat pushes its own spot along a line.

use amphi_shared_replica::{Begin, Game, Input, Inputs, Mode, ReplicaApp, Replicate, Seat, Seats, Simulate, authority};
use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
pub(crate) struct Spot {
    pub(crate) x: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Push(pub(crate) i8);

impl Input for Push {
    fn encode(&self, writer: &mut BitWriter) {
        writer.bits(u32::from(self.0 as u8), 8);
    }
    fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        Ok(Self(reader.bits(8)? as u8 as i8))
    }
    fn sanitise(self) -> Self {
        self
    }
    fn decayed(&self) -> Self {
        Self(0)
    }
}

#[derive(Clone)]
struct Pushing;

impl Plugin for Pushing {
    fn build(&self, app: &mut App) {
        app.replicate::<Spot>()
            .input::<Push>()
            .modes(&[
                Mode { name: "2v2", teams: 2, team_size: 2, duration_s: 600 },
                Mode { name: "blink", teams: 2, team_size: 1, duration_s: 1 },
            ])
            .add_systems(Begin, spawn.run_if(authority))
            .add_systems(Simulate, push.run_if(authority));
    }
}

fn spawn(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
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

pub(crate) fn game() -> Game {
    Game::new("pushing", Pushing)
}
