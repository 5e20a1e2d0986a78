//! Bots: what a seat without a person wants. Fun to play against, so never perfect.
//!
//! One is the keeper, the nearest to the ball go for it, the others hunt opponents. They see a [`View`] that a
//! client can build as well, so the same brain plays on a server and in a load test.

use std::sync::LazyLock;

use amphi_shared_replica::Seat;
use amphi_shared_wire::{Rng, Seed};

use crate::angle::{self, ONE, QUARTER};
use crate::components::{Player, Pose};
use crate::input::{ArenaInput, PITCH_MAX};
use crate::map::{self, BALL_RADIUS, Block, BlockKind, HALF_LENGTH, METRE};
use crate::movement::{EYE_HEIGHT, HALF_WIDTH, HEIGHT, PLACE_MAX, PlayerBody, STEP_HEIGHT};

/// A point on the ground, units.
type Ground = [i32; 2];

// Fastest turn of the view, 1/65536 turn per tick (about 500° per second).
const TURN_MAX: i32 = 1_500;
// Greatest error of aim to each side, 1/65536 turn (about 4°).
const AIM_ERROR: i32 = 700;
// Ticks for which an error of aim lasts.
const AIM_TICKS: u32 = 24;
// Ticks for which a bot keeps its pace.
const PACE_TICKS: u32 = 80;
// Highest block that a jump clears, units.
const JUMPABLE: i32 = 6_400;

/// What a bot sees: everybody, and the ball.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    tick: u32,
    players: Vec<Seen>,
    ball: [i32; 3],
    /// Units per tick.
    ball_velocity: [i32; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    seat: Seat,
    player: Player,
    body: PlayerBody,
}

impl Seen {
    fn ground(&self) -> Ground {
        [self.body.x, self.body.z]
    }
}

impl View {
    /// The view in `tick`, from components as they are replicated.
    pub fn new(tick: u32, players: impl Iterator<Item = (Seat, Player, PlayerBody)>, ball: &Pose) -> Self {
        let bounded = |v: i32| v.clamp(-PLACE_MAX, PLACE_MAX);
        let mut players: Vec<_> = players
            .map(|(seat, player, body)| {
                let body = PlayerBody { x: bounded(body.x), y: bounded(body.y), z: bounded(body.z), ..body };
                Seen { seat, player, body }
            })
            .collect();
        players.sort_unstable_by_key(|seen| seen.seat);
        Self {
            tick,
            players,
            ball: ball.centre(),
            // 1/64 m/s to 1/4096 m per tick of 1/60 s.
            ball_velocity: ball.velocity.map(|v| i32::from(v) * 64 / 60),
        }
    }

    fn ball_ground(&self) -> Ground {
        [self.ball[0], self.ball[2]]
    }

    fn team_of(&self, me: &Seen) -> impl Iterator<Item = &Seen> {
        let team = me.player.team;
        self.players.iter().filter(move |seen| seen.player.team == team)
    }

    fn nearest_foe(&self, me: &Seen) -> Option<&Seen> {
        let foes = self.players.iter().filter(|seen| seen.player.team != me.player.team && seen.player.alive());
        foes.min_by_key(|foe| (distance(foe.ground(), me.ground()), foe.seat))
    }
}

/// What a bot is about to do.
struct Plan {
    go: Ground,
    look: [i32; 3],
    fire: bool,
    shove: bool,
}

/// What the bot on `seat` wants in this tick; the default input when the view does not show it.
pub fn brain(view: &View, seat: Seat, rng: &mut Rng) -> ArenaInput {
    let Some(me) = view.players.iter().find(|seen| seen.seat == seat) else { return ArenaInput::default() };
    if !me.player.alive() {
        return ArenaInput { yaw: me.body.yaw, ..ArenaInput::default() };
    }
    let plan = match role(view, me) {
        Role::Chaser => chase(view, me, rng),
        Role::Keeper => keep(view, me, rng),
        Role::Hunter => hunt(view, me, rng),
    };
    act(view, me, &plan, rng)
}

enum Role {
    Chaser,
    Keeper,
    Hunter,
}

fn role(view: &View, me: &Seen) -> Role {
    let size = view.team_of(me).count();
    let keeper = size - 1;
    if size > 1 && usize::from(me.player.index) == keeper {
        return Role::Keeper;
    }
    let ball = view.ball_ground();
    let mine = (distance(me.ground(), ball), me.seat);
    let nearer = view
        .team_of(me)
        .filter(|mate| mate.player.alive() && usize::from(mate.player.index) != keeper)
        .filter(|mate| (distance(mate.ground(), ball), mate.seat) < mine)
        .count();
    if nearer <= size / 3 { Role::Chaser } else { Role::Hunter }
}

/// Gets behind the ball and runs, shoves or shoots it towards the other goal.
fn chase(view: &View, me: &Seen, rng: &mut Rng) -> Plan {
    let lead = |axis: usize| view.ball[axis] + view.ball_velocity[axis] * 10;
    let ball = [lead(0), lead(2)];
    let [line, _] = enemy_goal(me);
    // Not at the middle, where a keeper stands: a corner for some seconds, then the other.
    let corner = if (view.tick / 200 + u32::from(me.seat.0)).is_multiple_of(2) { 1 } else { -1 };
    let goal = [line, corner * 5 * METRE / 2];
    let way = unit(minus(goal, ball));
    let from_ball = minus(me.ground(), ball);
    let along = dot(from_ball, way);
    let aside = dot(from_ball, [-way[1], way[0]]);
    let behind = along < -METRE / 4 && aside.abs() < METRE.max(-along / 2);
    let side = if aside >= 0 { 1 } else { -1 };
    let go = if behind {
        plus(ball, scaled(way, 3 * METRE))
    } else if along > -METRE / 2 {
        // On the wrong side: around it, not through it.
        plus(plus(ball, scaled(way, -3 * METRE)), scaled([-way[1], way[0]], side * 2 * METRE))
    } else {
        plus(ball, scaled(way, -3 * METRE / 2))
    };
    let near = distance(me.ground(), view.ball_ground());
    let aligned = behind && aside.abs() * 7 < -along;
    let shove = behind && near < 9_000 && facing(me, goal) && rng.chance(400);
    let shoot = aligned && (2 * METRE..16 * METRE).contains(&near);
    if shoot || near < 3 * METRE {
        let look = if near < 3 * METRE && behind { [goal[0], METRE, goal[1]] } else { view.ball };
        return Plan { go, look, fire: shoot && rng.chance(600), shove };
    }
    match view.nearest_foe(me).filter(|foe| distance(foe.ground(), me.ground()) < 9 * METRE) {
        Some(foe) => Plan { go, look: chest(foe), fire: rng.chance(60), shove },
        None => Plan { go, look: view.ball, fire: false, shove },
    }
}

/// Stays between ball and own goal; clears the ball when it comes near.
fn keep(view: &View, me: &Seen, rng: &mut Rng) -> Plan {
    let own = [-enemy_goal(me)[0], 0];
    let ball = view.ball_ground();
    let danger = distance(ball, own);
    if danger < 5 * METRE {
        return chase(view, me, rng);
    }
    let way = unit(minus(ball, own));
    let go = plus(own, scaled(way, (danger / 2).min(16 * METRE)));
    let fire = danger < 12 * METRE && rng.chance(30);
    Plan { go, look: view.ball, fire, shove: false }
}

/// Harries opponents, a little behind the ball.
fn hunt(view: &View, me: &Seen, rng: &mut Rng) -> Plan {
    let ball = view.ball_ground();
    let way = unit(minus(enemy_goal(me), ball));
    let lane = (i32::from(me.player.index) % 5 - 2) * 5 * METRE;
    let go = plus(plus(ball, scaled(way, -7 * METRE)), [0, lane]);
    let Some(foe) = view.nearest_foe(me) else { return Plan { go, look: view.ball, fire: false, shove: false } };
    let far = distance(foe.ground(), me.ground());
    let fire = far < 18 * METRE && facing(me, foe.ground()) && rng.chance(50);
    let shove = far < 2 * METRE && facing(me, foe.ground()) && rng.chance(100);
    Plan { go, look: chest(foe), fire, shove }
}

/// Turns a plan into buttons and sticks.
fn act(view: &View, me: &Seen, plan: &Plan, rng: &mut Rng) -> ArenaInput {
    let body = &me.body;
    let (error_yaw, error_pitch) = aim_error(view.tick, me.seat);
    let to = [plan.look[0] - body.x, plan.look[1] - body.y - EYE_HEIGHT, plan.look[2] - body.z];
    let wanted = angle::heading(to[0], to[2]).wrapping_add(error_yaw as u16);
    let yaw = turned(body.yaw, wanted);
    let level = distance([0, 0], [to[0], to[2]]).max(1);
    let pitch = i32::from(angle::heading(level, -to[1]) as i16) + error_pitch;
    let pitch = pitch.clamp(-i32::from(PITCH_MAX), i32::from(PITCH_MAX)) as i16;
    let way = minus(plan.go, me.ground());
    let mut input = ArenaInput { yaw, pitch, ..ArenaInput::default() };
    let mut jump = false;
    if distance([0, 0], way) > METRE / 2 {
        let course = course(view.tick, me, angle::heading(way[0], way[1]), rng);
        jump = course.jump;
        let turn = course.heading.wrapping_sub(yaw);
        let pace = pace(view.tick, me.seat);
        input.move_y = (angle::cos(turn) * pace / ONE) as i8;
        input.move_x = (-angle::sin(turn) * pace / ONE) as i8;
    }
    input.with_buttons(jump, plan.shove, plan.fire)
}

struct Course {
    heading: u16,
    jump: bool,
}

/// Bends a heading around what is too high, jumps over what is not, and shakes loose when stuck.
fn course(tick: u32, me: &Seen, heading: u16, rng: &mut Rng) -> Course {
    let body = &me.body;
    let side = if (tick / 48 + u32::from(me.seat.0)).is_multiple_of(2) { 1 } else { -1 };
    let bent = |by: i32| heading.wrapping_add((side * by) as u16);
    let slow = body.vx.unsigned_abs() < 50 && body.vz.unsigned_abs() < 50;
    if slow && body.air == 0 && !rng.chance(300) {
        return Course { heading: bent(QUARTER), jump: rng.chance(80) };
    }
    let probe = plus(me.ground(), scaled([angle::cos(heading) / 4, -angle::sin(heading) / 4], 5 * METRE / 4));
    let Some(block) = OBSTACLES.iter().find(|block| in_the_way(block, probe, body.y)) else {
        return Course { heading, jump: false };
    };
    if block.max[1] - body.y <= JUMPABLE {
        return Course { heading, jump: true };
    }
    let middle = [(block.min[0] + block.max[0]) / 2, (block.min[2] + block.max[2]) / 2];
    let to = minus(middle, me.ground());
    let left = dot(to, [-angle::sin(heading) / 4, -angle::cos(heading) / 4]) > 0;
    let by = (QUARTER * 3 / 4) as u16;
    Course { heading: if left { heading.wrapping_sub(by) } else { heading.wrapping_add(by) }, jump: false }
}

static OBSTACLES: LazyLock<Vec<Block>> = LazyLock::new(|| {
    let free_standing = |block: &Block| match block.kind {
        BlockKind::Cover | BlockKind::Platform => true,
        BlockKind::Floor
        | BlockKind::Wall
        | BlockKind::Glass
        | BlockKind::Ceiling
        | BlockKind::Goal
        | BlockKind::Step => false,
    };
    map::blocks().into_iter().filter(free_standing).collect()
});

fn in_the_way(block: &Block, [x, z]: Ground, feet: i32) -> bool {
    block.max[1] > feet + STEP_HEIGHT
        && block.min[1] < feet + HEIGHT
        && (block.min[0] - HALF_WIDTH..block.max[0] + HALF_WIDTH).contains(&x)
        && (block.min[2] - HALF_WIDTH..block.max[2] + HALF_WIDTH).contains(&z)
}

/// The same wrong yaw and pitch for a while, then others.
fn aim_error(tick: u32, seat: Seat) -> (i32, i32) {
    let mut rng = Seed(u64::from(seat.0)).nth(u64::from(tick / AIM_TICKS)).rng();
    let mut error = |most: i32| rng.below(2 * most as u64 + 1) as i32 - most;
    (error(AIM_ERROR), error(AIM_ERROR / 2))
}

/// How far the stick is pushed: everybody dawdles now and then, which opens gaps for the others.
fn pace(tick: u32, seat: Seat) -> i32 {
    let mut rng = Seed(u64::from(seat.0)).split("pace").nth(u64::from(tick / PACE_TICKS)).rng();
    if rng.chance(350) { 55 } else { 127 }
}

fn turned(from: u16, to: u16) -> u16 {
    let way = i32::from(to.wrapping_sub(from) as i16).clamp(-TURN_MAX, TURN_MAX);
    from.wrapping_add(way as u16)
}

/// `me` looks at `point`, within 15°.
fn facing(me: &Seen, point: Ground) -> bool {
    let way = minus(point, me.ground());
    let off = angle::heading(way[0], way[1]).wrapping_sub(me.body.yaw) as i16;
    i32::from(off).abs() < QUARTER / 6
}

fn enemy_goal(me: &Seen) -> Ground {
    let line = HALF_LENGTH + BALL_RADIUS;
    if me.player.team == 0 { [line, 0] } else { [-line, 0] }
}

fn chest(seen: &Seen) -> [i32; 3] {
    [seen.body.x, seen.body.y + HEIGHT * 2 / 3, seen.body.z]
}

fn minus(a: Ground, b: Ground) -> Ground {
    [a[0] - b[0], a[1] - b[1]]
}

fn plus(a: Ground, b: Ground) -> Ground {
    [a[0] + b[0], a[1] + b[1]]
}

fn distance(a: Ground, b: Ground) -> i32 {
    let [x, z] = minus(a, b).map(i64::from);
    (x * x + z * z).isqrt() as i32
}

/// The direction of `a` with length 4096.
fn unit(a: Ground) -> Ground {
    let length = i64::from(distance([0, 0], a).max(1));
    a.map(|part| (i64::from(part) * i64::from(METRE) / length) as i32)
}

/// `a` times a length, where `a` has length 4096.
fn scaled(a: Ground, length: i32) -> Ground {
    a.map(|part| (i64::from(part) * i64::from(length) / i64::from(METRE)) as i32)
}

/// The length of `a` along `way`, which has length 4096.
fn dot(a: Ground, way: Ground) -> i32 {
    ((i64::from(a[0]) * i64::from(way[0]) + i64::from(a[1]) * i64::from(way[1])) / i64::from(METRE)) as i32
}

#[cfg(test)]
mod tests;
