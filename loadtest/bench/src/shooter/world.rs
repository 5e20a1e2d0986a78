//! The battle as a game of ours: components, and a world that is put where a trace wants it.

use std::collections::BTreeMap;
use std::f32::consts::TAU;
use std::sync::Arc;

use amphi_shared_replica::{Field, Game, Mode, ReplicaApp, Replicate, Sim, SimMode, Tables, Trainer};
use amphi_shared_wire::Seed;
use anyhow::Context;
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Component, Entity};

use super::trace::{Kind, STEPS_PER_TURN, Thing, Trace};
use crate::codec::pose;

/// Where a player is.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Body {
    #[replica(unit = "0.01")]
    place: [i32; 3],
    #[replica(unit = "0.01")]
    speed: [i16; 3],
}

/// Where a player looks, rad in steps of 1/4096 of a turn.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Aim {
    #[replica(unit = "0.00153398078788564", lerp = "angle")]
    yaw: f32,
    #[replica(unit = "0.00153398078788564")]
    pitch: f32,
}

/// How a player is.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Status {
    #[replica(lerp = "step")]
    health: u8,
    #[replica(lerp = "step")]
    state: u8,
}

/// Where a projectile is.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Flight {
    #[replica(unit = "0.01")]
    place: [i32; 3],
    #[replica(unit = "0.01")]
    speed: [i16; 3],
}

/// Where a vehicle is.
#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Drive {
    #[replica(unit = "0.01")]
    place: [i32; 3],
    #[replica(unit = "0.01")]
    speed: [i16; 3],
}

/// How a vehicle stands, as smallest three.
#[derive(Clone, Component, Copy, Debug, Default)]
struct Turn([i32; 4]);

impl Replicate for Turn {
    const NAME: &'static str = "Turn";

    fn fields() -> &'static [Field] {
        const FIELDS: [Field; 4] =
            [pose::part("rotation.0"), pose::part("rotation.1"), pose::part("rotation.2"), pose::part("rotation.3")];
        &FIELDS
    }

    fn write(&self, row: &mut [i32]) {
        row.copy_from_slice(&self.0);
    }

    fn read(row: &[i32]) -> Self {
        let mut turn = Self::default();
        turn.0.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        turn
    }
}

#[derive(Clone)]
struct Shooter;

impl Plugin for Shooter {
    fn build(&self, app: &mut App) {
        app.interpolate::<Body>().interpolate::<Aim>().interpolate::<Status>();
        app.interpolate::<Flight>().interpolate::<Drive>().interpolate::<Turn>();
        // The clients of a bench need no seats of a mode.
        app.modes(&[Mode { name: "battle", teams: 1, team_size: 1, duration_s: 3_600 }]);
    }
}

/// The world of a battle.
pub(super) struct World {
    pub(super) sim: Sim,
    /// By the id in the trace.
    entities: BTreeMap<u32, Entity>,
}

impl World {
    pub(super) fn new(hz: u32) -> anyhow::Result<Self> {
        let game = Game::new("shooter", Shooter);
        let mode = game.mode("battle").context("the mode is gone")?;
        Ok(Self { sim: game.build(SimMode::Authority, mode.at(hz), Seed(1))?, entities: BTreeMap::new() })
    }

    /// Plays one tick of a trace.
    pub(super) fn step(&mut self, things: &[Thing]) -> anyhow::Result<()> {
        let world = self.sim.world_mut();
        self.entities.retain(|id, entity| {
            let stays = things.binary_search_by_key(id, |thing| thing.id).is_ok();
            if !stays {
                world.despawn(*entity);
            }
            stays
        });
        for thing in things {
            let entity = *self.entities.entry(thing.id).or_insert_with(|| world.spawn_empty().id());
            let (mut entity, place, speed) =
                (world.entity_mut(entity), thing.place, thing.speed.map(|part| part as i16));
            match thing.kind {
                Kind::Player => {
                    let [yaw, pitch] = [0, 1].map(|n: usize| thing.rest[n] as f32 * (TAU / STEPS_PER_TURN));
                    let (health, state) = (thing.rest[2] as u8, thing.rest[3] as u8);
                    entity.insert((Body { place, speed }, Aim { yaw, pitch }, Status { health, state }))
                }
                Kind::Projectile => entity.insert(Flight { place, speed }),
                Kind::Vehicle => entity.insert((Drive { place, speed }, Turn(thing.rest))),
            };
        }
        self.sim.step()?;
        Ok(())
    }
}

/// Tables for battles, from other ones.
pub(super) fn train(hz: u32, battles: &[Trace]) -> anyhow::Result<Tables> {
    let mut trainer: Option<Trainer> = None;
    for battle in battles {
        let mut world = World::new(hz)?;
        let trainer = trainer.get_or_insert_with(|| Trainer::new(Arc::clone(world.sim.schema())));
        trainer.start_match();
        for things in &battle.ticks {
            world.step(things)?;
            trainer.note(world.sim.mirror());
        }
    }
    Ok(trainer.context("no battle to train on")?.finish())
}
