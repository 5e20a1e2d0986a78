//! What an operator may set about a fleet.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{HOSTS_MAX, LEASE_MS, ROOMS_PER_HOST_MAX};
use thiserror::Error;

/// Settings of a [`crate::Fleet`]. Every default works on a laptop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetConfig {
    /// Hosts that may run at once, 1 to [`HOSTS_MAX`].
    pub hosts_max: usize,
    /// Rooms that one host takes, 1 to [`ROOMS_PER_HOST_MAX`].
    pub rooms_per_host: usize,
    /// Free rooms on ready hosts that are kept warm, so that a match starts at once.
    pub warm_rooms: usize,
    /// A host without rooms beyond the warm ones is drained after this time.
    pub idle_stop: Micros,
    /// Time for a started host to become ready.
    pub start_timeout: Micros,
    /// Time an allocation may take, waiting for a host included.
    pub allocate_timeout: Micros,
    /// A host that does not report for this long is dead.
    pub lease: Micros,
    /// A host whose 99th percentile tick takes longer than this share of its period, in 1/1000, is busy: it gets a new
    /// room only when an allocation has waited [`Self::busy_patience`] for another host.
    pub tick_load_permille_max: u32,
    /// See [`Self::tick_load_permille_max`].
    pub busy_patience: Micros,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            hosts_max: 8,
            rooms_per_host: 8,
            warm_rooms: 2,
            idle_stop: Micros::from_secs(60),
            start_timeout: Micros::from_secs(20),
            allocate_timeout: Micros::from_secs(15),
            lease: Micros::from_millis(LEASE_MS),
            tick_load_permille_max: 700,
            busy_patience: Micros::from_secs(3),
        }
    }
}

/// Which setting is out of bounds.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// `hosts_max` is 0 or beyond the limit.
    #[error("fleet.hosts_max must be 1 to {HOSTS_MAX}")]
    HostsMax,
    /// `rooms_per_host` is 0 or beyond the limit.
    #[error("fleet.rooms_per_host must be 1 to {ROOMS_PER_HOST_MAX}")]
    RoomsPerHost,
    /// More warm rooms than the whole fleet can have.
    #[error("fleet.warm_rooms must be at most hosts_max · rooms_per_host")]
    WarmRooms,
}

impl FleetConfig {
    /// Checks every bound.
    pub fn build(self) -> Result<Self, ConfigError> {
        if self.hosts_max == 0 || self.hosts_max > HOSTS_MAX {
            return Err(ConfigError::HostsMax);
        }
        if self.rooms_per_host == 0 || self.rooms_per_host > ROOMS_PER_HOST_MAX {
            return Err(ConfigError::RoomsPerHost);
        }
        if self.warm_rooms > self.hosts_max * self.rooms_per_host {
            return Err(ConfigError::WarmRooms);
        }
        Ok(self)
    }
}
