//! What the match role exports.

use amphi_matchmaker_core::{Matchmaker, QueueOverview};
use amphi_shared_wire::Micros;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Handles of every metric of this crate.
#[derive(Clone)]
pub(crate) struct Metrics {
    tickets: Gauge,
    players: Gauge,
    claims_open: Gauge,
    oldest_wait_s: Gauge,
    queued: Counter,
    queue_full: Counter,
    matched: Counter,
    cancelled: Counter,
    silent: Counter,
    failed: Counter,
    claims: Counter,
    claims_refused: Counter,
    bot_seats: Counter,
    pub(crate) allocate_retries: Counter,
    pub(crate) results_counted: Counter,
    pub(crate) results_repeated: Counter,
    pub(crate) connect_tokens: Counter,
    wait_s: Histogram,
}

impl Metrics {
    pub(crate) fn register() -> Self {
        describe_gauge!("match_queue_tickets", "Tickets that wait for others");
        describe_gauge!("match_queue_players", "Players that wait for others");
        describe_gauge!("match_claims_open", "Claims whose match has no host yet");
        describe_gauge!("match_queue_oldest_seconds", "How long the oldest ticket has waited");
        describe_counter!("match_tickets_queued_total", "Tickets taken into the queue");
        describe_counter!("match_tickets_ended_total", "Tickets by how they ended");
        describe_counter!("match_queue_full_total", "Tickets refused because the queue was full");
        describe_counter!("match_claims_total", "Claims by whether they could be written");
        describe_counter!("match_bot_seats_total", "Seats given to bots when a match was made");
        describe_counter!("match_allocate_retries_total", "Calls to the fleet that had to be made again");
        describe_counter!("match_results_total", "Results by whether they were new");
        describe_counter!("match_connect_tokens_total", "Connect tokens given out");
        describe_histogram!("match_wait_seconds", "Time from the queue to a running match");
        Self {
            tickets: gauge!("match_queue_tickets"),
            players: gauge!("match_queue_players"),
            claims_open: gauge!("match_claims_open"),
            oldest_wait_s: gauge!("match_queue_oldest_seconds"),
            queued: counter!("match_tickets_queued_total"),
            queue_full: counter!("match_queue_full_total"),
            matched: counter!("match_tickets_ended_total", "how" => "matched"),
            cancelled: counter!("match_tickets_ended_total", "how" => "cancelled"),
            silent: counter!("match_tickets_ended_total", "how" => "silent"),
            failed: counter!("match_tickets_ended_total", "how" => "failed"),
            claims: counter!("match_claims_total", "outcome" => "made"),
            claims_refused: counter!("match_claims_total", "outcome" => "refused"),
            bot_seats: counter!("match_bot_seats_total"),
            allocate_retries: counter!("match_allocate_retries_total"),
            results_counted: counter!("match_results_total", "outcome" => "counted"),
            results_repeated: counter!("match_results_total", "outcome" => "repeated"),
            connect_tokens: counter!("match_connect_tokens_total"),
            wait_s: histogram!("match_wait_seconds"),
        }
    }

    pub(crate) fn matched_after(&self, waited: Micros) {
        self.wait_s.record(waited.0 as f64 / 1_000_000.0);
    }

    /// Brings every metric up to the core's plain numbers.
    pub(crate) fn update(&self, now: Micros, matchmaker: &Matchmaker) {
        let queues = matchmaker.overview(now);
        let sum = |part: fn(&QueueOverview) -> usize| queues.iter().map(part).sum::<usize>() as f64;
        self.tickets.set(sum(|queue| queue.tickets));
        self.players.set(sum(|queue| queue.players));
        self.claims_open.set(matchmaker.open_claims() as f64);
        let oldest = queues.iter().map(|queue| queue.oldest_wait).max().unwrap_or_default();
        self.oldest_wait_s.set(oldest.0 as f64 / 1_000_000.0);
        let stats = matchmaker.stats();
        self.queued.absolute(stats.queued_total);
        self.queue_full.absolute(stats.queue_full_total);
        self.matched.absolute(stats.matched_total);
        self.cancelled.absolute(stats.cancelled_total);
        self.silent.absolute(stats.silent_total);
        self.failed.absolute(stats.failed_total);
        self.claims.absolute(stats.claims_total);
        self.claims_refused.absolute(stats.claims_refused_total);
        self.bot_seats.absolute(stats.bot_seats_total);
    }
}
