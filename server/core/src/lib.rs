//! The authoritative room engine: commands, inputs, encoding, journal, replay, views, results. No IO.
//!
//! A [`Room`] is one running match. Whoever drives it calls [`Room::step`] once per tick, hands in what people send,
//! and carries away what [`Room::poll_output`] gives. Everything that changes the world is a [`RoomCommand`], and
//! every tick's commands are in the journal with a hash of the state after them: [`Room::replay`] does it all again.

#![forbid(unsafe_code)]

mod command;
mod journal;
mod replay;
mod room;
mod roster;
mod seat_inputs;
mod spectators;
mod stats;

pub use command::RoomCommand;
pub use journal::JournalError;
pub use replay::{Replay, ReplayError};
pub use room::{Room, RoomConfig, RoomError, RoomOutput, SeatPlan, StepReport};
pub use stats::RoomStats;
