//! The peer's clock, estimated from four timestamps per probe.

use std::collections::VecDeque;

use amphi_shared_wire::Micros;

/// Probes whose answers are compared; the best of them counts.
const WINDOW: usize = 16;

/// Estimate of the peer's clock: offset, round-trip time and the bound of the error.
///
/// Of the last 16 answers the one with the smallest bound counts: half its round trip (a path is at worst fully
/// asymmetric, RFC 5905 section 8) plus the drift since then.
#[derive(Clone, Debug)]
pub struct Clock {
    clock_id: u64,
    drift_ppm: u32,
    probes: VecDeque<Probe>,
    best: Option<Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    at: Micros,
    offset_us: i64,
    rtt: Micros,
}

impl Clock {
    pub(crate) fn new(drift_ppm: u32) -> Self {
        Self { clock_id: 0, drift_ppm, probes: VecDeque::new(), best: None }
    }

    /// Starts over when the peer's clock is another one.
    pub(crate) fn follow(&mut self, clock_id: u64) {
        if self.clock_id != clock_id {
            self.clock_id = clock_id;
            self.probes.clear();
            self.best = None;
        }
    }

    /// Takes an answer: our send, the peer's receive and send, our receive. Says the round-trip time when it is sane.
    pub(crate) fn answer(&mut self, sent: Micros, peer: (Micros, Micros), now: Micros) -> Option<Micros> {
        let total = now.0.checked_sub(sent.0)?;
        let held = peer.1.0.checked_sub(peer.0.0)?;
        let rtt = Micros(total.checked_sub(held)?);
        let there = i128::from(peer.0.0) - i128::from(sent.0);
        let back = i128::from(peer.1.0) - i128::from(now.0);
        let offset_us = i64::try_from((there + back) / 2).ok()?;
        if self.probes.len() == WINDOW {
            self.probes.pop_front();
        }
        self.probes.push_back(Probe { at: now, offset_us, rtt });
        self.best = self.probes.iter().copied().min_by_key(|p| self.bound(p, now));
        Some(rtt)
    }

    /// Peer time minus own time, µs; 0 before the first answer.
    pub fn offset_us(&self) -> i64 {
        self.best.map_or(0, |p| p.offset_us)
    }

    /// How far `offset_us` may be off at `now`, µs; `None` before the first answer.
    pub fn error_us(&self, now: Micros) -> Option<u64> {
        self.best.map(|p| self.bound(&p, now))
    }

    /// Smallest round-trip time in the window, µs; `None` before the first answer.
    pub fn rtt_us(&self) -> Option<u64> {
        self.probes.iter().map(|p| p.rtt.0).min()
    }

    /// The peer's time when it is `now` here; `now` itself before the first answer.
    pub fn server_time(&self, now: Micros) -> Micros {
        Micros(now.0.saturating_add_signed(self.offset_us()))
    }

    /// Own time when it is `time` at the peer.
    pub fn local_time(&self, time: Micros) -> Micros {
        Micros(time.0.saturating_add_signed(self.offset_us().saturating_neg()))
    }

    /// True after the first answer.
    pub fn is_set(&self) -> bool {
        self.best.is_some()
    }

    /// Names the peer's clock; a new one starts the estimate over. 0 before the first Welcome.
    pub fn id(&self) -> u64 {
        self.clock_id
    }

    fn bound(&self, probe: &Probe, now: Micros) -> u64 {
        let drift = now.since(probe.at).0 as u128 * u128::from(self.drift_ppm) / 1_000_000;
        (probe.rtt.0 / 2).saturating_add(drift as u64)
    }
}

#[cfg(test)]
mod tests;
