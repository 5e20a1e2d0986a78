//! The fleet's decisions: which host gets a match, when hosts start and stop, and what is lost when one dies.
//!
//! [`Fleet`] has no sockets, processes or clock. Its driver hands in facts and the time, then drains
//! [`Fleet::poll_output`] until it is empty before it hands in the next.

#![forbid(unsafe_code)]

mod allocation;
mod config;
mod fleet;
mod gameserver;
mod record;
mod score;

pub use allocation::{Allocation, AllocationState};
pub use config::{ConfigError, FleetConfig};
pub use fleet::{Fleet, FleetStats, Output, ReportAnswer};
pub use gameserver::{Host, HostState};
pub use record::MatchRecord;
