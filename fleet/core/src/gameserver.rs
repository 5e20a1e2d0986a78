//! One match host and where it stands in its life.

use amphi_shared_wire::proto::Endpoint;
use amphi_shared_wire::{HostId, LeaseId, MatchId, Micros};

/// Where a host stands. It only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostState {
    /// Its process was asked for; it has not said that it is ready.
    Starting,
    /// It takes rooms.
    Ready,
    /// It takes no new rooms and ends with its last one.
    Draining,
    /// Its process has ended, or its lease ran out.
    Dead,
}

impl HostState {
    /// Lower-case word, as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Dead => "dead",
        }
    }

    /// The state behind a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Starting, Self::Ready, Self::Draining, Self::Dead].into_iter().find(|state| state.as_str() == word)
    }
}

/// A match host as the fleet knows it.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// The lease its reports must name.
    pub lease: LeaseId,
    /// Where it stands.
    pub state: HostState,
    /// When it was asked for.
    pub started: Micros,
    /// When it was last heard of.
    pub heard: Micros,
    /// Sequence number of its newest report.
    pub sequence: u64,
    /// How clients reach it.
    pub endpoints: Vec<Endpoint>,
    /// How services reach it.
    pub internal_url: String,
    /// Rooms it takes.
    pub rooms_max: usize,
    /// Matches placed on it that have not ended, in order of their ids.
    pub rooms: Vec<MatchId>,
    /// Load of its busiest room: 99th percentile tick over the tick period, in 1/1000.
    pub tick_load_permille: u32,
    /// Since when it has no room.
    pub idle_since: Option<Micros>,
}

impl Host {
    /// A host that was just asked for.
    pub fn starting(id: HostId, lease: LeaseId, now: Micros, rooms_max: usize) -> Self {
        Self {
            id,
            lease,
            state: HostState::Starting,
            started: now,
            heard: now,
            sequence: 0,
            endpoints: Vec::new(),
            internal_url: String::new(),
            rooms_max,
            rooms: Vec::new(),
            tick_load_permille: 0,
            idle_since: Some(now),
        }
    }

    /// Rooms it could still take if it were ready.
    pub fn rooms_free(&self) -> usize {
        self.rooms_max.saturating_sub(self.rooms.len())
    }

    pub(crate) fn place(&mut self, id: MatchId) {
        if let Err(at) = self.rooms.binary_search(&id) {
            self.rooms.insert(at, id);
        }
        self.idle_since = None;
    }

    pub(crate) fn remove(&mut self, now: Micros, id: MatchId) {
        if let Ok(at) = self.rooms.binary_search(&id) {
            self.rooms.remove(at);
        }
        if self.rooms.is_empty() && self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
    }
}
