//! A vehicle: drives from place to place with inertia, leans in curves and follows the ground on soft springs.

use std::f32::consts::TAU;

use amphi_shared_wire::Rng;
use rapier3d::prelude::{Rotation, Vector};

use super::trace::{Kind, Thing};
use super::{between, ground, steps};
use crate::codec::pose;

const TOP_MPS: f32 = 17.0;
const ACCELERATION: f32 = 5.0;
const BRAKE: f32 = 9.0;
const WHEELBASE_M: f32 = 2.6;
const STEERING_MAX: f32 = 0.55;
/// rad/s.
const STEERING_RATE: f32 = 1.2;
/// Stiffness and damping of the springs.
const SPRINGS: (f32, f32) = (60.0, 6.0);
/// How long it stands between two drives.
const STAND_S: f32 = 4.0;
/// Radians of lean per m/s² to the side.
const LEAN: f32 = 0.012;

/// A vehicle.
#[derive(Clone, Debug)]
pub(super) struct Vehicle {
    place: Vector,
    speed: Vector,
    heading: f32,
    forward_mps: f32,
    steering: f32,
    /// Which way up is, on the springs.
    up: Vector,
    up_rate: Vector,
    goal: Vector,
    /// Time left to drive, or below 0 to stand.
    drive_s: f32,
}

impl Vehicle {
    /// A vehicle somewhere on the map.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let place = Vector::new(between(rng, 20.0, 180.0), 0.0, between(rng, 20.0, 180.0));
        Self {
            place: Vector::new(place.x, ground::height(place), place.z),
            speed: Vector::ZERO,
            heading: between(rng, 0.0, TAU),
            forward_mps: 0.0,
            steering: 0.0,
            up: ground::normal(place),
            up_rate: Vector::ZERO,
            goal: place,
            drive_s: between(rng, 0.0, 20.0),
        }
    }

    /// Drives for a tick.
    pub(super) fn step(&mut self, dt: f32, rng: &mut Rng) {
        self.drive_s -= dt;
        if self.drive_s < -STAND_S {
            self.drive_s = between(rng, 10.0, 25.0);
        }
        let way = self.goal - self.place;
        if way.x.hypot(way.z) < 12.0 {
            self.goal = Vector::new(between(rng, 20.0, 180.0), 0.0, between(rng, 20.0, 180.0));
        }
        let error = way.x.atan2(way.z) - self.heading;
        let error = error - TAU * (error / TAU).round();
        self.roll(error, dt);
        self.lean(dt);
    }

    fn roll(&mut self, error: f32, dt: f32) {
        let wanted = if self.drive_s < 0.0 { 0.0 } else { TOP_MPS * (1.0 - error.abs() / 2.0).max(0.25) };
        self.forward_mps += (wanted - self.forward_mps).clamp(-BRAKE * dt, ACCELERATION * dt);
        let steering = error.clamp(-STEERING_MAX, STEERING_MAX) - self.steering;
        self.steering += steering.clamp(-STEERING_RATE * dt, STEERING_RATE * dt);
        self.heading += self.turning() * dt;
        let before = self.place;
        let ahead = Vector::new(self.heading.sin(), 0.0, self.heading.cos());
        self.place = ground::inside(self.place + ahead * (self.forward_mps * dt));
        self.place.y = ground::height(self.place);
        self.speed = (self.place - before) / dt;
    }

    /// rad/s. Tyres hold 8 m/s² to the side.
    fn turning(&self) -> f32 {
        let most = 8.0 / self.forward_mps.max(1.0);
        (self.forward_mps / WHEELBASE_M * self.steering.tan()).clamp(-most, most)
    }

    fn lean(&mut self, dt: f32) {
        let side = Vector::new(self.heading.cos(), 0.0, -self.heading.sin());
        let wanted = ground::normal(self.place) - side * (self.turning() * self.forward_mps * LEAN);
        self.up_rate += ((wanted - self.up) * SPRINGS.0 - self.up_rate * SPRINGS.1) * dt;
        self.up += self.up_rate * dt;
    }

    /// The vehicle as it is sent.
    pub(super) fn thing(&self, id: u32) -> Thing {
        let rotation =
            Rotation::from_rotation_arc(Vector::Y, self.up.normalize()) * Rotation::from_rotation_y(self.heading);
        let rest = pose::smallest_three([rotation.x, rotation.y, rotation.z, rotation.w]);
        Thing { id, kind: Kind::Vehicle, place: steps(self.place), speed: steps(self.speed), rest }
    }
}
