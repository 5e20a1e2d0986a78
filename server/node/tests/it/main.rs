//! A whole match host on real sockets: its fleet, its live role and its players are in the test.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test names what it waits for")]

mod client;
mod drain;
mod game;
mod hostile;
mod join;
mod pipe;
mod world;
