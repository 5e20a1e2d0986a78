//! The scene of Fiedler's articles on networked physics, played in rapier: 900 small cubes that rest on a floor, and a
//! large one that is driven through them.
//!
//! The large cube rolls under a force whose direction a seed turns every 45 frames. Every 300 frames it changes how it
//! treats its neighbours: it only pushes them aside, it attracts them, it repels them.

use amphi_shared_wire::{Rng, Seed};
use rapier3d::prelude::*;

use super::trace::{Motion, Trace};

/// Cubes, the large one included.
pub(crate) const CUBES: usize = 1 + SIDE * SIDE;
/// Frames per second.
pub(crate) const HZ: u32 = 60;
const SIDE: usize = 30;
const SPACING_M: f32 = 0.9;
const SMALL_HALF_M: f32 = 0.2;
const LARGE_HALF_M: f32 = 0.75;
const FLOOR_HALF_M: f32 = 200.0;
const TURN_FRAMES: usize = 45;
const MOOD_FRAMES: usize = 300;
/// How far the large cube is felt, m.
const REACH_M: f32 = 5.0;
/// The field in which the large cube is kept, m from the middle.
const FIELD_M: f32 = 13.0;
/// Speed towards which the large cube is driven, m/s.
const DRIVE_MPS: f32 = 6.0;

/// Plays `frames` frames.
pub(crate) fn play(seed: u64, frames: usize) -> Trace {
    let mut scene = Scene::new();
    let mut rng = Seed(seed).rng();
    let mut trace = Trace::new(CUBES, HZ);
    let mut heading = Vector::ZERO;
    for frame in 0..frames {
        if frame % TURN_FRAMES == 0 {
            heading = scene.turn(&mut rng);
        }
        scene.drive(heading);
        scene.touch(frame / MOOD_FRAMES % 3);
        scene.world.step();
        trace.push(scene.cubes.iter().map(|cube| motion(&scene.world.bodies[*cube])));
    }
    trace
}

struct Scene {
    world: PhysicsWorld,
    /// The large one first.
    cubes: Vec<RigidBodyHandle>,
}

impl Scene {
    fn new() -> Self {
        let mut world = PhysicsWorld { gravity: Vector::new(0.0, -9.81, 0.0), ..PhysicsWorld::default() };
        world.integration_parameters.dt = 1.0 / HZ as f32;
        let floor = ColliderBuilder::cuboid(FLOOR_HALF_M, 1.0, FLOOR_HALF_M).translation(Vector::new(0.0, -1.0, 0.0));
        world.colliders.insert(floor.friction(0.7));
        let mut scene = Self { world, cubes: Vec::with_capacity(CUBES) };
        scene.add(Vector::new(-15.0, LARGE_HALF_M, -15.0), LARGE_HALF_M);
        for n in 0..SIDE * SIDE {
            let place = |n: usize| (n as f32 - (SIDE - 1) as f32 / 2.0) * SPACING_M;
            scene.add(Vector::new(place(n % SIDE), SMALL_HALF_M, place(n / SIDE)), SMALL_HALF_M);
        }
        scene
    }

    fn add(&mut self, centre: Vector, half: f32) {
        let body = RigidBodyBuilder::dynamic().translation(centre).linear_damping(0.05).angular_damping(0.05);
        let cube = ColliderBuilder::cuboid(half, half, half).density(1.0).friction(0.6).restitution(0.2);
        self.cubes.push(self.world.insert(body, cube).0);
    }

    /// The next direction of the large cube: any; towards the middle when it leaves the field.
    fn turn(&self, rng: &mut Rng) -> Vector {
        let centre = self.world.bodies[self.cubes[0]].translation();
        let angle = (rng.unit() * std::f64::consts::TAU) as f32;
        let any = Vector::new(angle.cos(), 0.0, angle.sin());
        let inward = Vector::new(-centre.x, 0.0, -centre.z);
        if centre.x.abs().max(centre.z.abs()) > FIELD_M { inward.normalize() } else { any }
    }

    fn drive(&mut self, heading: Vector) {
        let cube = &mut self.world.bodies[self.cubes[0]];
        let lacking = heading * DRIVE_MPS - cube.linvel();
        let impulse = Vector::new(lacking.x, 0.0, lacking.z) * (cube.mass() * 0.1);
        cube.apply_impulse(impulse, true);
    }

    /// What the large cube does to the small ones near it: 0 nothing, 1 attracts, 2 repels.
    fn touch(&mut self, mood: usize) {
        let sign = match mood {
            1 => -1.0,
            2 => 1.0,
            _ => return,
        };
        let centre = self.world.bodies[self.cubes[0]].translation();
        for cube in &self.cubes[1..] {
            let cube = &mut self.world.bodies[*cube];
            let away = cube.translation() - centre;
            let distance = away.length();
            if distance < REACH_M && distance > 0.0 {
                let strength = 35.0 * (1.0 - distance / REACH_M) * cube.mass() / HZ as f32;
                cube.apply_impulse(away * (sign * strength / distance), true);
            }
        }
    }
}

fn motion(body: &RigidBody) -> Motion {
    let (at, turned) = (body.translation(), body.rotation());
    let (linear, angular) = (body.linvel(), body.angvel());
    Motion {
        position: [at.x, at.y, at.z],
        rotation: [turned.x, turned.y, turned.z, turned.w],
        linear: [linear.x, linear.y, linear.z],
        angular: [angular.x, angular.y, angular.z],
    }
}
