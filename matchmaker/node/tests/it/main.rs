//! The match role over real HTTP on 127.0.0.1, with a double of the fleet.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod crashes;
mod fleet_double;
mod hostile;
mod house;
mod queue;
mod recovery;
mod results;
mod seat;
