//! One-shot effects, and their bytes on the room lane.
//!
//! All numbers are little-endian. A point is x, y, z as `i16` in 1/512 m. Nobody is seat 255.
//!
//! | kind | name | body |
//! |---|---|---|
//! | 1 | pulse | `u8` seat, `u8` hit (0 nothing, 1 block, 2 player, 3 ball, 4 crate), `u8` target (seat of a player, index of a thing, else 255), point from, point to |
//! | 2 | shove | `u8` seat, point of the feet |
//! | 3 | death | `u8` seat, `u8` seat of the killer, point of the feet |
//! | 4 | goal | `u8` team that scores, `u8` seat of the last toucher, `u8` goals of team 0, `u8` goals of team 1 |

use amphi_shared_replica::{GameEvents, Seat};

/// Kind of a fired pulse.
pub const PULSE: u32 = 1;
/// Kind of a shove.
pub const SHOVE: u32 = 2;
/// Kind of a death.
pub const DEATH: u32 = 3;
/// Kind of a goal.
pub const GOAL: u32 = 4;
/// The seat that stands for nobody.
pub const NOBODY: u8 = 255;

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

/// An effect before it becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaEvent {
    /// A pulse was fired.
    Pulse {
        /// Who fired.
        seat: Seat,
        /// What it hit.
        target: Target,
        /// The eye it came from.
        from: Units,
        /// Where it ended.
        to: Units,
    },
    /// A shove, whether it met anything or not.
    Shove {
        /// Who shoved.
        seat: Seat,
        /// Where.
        feet: Units,
    },
    /// A player died.
    Death {
        /// Who died.
        seat: Seat,
        /// Who killed.
        killer: Seat,
        /// Where.
        feet: Units,
    },
    /// A goal.
    Goal {
        /// The team that scores.
        team: u8,
        /// Who touched the ball last.
        seat: Option<u8>,
        /// Goals of both teams, this one included.
        goals: [u16; 2],
    },
}

impl ArenaEvent {
    /// Hands the effect to the engine.
    pub fn push(self, events: &mut GameEvents) {
        match self {
            Self::Pulse { seat, target, from, to } => {
                let (hit, index) = match target {
                    Target::Nothing => (0, NOBODY),
                    Target::Block => (1, NOBODY),
                    Target::Player(Seat(seat)) => (2, seat),
                    Target::Thing(0) => (3, 0),
                    Target::Thing(index) => (4, index),
                };
                let mut body = vec![seat.0, hit, index];
                body.extend(point(from));
                body.extend(point(to));
                events.push(PULSE, body);
            }
            Self::Shove { seat, feet } => {
                let mut body = vec![seat.0];
                body.extend(point(feet));
                events.push(SHOVE, body);
            }
            Self::Death { seat, killer, feet } => {
                let mut body = vec![seat.0, killer.0];
                body.extend(point(feet));
                events.push(DEATH, body);
            }
            Self::Goal { team, seat, goals } => {
                let [a, b] = goals.map(|goals| goals.min(255) as u8);
                events.push(GOAL, vec![team, seat.unwrap_or(NOBODY), a, b]);
            }
        }
    }
}

fn point(units: Units) -> impl Iterator<Item = u8> {
    units.map(|u| (u / 8).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16).into_iter().flat_map(i16::to_le_bytes)
}
