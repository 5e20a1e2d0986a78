//! What the match is made of, beside the bodies of players.

use amphi_shared_replica::{Replicate, Seat};
use bevy_ecs::prelude::{Component, Resource};
use serde::{Deserialize, Serialize};

use crate::movement::PLACE_MAX;

/// Health of a fresh player.
pub const HEALTH_MAX: u8 = 100;
/// No tick: what it stands for is not due.
pub const NEVER: u32 = u32::MAX;

/// A player beyond its body.
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, Replicate)]
pub struct Player {
    /// 0 attacks towards +x, 1 towards −x.
    #[replica(lerp = "step")]
    pub team: u8,
    /// Number within the team: place at kick-off and role of a bot.
    #[replica(lerp = "step")]
    pub index: u8,
    /// 0 to [`HEALTH_MAX`]; 0 is dead.
    #[replica(lerp = "step")]
    pub health: u8,
    /// Tick in which a dead player comes back.
    #[replica(lerp = "step")]
    pub respawn_at: u32,
    /// Tick of the last pulse, 0 for none.
    #[replica(lerp = "step")]
    pub fired_at: u32,
    /// Tick of the last shove, 0 for none.
    #[replica(lerp = "step")]
    pub shoved_at: u32,
    /// Points: see `rules`.
    #[replica(lerp = "step")]
    pub points: i16,
}

impl Player {
    /// A fresh player.
    pub fn new(team: u8, index: u8) -> Self {
        Self { team, index, health: HEALTH_MAX, respawn_at: 0, fired_at: 0, shoved_at: 0, points: 0 }
    }

    /// The player is not dead.
    pub fn alive(&self) -> bool {
        self.health > 0
    }
}

/// `Thing::kind` of the ball.
pub const BALL: u8 = 0;
/// `Thing::kind` of a crate.
pub const CRATE: u8 = 1;

/// Something that physics moves.
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, Replicate)]
pub struct Thing {
    /// [`BALL`] or [`CRATE`].
    #[replica(lerp = "step")]
    pub kind: u8,
    /// The ball is 0, crates count from 1.
    #[replica(lerp = "step")]
    pub index: u8,
}

/// Where a thing is, as integers.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Eq, Replicate)]
pub struct Pose {
    /// Centre, 1/512 m.
    #[replica(unit = "1/512", velocity = "velocity.0")]
    pub x: i32,
    /// Centre, 1/512 m, up.
    #[replica(unit = "1/512", velocity = "velocity.1")]
    pub y: i32,
    /// Centre, 1/512 m.
    #[replica(unit = "1/512", velocity = "velocity.2")]
    pub z: i32,
    /// Rotation x y z w, 1/511.
    #[replica(unit = "1/511", lerp = "quaternion")]
    pub rotation: [i16; 4],
    /// Velocity, 1/64 m/s.
    #[replica(unit = "1/64")]
    pub velocity: [i16; 3],
}

impl Pose {
    /// The centre in units of 1/4096 m, within [`PLACE_MAX`] of the middle.
    pub fn centre(&self) -> [i32; 3] {
        [self.x, self.y, self.z].map(|v| v.saturating_mul(8).clamp(-PLACE_MAX, PLACE_MAX))
    }
}

/// What the match is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All stand at their places; looking around is free.
    KickOff,
    /// The ball is in play.
    Play,
    /// A goal was scored; all may run and fire, nothing counts.
    Goal,
    /// The match is over.
    Over,
}

impl Phase {
    /// The number in [`Scoreboard::phase`].
    pub fn number(self) -> u8 {
        match self {
            Self::KickOff => 0,
            Self::Play => 1,
            Self::Goal => 2,
            Self::Over => 3,
        }
    }
}

/// Score and clock, on one entity.
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, Replicate)]
pub struct Scoreboard {
    /// 0 kick-off, 1 play, 2 goal, 3 over; see [`Phase`].
    #[replica(lerp = "step")]
    pub phase: u8,
    /// Tick in which the phase ends; `u32::MAX` while the ball is in play.
    #[replica(lerp = "step")]
    pub phase_until: u32,
    /// Tick in which the match ends: the clock shows this minus the tick of the snapshot.
    #[replica(lerp = "step")]
    pub ends_at: u32,
    /// Goals of team 0 and team 1.
    #[replica(lerp = "step")]
    pub goals: [u16; 2],
}

impl Scoreboard {
    /// What the match is doing; an unknown number counts as over.
    pub fn phase(&self) -> Phase {
        match self.phase {
            0 => Phase::KickOff,
            1 => Phase::Play,
            2 => Phase::Goal,
            3.. => Phase::Over,
        }
    }
}

/// Who touched the ball, and for how long nobody has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Resource, Serialize, Deserialize)]
pub struct Touch {
    /// Seat of the last toucher, since kick-off.
    pub seat: Option<u8>,
    /// Ticks since the last touch.
    pub idle_ticks: u32,
}

impl Touch {
    /// `seat` touches the ball.
    pub fn by(&mut self, seat: Seat) {
        *self = Self { seat: Some(seat.0), idle_ticks: 0 };
    }
}
