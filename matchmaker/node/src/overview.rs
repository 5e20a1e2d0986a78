//! What an operator sees of the match role.

use amphi_matchmaker_core::{Matchmaker, QueueOverview};
use amphi_shared_wire::Micros;
use schemars::JsonSchema;
use serde::Serialize;

/// Numbers of the match role, of this moment and since its start.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Serialize)]
pub struct MatchOverview {
    /// Queues that hold a ticket.
    pub queues: Vec<QueueView>,
    /// Claims whose match has no host yet.
    pub open_claims: usize,
    /// Tickets taken into the queue.
    pub queued_total: u64,
    /// Tickets that got a match.
    pub matched_total: u64,
    /// Tickets taken back, or given up by silence.
    pub cancelled_total: u64,
    /// Tickets that failed.
    pub failed_total: u64,
    /// Seats given to bots when a match was made.
    pub bot_seats_total: u64,
}

/// One queue.
#[derive(Clone, Debug, Default, Eq, JsonSchema, PartialEq, Serialize)]
pub struct QueueView {
    /// The mode.
    pub mode: String,
    /// Tickets in the queue.
    pub tickets: usize,
    /// Players in the queue.
    pub players: usize,
    /// How long the oldest ticket has waited, ms.
    pub oldest_wait_ms: u64,
    /// The wait that four of five recent tickets stayed below, ms.
    pub typical_wait_ms: Option<u64>,
}

pub(crate) fn overview(now: Micros, matchmaker: &Matchmaker) -> MatchOverview {
    let stats = matchmaker.stats();
    MatchOverview {
        queues: matchmaker.overview(now).into_iter().map(queue_view).collect(),
        open_claims: matchmaker.open_claims(),
        queued_total: stats.queued_total,
        matched_total: stats.matched_total,
        cancelled_total: stats.cancelled_total + stats.silent_total,
        failed_total: stats.failed_total,
        bot_seats_total: stats.bot_seats_total,
    }
}

fn queue_view(queue: QueueOverview) -> QueueView {
    QueueView {
        mode: queue.mode,
        tickets: queue.tickets,
        players: queue.players,
        oldest_wait_ms: queue.oldest_wait.as_millis(),
        typical_wait_ms: queue.typical_wait.map(Micros::as_millis),
    }
}
