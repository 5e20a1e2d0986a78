//! The fleet role: HTTP for allocations, reports and the list of matches, and hosts as local child processes.

#![forbid(unsafe_code)]

mod forward;
mod http;
mod local;
mod metrics;
mod overview;
mod persist;
mod role;

pub use amphi_fleet_core::FleetConfig;
pub use http::describe;
pub use local::HostCommand;
pub use overview::{FleetOverview, HostOverview, RoomOverview};
pub use role::{FleetParts, FleetRole, FleetRoleConfig, FleetStartError, FleetWatcher};
