//! What the game says: a pulse, a shove, a death, a goal. Points are in 1/512 m, nobody is seat 255.

use amphi_shared_replica::{Replicate, Seat};

/// The seat that stands for nobody.
pub const NOBODY: u8 = 255;
/// Units of 1/4096 m in a step of a point.
const STEP: i32 = 8;

/// A position in units of 1/4096 m.
type Units = [i32; 3];

/// What a pulse hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing within its range.
    Nothing,
    /// Something that never moves.
    Block,
    /// A player.
    Player(Seat),
    /// The ball, index 0, or a crate.
    Thing(u8),
}

/// A pulse was fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Replicate)]
#[replica(by = "seat")]
pub struct Pulse {
    /// Who fired.
    pub seat: u8,
    /// What it hit: 0 nothing, 1 block, 2 player, 3 ball, 4 crate.
    pub hit: u8,
    /// Seat of a player, index of a thing, else [`NOBODY`].
    pub target: u8,
    /// The eye it came from.
    #[replica(unit = "1/512")]
    pub from: [i16; 3],
    /// Where it ended.
    #[replica(unit = "1/512")]
    pub to: [i16; 3],
}

/// A shove, whether it met anything or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Replicate)]
#[replica(by = "seat")]
pub struct Shove {
    /// Who shoved.
    pub seat: u8,
    /// Where the feet are.
    #[replica(unit = "1/512")]
    pub feet: [i16; 3],
}

/// A player died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Replicate)]
pub struct Death {
    /// Who died.
    pub seat: u8,
    /// Who killed.
    pub killer: u8,
    /// Where the feet are.
    #[replica(unit = "1/512")]
    pub feet: [i16; 3],
}

/// A goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Replicate)]
pub struct Goal {
    /// The team that scores.
    pub team: u8,
    /// Who touched the ball last, or [`NOBODY`].
    pub seat: u8,
    /// Goals of both teams, this one included.
    pub goals: [u8; 2],
}

impl Pulse {
    /// A pulse of a seat from one point to another.
    pub fn new(seat: Seat, target: Target, from: Units, to: Units) -> Self {
        let (hit, target) = match target {
            Target::Nothing => (0, NOBODY),
            Target::Block => (1, NOBODY),
            Target::Player(Seat(seat)) => (2, seat),
            Target::Thing(0) => (3, 0),
            Target::Thing(index) => (4, index),
        };
        Self { seat: seat.0, hit, target, from: point(from), to: point(to) }
    }
}

/// A position in steps of 1/512 m.
pub(crate) fn point(units: Units) -> [i16; 3] {
    units.map(|u| (u / STEP).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16)
}
