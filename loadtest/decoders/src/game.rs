//! The game of `shared/vectors/snapshot`: its schema and its inputs of one byte.

use amphi_shared_replica::{Begin, Game, Input, Inputs, Mode, ReplicaApp, Replicate, Seat, Seats, Simulate, authority};
use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

pub(crate) const MODE: &str = "test";

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Place {
    #[replica(unit = "1/512")]
    x: i32,
    y: i32,
    z: i32,
}

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Health(u8);

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Burning;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Push(pub(crate) u8);

impl Input for Push {
    fn encode(&self, writer: &mut BitWriter) {
        writer.bits(u32::from(self.0), 8);
    }

    fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        Ok(Self(reader.bits(8)? as u8))
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
        app.interpolate::<Place>()
            .replicate::<Health>()
            .replicate::<Burning>()
            .input::<Push>()
            .modes(&[Mode { name: MODE, teams: 1, team_size: 2, duration_s: 10 }])
            .add_systems(Begin, spawn.run_if(authority))
            .add_systems(Simulate, push);
    }
}

fn spawn(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    for (seat, _) in seats.iter() {
        commands.spawn((seat, Place::default(), Health(100)));
    }
}

fn push(inputs: Res<'_, Inputs<Push>>, mut places: Query<'_, '_, (&Seat, &mut Place)>) {
    for (seat, mut place) in &mut places {
        place.x = place.x.wrapping_add(i32::from(inputs.get(*seat).0));
    }
}

pub(crate) fn game() -> Game {
    Game::new("test", Pushing)
}
