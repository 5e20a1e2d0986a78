//! The rapier world: ball and crates are dynamic, players are capsules that follow their locomotion.

use amphi_shared_replica::Seat;
use bevy_ecs::prelude::Resource;
use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use crate::components;
use crate::event::Target;
use crate::map::{self, BALL_RADIUS, CRATE_HALF};
use crate::movement::{HALF_WIDTH, HEIGHT, PlayerBody, metres};
use crate::plugin::TICK_HZ;

mod subset;

/// Mass of the ball, kg.
pub const BALL_MASS: f32 = 2.0;
/// Mass of a crate, kg.
pub const CRATE_MASS: f32 = 6.0;
/// Greatest speed of ball and crates, m/s.
pub const SPEED_MAX: f32 = 28.0;

// Gravity of things, m/s²: the same as that of players.
const GRAVITY: f32 = -25.0 * 3_600.0 / 4_096.0;
// Distance in one tick beyond which a player did not walk, m.
const TELEPORT: f32 = 1.1;
// Collider tags: what the low byte counts.
const TAG_PLAYER: u128 = 1 << 8;
const TAG_THING: u128 = 2 << 8;

/// Bodies and colliders of the match. A clone goes on exactly like the original.
#[derive(Resource, Serialize, Deserialize)]
pub struct Physics {
    world: PhysicsWorld,
    players: Vec<RigidBodyHandle>,
    things: Vec<RigidBodyHandle>,
    homes: Vec<[i32; 3]>,
    /// Blocks of the map that a subset holds, by number; empty where all are there.
    #[serde(skip)]
    blocks: Vec<bool>,
}

impl Clone for Physics {
    fn clone(&self) -> Self {
        let world = &self.world;
        Self {
            world: PhysicsWorld {
                gravity: world.gravity,
                integration_parameters: world.integration_parameters,
                physics_pipeline: PhysicsPipeline::new(),
                collision_pipeline: CollisionPipeline::new(),
                islands: world.islands.clone(),
                broad_phase: world.broad_phase.clone(),
                narrow_phase: world.narrow_phase.clone(),
                bodies: world.bodies.clone(),
                colliders: world.colliders.clone(),
                impulse_joints: world.impulse_joints.clone(),
                multibody_joints: world.multibody_joints.clone(),
                soft_bodies: world.soft_bodies.clone(),
                ccd_solver: CCDSolver::new(),
            },
            players: self.players.clone(),
            things: self.things.clone(),
            homes: self.homes.clone(),
            blocks: self.blocks.clone(),
        }
    }

    // The pipelines hold nothing but memory to work in: each copy keeps its own.
    fn clone_from(&mut self, other: &Self) {
        let (world, from) = (&mut self.world, &other.world);
        world.gravity = from.gravity;
        world.integration_parameters = from.integration_parameters;
        world.islands.clone_from(&from.islands);
        world.broad_phase.clone_from(&from.broad_phase);
        world.narrow_phase.clone_from(&from.narrow_phase);
        world.bodies.clone_from(&from.bodies);
        world.colliders.clone_from(&from.colliders);
        world.impulse_joints.clone_from(&from.impulse_joints);
        world.multibody_joints.clone_from(&from.multibody_joints);
        world.soft_bodies.clone_from(&from.soft_bodies);
        self.players.clone_from(&other.players);
        self.things.clone_from(&other.things);
        self.homes.clone_from(&other.homes);
        self.blocks.clone_from(&other.blocks);
    }
}

impl Physics {
    /// The field with ball and crates at their homes, and a capsule per seat.
    pub fn new(seats: usize) -> Self {
        let mut physics = Self::empty(seats);
        for block in map::blocks() {
            physics.add_block(&block);
        }
        physics.add_thing(map::ball_home());
        for home in map::crate_homes() {
            physics.add_thing(home);
        }
        physics
    }

    /// No blocks and no things yet, and a capsule per seat, out of the world.
    fn empty(seats: usize) -> Self {
        let mut world = PhysicsWorld { gravity: Vector::new(0.0, GRAVITY, 0.0), ..PhysicsWorld::default() };
        world.integration_parameters.dt = 1.0 / TICK_HZ as f32;
        let (players, things, homes) = (Vec::new(), Vec::new(), Vec::new());
        let mut physics = Self { world, players, things, homes, blocks: Vec::new() };
        for seat in 0..seats {
            let capsule = ColliderBuilder::capsule_y(metres(HEIGHT) * 0.5 - metres(HALF_WIDTH), metres(HALF_WIDTH));
            let capsule = capsule.friction(0.2).user_data(TAG_PLAYER | seat as u128);
            let body = RigidBodyBuilder::kinematic_position_based().translation(Vector::new(0.0, -50.0, 0.0));
            physics.players.push(physics.world.insert(body, capsule).0);
        }
        physics
    }

    fn add_block(&mut self, block: &map::Block) {
        let low = vector(block.min);
        let half = (vector(block.max) - low) * 0.5;
        let cuboid = ColliderBuilder::cuboid(half.x, half.y, half.z).translation(low + half);
        self.world.colliders.insert(cuboid.friction(0.6).restitution(0.4));
    }

    fn add_thing(&mut self, home: [i32; 3]) {
        let handle = self.insert_thing(self.things.len(), home);
        self.things.push(handle);
        self.homes.push(home);
    }

    fn insert_thing(&mut self, index: usize, home: [i32; 3]) -> RigidBodyHandle {
        let body = RigidBodyBuilder::dynamic().translation(vector(home));
        let half = metres(CRATE_HALF);
        let (body, shape) = if index == 0 {
            let ball = ColliderBuilder::ball(metres(BALL_RADIUS)).mass(BALL_MASS).restitution(0.65).friction(0.5);
            (body.linear_damping(0.15).angular_damping(0.6).ccd_enabled(true), ball)
        } else {
            let cuboid = ColliderBuilder::cuboid(half, half, half).mass(CRATE_MASS).restitution(0.1).friction(0.5);
            (body.linear_damping(0.2).angular_damping(0.8), cuboid)
        };
        self.world.insert(body, shape.user_data(TAG_THING | index as u128)).0
    }

    /// Number of things; the ball is 0.
    pub fn things(&self) -> usize {
        self.things.len()
    }

    /// Lets the capsule of a seat follow `body`; a dead one is out of the world.
    pub fn place(&mut self, seat: Seat, body: &PlayerBody, alive: bool) {
        let Some(handle) = self.players.get(usize::from(seat.0)) else { return };
        let Some(rigid) = self.world.bodies.get_mut(*handle) else { return };
        let middle = if alive { [body.x, body.y + HEIGHT / 2, body.z] } else { [0, -50 * map::METRE, 0] };
        let target = vector(middle);
        if (target - rigid.translation()).length() > TELEPORT {
            rigid.set_translation(target, true);
        }
        rigid.set_next_kinematic_translation(target);
    }

    /// One tick.
    pub fn step(&mut self) {
        self.world.step();
        for index in 0..self.things.len() {
            self.tame(index);
        }
    }

    /// Puts a thing back to its home, at rest.
    pub fn send_home(&mut self, index: usize) {
        let Some(home) = self.homes.get(index).copied() else { return };
        if let Some(body) = self.body_mut(index) {
            body.set_position(Pose::from_translation(vector(home)), true);
            body.set_linvel(Vector::ZERO, true);
            body.set_angvel(Vector::ZERO, true);
        }
    }

    /// Adds to the velocity of a thing, m/s, as if hit at `point`, or at its centre without one.
    pub fn push(&mut self, index: usize, change: Vector, point: Option<Vector>) {
        let Some(body) = self.body_mut(index) else { return };
        let impulse = change * body.mass();
        match point {
            Some(point) => body.apply_impulse_at_point(impulse, point, true),
            None => body.apply_impulse(impulse, true),
        }
    }

    /// Centre of a thing, m.
    pub fn centre(&self, index: usize) -> Vector {
        self.body(index).map_or(Vector::ZERO, RigidBody::translation)
    }

    /// Players whose capsules a thing touches.
    pub fn players_at(&self, index: usize) -> impl Iterator<Item = Seat> {
        let collider = self.body(index).and_then(|body| body.colliders().first().copied());
        let pairs = collider.into_iter().flat_map(|collider| self.world.contact_pairs_with(collider));
        let others =
            pairs.filter(|pair| pair.has_any_active_contact()).flat_map(|pair| [pair.collider1, pair.collider2]);
        let tags = others.filter_map(|other| self.world.colliders.get(other)).map(|other| other.user_data);
        tags.filter(|tag| tag & !0xff == TAG_PLAYER).map(|tag| Seat((tag & 0xff) as u8))
    }

    /// Pose of a thing as integers.
    pub fn pose(&self, index: usize) -> components::Pose {
        let Some(body) = self.body(index) else { return components::Pose::default() };
        let [x, y, z] = body.translation().to_array().map(|m| (m * 512.0).round() as i32);
        let mut rotation = body.rotation().to_array().map(|part| (part * 511.0).round() as i16);
        if rotation[3] < 0 {
            rotation = rotation.map(|part| -part);
        }
        let velocity = body.linvel().to_array().map(|speed| (speed * 64.0).round() as i16);
        components::Pose { x, y, z, rotation, velocity }
    }

    /// The first thing on a straight line from `from` along the unit vector `direction`, seen by `seat`: what it
    /// is and how far, m.
    pub fn look(&self, seat: Seat, from: Vector, direction: Vector, range: f32) -> (Target, f32) {
        let own = self.players.get(usize::from(seat.0)).copied();
        let filter = own.map_or_else(QueryFilter::new, |own| QueryFilter::new().exclude_rigid_body(own));
        let Some((handle, distance)) = self.world.cast_ray(&Ray::new(from, direction), range, true, filter) else {
            return (Target::Nothing, range);
        };
        let tag = self.world.colliders.get(handle).map_or(0, |collider| collider.user_data);
        let number = (tag & 0xff) as u8;
        let target = match tag & !0xff {
            TAG_PLAYER => Target::Player(Seat(number)),
            TAG_THING => Target::Thing(number),
            _ => Target::Block,
        };
        (target, distance)
    }

    // A thing squeezed out of the field, or out of all numbers, starts again; nothing is faster than allowed.
    fn tame(&mut self, index: usize) {
        let Some(body) = self.body_mut(index) else { return };
        let (centre, speed) = (body.translation(), body.linvel());
        let inside = centre.is_finite()
            && speed.is_finite()
            && centre.x.abs() < metres(map::HALF_LENGTH + map::GOAL_DEPTH)
            && centre.z.abs() < metres(map::HALF_WIDTH)
            && (0.0..metres(map::CEILING)).contains(&centre.y);
        if !inside {
            self.send_home(index);
        } else if speed.length() > SPEED_MAX {
            body.set_linvel(speed * (SPEED_MAX / speed.length()), true);
        }
    }

    fn body(&self, index: usize) -> Option<&RigidBody> {
        self.things.get(index).and_then(|handle| self.world.bodies.get(*handle))
    }

    fn body_mut(&mut self, index: usize) -> Option<&mut RigidBody> {
        self.things.get(index).and_then(|handle| self.world.bodies.get_mut(*handle))
    }
}

/// Metres of a point in units.
pub fn vector(units: [i32; 3]) -> Vector {
    Vector::from_array(units.map(metres))
}

/// Units of a point in metres.
pub fn units(metres: Vector) -> [i32; 3] {
    metres.to_array().map(|m| (m * map::METRE as f32) as i32)
}

/// The tops of crates as ledges for feet, from their integer poses.
pub fn ledge(pose: &components::Pose) -> ([i32; 3], [i32; 3]) {
    let [x, y, z, w] = pose.rotation.map(i64::from);
    let square = (x * x + y * y + z * z + w * w).max(1);
    let rows = [
        [square - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), square - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), square - 2 * (x * x + y * y)],
    ];
    let half = rows.map(|row| (i64::from(CRATE_HALF) * row.iter().map(|v| v.abs()).sum::<i64>() / square) as i32);
    let centre = pose.centre();
    let side = |sign: i32| std::array::from_fn(|axis| centre[axis] + sign * half[axis]);
    (side(-1), side(1))
}

#[cfg(test)]
mod tests;
