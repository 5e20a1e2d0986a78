//! The fleet in numbers, for the Ops page.

use amphi_fleet_core::{AllocationState, Fleet, Host, MatchRecord};
use amphi_shared_wire::Micros;
use schemars::JsonSchema;
use serde::Serialize;

/// Hosts and rooms.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
pub struct FleetOverview {
    /// Every host that is not dead.
    pub hosts: Vec<HostOverview>,
    /// Every match that is not over, newest first.
    pub rooms: Vec<RoomOverview>,
}

/// One host.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct HostOverview {
    /// Its id.
    pub id: String,
    /// `starting`, `ready`, `draining` or `dead`.
    pub state: &'static str,
    /// Base URL of its internal routes.
    pub url: String,
    /// Rooms on it.
    pub rooms: usize,
    /// Rooms it takes.
    pub rooms_max: usize,
    /// Its busiest room: 99th percentile tick over the tick's period, in 1/1000.
    pub tick_load_permille: u32,
    /// Time since it was heard of, ms.
    pub heard_ms_ago: u64,
    /// Time since it was started, s.
    pub age_s: u64,
}

/// One match.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct RoomOverview {
    /// Its match.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its mode.
    pub mode: String,
    /// `starting` or `running`.
    pub state: &'static str,
    /// People in seats.
    pub people: usize,
    /// Bots in seats.
    pub bots: usize,
    /// Score by team.
    pub score: Vec<u32>,
    /// The tick it is at.
    pub tick: u32,
    /// Median tick, µs.
    pub tick_us_p50: u32,
    /// 99th percentile tick, µs.
    pub tick_us_p99: u32,
    /// Ticks that came too late.
    pub overruns: u64,
    /// Inputs that found their tick.
    pub inputs: u64,
    /// Inputs that came too late.
    pub inputs_late: u64,
    /// Inputs and commands that were unreadable, absurd or refused.
    pub refused: u64,
    /// Time to its end, ms.
    pub ends_in_ms: u32,
}

/// What the core knows, in numbers.
pub(crate) fn overview(now: Micros, fleet: &Fleet) -> FleetOverview {
    let open = |record: &&MatchRecord| matches!(record.state, AllocationState::Starting | AllocationState::Running);
    FleetOverview {
        hosts: fleet.hosts().map(|host| host_overview(now, host)).collect(),
        rooms: fleet.matches().rev().filter(open).map(room_overview).collect(),
    }
}

fn host_overview(now: Micros, host: &Host) -> HostOverview {
    HostOverview {
        id: host.id.to_string(),
        state: host.state.as_str(),
        url: host.internal_url.clone(),
        rooms: host.rooms.len(),
        rooms_max: host.rooms_max,
        tick_load_permille: host.tick_load_permille,
        heard_ms_ago: now.since(host.heard).as_millis(),
        age_s: now.since(host.started).as_millis() / 1_000,
    }
}

fn room_overview(record: &MatchRecord) -> RoomOverview {
    let room = record.room.clone().unwrap_or_default();
    let people = room.roster.iter().filter(|seat| !seat.bot).count();
    RoomOverview {
        id: record.id.to_string(),
        host: record.host.map(|id| id.to_string()).unwrap_or_default(),
        mode: record.request.mode.clone(),
        state: record.state.as_str(),
        people,
        bots: room.roster.len() - people,
        score: room.team_scores,
        tick: room.tick,
        tick_us_p50: room.tick_us_p50,
        tick_us_p99: room.tick_us_p99,
        overruns: room.overruns,
        inputs: room.inputs,
        inputs_late: room.inputs_late,
        refused: room.inputs_early + room.inputs_invalid + room.commands_refused,
        ends_in_ms: room.ends_in_ms,
    }
}
