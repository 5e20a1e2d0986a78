//! The matchmaker's decisions: who plays whom, in which teams, how long anyone waits for it, and why.
//!
//! [`Matchmaker`] has no sockets, disk or clock. Its driver hands in facts and the time, then drains
//! [`Matchmaker::poll_output`] until it is empty before it hands in the next. A match starts as a [`Claim`]: the driver
//! writes it down before it acts on it, so that no player is ever in two matches.

#![forbid(unsafe_code)]

mod claim;
mod config;
mod estimate;
mod explain;
mod former;
mod matchmaker;
mod mode;
mod pool;
mod rating;
mod region;
mod split;
mod ticket;

pub use claim::{Claim, ClaimSeat};
pub use config::{Config, ConfigError};
pub use matchmaker::{Matchmaker, Output, QueueOverview, Stats};
pub use mode::{Bots, Mode, ModeError};
pub use rating::{Rating, TeamOutcome, rate};
pub use region::Latency;
pub use ticket::{CancelReason, NewTicket, Player, TicketState, TicketView};
