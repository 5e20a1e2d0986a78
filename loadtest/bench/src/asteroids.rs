//! The bench `asteroids`: bytes for bodies that fly freely and bump into each other now and then.
//!
//! The scene of KinematicSoup's networking benchmark, played in rapier with balls: 250 asteroids at 1 to 4 m/s that turn by up to
//! 45° per second in a sphere of 31.5 m around a planetoid, 30 ticks per second, one client. Sizes are not published: here
//! asteroids have a radius of 1 m and the planetoid one of 4 m. A client's error is what it
//! shows after all bytes sent up to a tick against the simulation at that tick, in every tick: positions in m, rotations as
//! the greatest difference of the parts of two quaternions. The tables are trained in the run, on other seeds.
//!
//! On the wire a snapshot has the session's header and lane, and what a datagram of ours costs over QUIC and IPv4. A lost
//! snapshot is known to be lost when three later ones are acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use amphi_shared_replica::{
    Game, Mode, NetId, Recipient, Reckon, ReplicaApp, Replicate, Sim, SimMode, SnapshotDecoder, SnapshotEncoder,
    SnapshotHeader, Tables, Trainer,
};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, DATAGRAM_HEADER_BYTES};
use amphi_shared_wire::{Rng, Seed, Tick};
use anyhow::Context;
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Component, Entity};
use rapier3d::prelude::*;

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};

const BODIES: usize = 250;
const HZ: u32 = 30;
const SPHERE_M: f32 = 31.5;
const PLANETOID_M: f32 = 4.0;
const BODY_M: f32 = 1.0;
const SEED: u64 = 2323;
const TRAINING_SEEDS: [u64; 3] = [1, 2, 3];
/// Ticks until a snapshot is acknowledged.
const ACK_TICKS: usize = 3;
/// Ticks until it is known to be lost.
const LOSS_TICKS: usize = ACK_TICKS + 3;
/// Tolerances of the scene.
const POSITION_M: f64 = 0.01;
const ROTATION: f64 = 0.001;
/// What a datagram costs beside the session's: IPv4 and UDP 28, QUIC's short header with an id of 8 bytes and a packet number
/// of 2 (RFC 9000 section 17.3.1) 11, the tag 16, the DATAGRAM frame without a length (RFC 9221 section 4) 1.
const PACKET_BYTES: usize = 28 + 11 + 16 + 1;
const LANE_BYTES: usize = 1;
const FLOOR_BYTES: usize = 70;

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let ticks = scale.pick(150 * HZ as usize, 60);
    let ours = Contestant::new("ours", move || {
        let tables = Arc::new(trained(ticks / 3)?);
        let clean = play(&tables, ticks, 0)?;
        let lossy = play(&tables, ticks, 20)?;
        let seconds = ticks as f64 / f64::from(HZ);
        Ok(Sample::new()
            .with("payload_kbs", clean.payload as f64 / seconds / 1e3)
            .with("wire_kbs", clean.wire as f64 / seconds / 1e3)
            .with("pos_err_max_m", clean.errors.position_max)
            .with("rot_err_max", clean.errors.rotation_max)
            .with("told_percent", clean.rows as f64 / (ticks * BODIES) as f64 * 100.0)
            .with("lossy_pos_err_p99_m", lossy.errors.p99())
            .with("lossy_over_percent", lossy.errors.over_percent())
            .beside("lossy_payload_kbs", lossy.payload as f64 / seconds / 1e3))
    });
    Bench::new("asteroids", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(1)
}

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Drift {
    #[replica(unit = "1/1024", tolerance = 5)]
    place: [f32; 3],
    #[replica(unit = "1/4096", lerp = "quaternion", tolerance = 3)]
    rotation: [f32; 4],
    #[replica(unit = "1/1024")]
    speed: [f32; 3],
    #[replica(unit = "1/4096")]
    spin: [f32; 3],
}

#[derive(Clone)]
struct Space;

impl Plugin for Space {
    fn build(&self, app: &mut App) {
        let course = Reckon::new()
            .moving("place.0", "speed.0")
            .moving("place.1", "speed.1")
            .moving("place.2", "speed.2")
            .turning("rotation.0", ["spin.0", "spin.1", "spin.2"]);
        app.reckon::<Drift>(&course).modes(&[Mode { name: "space", teams: 1, team_size: 1, duration_s: 3_600 }]);
    }
}

/// The asteroids, in rapier and as a world that is sent.
struct Scene {
    physics: PhysicsWorld,
    bodies: Vec<RigidBodyHandle>,
    sim: Sim,
    entities: Vec<Entity>,
}

impl Scene {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let game = Game::new("asteroids", Space);
        let mode = game.mode("space").context("the mode is gone")?;
        let sim = game.build(SimMode::Authority, mode.at(HZ), Seed(seed))?;
        let mut physics = PhysicsWorld { gravity: Vector::ZERO, ..PhysicsWorld::default() };
        physics.integration_parameters.dt = 1.0 / HZ as f32;
        physics.colliders.insert(ColliderBuilder::ball(PLANETOID_M).restitution(1.0));
        let mut scene = Self { physics, bodies: Vec::new(), sim, entities: Vec::new() };
        let mut rng = Seed(seed).rng();
        while scene.bodies.len() < BODIES {
            scene.add(&mut rng);
        }
        Ok(scene)
    }

    /// Adds an asteroid somewhere, unless it would be inside another one.
    fn add(&mut self, rng: &mut Rng) {
        let place = direction(rng) * ((SPHERE_M - 1.0) * rng.unit().cbrt() as f32);
        let free = |body: &RigidBodyHandle| (self.physics.bodies[*body].translation() - place).length() > 2.2 * BODY_M;
        if place.length() < PLANETOID_M + 2.0 * BODY_M || !self.bodies.iter().all(free) {
            return;
        }
        let speed = direction(rng) * (1.0 + 3.0 * rng.unit() as f32);
        let spin = direction(rng) * (std::f32::consts::FRAC_PI_4 * rng.unit() as f32);
        let body = RigidBodyBuilder::dynamic().translation(place).linvel(speed).angvel(spin).can_sleep(false);
        let ball = ColliderBuilder::ball(BODY_M).restitution(1.0).friction(0.3);
        self.bodies.push(self.physics.insert(body, ball).0);
        self.entities.push(self.sim.world_mut().spawn(Drift::default()).id());
    }

    fn step(&mut self) -> anyhow::Result<()> {
        for body in &self.bodies {
            let body = &mut self.physics.bodies[*body];
            let (place, speed) = (body.translation(), body.linvel());
            let out = place / place.length().max(1.0);
            // The sphere sends back what leaves it.
            if place.length() > SPHERE_M && speed.dot(out) > 0.0 {
                body.set_linvel(speed - out * (2.0 * speed.dot(out)), true);
            }
        }
        self.physics.step();
        for (body, entity) in self.bodies.iter().zip(&self.entities) {
            let drift = Drift::of(&self.physics.bodies[*body]);
            *self.sim.world_mut().get_mut(*entity).context("an asteroid is gone")? = drift;
        }
        Ok(self.sim.step()?)
    }
}

impl Drift {
    fn of(body: &RigidBody) -> Self {
        let (place, turned) = (body.translation(), body.rotation());
        let (speed, spin) = (body.linvel(), body.angvel());
        Self {
            place: [place.x, place.y, place.z],
            rotation: [turned.x, turned.y, turned.z, turned.w],
            speed: [speed.x, speed.y, speed.z],
            spin: [spin.x, spin.y, spin.z],
        }
    }
}

/// A direction, all alike.
fn direction(rng: &mut Rng) -> Vector {
    loop {
        let mut part = || rng.unit() as f32 * 2.0 - 1.0;
        let any = Vector::new(part(), part(), part());
        if (0.1..1.0).contains(&any.length()) {
            return any.normalize();
        }
    }
}

fn trained(ticks: usize) -> anyhow::Result<Tables> {
    let mut trainer: Option<Trainer> = None;
    for seed in TRAINING_SEEDS {
        let mut scene = Scene::new(seed)?;
        let trainer = trainer.get_or_insert_with(|| Trainer::new(Arc::clone(scene.sim.schema())));
        trainer.start_match();
        for _ in 0..ticks {
            scene.step()?;
            trainer.note(scene.sim.mirror());
        }
    }
    Ok(trainer.context("no seed to train on")?.finish())
}

#[derive(Default)]
struct Played {
    payload: usize,
    wire: usize,
    rows: usize,
    errors: Errors,
}

/// Errors of positions, of every asteroid in every tick, and the greatest ones.
#[derive(Default)]
struct Errors {
    positions: Vec<f64>,
    over: usize,
    position_max: f64,
    rotation_max: f64,
}

impl Errors {
    fn note(&mut self, shown: &Drift, is: &Drift) {
        let square = |axis: usize| f64::from(shown.place[axis] - is.place[axis]).powi(2);
        let position = (0..3).map(square).sum::<f64>().sqrt();
        let dot: f32 = (0..4).map(|part| shown.rotation[part] * is.rotation[part]).sum();
        let part = |n: usize| f64::from((shown.rotation[n] - is.rotation[n] * dot.signum()).abs());
        let rotation = (0..4).map(part).fold(0.0, f64::max);
        self.over += usize::from(position > POSITION_M || rotation > ROTATION);
        self.position_max = self.position_max.max(position);
        self.rotation_max = self.rotation_max.max(rotation);
        self.positions.push(position);
    }

    fn p99(&self) -> f64 {
        let mut sorted = self.positions.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(0.0)
    }

    fn over_percent(&self) -> f64 {
        self.over as f64 / self.positions.len().max(1) as f64 * 100.0
    }
}

/// Snapshots for one client, of which so many in 1,000 are lost. Bytes and errors count from the second on, as the whole
/// world comes in the first.
fn play(tables: &Arc<Tables>, ticks: usize, loss_permille: u32) -> anyhow::Result<Played> {
    let mut scene = Scene::new(SEED)?;
    let mut encoder = SnapshotEncoder::with_tables(Arc::clone(tables));
    let mut decoder = SnapshotDecoder::new(Arc::clone(scene.sim.schema())).with_tick_hz(HZ);
    decoder.add_tables(1, Arc::clone(tables));
    let mut recipient = Recipient::new();
    recipient.use_tables(1);
    let (mut rng, mut played) = (Seed(7).rng(), Played::default());
    // When the fate of a snapshot is known, its number, and whether it was lost.
    let mut fates: VecDeque<(usize, u16, bool)> = VecDeque::new();
    for tick in 0..ticks + HZ as usize {
        let measured = tick >= HZ as usize;
        scene.step()?;
        let mirror = scene.sim.mirror();
        while let Some((_, seq, lost)) = fates.pop_front_if(|(due, ..)| *due <= tick) {
            if lost { recipient.on_lost(seq) } else { recipient.on_acked(seq) }
        }
        encoder.start_tick(mirror);
        let budget = DATAGRAM_BYTES_NATIVE_MAX - DATAGRAM_HEADER_BYTES - LANE_BYTES;
        let header = SnapshotHeader::default();
        let before = encoder.copies_and_bodies().0;
        let snapshot = encoder.encode(mirror, &mut recipient, header, None, budget).context("no room")?.to_vec();
        recipient.sent(tick as u16);
        let lost = measured && rng.chance(loss_permille);
        fates.push_back((tick + if lost { LOSS_TICKS } else { ACK_TICKS }, tick as u16, lost));
        if !lost {
            decoder.decode(&snapshot)?;
        }
        if measured {
            played.payload += snapshot.len();
            played.wire += snapshot.len() + DATAGRAM_HEADER_BYTES + LANE_BYTES + PACKET_BYTES;
            played.rows += (encoder.copies_and_bodies().0 - before) as usize;
            compare(&scene, &decoder, &mut played.errors)?;
        }
    }
    Ok(played)
}

fn compare(scene: &Scene, decoder: &SnapshotDecoder, errors: &mut Errors) -> anyhow::Result<()> {
    let schema = scene.sim.schema();
    let number = schema.component(Drift::NAME).context("the component is gone")?;
    let now: Tick = scene.sim.tick();
    for (body, entity) in scene.bodies.iter().zip(&scene.entities) {
        let id = *scene.sim.world().get::<NetId>(*entity).context("it has no id")?;
        let mut row = decoder.row(id).context("an asteroid is not known")?.1.clone();
        row.go_on(schema, now, HZ);
        let shown = Drift::read(row.component(schema, number).context("it has no place")?);
        errors.note(&shown, &Drift::of(&scene.physics.bodies[*body]));
    }
    Ok(())
}
