//! How a player moves against the static blocks: one pure function on integers.
//!
//! The server runs it for every player; every client runs it for its own, and compares exactly. All
//! intermediate values fit into 31 bits; `/` cuts towards zero, `>>` rounds down, roots round down.
//! `shared/vectors/arena-move` pins the results.

use amphi_shared_replica::Replicate;
use bevy_ecs::prelude::{Component, Resource};

use crate::angle::{self, ONE};
use crate::input::ArenaInput;
use crate::map::{Block, METRE};

/// Half the width and depth of a player, units.
pub const HALF_WIDTH: i32 = 1_536;
/// Height of a player, units.
pub const HEIGHT: i32 = 7_372;
/// Height of the eyes above the feet, units: pulses start here.
pub const EYE_HEIGHT: i32 = 6_554;
/// Running speed, units per tick (7.5 m/s).
pub const RUN_SPEED: i32 = 512;
/// Change of speed on the ground with a direction held, units per tick².
pub const GROUND_ACCELERATION: i32 = 56;
/// Change of speed on the ground without a direction, units per tick².
pub const GROUND_FRICTION: i32 = 40;
/// Change of speed on the ground while faster than running, units per tick².
pub const SLIDE_FRICTION: i32 = 24;
/// Change of speed in the air with a direction held, units per tick²; without one there is none.
pub const AIR_ACCELERATION: i32 = 12;
/// Upward speed of a jump, units per tick (reaches 1.6 m).
pub const JUMP_SPEED: i32 = 585;
/// Gravity, units per tick².
pub const GRAVITY: i32 = 25;
/// Greatest falling speed, units per tick.
pub const FALL_SPEED_MAX: i32 = 2_048;
/// Greatest speed along each axis, units per tick; whatever is faster is cut.
pub const SPEED_MAX: i32 = 4_095;
/// Greatest distance from the middle along each axis, units (4 km); far outside of every field, it only keeps rows
/// of a hostile peer from overflowing.
pub const PLACE_MAX: i32 = 1 << 24;
/// Height that is walked up without a jump, units (35 cm).
pub const STEP_HEIGHT: i32 = 1_434;
/// Ticks after leaving the ground in which a jump still counts.
pub const COYOTE_TICKS: u8 = 6;
/// `air` of a player who jumped or was thrown: no further jump before landing.
pub const AIR_SPENT: u8 = 255;
/// `hold` of a player who moves freely.
pub const HOLD_FREE: u8 = 0;
/// `hold` of a player who may look around but not move (kick-off).
pub const HOLD_STILL: u8 = 1;
/// `hold` of a dead player: nothing moves.
pub const HOLD_DEAD: u8 = 2;

// Speed above which sliding friction applies: running plus what rounding adds.
const SLIDE_SPEED: i32 = RUN_SPEED + 16;

/// Where a player is and how it moves. These integers are what is replicated.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Eq, Replicate)]
pub struct PlayerBody {
    /// Feet, 1/4096 m.
    #[replica(unit = "1/4096")]
    pub x: i32,
    /// Feet, 1/4096 m, up.
    #[replica(unit = "1/4096")]
    pub y: i32,
    /// Feet, 1/4096 m.
    #[replica(unit = "1/4096")]
    pub z: i32,
    /// Velocity, 1/4096 m per tick.
    #[replica(unit = "1/4096")]
    pub vx: i32,
    /// Velocity, 1/4096 m per tick, up.
    #[replica(unit = "1/4096")]
    pub vy: i32,
    /// Velocity, 1/4096 m per tick.
    #[replica(unit = "1/4096")]
    pub vz: i32,
    /// Direction of view, 65,536 per turn: 0 looks along +x, a quarter turn along −z.
    #[replica(lerp = "angle")]
    pub yaw: u16,
    /// Direction of view above the horizon, 65,536 per turn.
    pub pitch: i16,
    /// Ticks since the feet left the ground, at most 254; 0 on the ground; [`AIR_SPENT`] after a jump.
    #[replica(lerp = "step")]
    pub air: u8,
    /// One of [`HOLD_FREE`], [`HOLD_STILL`] and [`HOLD_DEAD`].
    #[replica(lerp = "step")]
    pub hold: u8,
}

impl PlayerBody {
    /// A body that stands at `feet` and looks along `yaw`.
    pub fn at(feet: [i32; 3], yaw: u16) -> Self {
        let [x, y, z] = feet;
        Self { x, y, z, yaw, ..Self::default() }
    }

    /// Adds a push to the velocity, units per tick; an upward one lifts off the ground.
    pub fn push(&mut self, [x, y, z]: [i32; 3]) {
        self.vx = (self.vx + x).clamp(-SPEED_MAX, SPEED_MAX);
        self.vy = (self.vy + y).clamp(-SPEED_MAX, SPEED_MAX);
        self.vz = (self.vz + z).clamp(-SPEED_MAX, SPEED_MAX);
        if y > 0 {
            self.air = AIR_SPENT;
        }
    }
}

/// What stands in the way of players.
#[derive(Clone, Debug, Default, PartialEq, Eq, Resource)]
pub struct Statics {
    /// Solid from every side.
    pub blocks: Vec<Block>,
    /// Solid only for feet that come from above: the tops of crates. Low and high corner.
    pub ledges: Vec<([i32; 3], [i32; 3])>,
}

/// One tick of a player with sanitised input.
pub fn step(mut body: PlayerBody, input: &ArenaInput, statics: &Statics) -> PlayerBody {
    body.yaw = input.yaw;
    body.pitch = input.pitch;
    if body.hold == HOLD_DEAD {
        (body.vx, body.vy, body.vz) = (0, 0, 0);
        return body;
    }
    for place in [&mut body.x, &mut body.y, &mut body.z] {
        *place = (*place).clamp(-PLACE_MAX, PLACE_MAX);
    }
    for speed in [&mut body.vx, &mut body.vy, &mut body.vz] {
        *speed = (*speed).clamp(-SPEED_MAX, SPEED_MAX);
    }
    let free = body.hold == HOLD_FREE;
    let on_ground = body.air == 0;
    let wish = if free { wish(input) } else { None };
    steer(&mut body, wish, on_ground);
    let jumps = free && input.jump() && body.air <= COYOTE_TICKS;
    if jumps {
        body.vy = JUMP_SPEED;
        body.air = AIR_SPENT;
    }
    body.vy = (body.vy - GRAVITY).max(-FALL_SPEED_MAX);
    slide(&mut body, 0, on_ground, statics);
    slide(&mut body, 2, on_ground, statics);
    fall(&mut body, on_ground && !jumps, statics);
    body
}

/// The velocity on the ground that the input asks for, x and z; none without a direction.
fn wish(input: &ArenaInput) -> Option<[i32; 2]> {
    let mut right = i32::from(input.move_x).max(-127);
    let mut ahead = i32::from(input.move_y).max(-127);
    if right == 0 && ahead == 0 {
        return None;
    }
    let square = right * right + ahead * ahead;
    if square > 127 * 127 {
        let length = square.isqrt();
        right = right * 127 / length;
        ahead = ahead * 127 / length;
    }
    let (sin, cos) = (angle::sin(input.yaw), angle::cos(input.yaw));
    let scale = |value: i32| value * RUN_SPEED / (127 * ONE);
    Some([scale(cos * ahead + sin * right), scale(cos * right - sin * ahead)])
}

/// Bends the velocity on the ground towards `wish`.
fn steer(body: &mut PlayerBody, wish: Option<[i32; 2]>, on_ground: bool) {
    let too_fast = body.vx * body.vx + body.vz * body.vz > SLIDE_SPEED * SLIDE_SPEED;
    let ([target_x, target_z], rate) = match (on_ground, wish) {
        (true, wish) if too_fast => (wish.unwrap_or([0, 0]), SLIDE_FRICTION),
        (true, Some(wish)) => (wish, GROUND_ACCELERATION),
        (true, None) => ([0, 0], GROUND_FRICTION),
        (false, Some(wish)) => (wish, AIR_ACCELERATION),
        (false, None) => return,
    };
    let (x, z) = (target_x - body.vx, target_z - body.vz);
    let square = x * x + z * z;
    if square <= rate * rate {
        (body.vx, body.vz) = (target_x, target_z);
    } else {
        let length = square.isqrt();
        body.vx += x * rate / length;
        body.vz += z * rate / length;
    }
}

/// Moves along one axis of the ground (0 or 2), up a low step where one is in the way.
fn slide(body: &mut PlayerBody, axis: usize, on_ground: bool, statics: &Statics) {
    let speed = if axis == 0 { body.vx } else { body.vz };
    if speed == 0 {
        return;
    }
    let mut feet = [body.x, body.y, body.z];
    let moved = sweep(feet, axis, speed, statics);
    feet[axis] += moved;
    let mut rest = speed - moved;
    if rest != 0 && on_ground {
        let raised = sweep(feet, 1, STEP_HEIGHT, statics);
        let mut over = feet;
        over[1] += raised;
        let onto = sweep(over, axis, rest, statics);
        if onto != 0 {
            over[axis] += onto;
            over[1] += sweep(over, 1, -raised, statics);
            feet = over;
            rest -= onto;
        }
    }
    [body.x, body.y, body.z] = feet;
    if rest != 0 {
        if axis == 0 { body.vx = 0 } else { body.vz = 0 }
    }
}

/// Moves up or down; `stuck` feet follow the ground down a low step.
fn fall(body: &mut PlayerBody, stuck: bool, statics: &Statics) {
    let feet = [body.x, body.y, body.z];
    let moved = sweep(feet, 1, body.vy, statics);
    body.y += moved;
    if moved != body.vy {
        if body.vy < 0 {
            body.air = 0;
        }
        body.vy = 0;
        return;
    }
    if stuck && body.vy < 0 {
        let down = sweep([body.x, body.y, body.z], 1, -STEP_HEIGHT, statics);
        if down != -STEP_HEIGHT {
            body.y += down;
            body.vy = 0;
            body.air = 0;
            return;
        }
    }
    if body.air < AIR_SPENT - 1 {
        body.air += 1;
    }
}

/// How far of `distance` a body with its feet at `feet` gets along `axis`. Blocks it overlaps do not stop it.
fn sweep(feet: [i32; 3], axis: usize, distance: i32, statics: &Statics) -> i32 {
    let low = [feet[0] - HALF_WIDTH, feet[1], feet[2] - HALF_WIDTH];
    let high = [feet[0] + HALF_WIDTH, feet[1] + HEIGHT, feet[2] + HALF_WIDTH];
    let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
    let beside =
        |min: &[i32; 3], max: &[i32; 3]| low[a] >= max[a] || high[a] <= min[a] || low[b] >= max[b] || high[b] <= min[b];
    let mut left = distance;
    for block in &statics.blocks {
        if beside(&block.min, &block.max) {
            continue;
        }
        if distance > 0 && block.min[axis] >= high[axis] {
            left = left.min(block.min[axis] - high[axis]);
        } else if distance < 0 && block.max[axis] <= low[axis] {
            left = left.max(block.max[axis] - low[axis]);
        }
    }
    if axis == 1 && distance < 0 {
        for (min, max) in &statics.ledges {
            if !beside(min, max) && max[1] <= low[1] {
                left = left.max(max[1] - low[1]);
            }
        }
    }
    left
}

/// Metres of a length in units, exact in `f32` for everything inside the field.
pub fn metres(units: i32) -> f32 {
    units as f32 / METRE as f32
}

#[cfg(test)]
mod tests;
