//! The fleet: hosts, matches, and the decisions between them.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::limits::MATCHES_MAX;
use amphi_shared_wire::proto::{AllocateRequest, CreateRoom, Endpoint, HostReport, MatchResult, RoomReport};
use amphi_shared_wire::{Code, HostId, LeaseId, MatchId, Micros, Rng, Seed};

use crate::{Allocation, AllocationState, FleetConfig, Host, HostState, MatchRecord, score};

/// Pause after a host that did not become ready; it doubles with each further one …
const RESTART_PAUSE: Micros = Micros::from_millis(500);
/// … up to this.
const RESTART_PAUSE_MAX: Micros = Micros::from_secs(30);
/// Hosts that may refuse one match before it fails.
const REFUSALS_MAX: usize = 3;

/// What the driver must do next.
#[derive(Clone, Debug)]
pub enum Output {
    /// Start a host process.
    StartHost {
        /// Its id.
        host: HostId,
        /// The lease it reports with.
        lease: LeaseId,
    },
    /// Tell the host to drain; it ends by itself.
    DrainHost {
        /// Which one.
        host: HostId,
    },
    /// End the host's process: it never became ready, or its lease ran out.
    KillHost {
        /// Which one.
        host: HostId,
    },
    /// Ask the host for a room; answer with [`Fleet::handle_room_created`] or [`Fleet::handle_room_refused`].
    CreateRoom {
        /// Whom to ask.
        host: HostId,
        /// The room.
        request: CreateRoom,
    },
    /// The allocation of a match is decided.
    Allocated {
        /// Which match.
        match_id: MatchId,
        /// Its host, or why it has none.
        outcome: Result<HostId, Code>,
    },
    /// Write this host down; one that is not found any more is dead.
    HostChanged {
        /// Which one.
        host: HostId,
    },
    /// Write this match down.
    MatchChanged {
        /// Which one.
        match_id: MatchId,
    },
    /// A match has a result. It may be told again until it is forwarded.
    Result(Box<MatchResult>),
}

/// Answer to a host's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportAnswer {
    /// False: the host is not one of ours (any more).
    pub lease_valid: bool,
    /// The host should take no new rooms and end with its last one.
    pub drain: bool,
}

/// Plain counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetStats {
    /// Hosts asked for.
    pub hosts_started: u64,
    /// Hosts that ended without being drained.
    pub hosts_died: u64,
    /// Allocations that got a room.
    pub allocated: u64,
    /// Allocations that failed.
    pub allocations_failed: u64,
    /// Matches whose host was lost.
    pub matches_lost: u64,
    /// Reports with an unknown lease or an old sequence number.
    pub reports_refused: u64,
}

/// All hosts and matches of one deployment.
///
/// Contract: call one `handle_*`, then drain [`Self::poll_output`], then call the next.
#[derive(Debug)]
pub struct Fleet {
    config: FleetConfig,
    ids: Rng,
    seeds: Rng,
    hosts: BTreeMap<HostId, Host>,
    matches: BTreeMap<MatchId, MatchRecord>,
    pending: Vec<Allocation>,
    outputs: VecDeque<Output>,
    draining: bool,
    /// Hosts in a row that did not become ready.
    failed_starts: u32,
    /// No host is started before this moment.
    start_after: Option<Micros>,
    stats: FleetStats,
}

impl Fleet {
    /// A fleet without hosts. The first [`Self::handle_timeout`] starts the warm ones.
    pub fn new(config: FleetConfig, seed: Seed) -> Self {
        Self {
            config,
            ids: seed.split("ids").rng(),
            seeds: seed.split("rooms").rng(),
            hosts: BTreeMap::new(),
            matches: BTreeMap::new(),
            pending: Vec::new(),
            outputs: VecDeque::new(),
            draining: false,
            failed_starts: 0,
            start_after: None,
            stats: FleetStats::default(),
        }
    }

    /// Takes over what an earlier process wrote down. Hosts must report within their lease, or they count as dead.
    pub fn restore(&mut self, now: Micros, hosts: Vec<Host>, matches: Vec<MatchRecord>) {
        for mut host in hosts.into_iter().filter(|host| host.state != HostState::Dead) {
            host.heard = now;
            host.rooms.clear();
            self.hosts.insert(host.id, host);
        }
        for record in matches {
            let unfinished = matches!(record.state, AllocationState::Starting | AllocationState::Running);
            match record.host.and_then(|id| self.hosts.get_mut(&id)) {
                Some(host) if unfinished => host.place(record.id),
                Some(_) => {}
                None if unfinished => self.outputs.push_back(Output::Result(Box::new(record.lost_result(now)))),
                None => {}
            }
            self.matches.insert(record.id, record);
        }
    }

    /// A match needs a room. Asking again for the same match changes nothing and is answered again.
    pub fn handle_allocate(&mut self, now: Micros, match_id: MatchId, request: AllocateRequest) {
        if let Some(known) = self.matches.get(&match_id) {
            let outcome = match known.state {
                AllocationState::Starting => return,
                AllocationState::Running | AllocationState::Ended => known.host.ok_or(Code::NoCapacity),
                AllocationState::Lost => Err(Code::NoCapacity),
            };
            self.outputs.push_back(Output::Allocated { match_id, outcome });
            return;
        }
        if self.draining {
            self.outputs.push_back(Output::Allocated { match_id, outcome: Err(Code::Draining) });
            return;
        }
        self.forget_old_matches();
        let record = MatchRecord {
            id: match_id,
            request,
            state: AllocationState::Starting,
            host: None,
            endpoints: Vec::new(),
            created: now,
            room: None,
        };
        self.matches.insert(match_id, record);
        let deadline = now + self.config.allocate_timeout;
        let lenient_from = now + self.config.busy_patience;
        self.pending.push(Allocation {
            match_id,
            lenient_from: Some(lenient_from),
            deadline,
            asked: None,
            refused: Vec::new(),
        });
        self.place_pending();
        self.keep_warm(now);
    }

    /// A started host is ready for rooms.
    pub fn handle_host_ready(&mut self, now: Micros, id: HostId, internal_url: String, endpoints: Vec<Endpoint>) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.state == HostState::Starting {
            host.state = if self.draining { HostState::Draining } else { HostState::Ready };
        }
        self.failed_starts = 0;
        self.start_after = None;
        host.heard = now;
        host.internal_url = internal_url;
        host.endpoints = endpoints;
        self.outputs.push_back(Output::HostChanged { host: id });
        if self.draining {
            self.outputs.push_back(Output::DrainHost { host: id });
        }
        self.place_pending();
    }

    /// A host's process has ended, or could not be started.
    pub fn handle_host_exited(&mut self, now: Micros, id: HostId) {
        self.bury(now, id);
        self.place_pending();
        self.keep_warm(now);
    }

    /// The host runs the room.
    pub fn handle_room_created(&mut self, match_id: MatchId, id: HostId) {
        let Some(at) = self.pending.iter().position(|a| a.match_id == match_id && a.asked == Some(id)) else {
            return;
        };
        self.pending.remove(at);
        if let (Some(record), Some(host)) = (self.matches.get_mut(&match_id), self.hosts.get(&id)) {
            if record.state == AllocationState::Starting {
                record.state = AllocationState::Running;
            }
            record.endpoints = host.endpoints.clone();
        }
        self.stats.allocated += 1;
        self.outputs.push_back(Output::MatchChanged { match_id });
        self.outputs.push_back(Output::Allocated { match_id, outcome: Ok(id) });
    }

    /// The host could not be asked, or refused the room; another one is tried.
    pub fn handle_room_refused(&mut self, now: Micros, match_id: MatchId, id: HostId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.remove(now, match_id);
        }
        let Some(allocation) = self.pending.iter_mut().find(|a| a.match_id == match_id && a.asked == Some(id)) else {
            return;
        };
        allocation.asked = None;
        allocation.refused.push(id);
        if allocation.refused.len() >= REFUSALS_MAX {
            self.fail(now, match_id);
        }
        self.place_pending();
        self.keep_warm(now);
    }

    /// A host reports on itself and its rooms.
    pub fn handle_report(&mut self, now: Micros, report: &HostReport) -> ReportAnswer {
        let known = report.host_id.parse().ok().and_then(|id: HostId| self.hosts.get_mut(&id));
        let lease = report.lease_id.parse::<LeaseId>().ok();
        let Some(host) = known.filter(|host| Some(host.lease) == lease && host.state != HostState::Dead) else {
            self.stats.reports_refused += 1;
            return ReportAnswer { lease_valid: false, drain: true };
        };
        let id = host.id;
        host.heard = now;
        if report.sequence <= host.sequence {
            self.stats.reports_refused += 1;
            return ReportAnswer { lease_valid: true, drain: host.state == HostState::Draining };
        }
        host.sequence = report.sequence;
        if host.state == HostState::Ready && report.draining {
            host.state = HostState::Draining;
            self.outputs.push_back(Output::HostChanged { host: id });
        }
        if !report.endpoints.is_empty() && report.endpoints != host.endpoints {
            host.endpoints = report.endpoints.clone();
            self.outputs.push_back(Output::HostChanged { host: id });
            let running = |record: &&mut MatchRecord| record.state == AllocationState::Running;
            for record in self.matches.values_mut().filter(|record| record.host == Some(id)).filter(running) {
                record.endpoints = report.endpoints.clone();
                self.outputs.push_back(Output::MatchChanged { match_id: record.id });
            }
        }
        host.tick_load_permille = report.rooms.iter().map(tick_load_permille).max().unwrap_or(0);
        let draining = host.state == HostState::Draining;
        for room in &report.rooms {
            self.handle_room_report(now, id, room);
        }
        self.place_pending();
        ReportAnswer { lease_valid: true, drain: draining }
    }

    /// The time has come that [`Self::poll_timeout`] named; may be called at any time.
    pub fn handle_timeout(&mut self, now: Micros) {
        let overdue: Vec<HostId> = self.hosts.values().filter(|h| self.host_deadline(h) <= now).map(|h| h.id).collect();
        for id in overdue {
            self.outputs.push_back(Output::KillHost { host: id });
            self.bury(now, id);
        }
        let late: Vec<MatchId> = self.pending.iter().filter(|a| a.deadline <= now).map(|a| a.match_id).collect();
        for match_id in late {
            self.fail(now, match_id);
        }
        for allocation in self.pending.iter_mut().filter(|a| a.lenient_from.is_some_and(|at| at <= now)) {
            allocation.lenient_from = None;
        }
        self.stop_idle(now);
        self.place_pending();
        self.keep_warm(now);
    }

    /// Takes no new match any more and lets every host end with its last room.
    pub fn drain(&mut self, now: Micros) {
        self.draining = true;
        let waiting: Vec<MatchId> = self.pending.iter().filter(|a| a.asked.is_none()).map(|a| a.match_id).collect();
        for match_id in waiting {
            self.fail(now, match_id);
        }
        for host in self.hosts.values_mut().filter(|h| h.state == HostState::Ready) {
            host.state = HostState::Draining;
            self.outputs.push_back(Output::HostChanged { host: host.id });
            self.outputs.push_back(Output::DrainHost { host: host.id });
        }
    }

    /// The next thing to do; `None` when all is said.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is next needed, and why.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        let hosts = self.hosts.values().map(|host| (self.host_deadline(host), "host lease"));
        let pending = self.pending.iter().map(|allocation| (allocation.deadline, "allocation"));
        let lenient = self.pending.iter().filter_map(|a| Some((a.lenient_from?, "busy hosts")));
        let idle = self
            .hosts
            .values()
            .filter(|h| h.state == HostState::Ready)
            .filter_map(|host| host.idle_since.map(|since| (since + self.config.idle_stop, "idle host")));
        let restart = self.start_after.map(|at| (at, "host restart"));
        hosts.chain(pending).chain(lenient).chain(idle).chain(restart).min()
    }

    /// Every host that is not forgotten, by id.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// The host with this id.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// Every match that is remembered, oldest first.
    pub fn matches(&self) -> impl DoubleEndedIterator<Item = &MatchRecord> {
        self.matches.values()
    }

    /// The match with this id.
    pub fn match_record(&self, id: MatchId) -> Option<&MatchRecord> {
        self.matches.get(&id)
    }

    /// Whether every host has ended.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Plain counters since the start.
    pub fn stats(&self) -> FleetStats {
        self.stats
    }

    fn handle_room_report(&mut self, now: Micros, id: HostId, room: &RoomReport) {
        let Ok(match_id) = room.match_id.parse::<MatchId>() else { return };
        let Some(record) = self.matches.get_mut(&match_id).filter(|record| record.host == Some(id)) else { return };
        let before = record.state;
        record.room = Some(room.clone());
        match &room.result {
            Some(result) => {
                record.state = AllocationState::Ended;
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.remove(now, match_id);
                }
                self.outputs.push_back(Output::Result(Box::new(result.clone())));
            }
            None if before == AllocationState::Starting => record.state = AllocationState::Running,
            None => {}
        }
        if before != record.state {
            self.outputs.push_back(Output::MatchChanged { match_id });
        }
    }

    /// Gives every waiting allocation the best host there is.
    fn place_pending(&mut self) {
        for at in 0..self.pending.len() {
            let allocation = &self.pending[at];
            if allocation.asked.is_some() {
                continue;
            }
            let hosts = || self.hosts.values();
            let healthy = score::best(&self.config, hosts(), &allocation.refused);
            let busy = || {
                // Still strict while the moment lies ahead.
                allocation.lenient_from.is_none().then(|| score::any(hosts(), &allocation.refused)).flatten()
            };
            let Some(id) = healthy.or_else(busy) else { continue };
            let match_id = allocation.match_id;
            let (Some(record), Some(host)) = (self.matches.get_mut(&match_id), self.hosts.get_mut(&id)) else {
                continue;
            };
            record.host = Some(id);
            host.place(match_id);
            self.pending[at].asked = Some(id);
            let request = create_room(&record.request, self.seeds.next_u64());
            self.outputs.push_back(Output::CreateRoom { host: id, request });
            self.outputs.push_back(Output::MatchChanged { match_id });
        }
    }

    /// Starts hosts until the free rooms cover the warm ones and the waiting allocations.
    fn keep_warm(&mut self, now: Micros) {
        if self.draining || self.start_after.is_some_and(|at| at > now) {
            return;
        }
        self.start_after = None;
        let waiting = self.pending.iter().filter(|a| a.asked.is_none()).count();
        let wanted = waiting + self.config.warm_rooms;
        let takes_rooms =
            |h: &&Host| matches!(h.state, HostState::Starting | HostState::Ready) && score::is_healthy(&self.config, h);
        let mut free: usize = self.hosts.values().filter(takes_rooms).map(Host::rooms_free).sum();
        while free < wanted && self.hosts.len() < self.config.hosts_max {
            let host = HostId::generate(now, &mut self.ids);
            let lease = LeaseId::generate(now, &mut self.ids);
            self.hosts.insert(host, Host::starting(host, lease, now, self.config.rooms_per_host));
            self.stats.hosts_started += 1;
            free += self.config.rooms_per_host;
            self.outputs.push_back(Output::StartHost { host, lease });
            self.outputs.push_back(Output::HostChanged { host });
        }
    }

    /// Drains the youngest idle hosts that the warm rooms do not need.
    fn stop_idle(&mut self, now: Micros) {
        let ready = |h: &&Host| h.state == HostState::Ready;
        let mut free: usize = self.hosts.values().filter(ready).map(Host::rooms_free).sum();
        let mut idle: Vec<(Micros, HostId)> = self
            .hosts
            .values()
            .filter(ready)
            .filter(|h| h.idle_since.is_some_and(|since| since + self.config.idle_stop <= now))
            .map(|h| (h.started, h.id))
            .collect();
        idle.sort();
        for (_, id) in idle.into_iter().rev() {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            if free.saturating_sub(host.rooms_free()) < self.config.warm_rooms {
                // Needed as a warm one: look again after the same time.
                host.idle_since = Some(now);
                continue;
            }
            free -= host.rooms_free();
            host.state = HostState::Draining;
            self.outputs.push_back(Output::HostChanged { host: id });
            self.outputs.push_back(Output::DrainHost { host: id });
        }
    }

    /// A host is gone: what ran on it is lost, what was asked of it is tried elsewhere.
    fn bury(&mut self, now: Micros, id: HostId) {
        let Some(mut host) = self.hosts.remove(&id) else { return };
        if host.state != HostState::Draining || !host.rooms.is_empty() {
            self.stats.hosts_died += 1;
        }
        if host.state == HostState::Starting {
            let pause = RESTART_PAUSE.0 << self.failed_starts.min(8);
            self.start_after = Some(now + Micros(pause.min(RESTART_PAUSE_MAX.0)));
            self.failed_starts += 1;
        }
        host.state = HostState::Dead;
        for match_id in std::mem::take(&mut host.rooms) {
            if let Some(allocation) = self.pending.iter_mut().find(|a| a.match_id == match_id) {
                allocation.asked = None;
                allocation.refused.push(id);
                continue;
            }
            let Some(record) = self.matches.get_mut(&match_id) else { continue };
            record.state = AllocationState::Lost;
            self.stats.matches_lost += 1;
            self.outputs.push_back(Output::MatchChanged { match_id });
            self.outputs.push_back(Output::Result(Box::new(record.lost_result(now))));
        }
        self.outputs.push_back(Output::HostChanged { host: id });
    }

    fn fail(&mut self, now: Micros, match_id: MatchId) {
        self.pending.retain(|a| a.match_id != match_id);
        let Some(record) = self.matches.get_mut(&match_id) else { return };
        record.state = AllocationState::Lost;
        if let Some(host) = record.host.and_then(|id| self.hosts.get_mut(&id)) {
            host.remove(now, match_id);
        }
        self.stats.allocations_failed += 1;
        self.outputs.push_back(Output::MatchChanged { match_id });
        self.outputs.push_back(Output::Allocated { match_id, outcome: Err(Code::NoCapacity) });
    }

    fn forget_old_matches(&mut self) {
        while self.matches.len() >= MATCHES_MAX {
            let over = |record: &&MatchRecord| matches!(record.state, AllocationState::Ended | AllocationState::Lost);
            let Some(id) = self.matches.values().find(over).map(|record| record.id) else { return };
            self.matches.remove(&id);
        }
    }

    fn host_deadline(&self, host: &Host) -> Micros {
        match host.state {
            HostState::Starting => host.started + self.config.start_timeout,
            HostState::Ready | HostState::Draining | HostState::Dead => host.heard + self.config.lease,
        }
    }
}

fn tick_load_permille(room: &RoomReport) -> u32 {
    let load = u64::from(room.tick_us_p99) * u64::from(room.tick_hz) / 1_000;
    u32::try_from(load).unwrap_or(u32::MAX)
}

fn create_room(request: &AllocateRequest, seed: u64) -> CreateRoom {
    CreateRoom {
        match_id: request.match_id.clone(),
        app: request.app.clone(),
        mode: request.mode.clone(),
        teams: request.teams,
        team_size: request.team_size,
        seats: request.seats.clone(),
        seed,
    }
}

#[cfg(test)]
mod tests;
