//! What an operator sees of the live role.

use schemars::JsonSchema;
use serde::Serialize;

/// Numbers of the live role, about one second old.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Serialize)]
pub struct LiveOverview {
    /// Home sessions, those that wait for a resume included.
    pub sessions: u64,
    /// Connections: home sessions with one, and readers of text.
    pub attached: u64,
    /// Topics.
    pub topics: u64,
    /// Subscriptions to match views.
    pub viewers: u64,
    /// Publications per second, over the last second.
    pub publications_per_s: f64,
    /// Publications handed to a connection per second, over the last second.
    pub deliveries_per_s: f64,
    /// Connections closed since the start because their reader was too slow.
    pub slow_readers: u64,
}
