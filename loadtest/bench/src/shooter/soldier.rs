//! A player on foot: runs by keys, steers and aims by mouse, fights, hides, dies and comes back.
//!
//! Keys give a wanted velocity that the body follows with a limited acceleration; the view follows what the player looks at
//! with a limited turning rate and acceleration, overshoots a little, trembles while it moves, and rests when it is there.

use std::f32::consts::TAU;

use amphi_shared_wire::Rng;
use rapier3d::prelude::Vector;

use super::ground;
use super::trace::{Kind, STEPS_PER_TURN, Thing};
use super::{between, steps};

const RUN_MPS: f32 = 5.5;
const SPRINT_MPS: f32 = 7.5;
const CROUCH_MPS: f32 = 2.2;
const ACCELERATION: f32 = 38.0;
const AIR_ACCELERATION: f32 = 6.0;
const GRAVITY: f32 = 14.0;
const JUMP_MPS: f32 = 5.2;
const JUMPS_PER_S: f32 = 0.25;
/// Stiffness and damping of a hand that turns the view, and what it can do at most: rad/s, rad/s².
const HAND: (f32, f32) = (130.0, 19.0);
const TURN_MAX: f32 = 9.0;
const TURN_ACCELERATION_MAX: f32 = 90.0;
/// rad.
const PITCH_MAX: f32 = 1.5;
/// Nearer than that, a hand that follows nothing rests, rad.
const REST: f32 = 0.012;
const EYES_M: f32 = 1.6;
const HEALTH_MAX: f32 = 100.0;
const DEAD_S: f32 = 3.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Run,
    Fight,
    Cover,
    Dead,
}

/// A player on foot.
#[derive(Clone, Debug)]
pub(super) struct Soldier {
    pub(super) place: Vector,
    speed: Vector,
    yaw: Axis,
    pitch: Axis,
    mood: Mood,
    mood_s: f32,
    goal: Vector,
    /// Who is fought, and how far beside him the aim is.
    foe: usize,
    miss: [f32; 2],
    miss_s: f32,
    /// Forward and sideways, −1, 0 or 1.
    keys: [f32; 2],
    keys_s: f32,
    sprints: bool,
    crouches: bool,
    jumps: bool,
    weapon: u8,
    fires: bool,
    reloads: bool,
    trigger_s: f32,
    health: f32,
    unhurt_s: f32,
}

/// An angle of the view and how fast it turns.
#[derive(Clone, Copy, Debug, Default)]
struct Axis {
    angle: f32,
    rate: f32,
}

impl Axis {
    /// Turns towards an angle that is `error` away.
    fn follow(&mut self, error: f32, follows: bool, dt: f32, rng: &mut Rng) {
        if !follows && error.abs() < REST && self.rate.abs() < 0.4 {
            self.rate = 0.0;
            return;
        }
        let wanted = HAND.0 * error - HAND.1 * self.rate;
        let tremble = between(rng, -1.0, 1.0) * (4.0 + 3.0 * self.rate.abs());
        let turning = wanted.clamp(-TURN_ACCELERATION_MAX, TURN_ACCELERATION_MAX) + tremble;
        self.rate = (self.rate + turning * dt).clamp(-TURN_MAX, TURN_MAX);
        self.angle += self.rate * dt;
    }
}

impl Soldier {
    /// A player somewhere on the map.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut soldier = Self {
            place: Vector::ZERO,
            speed: Vector::ZERO,
            yaw: Axis { angle: between(rng, 0.0, TAU), rate: 0.0 },
            pitch: Axis::default(),
            mood: Mood::Dead,
            mood_s: 0.0,
            goal: Vector::ZERO,
            foe: 0,
            miss: [0.0; 2],
            miss_s: 0.0,
            keys: [0.0; 2],
            keys_s: 0.0,
            sprints: false,
            crouches: false,
            jumps: false,
            weapon: rng.below(4) as u8,
            fires: false,
            reloads: false,
            trigger_s: 0.0,
            health: HEALTH_MAX,
            unhurt_s: 0.0,
        };
        soldier.appear(rng);
        soldier
    }

    /// Can be hit.
    pub(super) fn alive(&self) -> bool {
        self.mood != Mood::Dead
    }

    /// Where the eyes are, and where they look to.
    pub(super) fn view(&self) -> (Vector, Vector) {
        let (sin, cos) = self.pitch.angle.sin_cos();
        let flat = Vector::new(self.yaw.angle.sin(), 0.0, self.yaw.angle.cos());
        (self.place + Vector::new(0.0, EYES_M, 0.0), flat * cos + Vector::new(0.0, sin, 0.0))
    }

    /// Takes health; without any left the player is dead.
    pub(super) fn hurt(&mut self, health: f32) {
        self.unhurt_s = 0.0;
        self.health -= health;
        if self.health <= 0.0 && self.alive() {
            self.health = 0.0;
            (self.mood, self.mood_s) = (Mood::Dead, DEAD_S);
            (self.fires, self.reloads, self.sprints, self.crouches) = (false, false, false, false);
        }
    }

    /// Plays a tick. `places` are where all players are, and whether each is alive. Says whom a bullet hit.
    pub(super) fn step(&mut self, places: &[(Vector, bool)], dt: f32, rng: &mut Rng) -> Option<usize> {
        self.mood_s -= dt;
        if self.mood_s <= 0.0 || self.mood == Mood::Fight && !places[self.foe].1 {
            self.decide(places, rng);
        }
        if self.alive() {
            self.look(places, dt, rng);
            self.press(dt, rng);
            self.heal(dt);
        }
        self.walk(dt);
        let hits = self.shoot(dt, rng);
        hits.then_some(self.foe)
    }

    fn appear(&mut self, rng: &mut Rng) {
        let place = Vector::new(between(rng, 10.0, 190.0), 0.0, between(rng, 10.0, 190.0));
        self.place = Vector::new(place.x, ground::height(place), place.z);
        self.speed = Vector::ZERO;
        self.health = HEALTH_MAX;
        self.run(rng);
    }

    fn run(&mut self, rng: &mut Rng) {
        self.goal = ground::inside(self.place + Vector::new(between(rng, -60.0, 60.0), 0.0, between(rng, -60.0, 60.0)));
        (self.mood, self.mood_s) = (Mood::Run, between(rng, 2.0, 7.0));
        (self.sprints, self.crouches) = (rng.chance(500), false);
    }

    fn decide(&mut self, places: &[(Vector, bool)], rng: &mut Rng) {
        if self.mood == Mood::Dead {
            return self.appear(rng);
        }
        let foe = self.nearest(places);
        match (foe, rng.below(10)) {
            (Some(foe), 0..5) => {
                (self.mood, self.mood_s, self.foe) = (Mood::Fight, between(rng, 1.5, 5.0), foe);
                (self.sprints, self.crouches) = (false, rng.chance(200));
                self.weapon = if rng.chance(300) { rng.below(4) as u8 } else { self.weapon };
            }
            (_, 5..7) => {
                (self.mood, self.mood_s) = (Mood::Cover, between(rng, 0.8, 3.5));
                (self.sprints, self.crouches) = (false, rng.chance(700));
            }
            _ => self.run(rng),
        }
    }

    /// The nearest other living player within 60 m.
    fn nearest(&self, places: &[(Vector, bool)]) -> Option<usize> {
        let far = |n: &usize| (places[*n].0 - self.place).length();
        let others = (0..places.len()).filter(|n| places[*n].1 && (0.01..60.0).contains(&far(n)));
        others.min_by(|a, b| far(a).total_cmp(&far(b)))
    }

    /// Moves the mouse.
    fn look(&mut self, places: &[(Vector, bool)], dt: f32, rng: &mut Rng) {
        self.miss_s -= dt;
        if self.miss_s <= 0.0 {
            let (wide, high) = if self.mood == Mood::Fight { (0.05, 0.03) } else { (0.7, 0.12) };
            self.miss = [between(rng, -wide, wide), between(rng, -high, high)];
            self.miss_s = if self.mood == Mood::Fight { between(rng, 0.15, 0.5) } else { between(rng, 0.4, 2.2) };
        }
        let at = if self.mood == Mood::Fight { places[self.foe].0 } else { self.goal };
        let way = at - self.place;
        let flat = (way.x * way.x + way.z * way.z).sqrt().max(0.1);
        let rise = if self.mood == Mood::Fight { way.y / flat } else { 0.0 };
        let yaw = way.x.atan2(way.z) + self.miss[0] - self.yaw.angle;
        let yaw = yaw - TAU * (yaw / TAU).round();
        let follows = self.mood == Mood::Fight;
        self.yaw.follow(yaw, follows, dt, rng);
        self.pitch.follow(rise.atan() + self.miss[1] - self.pitch.angle, follows, dt, rng);
        self.pitch.angle = self.pitch.angle.clamp(-PITCH_MAX, PITCH_MAX);
    }

    /// Presses keys.
    fn press(&mut self, dt: f32, rng: &mut Rng) {
        self.keys_s -= dt;
        self.jumps = rng.unit() < f64::from(JUMPS_PER_S * dt) && self.mood != Mood::Cover;
        if self.keys_s > 0.0 {
            return;
        }
        let side = |rng: &mut Rng| rng.below(3) as f32 - 1.0;
        (self.keys, self.keys_s) = match self.mood {
            Mood::Run => ([1.0, if rng.chance(250) { side(rng) } else { 0.0 }], between(rng, 0.5, 2.0)),
            Mood::Fight => ([side(rng), side(rng)], between(rng, 0.25, 0.9)),
            Mood::Cover | Mood::Dead => ([0.0; 2], 0.3),
        };
    }

    fn heal(&mut self, dt: f32) {
        self.unhurt_s += dt;
        if self.unhurt_s > 5.0 {
            self.health = (self.health + 10.0 * dt).min(HEALTH_MAX);
        }
    }

    fn walk(&mut self, dt: f32) {
        let ground = ground::height(self.place);
        let stands = self.place.y <= ground + 0.001;
        let (sin, cos) = self.yaw.angle.sin_cos();
        let keys = Vector::new(self.keys[0] * sin + self.keys[1] * cos, 0.0, self.keys[0] * cos - self.keys[1] * sin);
        let most = if self.crouches {
            CROUCH_MPS
        } else if self.sprints {
            SPRINT_MPS
        } else {
            RUN_MPS
        };
        let wanted = if self.alive() { keys.normalize_or_zero() * most } else { Vector::ZERO };
        let flat = Vector::new(self.speed.x, 0.0, self.speed.z);
        let change = (if stands { ACCELERATION } else { AIR_ACCELERATION }) * dt;
        let flat = flat + (wanted - flat).clamp_length_max(change);
        let rise = match (stands, self.jumps && self.alive()) {
            (true, true) => JUMP_MPS,
            (true, false) => 0.0,
            (false, _) => self.speed.y - GRAVITY * dt,
        };
        let before = self.place;
        self.place = ground::inside(self.place + (flat + Vector::new(0.0, rise, 0.0)) * dt);
        let ground = ground::height(self.place);
        let lands = self.place.y <= ground || stands && rise == 0.0;
        self.place.y = if lands { ground } else { self.place.y };
        // On the ground the body follows the slope; against the edge of the map it stops.
        let done = (self.place - before) / dt;
        self.speed = Vector::new(done.x, if lands { done.y } else { rise }, done.z);
    }

    /// Pulls the trigger; says whether a bullet hit.
    fn shoot(&mut self, dt: f32, rng: &mut Rng) -> bool {
        self.trigger_s -= dt;
        if self.mood != Mood::Fight {
            self.fires = false;
        }
        if self.trigger_s <= 0.0 {
            self.reloads = !self.fires && rng.chance(150) && self.alive();
            self.fires = !self.fires && !self.reloads && self.mood == Mood::Fight;
            self.trigger_s = if self.reloads { between(rng, 1.2, 2.0) } else { between(rng, 0.2, 0.8) };
        }
        if self.fires {
            // Ten bullets per second kick the view upwards; the hand brings it back.
            self.pitch.rate += 0.9 * dt * 10.0 * between(rng, 0.5, 1.0);
        }
        self.fires && rng.unit() < f64::from(dt)
    }

    /// The player as it is sent.
    pub(super) fn thing(&self, id: u32) -> Thing {
        let turn = |angle: f32| (angle / TAU * STEPS_PER_TURN).round() as i32;
        let bits = [self.airborne(), self.crouches, self.sprints, self.fires, self.reloads];
        let state =
            bits.iter().enumerate().fold(i32::from(self.weapon), |all, (n, bit)| all | i32::from(*bit) << (n + 2));
        let rest = [turn(self.yaw.angle).rem_euclid(4_096), turn(self.pitch.angle), self.health.ceil() as i32, state];
        Thing { id, kind: Kind::Player, place: steps(self.place), speed: steps(self.speed), rest }
    }

    fn airborne(&self) -> bool {
        self.place.y > ground::height(self.place) + 0.01
    }
}
