//! The authoritative room: commands in, ticks, and what its people, spectators, journal and fleet are told.
//!
//! A [`Room`] has no sockets, threads or clock. Its driver calls one of `push`, `handle_input`, `on_*`, `step` or `end`,
//! then drains [`Room::poll_output`] to the end. Everything that changes the world is a [`RoomCommand`] in the journal:
//! the same commands give the same world ([`replay`]).

#![forbid(unsafe_code)]

mod command;
mod input_buffer;
mod journal;
mod occupant;
mod replay;
mod room;
mod view;
mod world;

pub use command::RoomCommand;
pub use journal::{JournalError, JournalHeader, JournalReader, JournalRecord};
pub use occupant::SeatPlan;
pub use replay::{ReplayError, ReplayReport, replay, replay_with};
pub use room::{Room, RoomConfig, RoomError, RoomOutput, RoomStats, StepReport};
