//! What a service may ask another service.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The one internal call that a service token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Match → fleet: a host for a match.
    #[serde(rename = "fleet.allocate")]
    FleetAllocate,
    /// Match and live → fleet: where a match runs.
    #[serde(rename = "fleet.read")]
    FleetRead,
    /// Host → fleet: its rooms and results.
    #[serde(rename = "fleet.report")]
    FleetReport,
    /// Fleet → host: create a room.
    #[serde(rename = "host.rooms")]
    HostRooms,
    /// Fleet → host: take no new rooms.
    #[serde(rename = "host.drain")]
    HostDrain,
    /// Fleet → match: results.
    #[serde(rename = "match.results")]
    MatchResults,
    /// Host → live: view frames.
    #[serde(rename = "live.publish")]
    LivePublish,
    /// Command line → live: add a user.
    #[serde(rename = "live.users")]
    LiveUsers,
    /// Command line → live: mint and revoke user tokens.
    #[serde(rename = "live.tokens")]
    LiveTokens,
    /// Command line → live: make, list and revoke API keys.
    #[serde(rename = "live.keys")]
    LiveKeys,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 10] = [
        Self::FleetAllocate,
        Self::FleetRead,
        Self::FleetReport,
        Self::HostRooms,
        Self::HostDrain,
        Self::MatchResults,
        Self::LivePublish,
        Self::LiveUsers,
        Self::LiveTokens,
        Self::LiveKeys,
    ];

    /// `service.verb`, as in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FleetAllocate => "fleet.allocate",
            Self::FleetRead => "fleet.read",
            Self::FleetReport => "fleet.report",
            Self::HostRooms => "host.rooms",
            Self::HostDrain => "host.drain",
            Self::MatchResults => "match.results",
            Self::LivePublish => "live.publish",
            Self::LiveUsers => "live.users",
            Self::LiveTokens => "live.tokens",
            Self::LiveKeys => "live.keys",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| format!("`{text}` is no scope"))
    }
}
