//! Between the core's records and the stored ones.

use amphi_fleet_core::{AllocationState, Host, HostState, MatchRecord};
use amphi_shared_store::StoredHost;
use amphi_shared_wire::proto::{AllocateRequest, HostReport, MatchInfo};
use amphi_shared_wire::{AppId, Micros};

/// A host as it is stored.
pub(crate) fn stored_host(host: &Host, app: &AppId, region: &str) -> StoredHost {
    let rooms_max = u32::try_from(host.rooms_max).unwrap_or(u32::MAX);
    StoredHost {
        host: host.id,
        lease: host.lease,
        app: app.clone(),
        region: region.to_owned(),
        state: host.state.as_str().to_owned(),
        internal_url: host.internal_url.clone(),
        report: HostReport {
            host_id: host.id.to_string(),
            lease_id: host.lease.to_string(),
            endpoints: host.endpoints.clone(),
            rooms_max,
            ..HostReport::default()
        },
        started: host.started,
        reported: host.heard,
    }
}

/// A stored host; its reports tell what runs on it.
pub(crate) fn host(stored: StoredHost) -> Host {
    let mut host = Host::starting(stored.host, stored.lease, stored.started, stored.report.rooms_max as usize);
    host.state = HostState::from_word(&stored.state).unwrap_or(HostState::Dead);
    host.internal_url = stored.internal_url;
    host.endpoints = stored.report.endpoints;
    host
}

/// A stored match; `None` when its ids cannot be read.
pub(crate) fn match_record(info: MatchInfo) -> Option<MatchRecord> {
    Some(MatchRecord {
        id: info.match_id.parse().ok()?,
        state: AllocationState::from_word(&info.state)?,
        host: info.host_id.parse().ok(),
        endpoints: info.endpoints,
        created: Micros(info.created_us),
        room: info.room,
        request: AllocateRequest {
            match_id: info.match_id,
            app: info.app,
            mode: info.mode,
            ..AllocateRequest::default()
        },
    })
}
