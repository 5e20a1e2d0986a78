//! A ticket: people who wait together, from the queue to a match or to an end without one.

use amphi_shared_wire::{AppId, Code, MatchId, Micros, TicketId, UserId};

use crate::{Latency, Rating};

/// One player of a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Player {
    /// The player.
    pub user: UserId,
    /// Display name, as typed.
    pub name: String,
    /// How good the player is at the ticket's mode.
    pub rating: Rating,
}

/// What someone asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTicket {
    /// Its id, chosen by the driver.
    pub ticket: TicketId,
    /// The app of its players.
    pub app: AppId,
    /// The mode's name.
    pub mode: String,
    /// Who waits together: 1 to `TICKET_PLAYERS_MAX`, and not more than a team has seats.
    pub players: Vec<Player>,
    /// What they measured to each region; may be empty.
    pub latencies: Vec<Latency>,
    /// Since when they wait.
    pub queued: Micros,
}

/// Why a ticket was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its owner took it back.
    Owner,
    /// Nobody asked for it for too long.
    Silence,
}

/// Where a ticket stands. `Matched`, `Cancelled` and `Failed` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// Waits for others.
    Queued,
    /// Chosen for this match and team; the match gets a host.
    Claimed(MatchId, u8),
    /// This match runs; the players have this team.
    Matched(MatchId, u8),
    /// Ended without a match, as its owner wished or through silence.
    Cancelled(CancelReason),
    /// Ended without a match, for this reason.
    Failed(Code),
}

impl TicketState {
    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Claimed(..) => false,
            Self::Matched(..) | Self::Cancelled(_) | Self::Failed(_) => true,
        }
    }
}

/// What its owner is told about a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketView {
    /// Where it stands.
    pub state: TicketState,
    /// How long it has waited; stands still once it is final.
    pub waited: Micros,
    /// How much longer it will probably wait; `None` when nothing is known.
    pub estimate: Option<Micros>,
    /// Why it waits or how it ended: at least one sentence.
    pub explain: Vec<String>,
}

/// A ticket in the pool.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) asked: NewTicket,
    /// Mean over its players.
    pub(crate) rating: Rating,
    pub(crate) state: TicketState,
    /// When its owner was heard last.
    pub(crate) heard: Micros,
    /// When it took its final state.
    pub(crate) ended: Option<Micros>,
}

impl Ticket {
    pub(crate) fn new(asked: NewTicket, now: Micros) -> Self {
        let count = asked.players.len().max(1) as f64;
        let sum = |part: fn(&Rating) -> f64| asked.players.iter().map(|p| part(&p.rating)).sum::<f64>();
        let rating = Rating { mean: sum(|r| r.mean) / count, uncertainty: sum(|r| r.uncertainty) / count };
        Self { asked, rating, state: TicketState::Queued, heard: now, ended: None }
    }

    pub(crate) fn waited(&self, now: Micros) -> Micros {
        self.ended.unwrap_or(now).since(self.asked.queued)
    }

    pub(crate) fn size(&self) -> usize {
        self.asked.players.len()
    }

    /// Its place in the order of ratings: thousandths of a point.
    pub(crate) fn rank(&self) -> i64 {
        (self.rating.mean * 1_000.0).round() as i64
    }
}
