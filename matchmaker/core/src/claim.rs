//! A claim: the players who were chosen for one match.

use amphi_shared_wire::{AppId, MatchId, Micros, TicketId, UserId};

use crate::Mode;

/// The players who were chosen for one match. It means nothing until it has been written under its fence.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The match to be; also the claim's id.
    pub match_id: MatchId,
    /// The fence of the process that decided: a newer process has a higher one.
    pub fence: u64,
    /// The app of all its players.
    pub app: AppId,
    /// The mode.
    pub mode: Mode,
    /// The region that suits its players best; empty when they named none.
    pub region: String,
    /// Its people by team. Seats of the mode that are missing here are for bots.
    pub seats: Vec<ClaimSeat>,
    /// The tickets they came with.
    pub tickets: Vec<TicketId>,
    /// When it was decided.
    pub created: Micros,
}

/// A person's seat in a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSeat {
    /// The team, from 0.
    pub team: u8,
    /// The person.
    pub user: UserId,
    /// Display name, as typed.
    pub name: String,
    /// The ticket of the person.
    pub ticket: TicketId,
}
