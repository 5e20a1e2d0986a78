//! How long a room's ticks take.

use std::collections::VecDeque;

/// Ticks that the percentiles look back on.
const SAMPLES_MAX: usize = 1_024;

/// The last durations of a room's ticks, µs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TickTimes {
    samples: VecDeque<u32>,
}

impl TickTimes {
    pub(crate) fn record(&mut self, us: u64) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(us.min(u64::from(u32::MAX)) as u32);
    }

    /// Median and 99th percentile, µs; zeros before the first tick.
    pub(crate) fn percentiles(&self) -> (u32, u32) {
        let mut sorted: Vec<u32> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        (at(50).copied().unwrap_or(0), at(99).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_ticks() {
        let mut times = TickTimes::default();
        assert_eq!(times.percentiles(), (0, 0));
        (0..5_000).for_each(|us| times.record(us));
        assert_eq!(times.percentiles(), (5_000 - 512, 5_000 - 11));
    }
}
