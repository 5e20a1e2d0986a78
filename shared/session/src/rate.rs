//! A rate limit: the generic cell rate algorithm on `Micros`.

use amphi_shared_wire::Micros;

mod table;

pub use table::RateTable;

/// A token bucket as one number: the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    interval: Micros,
    tolerance: Micros,
    arrival: Micros,
}

impl RateLimit {
    /// A limit of `per_s` events per second with bursts of `burst` events. Both are at least 1.
    pub const fn new(per_s: u32, burst: u32) -> Self {
        Self::every(Micros(1_000_000 / at_least_one(per_s)), burst)
    }

    /// A limit of one event per `interval` with bursts of `burst` events, at least 1.
    pub const fn every(interval: Micros, burst: u32) -> Self {
        let tolerance = Micros(interval.0.saturating_mul(at_least_one(burst) - 1));
        Self { interval, tolerance, arrival: Micros(0) }
    }

    /// Takes one event; when there are too many, says after how long one more is welcome.
    pub fn check(&mut self, now: Micros) -> Result<(), Micros> {
        let arrival = self.arrival.max(now);
        let earliest = arrival - self.tolerance;
        if earliest > now {
            return Err(earliest.since(now));
        }
        self.arrival = arrival + self.interval;
        Ok(())
    }
}

const fn at_least_one(n: u32) -> u64 {
    if n == 0 { 1 } else { n as u64 }
}

#[cfg(test)]
mod tests;
