//! How far a client's simulation runs ahead of the server, so that its inputs arrive in time.

use std::collections::VecDeque;

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{INPUT_LEAD_CHANGES_MAX, INPUT_LEAD_MS_MAX, INPUT_MARGINS_MAX};

/// Share of inputs that may come late.
const LATE_SHARE: f64 = 0.005;
/// What is kept above the delay of the slowest input that counts, ticks.
const RESERVE_TICKS: f64 = 0.25;
/// The lead to reach falls by this much at most, ticks per second.
const FALL_TICKS_PER_S: f64 = 0.05;
/// Before this many margins the lead to reach follows what they say, up and down.
const TRIAL_MARGINS: usize = 32;
/// Speed of the simulation per tick of error, while that is at most one tick.
const PROPORTIONAL: f64 = 0.02;
/// Growth of the speed per second and tick of error.
const INTEGRAL: f64 = 0.002;
/// Largest difference from the normal speed inside one tick of error, and outside.
const SPEED_INSIDE: f64 = 0.02;
const SPEED_OUTSIDE: f64 = 0.10;
/// Length of a stretch of time whose smallest lead is remembered.
const STRETCH: Micros = Micros::from_millis(10);
/// A larger error is not run down but jumped over.
const SNAP: Micros = Micros::from_millis(250);

/// Controls the input lead on the margin with which inputs arrive at the server.
///
/// Each margin, with the lead under which its input left, tells the delay of that input: transit, clock error and all.
/// Corrections that are still under way do not disturb that. The lead to reach is the delay that all but 0.5 % of the
/// last 256 stay under, and a quarter of a tick. A slower input raises it at once; it falls by 0.05 ticks per second at
/// most. The lead goes there by running the simulation faster or slower: by 2 % at most while a tick or less is missing,
/// by 10 % beyond, and at once beyond 250 ms.
#[derive(Clone, Debug)]
pub struct InputLead {
    period_us: f64,
    lead_us: f64,
    wanted_us: f64,
    /// Learned difference of speeds.
    integral: f64,
    at: Option<Micros>,
    /// Delays of inputs, the newest last.
    delays_us: VecDeque<f64>,
    /// The smallest lead of each stretch of the recent past, and when the stretch began.
    past: VecDeque<(Micros, f64)>,
    late: Option<u8>,
}

impl InputLead {
    /// Starts with half a round trip and two ticks: a little too much, until margins arrive. `period` is a tick.
    pub fn new(period: Micros, rtt: Micros) -> Self {
        let period_us = period.0.max(1) as f64;
        let lead_us = (rtt.0 as f64 / 2.0 + 2.0 * period_us).min(lead_us_max());
        Self {
            period_us,
            lead_us,
            wanted_us: lead_us,
            integral: 0.0,
            at: None,
            delays_us: VecDeque::new(),
            past: VecDeque::new(),
            late: None,
        }
    }

    /// How far the simulation runs ahead of server time. Call [`InputLead::advance`] first.
    pub fn lead(&self) -> Micros {
        Micros(self.lead_us as u64)
    }

    /// The lead that the simulation is on its way to.
    pub fn wanted(&self) -> Micros {
        Micros(self.wanted_us as u64)
    }

    /// Lets the lead go on to `now`.
    pub fn advance(&mut self, now: Micros) {
        let Some(before) = self.at.replace(now) else { return };
        // A pause of the process is not made up for here: the error is still there afterwards.
        let seconds = now.since(before).0.min(SNAP.0) as f64 / 1e6;
        let missing_us = self.wanted_us - self.lead_us;
        if missing_us.abs() > SNAP.0 as f64 {
            return self.set(now, self.wanted_us);
        }
        let missing = missing_us / self.period_us;
        let speed = if missing.abs() <= 1.0 {
            self.integral =
                (self.integral + INTEGRAL * missing * seconds).clamp(-SPEED_INSIDE / 4.0, SPEED_INSIDE / 4.0);
            (PROPORTIONAL * missing + self.integral).clamp(-SPEED_INSIDE, SPEED_INSIDE)
        } else {
            self.integral = 0.0;
            let beyond = (missing.abs() - 1.0).min(1.0);
            missing.signum() * (SPEED_INSIDE + (SPEED_OUTSIDE - SPEED_INSIDE) * beyond)
        };
        self.set(now, self.lead_us + speed * seconds * 1e6);
    }

    /// The server reports the least margin of the inputs that arrived since its last report, in quarters of a tick
    /// (negative: too late), and how many came too late so far, modulo 256. `rtt` is the smoothed round-trip time.
    pub fn on_margin(&mut self, now: Micros, margin: i8, late: u8, rtt: Micros) {
        let came_late = self.late.replace(late).is_some_and(|before| before != late) || margin < 0;
        let sent_under = self.least_lead_since(now - Micros(2 * rtt.0 + 3 * self.period_us as u64));
        let delay_us = sent_under - f64::from(margin) * self.period_us / 4.0;
        if self.delays_us.len() == INPUT_MARGINS_MAX {
            self.delays_us.pop_front();
        }
        self.delays_us.push_back(delay_us);
        let needed_us = self.slowest_that_counts();
        let needed_us = if came_late { needed_us.max(delay_us) } else { needed_us } + RESERVE_TICKS * self.period_us;
        let report_s = self.period_us / 1e6;
        let floor_us = if self.delays_us.len() < TRIAL_MARGINS {
            0.0
        } else {
            self.wanted_us - FALL_TICKS_PER_S * self.period_us * report_s
        };
        self.wanted_us = needed_us.max(floor_us).clamp(0.0, lead_us_max());
    }

    fn set(&mut self, now: Micros, lead_us: f64) {
        // The integral may carry it a little too far.
        let lead_us = lead_us.clamp(0.0, lead_us_max());
        let least = self.lead_us.min(lead_us);
        self.lead_us = lead_us;
        match self.past.back_mut() {
            Some((began, known)) if now < *began + STRETCH => *known = known.min(least),
            Some(_) | None => {
                if self.past.len() == INPUT_LEAD_CHANGES_MAX {
                    self.past.pop_front();
                }
                self.past.push_back((now, least));
            }
        }
    }

    /// The smallest lead in force since `moment`. An input that is reported now left under one of them; taking the
    /// smallest never mistakes a correction for a slower network.
    fn least_lead_since(&self, moment: Micros) -> f64 {
        let past = self.past.iter().rev().take_while(|(began, _)| *began + STRETCH >= moment);
        past.map(|(_, lead_us)| *lead_us).fold(self.lead_us, f64::min)
    }

    /// The delay that all but a small share of the inputs stay under.
    fn slowest_that_counts(&self) -> f64 {
        let mut delays: Vec<f64> = self.delays_us.iter().copied().collect();
        delays.sort_unstable_by(|a, b| b.total_cmp(a));
        let passed_over = (delays.len() as f64 * LATE_SHARE) as usize;
        delays.get(passed_over).copied().unwrap_or(0.0)
    }
}

const fn lead_us_max() -> f64 {
    (INPUT_LEAD_MS_MAX * 1_000) as f64
}

#[cfg(test)]
mod tests;
