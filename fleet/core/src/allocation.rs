//! One request for a host, from the queue to a room that runs.

use amphi_shared_wire::{HostId, MatchId, Micros};

/// Where a match stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocationState {
    /// Waiting for a host, or for its room to be made.
    Starting,
    /// Its room runs.
    Running,
    /// It ended and its result is known.
    Ended,
    /// Its host was lost, or no host could be had.
    Lost,
}

impl AllocationState {
    /// Lower-case word, as in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Lost => "lost",
        }
    }

    /// The state behind a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Starting, Self::Running, Self::Ended, Self::Lost].into_iter().find(|state| state.as_str() == word)
    }
}

/// An allocation that is not finished.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// The match that needs a room.
    pub match_id: MatchId,
    /// From when on a busy host will do; `None` once it does.
    pub lenient_from: Option<Micros>,
    /// When it fails if no room runs by then.
    pub deadline: Micros,
    /// The host that was asked to make the room.
    pub asked: Option<HostId>,
    /// Hosts that refused.
    pub refused: Vec<HostId>,
}
