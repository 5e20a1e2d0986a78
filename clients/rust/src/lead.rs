//! How far inputs run ahead of the server: controlled by the margin with which they arrive there.

use std::collections::VecDeque;

use amphi_shared_wire::Micros;

/// Margin to keep, in quarters of a tick.
const TARGET: i32 = 2;
/// Margins that are remembered; the least of them counts.
const WINDOW: usize = 64;
/// The lead falls by this share of a tick per snapshot at most: 0.05 ticks per second at 60 snapshots.
const FALL: f64 = 0.05 / 60.0;
/// The lead never exceeds this.
const LEAD_MAX: Micros = Micros::from_millis(250);

/// The input lead: raised at once when an input came late, lowered slowly when margins are ample.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    period_us: f64,
    lead_us: f64,
    margins: VecDeque<i32>,
    /// Margins before this moment were measured under an older lead.
    settle_until: Micros,
}

impl Lead {
    /// Half a round trip and two ticks: a little too much, until margins arrive.
    pub(crate) fn new(period: Micros, rtt: Micros) -> Self {
        let period_us = period.0 as f64;
        let lead_us = rtt.0 as f64 / 2.0 + 2.0 * period_us;
        Self { period_us, lead_us, margins: VecDeque::new(), settle_until: Micros(0) }
    }

    /// The lead.
    pub(crate) fn lead(&self) -> Micros {
        Micros(self.lead_us as u64)
    }

    /// A snapshot reported this margin (quarters of a tick); corrections that are under way for `rtt` are not repeated.
    pub(crate) fn on_margin(&mut self, now: Micros, margin: i8, rtt: Micros) {
        if now < self.settle_until {
            return;
        }
        if self.margins.len() == WINDOW {
            self.margins.pop_front();
        }
        self.margins.push_back(i32::from(margin));
        let least = self.margins.iter().copied().min().unwrap_or(TARGET);
        if least < 1 {
            self.lead_us += f64::from(TARGET - least) * self.period_us / 4.0;
            self.margins.clear();
            self.settle_until = now + rtt + Micros((2.0 * self.period_us) as u64);
        } else if least > TARGET && self.margins.len() == WINDOW {
            self.lead_us -= self.period_us * FALL;
        }
        self.lead_us = self.lead_us.clamp(0.0, LEAD_MAX.0 as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Micros = Micros(16_666);

    #[test]
    fn a_late_input_raises_the_lead_once_per_round_trip() {
        let mut lead = Lead::new(PERIOD, Micros(40_000));
        let before = lead.lead();
        lead.on_margin(Micros(0), -4, Micros(40_000));
        let raised = lead.lead();
        assert!(raised >= before + PERIOD);
        lead.on_margin(Micros(10_000), -4, Micros(40_000));
        assert_eq!(lead.lead(), raised);
        for _ in 0..100 {
            lead.on_margin(Micros(1_000_000), -127, Micros(0));
        }
        assert_eq!(lead.lead(), LEAD_MAX);
    }

    #[test]
    fn ample_margins_lower_it_slowly() {
        let mut lead = Lead::new(PERIOD, Micros(0));
        let before = lead.lead();
        for i in 0..60 * 60 {
            lead.on_margin(Micros(i), 20, Micros(0));
        }
        let fallen = before.since(lead.lead()).0 as f64 / PERIOD.0 as f64;
        assert!((2.0..3.1).contains(&fallen) || lead.lead() == Micros(0), "{fallen} ticks");
    }
}
