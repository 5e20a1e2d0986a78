//! The match host: admits players, runs room workers, reports to its fleet.
//!
//! One task owns admission: matches, sessions and used tokens. Each room worker is a thread that owns its rooms and
//! the sessions in them, and drains its mailbox once per tick. `docs/decisions/0009-edge-and-owners.md` says who owns
//! what, and why.

#![forbid(unsafe_code)]

mod admission;
mod host;
mod journal;
mod metrics;
mod pace;
mod profile;
mod publisher;
mod recording;
mod reporter;
mod retention;
mod room_request;
mod routes;
mod tick_times;
mod worker;

pub use host::{GameHost, StartError};
pub use recording::{Recording, RecordingError};
