//! The sample game: two teams, a ball, crates and a pulse.
//!
//! Server and clients share this crate. The server simulates all of it; a client runs it for its own
//! player and what is near, through the same plugin, or [`movement::step`] alone through a port that
//! `shared/vectors/arena-move` checks.
//!
//! **Units.** Lengths are 1/4096 m, velocities 1/4096 m per tick of 1/60 s, angles 65,536 per turn. Axes are
//! right-handed with y up; yaw 0 looks along +x, a quarter turn along −z. Team 0 attacks towards +x.
//!
//! **Bytes.** [`ArenaInput`] and the events in [`event`] are laid out by their derives; `amphi schema export` prints the
//! layout.
//!
//! **Entities.** A player has `Seat`, [`Player`] and [`movement::PlayerBody`] (predicted); the ball and each crate
//! have [`Thing`] and [`Pose`]; one entity has [`Scoreboard`]. Times in components are ticks of the match.

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
mod predicted;
pub mod pulse;
pub mod rules;

pub use components::{BALL, CRATE, HEALTH_MAX, NEVER, Phase, Player, Pose, Scoreboard, Thing, Touch};
pub use input::{ArenaInput, PITCH_MAX};
pub use plugin::{Arena, MODES, TICK_HZ};
