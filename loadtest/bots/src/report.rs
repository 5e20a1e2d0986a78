//! What the players met, in one line of JSON.

use serde::Serialize;

use crate::player::Played;

/// The last line of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Times a player got from a found match to its first snapshot.
    joined: usize,
    /// From match found to first snapshot, median.
    join_ms_p50: f64,
    /// The same, 99th percentile.
    join_ms_p99: f64,
    /// Snapshots read, all players together.
    snapshots: u64,
    /// UDP payload from a player to the host.
    up_bytes_per_client_s: f64,
    /// UDP payload from the host to a player.
    down_bytes_per_client_s: f64,
    rtt_ms_p50: f64,
    rtt_ms_p99: f64,
    /// Of the slowest match, as its host reports it.
    tick_us_p50: u32,
    tick_us_p99: u32,
    /// Corrected predictions per player and second.
    mispredictions_per_s: f64,
    /// Connections lost, and players who could not play.
    disconnects: u64,
}

impl Report {
    pub(crate) fn new(all: &[Played], (tick_us_p50, tick_us_p99): (u32, u32)) -> Self {
        let joins = sorted(all.iter().flat_map(|p| p.join_ms.iter().copied()));
        let rtts = sorted(all.iter().flat_map(|p| p.rtt_ms.iter().copied()));
        let seconds: f64 = all.iter().map(|p| p.seconds).sum::<f64>().max(0.001);
        let sum = |value: fn(&Played) -> u64| all.iter().map(value).sum::<u64>();
        Self {
            joined: joins.len(),
            join_ms_p50: percentile(&joins, 50),
            join_ms_p99: percentile(&joins, 99),
            snapshots: sum(|p| p.snapshots),
            up_bytes_per_client_s: round(sum(|p| p.up_bytes) as f64 / seconds),
            down_bytes_per_client_s: round(sum(|p| p.down_bytes) as f64 / seconds),
            rtt_ms_p50: percentile(&rtts, 50),
            rtt_ms_p99: percentile(&rtts, 99),
            tick_us_p50,
            tick_us_p99,
            mispredictions_per_s: round(sum(|p| p.mispredictions) as f64 / seconds),
            disconnects: sum(|p| p.disconnects),
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().map_or(0.0, round)
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rates() {
        let played = Played {
            join_ms: vec![1.0, 3.0, 2.0],
            seconds: 10.0,
            up_bytes: 100,
            mispredictions: 5,
            ..Played::default()
        };
        let report = Report::new(&[played], (7, 9));
        assert_eq!((report.joined, report.join_ms_p50, report.join_ms_p99), (3, 2.0, 2.0));
        assert_eq!((report.up_bytes_per_client_s, report.mispredictions_per_s), (10.0, 0.5));
        assert_eq!(Report::new(&[], (0, 0)).joined, 0);
    }
}
