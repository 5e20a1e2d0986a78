//! The match role: tickets over HTTP, fenced claims, hosts from the fleet, connect tokens, and results into ratings.
//!
//! One task owns the matchmaker and everything that must happen in order; requests reach it as events. What only reads,
//! and results, go straight to the database.

#![forbid(unsafe_code)]

mod allocate;
mod config;
mod desk;
mod http;
mod metrics;
mod overview;
mod pace;
mod queue;
mod recover;
mod results;
mod role;
mod seat;
mod task;

pub use amphi_matchmaker_core::{Bots, Config as MatchmakerConfig, Mode};
pub use config::{MatchRoleConfig, MatchStartError};
pub use http::describe;
pub use overview::{MatchOverview, QueueView};
pub use role::{MatchParts, MatchRole};
