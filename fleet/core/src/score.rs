//! Packing: the fullest host that is still healthy gets the next room, so that idle ones can go.

use amphi_shared_wire::HostId;

use crate::{FleetConfig, Host, HostState};

/// Whether a host would be given one more room while there is a choice.
pub(crate) fn is_healthy(config: &FleetConfig, host: &Host) -> bool {
    host.tick_load_permille <= config.tick_load_permille_max
}

/// The least loaded host with room, healthy or not: late ticks are better than no match.
pub(crate) fn any<'a>(hosts: impl Iterator<Item = &'a Host>, avoid: &[HostId]) -> Option<HostId> {
    hosts
        .filter(|host| host.state == HostState::Ready && host.rooms_free() > 0 && !avoid.contains(&host.id))
        .min_by_key(|host| (host.tick_load_permille, host.rooms.len(), host.id))
        .map(|host| host.id)
}

/// The healthy host for one more room; `None` when no ready host has one.
pub(crate) fn best<'a>(
    config: &FleetConfig,
    hosts: impl Iterator<Item = &'a Host>,
    avoid: &[HostId],
) -> Option<HostId> {
    hosts
        .filter(|host| host.state == HostState::Ready && host.rooms_free() > 0 && !avoid.contains(&host.id))
        .filter(|host| is_healthy(config, host))
        // Oldest first among equals: younger ones become idle and stop.
        .min_by_key(|host| (host.rooms_free(), host.started, host.id))
        .map(|host| host.id)
}
