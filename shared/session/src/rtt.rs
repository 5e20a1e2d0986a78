//! Smoothed round-trip time (RFC 6298 section 2).

use amphi_shared_wire::Micros;

/// Smoothed round-trip time and its mean deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rtt {
    smoothed: Micros,
    deviation: Micros,
    samples: u64,
}

impl Rtt {
    /// What is assumed before the first sample (RFC 9002 section 6.2.2).
    const INITIAL: Micros = Micros::from_millis(333);

    pub(crate) fn sample(&mut self, rtt: Micros) {
        if self.samples == 0 {
            self.smoothed = rtt;
            self.deviation = Micros(rtt.0 / 2);
        } else {
            let error = self.smoothed.0.abs_diff(rtt.0);
            self.deviation = Micros((self.deviation.0 * 3 + error) / 4);
            self.smoothed = Micros((self.smoothed.0 * 7 + rtt.0) / 8);
        }
        self.samples += 1;
    }

    pub(crate) fn smoothed(&self) -> Micros {
        if self.samples == 0 { Self::INITIAL } else { self.smoothed }
    }

    pub(crate) fn deviation(&self) -> Micros {
        if self.samples == 0 { Micros(Self::INITIAL.0 / 2) } else { self.deviation }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.samples > 0
    }
}
