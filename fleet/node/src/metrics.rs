//! What the fleet exports.

use amphi_fleet_core::{Fleet, HostState};
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Handles of every metric of this crate.
#[derive(Clone)]
pub(crate) struct Metrics {
    hosts_ready: Gauge,
    hosts_starting: Gauge,
    hosts_draining: Gauge,
    rooms: Gauge,
    rooms_free: Gauge,
    hosts_started: Counter,
    hosts_died: Counter,
    allocated: Counter,
    allocations_failed: Counter,
    matches_lost: Counter,
    reports_refused: Counter,
}

impl Metrics {
    pub(crate) fn register() -> Self {
        describe_gauge!("fleet_hosts", "Match hosts by state");
        describe_gauge!("fleet_rooms", "Matches placed on hosts");
        describe_gauge!("fleet_rooms_free", "Rooms that ready hosts could still take");
        describe_counter!("fleet_hosts_started_total", "Hosts asked for");
        describe_counter!("fleet_hosts_died_total", "Hosts that ended without being drained");
        describe_counter!("fleet_allocations_total", "Allocations by outcome");
        describe_counter!("fleet_matches_lost_total", "Matches whose host was lost");
        describe_counter!("fleet_reports_refused_total", "Reports with an unknown lease or an old sequence number");
        Self {
            hosts_ready: gauge!("fleet_hosts", "state" => "ready"),
            hosts_starting: gauge!("fleet_hosts", "state" => "starting"),
            hosts_draining: gauge!("fleet_hosts", "state" => "draining"),
            rooms: gauge!("fleet_rooms"),
            rooms_free: gauge!("fleet_rooms_free"),
            hosts_started: counter!("fleet_hosts_started_total"),
            hosts_died: counter!("fleet_hosts_died_total"),
            allocated: counter!("fleet_allocations_total", "outcome" => "placed"),
            allocations_failed: counter!("fleet_allocations_total", "outcome" => "failed"),
            matches_lost: counter!("fleet_matches_lost_total"),
            reports_refused: counter!("fleet_reports_refused_total"),
        }
    }

    /// Brings every metric up to the core's plain numbers.
    pub(crate) fn update(&self, fleet: &Fleet) {
        let count = |state| fleet.hosts().filter(|host| host.state == state).count() as f64;
        self.hosts_ready.set(count(HostState::Ready));
        self.hosts_starting.set(count(HostState::Starting));
        self.hosts_draining.set(count(HostState::Draining));
        self.rooms.set(fleet.hosts().map(|host| host.rooms.len()).sum::<usize>() as f64);
        let ready = fleet.hosts().filter(|host| host.state == HostState::Ready);
        self.rooms_free.set(ready.map(|host| host.rooms_free()).sum::<usize>() as f64);
        let stats = fleet.stats();
        self.hosts_started.absolute(stats.hosts_started);
        self.hosts_died.absolute(stats.hosts_died);
        self.allocated.absolute(stats.allocated);
        self.allocations_failed.absolute(stats.allocations_failed);
        self.matches_lost.absolute(stats.matches_lost);
        self.reports_refused.absolute(stats.reports_refused);
    }
}
