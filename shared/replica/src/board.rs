//! What a game tells the engine about its match.

use bevy_ecs::prelude::Resource;
use serde::{Deserialize, Serialize};

/// The score. The game writes it, the engine reads it for reports and results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Resource, Serialize, Deserialize)]
pub struct MatchBoard {
    /// Score of each team.
    pub team_scores: Vec<u32>,
    /// Score of each seat.
    pub player_scores: Vec<i32>,
    /// The match is over before its time.
    pub finished: bool,
}
