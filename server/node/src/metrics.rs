//! What a match host measures.

use amphi_server_core::RoomStats;
use amphi_shared_wire::Code;
use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// Metrics of a match host.
pub(crate) struct Metrics {
    pub(crate) rooms: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) tick_us: Histogram,
    pub(crate) overruns: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) snapshot_bytes: Counter,
    pub(crate) joins: Counter,
    pub(crate) resumes: Counter,
    pub(crate) slow_readers: Counter,
    pub(crate) journal_errors: Counter,
    pub(crate) rooms_lost: Counter,
    inputs: Counter,
    inputs_late: Counter,
    inputs_early: Counter,
    inputs_invalid: Counter,
    commands_refused: Counter,
    events_dropped: Counter,
    touching_left_out: Counter,
    requests: Counter,
    requests_refused: Counter,
    tables_refused: Counter,
    parts: Counter,
    parts_refused: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe_gauge!("game_rooms", "Rooms that run");
        describe_gauge!("game_sessions", "Sessions of players, connected or waiting for a resume");
        describe_histogram!("game_tick_us", Unit::Microseconds, "Time of one room's tick, snapshots included");
        describe_counter!("game_tick_overruns_total", "Ticks that were late by a whole tick or more");
        describe_counter!("game_snapshots_total", "Snapshots sent");
        describe_counter!("game_snapshot_bytes_total", "Bytes of snapshots sent");
        describe_counter!("game_joins_total", "People seated");
        describe_counter!("game_resumes_total", "Sessions that went on over another connection");
        describe_counter!("game_slow_readers_total", "Connections closed because their reader was too slow");
        describe_counter!("game_inputs_total", "Inputs of players, by what became of them");
        describe_counter!("game_commands_refused_total", "Commands that a room refused");
        describe_counter!("game_events_dropped_total", "Events and answers that were too many or too large");
        describe_counter!(
            "game_touching_left_out_total",
            "Pairs of touching bodies that were too many to be told together"
        );
        describe_counter!("game_requests_total", "Requests of players, by what became of them");
        describe_counter!("game_tables_refused_total", "Code tables that clients said to have and were not given");
        describe_counter!("game_parts_total", "Parts of the world for clients that joined, by what became of them");
        describe_counter!("game_journals_deleted_total", "Journals of ended matches that were beyond the limits");
        describe_gauge!("game_journals_bytes", Unit::Bytes, "Journals in the data directory at the last sweep");
        describe_counter!("game_journal_errors_total", "Journals that could not be written");
        describe_counter!("game_rooms_lost_total", "Rooms that ended by a fault");
        describe_counter!("game_sessions_closed_total", "Sessions of players that ended, by code");
        describe_counter!("game_refused_total", "Hellos refused, by code");
        describe_counter!("game_view_frames_total", "Frames of views published");
        describe_counter!("game_view_frames_dropped_total", "Frames of views dropped");
        describe_counter!("game_reports_failed_total", "Reports that the fleet did not take");
        Self {
            rooms: gauge!("game_rooms"),
            sessions: gauge!("game_sessions"),
            tick_us: metrics::histogram!("game_tick_us"),
            overruns: counter!("game_tick_overruns_total"),
            snapshots: counter!("game_snapshots_total"),
            snapshot_bytes: counter!("game_snapshot_bytes_total"),
            joins: counter!("game_joins_total"),
            resumes: counter!("game_resumes_total"),
            slow_readers: counter!("game_slow_readers_total"),
            journal_errors: counter!("game_journal_errors_total"),
            rooms_lost: counter!("game_rooms_lost_total"),
            inputs: counter!("game_inputs_total", "outcome" => "taken"),
            inputs_late: counter!("game_inputs_total", "outcome" => "late"),
            inputs_early: counter!("game_inputs_total", "outcome" => "early"),
            inputs_invalid: counter!("game_inputs_total", "outcome" => "invalid"),
            commands_refused: counter!("game_commands_refused_total"),
            events_dropped: counter!("game_events_dropped_total"),
            touching_left_out: counter!("game_touching_left_out_total"),
            requests: counter!("game_requests_total", "outcome" => "taken"),
            requests_refused: counter!("game_requests_total", "outcome" => "refused"),
            tables_refused: counter!("game_tables_refused_total"),
            parts: counter!("game_parts_total", "outcome" => "sent"),
            parts_refused: counter!("game_parts_total", "outcome" => "refused"),
        }
    }

    /// A player's session has ended.
    pub(crate) fn add_closed(&self, code: Code) {
        counter!("game_sessions_closed_total", "code" => code.name()).increment(1);
    }

    /// Adds what a room has counted since `before`.
    pub(crate) fn add_room(&self, before: RoomStats, after: RoomStats) {
        self.inputs.increment(after.inputs - before.inputs);
        self.inputs_late.increment(after.inputs_late - before.inputs_late);
        self.inputs_early.increment(after.inputs_early - before.inputs_early);
        self.inputs_invalid.increment(after.inputs_invalid - before.inputs_invalid);
        self.commands_refused.increment(after.commands_refused - before.commands_refused);
        self.events_dropped.increment(after.events_dropped - before.events_dropped);
        self.touching_left_out.increment(after.touching_left_out - before.touching_left_out);
        self.requests.increment(after.requests - before.requests);
        self.requests_refused.increment(after.requests_refused - before.requests_refused);
        self.tables_refused.increment(after.tables_refused - before.tables_refused);
        self.parts.increment(after.parts - before.parts);
        self.parts_refused.increment(after.parts_refused - before.parts_refused);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}
