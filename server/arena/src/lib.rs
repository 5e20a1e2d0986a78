//! The sample game: two teams, a ball, crates and a pulse.
//!
//! Server and clients share this crate. The server simulates all of it; a client runs [`movement::step`] for its
//! own player, through the same plugin or through a port that `shared/vectors/arena-move` checks.
//!
//! **Units.** Lengths are 1/4096 m, velocities 1/4096 m per tick of 1/60 s, angles 65,536 per turn. Axes are
//! right-handed with y up; yaw 0 looks along +x, a quarter turn along −z. Team 0 attacks towards +x.
//!
//! **Input** ([`ArenaInput`]): 51 bits, least significant bit first.
//!
//! | bits | field | meaning |
//! |---|---|---|
//! | 3 | buttons | bit 0 jump, bit 1 shove, bit 2 fire |
//! | 8 | move_x | running to the right, two's complement, −127 to 127 |
//! | 8 | move_y | running ahead, two's complement, −127 to 127 |
//! | 16 | yaw | direction of view |
//! | 16 | pitch | direction of view above the horizon, two's complement, −15,000 to 15,000 |
//!
//! **Entities.** A player has `Seat`, [`Player`] and [`movement::PlayerBody`] (predicted); the ball and each crate
//! have [`Thing`] and [`Pose`]; one entity has [`Scoreboard`]. Times in components are ticks of the match.
//! [`event`] describes the one-shot effects.

#![forbid(unsafe_code)]

pub mod angle;
pub mod bots;
mod components;
pub mod event;
mod input;
pub mod map;
pub mod movement;
pub mod physics;
mod plugin;
pub mod pulse;
pub mod rules;

pub use components::{BALL, CRATE, HEALTH_MAX, NEVER, Phase, Player, Pose, Scoreboard, Thing, Touch};
pub use input::{ArenaInput, PITCH_MAX};
pub use plugin::{Arena, MODES, TICK_HZ};
