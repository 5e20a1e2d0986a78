//! A match as the fleet remembers it.

use amphi_shared_wire::proto::{AllocateRequest, Endpoint, MatchInfo, MatchResult, RoomReport};
use amphi_shared_wire::{HostId, MatchId, Micros};

use crate::AllocationState;

/// A match from its allocation on; ended ones are kept up to `MATCHES_MAX`.
#[derive(Clone, Debug)]
pub struct MatchRecord {
    /// Its id.
    pub id: MatchId,
    /// What was asked for.
    pub request: AllocateRequest,
    /// Where it stands.
    pub state: AllocationState,
    /// Its host, once it has one.
    pub host: Option<HostId>,
    /// How clients reach that host.
    pub endpoints: Vec<Endpoint>,
    /// When it was asked for.
    pub created: Micros,
    /// The newest report about its room.
    pub room: Option<RoomReport>,
}

impl MatchRecord {
    /// The record as services see it.
    pub fn info(&self) -> MatchInfo {
        MatchInfo {
            match_id: self.id.to_string(),
            app: self.request.app.clone(),
            mode: self.request.mode.clone(),
            host_id: self.host.map(|id| id.to_string()).unwrap_or_default(),
            state: self.state.as_str().to_owned(),
            endpoints: self.endpoints.clone(),
            room: self.room.clone(),
            created_us: self.created.0,
        }
    }

    /// The result of a match whose host was lost: nobody's rating moves.
    pub(crate) fn lost_result(&self, now: Micros) -> MatchResult {
        MatchResult {
            match_id: self.id.to_string(),
            version: 1,
            app: self.request.app.clone(),
            mode: self.request.mode.clone(),
            started_us: self.created.0,
            ended_us: now.0,
            outcome: "lost".to_owned(),
            ..MatchResult::default()
        }
    }
}
