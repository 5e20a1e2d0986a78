//! The sample game: two teams, a ball, crates and a pulse.

#![forbid(unsafe_code)]

pub mod angle;
mod input;
pub mod map;
pub mod movement;

pub use input::{ArenaInput, PITCH_MAX};
