//! Pulse and shove: what players do to each other, to the ball and to crates.

use amphi_shared_replica::{Inputs, Seat};
use bevy_ecs::prelude::{DetectChangesMut as _, Res, Single};
use rapier3d::prelude::Vector;

use crate::angle::{self, ONE};
use crate::components::{Phase, Player, Scoreboard};
use crate::event::{Death, Pulse, Shove, Target, point};
use crate::input::ArenaInput;
use crate::map::METRE;
use crate::movement::{EYE_HEIGHT, HEIGHT, HOLD_DEAD, PlayerBody};
use crate::physics::{units, vector};
use crate::rules::{KILL_POINTS, Players, RESPAWN_TICKS, Stage};

/// Ticks between two pulses of a player (0.4 s).
pub const FIRE_TICKS: u32 = 24;
/// Ticks between two shoves of a player (0.75 s).
pub const SHOVE_TICKS: u32 = 45;
/// Reach of a pulse, m.
pub const PULSE_RANGE: f32 = 60.0;
/// Health that a pulse takes from an opponent.
pub const PULSE_DAMAGE: u8 = 15;
/// Reach of a shove from body to body, units.
pub const SHOVE_RANGE: i32 = 10_240;

// What a pulse adds to the velocity: of a player, units per tick; of ball and crates, m/s.
const PULSE_PUSH: i32 = 200;
const PULSE_BALL: f32 = 13.0;
const PULSE_CRATE: f32 = 4.0;
// The same for a shove, ahead and up.
const SHOVE_PUSH: [i32; 2] = [480, 280];
const SHOVE_BALL: [f32; 2] = [16.0, 2.5];
const SHOVE_CRATE: [f32; 2] = [5.0, 2.0];

/// A player while all fight in one tick.
#[derive(Clone, Copy)]
struct Fighter {
    seat: Seat,
    player: Player,
    body: PlayerBody,
}

/// Fires and shoves, in order of seats.
pub(crate) fn fight(
    inputs: Res<'_, Inputs<ArenaInput>>,
    score: Single<'_, '_, &Scoreboard>,
    mut players: Players<'_, '_>,
    mut stage: Stage<'_>,
) {
    match score.phase() {
        Phase::Play | Phase::Goal => {}
        Phase::KickOff | Phase::Over => return,
    }
    let mut fighters: Vec<Fighter> =
        players.iter().map(|(seat, player, body)| Fighter { seat: *seat, player: *player, body: *body }).collect();
    fighters.sort_unstable_by_key(|fighter| fighter.seat);
    let now = stage.now();
    for index in 0..fighters.len() {
        let input = inputs.get(fighters[index].seat);
        let Fighter { player, .. } = fighters[index];
        if !player.alive() {
            continue;
        }
        if input.fire() && ready(player.fired_at, FIRE_TICKS, now) {
            fighters[index].player.fired_at = now;
            fire(index, &mut fighters, &mut stage);
        }
        if input.shove() && ready(player.shoved_at, SHOVE_TICKS, now) {
            fighters[index].player.shoved_at = now;
            shove(index, &mut fighters, &mut stage);
        }
    }
    for (seat, mut player, mut body) in &mut players {
        if let Ok(index) = fighters.binary_search_by_key(seat, |fighter| fighter.seat) {
            player.set_if_neq(fighters[index].player);
            body.set_if_neq(fighters[index].body);
        }
    }
}

fn ready(last: u32, wait: u32, now: u32) -> bool {
    last == 0 || now >= last.saturating_add(wait)
}

fn fire(index: usize, fighters: &mut [Fighter], stage: &mut Stage<'_>) {
    let Fighter { seat, body, .. } = fighters[index];
    let eye = [body.x, body.y + EYE_HEIGHT, body.z];
    let (from, direction) = (vector(eye), view(&body));
    let (target, distance) = stage.physics.look(seat, from, direction, PULSE_RANGE);
    let end = from + direction * distance;
    match target {
        Target::Nothing | Target::Block => {}
        Target::Thing(0) => {
            // Seen from eye height the ball lies low: without this a pulse would press it into the floor.
            let along = Vector::new(direction.x, direction.y.max(0.1), direction.z).normalize();
            stage.physics.push(0, along * PULSE_BALL, None);
            stage.touch.by(seat);
        }
        Target::Thing(thing) => stage.physics.push(usize::from(thing), direction * PULSE_CRATE, Some(end)),
        Target::Player(hit) => {
            if let Ok(victim) = fighters.binary_search_by_key(&hit, |fighter| fighter.seat) {
                strike(index, victim, fighters, stage);
            }
        }
    }
    stage.events.send(&Pulse::new(seat, target, eye, units(end)));
}

fn strike(index: usize, victim: usize, fighters: &mut [Fighter], stage: &mut Stage<'_>) {
    let Fighter { seat: killer, player: shooter, body: from } = fighters[index];
    let hit = &mut fighters[victim];
    if !hit.player.alive() {
        return;
    }
    let [x, z] = ahead(from.yaw).map(|part| part * PULSE_PUSH / ONE);
    hit.body.push([x, 0, z]);
    if hit.player.team == shooter.team {
        return;
    }
    hit.player.health = hit.player.health.saturating_sub(PULSE_DAMAGE);
    if !hit.player.alive() {
        hit.player.respawn_at = stage.now() + RESPAWN_TICKS;
        hit.body.hold = HOLD_DEAD;
        let feet = point([hit.body.x, hit.body.y, hit.body.z]);
        stage.events.send(&Death { seat: hit.seat.0, killer: killer.0, feet });
        stage.award(killer, &mut fighters[index].player, KILL_POINTS);
    }
}

fn shove(index: usize, fighters: &mut [Fighter], stage: &mut Stage<'_>) {
    let Fighter { seat, body, .. } = fighters[index];
    let [x, z] = ahead(body.yaw);
    let [far, up] = SHOVE_PUSH;
    for other in fighters.iter_mut().filter(|other| other.seat != seat && other.player.alive()) {
        if in_reach(&body, [other.body.x, other.body.y + HEIGHT / 2, other.body.z]) {
            other.body.push([x * far / ONE, up, z * far / ONE]);
        }
    }
    let forward = Vector::new(x as f32, 0.0, z as f32) / ONE as f32;
    for thing in 0..stage.physics.things() {
        if in_reach(&body, units(stage.physics.centre(thing))) {
            let [far, up] = if thing == 0 { SHOVE_BALL } else { SHOVE_CRATE };
            stage.physics.push(thing, forward * far + Vector::Y * up, None);
            if thing == 0 {
                stage.touch.by(seat);
            }
        }
    }
    stage.events.send(&Shove { seat: seat.0, feet: point([body.x, body.y, body.z]) });
}

/// `centre` is near enough and within 60° of where `body` looks.
fn in_reach(body: &PlayerBody, centre: [i32; 3]) -> bool {
    let (x, y, z) = (centre[0] - body.x, centre[1] - body.y - HEIGHT / 2, centre[2] - body.z);
    if x.abs() > SHOVE_RANGE || z.abs() > SHOVE_RANGE || y.abs() > 2 * METRE {
        return false;
    }
    let distance = (x * x + z * z).isqrt();
    let [ahead_x, ahead_z] = ahead(body.yaw);
    let along = (i64::from(x) * i64::from(ahead_x) + i64::from(z) * i64::from(ahead_z)) / i64::from(ONE);
    distance <= SHOVE_RANGE && along * 2 >= i64::from(distance)
}

/// The direction on the ground, x and z in 1/16384.
fn ahead(yaw: u16) -> [i32; 2] {
    [angle::cos(yaw), -angle::sin(yaw)]
}

/// The unit vector of the view.
fn view(body: &PlayerBody) -> Vector {
    let one = ONE as f32;
    let [x, z] = ahead(body.yaw).map(|part| part as f32 / one);
    let (level, up) = (angle::cos(body.pitch as u16) as f32 / one, angle::sin(body.pitch as u16) as f32 / one);
    Vector::new(x * level, up, z * level).normalize()
}
