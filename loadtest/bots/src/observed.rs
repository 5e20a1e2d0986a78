//! What one player saw of one match: enough to tell whether a bad network took anything away.

use std::time::{SystemTime, UNIX_EPOCH};

use amphi_shared_wire::Tick;
use serde::Serialize;

/// Reliable events that are noted. Beyond: the first ones stay.
const EVENTS_MAX: usize = 100_000;
/// A gap between snapshots that is noted, ms.
const GAP_MS: u64 = 100;
/// Gaps that are noted. Beyond: the first ones stay.
const GAPS_MAX: usize = 1_000;

/// One player in one match. Moments are unix ms.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Observed {
    pub(crate) player: u32,
    pub(crate) match_id: String,
    /// The seat it was greeted on, each time it was.
    pub(crate) seats: Vec<u8>,
    /// Connections that carried the session.
    pub(crate) attaches: u32,
    /// Why the session ended before the player left.
    pub(crate) closed: Option<String>,
    /// The room's one-shot events in the order in which the reliable lane brought them: `tick/kind/body in hex`.
    pub(crate) events: Vec<String>,
    /// From the last snapshot before a gap to the first one after it.
    pub(crate) gaps_ms: Vec<(u64, u64)>,
    pub(crate) snapshots: u64,
    #[serde(skip)]
    snapshot_ms: u64,
}

impl Observed {
    pub(crate) fn new(player: u32, match_id: &str) -> Self {
        Self { player, match_id: match_id.to_owned(), ..Self::default() }
    }

    pub(crate) fn event(&mut self, tick: Tick, kind: u32, body: &[u8]) {
        if self.events.len() < EVENTS_MAX {
            let body: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            self.events.push(format!("{}/{kind}/{body}", tick.0));
        }
    }

    /// So many snapshots have been read by now.
    pub(crate) fn snapshots(&mut self, count: u64) {
        if count == self.snapshots {
            return;
        }
        let now = unix_ms();
        if self.snapshots > 0 && now - self.snapshot_ms >= GAP_MS && self.gaps_ms.len() < GAPS_MAX {
            self.gaps_ms.push((self.snapshot_ms, now));
        }
        (self.snapshots, self.snapshot_ms) = (count, now);
    }

    /// All but the events, in one line; moments count from `at_ms`.
    pub(crate) fn summary(&self, at_ms: u64) -> String {
        let from = |ms: u64| ms as i64 - at_ms as i64;
        let gaps: Vec<_> = self.gaps_ms.iter().map(|(since, to)| from(*since)..from(*to)).collect();
        let Self { player, seats, attaches, closed, events, snapshots, .. } = self;
        let heard = events.len();
        format!(
            "player {player}: {snapshots} snapshots, {heard} events, {attaches} attaches, seats {seats:?}, \
             closed {closed:?}, gaps {gaps:?} ms"
        )
    }

    /// Whether it sat on one seat all the time.
    pub(crate) fn has_one_seat(&self) -> bool {
        self.seats.first().is_some_and(|first| self.seats.iter().all(|seat| seat == first))
    }

    /// Time from a moment to the snapshot that ended the gap around it; `None` when there was none.
    pub(crate) fn back_after(&self, at_ms: u64) -> Option<u64> {
        let around = |(from, to): &&(u64, u64)| *from < at_ms && *to >= at_ms;
        self.gaps_ms.iter().find(around).map(|(_, to)| to - at_ms)
    }

    /// The longest gap, ms.
    pub(crate) fn worst_gap(&self) -> u64 {
        self.gaps_ms.iter().map(|(from, to)| to - from).max().unwrap_or(0)
    }

    /// The events of the ticks in which both were there: as this one heard them, and as `other` did.
    pub(crate) fn shared_events<'a>(&'a self, other: &'a Self) -> (Vec<&'a str>, Vec<&'a str>) {
        let first = |seen: &Self| seen.events.first().map_or(u32::MAX, |event| tick_of(event));
        let last = |seen: &Self| seen.events.last().map_or(0, |event| tick_of(event));
        // A presence may begin and end within a tick.
        let ticks = first(self).max(first(other)).saturating_add(1)..last(self).min(last(other));
        let of = |seen: &'a Self| {
            seen.events.iter().map(String::as_str).filter(|event| ticks.contains(&tick_of(event))).collect()
        };
        (of(self), of(other))
    }
}

/// The tick of an event.
fn tick_of(event: &str) -> u32 {
    event.split('/').next().and_then(|tick| tick.parse().ok()).unwrap_or(0)
}

/// The wall clock, which processes of one machine share.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
