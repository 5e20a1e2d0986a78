//! The bench `rollback`: what going back costs, in a whole world and in the small one that a client predicts.
//!
//! `ratio_to_resim`: 900 cubes in one pile, all awake. A history keeps every tick; going back 8 ticks and simulating them
//! again, keeping each, is compared with simulating the same 8 ticks and nothing else. Each way is run in turn on the same
//! piece of the same motion, and both must end in the same state. Beside it stands what keeping only every k-th tick would
//! give, as the mean over all ways in which the wanted tick can lie between two kept ones: the kept world is swapped in
//! instead of cloned, the ticks up to the wanted one are simulated on top, the corrected world and every k-th are kept.
//!
//! `local_ms`: 20 crates and the blocks of the sample game near them, as in a client; back 8 ticks, then 8 × (step, keep).

use std::hint::black_box;
use std::time::{Duration, Instant};

use amphi_server_arena::Pose;
use amphi_server_arena::physics::Physics;
use amphi_shared_replica::{Game, History, Mode, ReplicaApp, Sim, SimMode, Simulate};
use amphi_shared_wire::Seed;
use anyhow::{Context, ensure};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{ResMut, Resource};
use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};

/// How far one goes back, ticks.
const BACK: usize = 8;
/// Side and height of the pile, cubes: 900.
const SIDE: usize = 10;
const LAYERS: usize = 9;
/// Ticks in which the pile falls onto itself.
const SETTLE: usize = 90;
const LOCAL: usize = 20;
const FLOOR_BYTES: usize = 100;

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let repeats = scale.pick(24, 1);
    let settle = scale.pick(SETTLE, 2);
    let ours = Contestant::new("ours", move || Ok(pile(repeats, settle)?.and(local(10 * repeats, settle)?)));
    Bench::new("rollback", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

/// What is simulated: it steps as a whole.
#[derive(Clone, Deserialize, Resource, Serialize)]
enum Scene {
    Pile(Pile),
    Local(Box<Physics>),
}

/// A world of rapier in a resource, copied into memory that is there.
#[derive(Deserialize, Serialize)]
struct Pile(Box<PhysicsWorld>);

impl Clone for Pile {
    fn clone(&self) -> Self {
        let mut world = Self(Box::default());
        world.clone_from(self);
        world
    }

    fn clone_from(&mut self, other: &Self) {
        let (to, from) = (&mut self.0, &other.0);
        to.gravity = from.gravity;
        to.integration_parameters = from.integration_parameters;
        to.islands.clone_from(&from.islands);
        to.broad_phase.clone_from(&from.broad_phase);
        to.narrow_phase.clone_from(&from.narrow_phase);
        to.bodies.clone_from(&from.bodies);
        to.colliders.clone_from(&from.colliders);
        to.impulse_joints.clone_from(&from.impulse_joints);
        to.multibody_joints.clone_from(&from.multibody_joints);
        to.soft_bodies.clone_from(&from.soft_bodies);
    }
}

impl Scene {
    fn pile() -> Self {
        let mut world = PhysicsWorld { gravity: Vector::new(0.0, -9.81, 0.0), ..PhysicsWorld::default() };
        world.integration_parameters.dt = 1.0 / 60.0;
        let floor = ColliderBuilder::cuboid(50.0, 1.0, 50.0).translation(Vector::new(0.0, -1.0, 0.0));
        world.colliders.insert(floor.friction(0.7));
        for n in 0..SIDE * SIDE * LAYERS {
            let layer = n / (SIDE * SIDE);
            let place = |n: usize| (n as f32 - (SIDE - 1) as f32 / 2.0) * 0.41 + layer as f32 * 0.03;
            let centre = Vector::new(place(n % SIDE), 0.21 + layer as f32 * 0.42, place(n / SIDE % SIDE));
            let body = RigidBodyBuilder::dynamic().translation(centre).can_sleep(false);
            world.insert(body, ColliderBuilder::cuboid(0.2, 0.2, 0.2).density(1.0).friction(0.6));
        }
        Self::Pile(Pile(Box::new(world)))
    }

    /// Crates that fall onto each other in a corner of the field.
    fn local() -> Self {
        let mut physics = Physics::subset(0);
        for n in 0..LOCAL as i32 {
            let (x, y, z) = (n % 3 * 560 + n / 9 * 90, 256 + n / 9 * 530, n / 3 % 3 * 560 + n / 9 * 60);
            let rotation = [0, 0, 0, 511];
            physics.hold(n as usize + 1, &Pose { x: 8_000 + x, y, z, rotation, velocity: [0, -32, 0] });
        }
        Self::Local(Box::new(physics))
    }

    fn step(&mut self) {
        match self {
            Self::Pile(Pile(world)) => world.step(),
            Self::Local(physics) => physics.step(),
        }
    }

    fn poses(&self) -> Vec<[f32; 3]> {
        match self {
            Self::Pile(Pile(world)) => world.bodies.iter().map(|(_, body)| body.translation().to_array()).collect(),
            Self::Local(physics) => (1..=LOCAL).map(|n| physics.centre(n).to_array()).collect(),
        }
    }
}

#[derive(Clone)]
struct Stepped(fn() -> Scene);

impl Plugin for Stepped {
    fn build(&self, app: &mut App) {
        app.state_resource::<Scene>().modes(&[Mode { name: "one", teams: 1, team_size: 1, duration_s: 60 }]);
        app.insert_resource((self.0)());
        app.add_systems(Simulate, |mut scene: ResMut<'_, Scene>| scene.step());
    }
}

fn sim(scene: fn() -> Scene, settle: usize) -> anyhow::Result<(Sim, History)> {
    let game = Game::new("rollback", Stepped(scene));
    let mode = game.mode("one").context("the mode is gone")?;
    let mut sim = game.build(SimMode::Authority, mode.at(60), Seed(1))?;
    let mut history = sim.history(BACK + 1);
    for _ in 0..settle {
        sim.step()?;
        history.save(&mut sim);
    }
    Ok((sim, history))
}

/// Simulates on from a tick that is kept: back, and then step and keep.
fn again(sim: &mut Sim, history: &mut History) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let to = sim.tick().minus(BACK as u32);
    ensure!(history.restore(sim, to)?, "tick {} is not kept", to.0);
    for _ in 0..BACK {
        sim.step()?;
        history.save(sim);
    }
    Ok(start.elapsed())
}

fn on(sim: &mut Sim, history: &mut History) -> anyhow::Result<Duration> {
    let start = Instant::now();
    (0..BACK).try_for_each(|_| sim.step())?;
    let pure = start.elapsed();
    // The same 8 ticks are to be kept: outside of what is measured.
    history.restore(sim, sim.tick().minus(BACK as u32))?;
    for _ in 0..BACK {
        sim.step()?;
        history.save(sim);
    }
    Ok(pure)
}

fn pile(repeats: usize, settle: usize) -> anyhow::Result<Sample> {
    let (mut sim, mut history) = sim(Scene::pile, settle + BACK + 1)?;
    let (mut pure, mut ours) = (Duration::ZERO, Duration::ZERO);
    let mut sparse = [2, 4, 8].map(|every| (every, Duration::ZERO));
    let mut copies = Vec::new();
    for repeat in 0..repeats {
        pure += on(&mut sim, &mut history)?;
        let there = sim.world().resource::<Scene>().poses();
        ours += again(&mut sim, &mut history)?;
        for (every, spent) in &mut sparse {
            *spent += sparsely(sim.world().resource::<Scene>(), *every, repeat % *every, &mut copies);
        }
        ensure!(there == sim.world().resource::<Scene>().poses(), "another way has led elsewhere");
    }
    let ratio = |spent: Duration| spent.as_secs_f64() / pure.as_secs_f64();
    let sample = Sample::new().with("ratio_to_resim", ratio(ours));
    let sample = sample.beside("resim_ms", pure.as_secs_f64() * 1e3 / repeats as f64);
    Ok(sparse
        .iter()
        .fold(sample, |sample, (every, spent)| sample.beside(format!("ratio_every_{every}"), ratio(*spent))))
}

/// Going back where every `every`-th tick is kept and the wanted one is `beyond` ticks after a kept one: what it takes, from
/// a world that moves alike.
fn sparsely(scene: &Scene, every: usize, beyond: usize, copies: &mut Vec<Scene>) -> Duration {
    copies.resize_with(BACK + 3, || scene.clone());
    copies[0].clone_from(scene);
    let mut world = scene.clone();
    let start = Instant::now();
    std::mem::swap(&mut world, &mut copies[0]);
    (0..beyond).for_each(|_| world.step());
    copies[1].clone_from(&world);
    for tick in 1..=BACK {
        world.step();
        if tick % every == 0 {
            copies[1 + tick].clone_from(&world);
        }
    }
    let spent = start.elapsed();
    black_box(&world);
    spent
}

fn local(repeats: usize, settle: usize) -> anyhow::Result<Sample> {
    let (mut sim, mut history) = sim(Scene::local, settle.min(12) + BACK + 1)?;
    let mut spent = Duration::ZERO;
    for _ in 0..repeats {
        spent += again(&mut sim, &mut history)?;
    }
    Ok(Sample::new().with("local_ms", spent.as_secs_f64() * 1e3 / repeats as f64))
}
