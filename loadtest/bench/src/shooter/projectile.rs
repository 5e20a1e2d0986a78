//! A projectile: thrown or fired, it flies until it hits the ground, a player, or nothing within its time.

use amphi_shared_wire::Rng;
use rapier3d::prelude::Vector;

use super::soldier::Soldier;
use super::trace::{Kind, Thing};
use super::{between, ground, steps};

const GRAVITY: f32 = 9.81;
const SPEED_MPS: (f32, f32) = (18.0, 34.0);
/// How much higher than it is aimed it goes.
const LOB: (f32, f32) = (0.05, 0.4);
const LIFE_S: f32 = 5.0;
const REACH_M: f32 = 1.0;

/// A projectile.
#[derive(Clone, Debug)]
pub(super) struct Projectile {
    pub(super) id: u32,
    place: Vector,
    speed: Vector,
    age_s: f32,
}

impl Projectile {
    /// A projectile that a player fires.
    pub(super) fn new(id: u32, by: &Soldier, rng: &mut Rng) -> Self {
        let (eyes, to) = by.view();
        let way = (to + Vector::new(0.0, between(rng, LOB.0, LOB.1), 0.0)).normalize();
        // It starts in front of the player, so that nobody hits himself.
        let place = ground::inside(eyes + to * (REACH_M + 0.5));
        Self { id, place, speed: way * between(rng, SPEED_MPS.0, SPEED_MPS.1), age_s: 0.0 }
    }

    /// Flies for a tick; says whether it goes on.
    pub(super) fn step(&mut self, dt: f32) -> bool {
        self.place += self.speed * dt - Vector::new(0.0, GRAVITY * dt * dt / 2.0, 0.0);
        self.speed.y -= GRAVITY * dt;
        self.age_s += dt;
        self.age_s < LIFE_S && ground::contains(self.place) && self.place.y > ground::height(self.place)
    }

    /// It hits somebody who is there.
    pub(super) fn hits(&self, place: Vector) -> bool {
        (self.place - place).length() < REACH_M
    }

    /// The projectile as it is sent.
    pub(super) fn thing(&self) -> Thing {
        let (place, speed) = (steps(self.place), steps(self.speed));
        Thing { id: self.id, kind: Kind::Projectile, place, speed, rest: [0; 4] }
    }
}
