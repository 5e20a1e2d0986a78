//! The peer's clock, estimated from four timestamps per probe.

use std::collections::VecDeque;

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::CLOCK_SAMPLES_MAX;

/// Probes that a fit of the two clocks' speeds needs.
const FIT_SAMPLES_MIN: usize = 4;

/// Estimate of the peer's clock: offset, round-trip time and a bound of the error.
///
/// * A probe knows the offset up to half its round trip (a path is at worst fully asymmetric, RFC 5905 section 8), and
///   time blurs that by the largest assumed difference of the clocks' speeds. What all probes allow together bounds the
///   error.
/// * Inside that, the probe with the smallest bound is the estimate. Probes that were about as fast as the fastest also
///   tell by how much the clocks' speeds differ, once they lie far enough apart.
///
/// Takes no memory before the first answer.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    id: u64,
    estimate: Option<Box<Estimate>>,
}

#[derive(Clone, Debug)]
struct Estimate {
    samples: VecDeque<Sample>,
    /// The sample with the smallest bound at the newest answer.
    best: Sample,
    /// Peer's speed minus ours, as a fraction.
    skew: f64,
    /// Largest assumed amount of that.
    drift: f64,
    /// Time of the newest answer, and the offsets that were possible then.
    at: Micros,
    possible: (f64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at: Micros,
    offset_us: i64,
    rtt: Micros,
}

impl Clock {
    /// Starts over when the peer's clock is another one.
    pub(crate) fn follow(&mut self, id: u64) {
        if self.id != id {
            *self = Self { id, estimate: None };
        }
    }

    /// Takes an answer: our send, the peer's receive and send, our receive. `drift_ppm` bounds the difference of the
    /// clocks' speeds. Times that cannot be are ignored.
    pub(crate) fn answer(&mut self, sent: Micros, peer: (Micros, Micros), now: Micros, drift_ppm: u32) {
        let Some(rtt) = round_trip(sent, peer, now) else { return };
        let there = i128::from(peer.0.0) - i128::from(sent.0);
        let back = i128::from(peer.1.0) - i128::from(now.0);
        let Ok(offset_us) = i64::try_from((there + back) / 2) else { return };
        let sample = Sample { at: now, offset_us, rtt };
        let drift = f64::from(drift_ppm) / 1e6;
        let samples = self.estimate.take().map_or_else(VecDeque::new, |estimate| estimate.samples);
        self.estimate = Some(Box::new(Estimate::new(samples, sample, drift)));
    }

    /// Peer time minus own time at `now`, µs; 0 before the first answer.
    pub fn offset_us(&self, now: Micros) -> i64 {
        self.estimate.as_ref().map_or(0, |estimate| estimate.offset(now).round() as i64)
    }

    /// How far `offset_us` may be off at `now`, µs; `None` before the first answer.
    pub fn error_us(&self, now: Micros) -> Option<u64> {
        self.estimate.as_ref().map(|estimate| estimate.error(now).ceil() as u64)
    }

    /// By how much the peer's clock runs faster than ours, parts per million; 0 as long as nothing is known.
    pub fn skew_ppm(&self) -> f64 {
        self.estimate.as_ref().map_or(0.0, |estimate| estimate.skew * 1e6)
    }

    /// Smallest round-trip time of the last probes, µs; `None` before the first answer.
    pub fn rtt_us(&self) -> Option<u64> {
        self.estimate.as_ref().map(|estimate| fastest(&estimate.samples).0)
    }

    /// The peer's time when it is `now` here; `now` itself before the first answer.
    pub fn server_time(&self, now: Micros) -> Micros {
        Micros(now.0.saturating_add_signed(self.offset_us(now)))
    }

    /// Own time when it is `time` at the peer, seen from `now`.
    pub fn local_time(&self, now: Micros, time: Micros) -> Micros {
        Micros(time.0.saturating_add_signed(self.offset_us(now).saturating_neg()))
    }

    /// True after the first answer.
    pub fn is_set(&self) -> bool {
        self.estimate.is_some()
    }

    /// Names the peer's clock; a new one starts the estimate over. 0 before the first Welcome.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Estimate {
    fn new(mut samples: VecDeque<Sample>, newest: Sample, drift: f64) -> Self {
        if samples.len() == CLOCK_SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(newest);
        let at = newest.at;
        let ranges = samples.iter().map(|sample| sample.range(at, drift));
        let possible = ranges.fold((f64::MIN, f64::MAX), |all, one| (all.0.max(one.0), all.1.min(one.1)));
        let best = samples.iter().copied().min_by(|a, b| a.bound(at, drift).total_cmp(&b.bound(at, drift)));
        let best = best.unwrap_or(newest);
        // Nothing fits all: a clock stepped, or runs worse than assumed. The best probe stands alone.
        let possible = if possible.0 <= possible.1 { possible } else { best.range(at, drift) };
        let skew = skew(&samples, drift);
        Self { samples, best, skew, drift, at, possible }
    }

    /// The offset at `now`, µs.
    fn offset(&self, now: Micros) -> f64 {
        let age = (now.0 as f64) - (self.best.at.0 as f64);
        let (least, most) = self.possible(now);
        (self.best.offset_us as f64 + self.skew * age).clamp(least, most)
    }

    fn error(&self, now: Micros) -> f64 {
        let (offset, (least, most)) = (self.offset(now), self.possible(now));
        (offset - least).max(most - offset)
    }

    fn possible(&self, now: Micros) -> (f64, f64) {
        let blur = now.since(self.at).0 as f64 * self.drift;
        (self.possible.0 - blur, self.possible.1 + blur)
    }
}

impl Sample {
    /// How far its offset may be off at `now`, µs.
    fn bound(&self, now: Micros, drift: f64) -> f64 {
        self.rtt.0 as f64 / 2.0 + now.since(self.at).0 as f64 * drift
    }

    fn range(&self, now: Micros, drift: f64) -> (f64, f64) {
        let bound = self.bound(now, drift);
        (self.offset_us as f64 - bound, self.offset_us as f64 + bound)
    }
}

/// Difference of the clocks' speeds by least squares over the fast samples; 0 when they tell less than is assumed anyway.
fn skew(samples: &VecDeque<Sample>, drift: f64) -> f64 {
    let rtt_max = fastest(samples).0.saturating_mul(6) / 5 + 200;
    let fast = || samples.iter().filter(|sample| sample.rtt.0 <= rtt_max);
    let (Some(first), Some(last)) = (fast().next(), fast().next_back()) else { return 0.0 };
    let count = fast().count();
    let span_us = last.at.since(first.at).0 as f64;
    let slowest = fast().map(|sample| sample.rtt.0).max().unwrap_or(0);
    // The offsets of these samples lie at most this far from a straight line.
    let scatter_us = (slowest - fastest(samples).0) as f64 / 2.0 + 1.0;
    if count < FIT_SAMPLES_MIN || scatter_us * 2.0 >= span_us * drift {
        return 0.0;
    }
    let points = || fast().map(|s| (s.at.since(first.at).0 as f64, s.offset_us.saturating_sub(first.offset_us) as f64));
    let n = count as f64;
    let (mean_x, mean_y) = points().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (xy, xx) = points()
        .fold((0.0, 0.0), |(xy, xx), (x, y)| (xy + (x - mean_x) * (y - mean_y), xx + (x - mean_x) * (x - mean_x)));
    if xx > 0.0 { (xy / xx).clamp(-drift, drift) } else { 0.0 }
}

fn fastest(samples: &VecDeque<Sample>) -> Micros {
    samples.iter().map(|sample| sample.rtt).min().unwrap_or_default()
}

/// Round-trip time of an answer: our send, the peer's receive and send, our receive. `None` when it cannot be.
pub(crate) fn round_trip(sent: Micros, peer: (Micros, Micros), now: Micros) -> Option<Micros> {
    let total = now.0.checked_sub(sent.0)?;
    let held = peer.1.0.checked_sub(peer.0.0)?;
    Some(Micros(total.checked_sub(held)?))
}

#[cfg(test)]
mod tests;
