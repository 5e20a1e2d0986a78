//! Metrics of the live role, exported once per second from plain counters.

use amphi_streaming_core::HubCounters;
use metrics::{counter, gauge};

use crate::overview::LiveOverview;

/// What the shard counts beside the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardCounters {
    /// Publications handed to a connection.
    pub(crate) deliveries: u64,
    /// Connections closed because their reader was too slow.
    pub(crate) slow_readers: u64,
    /// Publications that a reader of a `latest` or `lossy` topic did not get because it was too slow.
    pub(crate) left_out: u64,
    /// Sessions that began.
    pub(crate) sessions_started: u64,
    /// Readers of text that began.
    pub(crate) stock_started: u64,
    /// Sessions that went on over a new connection.
    pub(crate) sessions_resumed: u64,
    /// Connections that were refused a session.
    pub(crate) refused: u64,
    /// Of these: because an address or a person came too often.
    pub(crate) rate_limited: u64,
    /// Sessions closed because their token was revoked.
    pub(crate) revoked: u64,
    /// Sessions closed for bytes that make no sense on a home session.
    pub(crate) invalid: u64,
}

/// What the relay counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RelayCounters {
    /// Connections that began.
    pub(crate) started: u64,
    /// Connections that were refused.
    pub(crate) refused: u64,
    /// Connections whose host did not answer.
    pub(crate) unreachable: u64,
    /// Connections closed because a side took nothing for too long.
    pub(crate) slow_readers: u64,
}

pub(crate) fn export_relay(sessions: usize, relay: RelayCounters) {
    gauge!("live_relay_sessions").set(sessions as f64);
    counter!("live_relay_sessions_started_total").absolute(relay.started);
    counter!("live_relay_sessions_refused_total").absolute(relay.refused);
    counter!("live_relay_hosts_unreachable_total").absolute(relay.unreachable);
    counter!("live_relay_slow_readers_total").absolute(relay.slow_readers);
}

pub(crate) fn export(overview: &LiveOverview, hub: HubCounters, shard: ShardCounters) {
    gauge!("live_sessions").set(overview.sessions as f64);
    gauge!("live_sessions_attached").set(overview.attached as f64);
    gauge!("live_topics").set(overview.topics as f64);
    gauge!("live_viewers").set(overview.viewers as f64);
    counter!("live_publications_total").absolute(hub.publications);
    counter!("live_publications_duplicate_total").absolute(hub.duplicates);
    counter!("live_requests_refused_total").absolute(hub.refused);
    counter!("live_requests_rate_limited_total").absolute(hub.rate_limited);
    counter!("live_requests_overloaded_total").absolute(hub.overloaded);
    counter!("live_history_dropped_total").absolute(hub.history_dropped);
    counter!("live_readers_recovered_total").absolute(hub.recovered);
    counter!("live_readers_unrecovered_total").absolute(hub.unrecovered);
    counter!("live_topics_reset_total").absolute(hub.resets);
    counter!("live_topic_holes_total").absolute(hub.holes);
    counter!("live_reads_unanswered_total").absolute(hub.unanswered);
    counter!("live_topics_expired_total").absolute(hub.topics_expired);
    counter!("live_deliveries_total").absolute(shard.deliveries);
    counter!("live_slow_readers_total").absolute(shard.slow_readers);
    counter!("live_publications_left_out_total").absolute(shard.left_out);
    counter!("live_sessions_started_total").absolute(shard.sessions_started);
    counter!("live_text_readers_started_total").absolute(shard.stock_started);
    counter!("live_sessions_resumed_total").absolute(shard.sessions_resumed);
    counter!("live_sessions_refused_total").absolute(shard.refused);
    counter!("live_sessions_rate_limited_total").absolute(shard.rate_limited);
    counter!("live_sessions_revoked_total").absolute(shard.revoked);
    counter!("live_sessions_invalid_total").absolute(shard.invalid);
}

/// The connection to the shared broker began or ended.
pub(crate) fn broker_connected(connected: bool) {
    gauge!("live_broker_connected").set(f64::from(u8::from(connected)));
    counter!("live_broker_connects_total").increment(u64::from(connected));
}

/// A publication was dropped because the hub did not keep up with the broker; all topics are read again.
pub(crate) fn broker_dropped() {
    counter!("live_broker_publications_dropped_total").increment(1);
}
