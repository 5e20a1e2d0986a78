//! The Rust client of a match: prediction of the own player, interpolation of the rest, over the session engine.
//!
//! [`Client`] has no socket and no clock: a driver hands in what arrives and the time, then drains
//! [`Client::poll_output`]. With the feature `quic`, [`quic::connect`] is such a driver.
//!
//! Three times run in it. *Server time* is the session clock's estimate. The *input tick* runs ahead of it, by as much
//! as the server's arrival margins ask for. *Render time* runs behind it, by as much as snapshots come late.

#![forbid(unsafe_code)]

mod client;
mod effects;
mod playout;
mod predict;
#[cfg(feature = "quic")]
pub mod quic;
mod received;
mod smooth;
mod spawns;
mod watch;

pub use amphi_shared_session::{Config as SessionConfig, Saved};
pub use client::{Client, ClientConfig, ClientError, ClientEvent, ClientOutput, ClientStats, Joined, Said, ShownRow};
