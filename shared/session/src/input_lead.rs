//! How far a client's simulation runs ahead of the server, so that its inputs arrive in time.

use std::collections::VecDeque;

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{INPUT_LEAD_CHANGES_MAX, INPUT_LEAD_MS_MAX, INPUT_MARGINS_MAX};

/// Share of the delays that is passed over as outliers.
const OUTLIERS: f64 = 0.01;
/// What is kept above the slowest delay that counts: ticks, and a share of how far that lies above the median.
const RESERVE_TICKS: f64 = 0.25;
const RESERVE_SHARE: f64 = 0.25;
/// The lead to reach falls by this much at most, ticks per second, and by this share of what it is too large per second,
/// whichever is more: what an outlier raised goes soon, what is nearly right goes slowly.
const FALL_TICKS_PER_S: f64 = 0.05;
const FALL_SHARE_PER_S: f64 = 0.1;
/// Before this many margins the lead to reach follows what they say, up and down.
const TRIAL_MARGINS: usize = 32;
/// Speed of the simulation per tick that is missing: inputs come late until it is reached.
const RISE: f64 = 0.2;
/// Speed of the simulation per tick too much, while that is at most one tick.
const PROPORTIONAL: f64 = 0.02;
/// Largest difference from the normal speed up to one tick too much, and otherwise.
const SPEED_INSIDE: f64 = 0.02;
const SPEED_OUTSIDE: f64 = 0.10;
/// Length of a stretch of time whose smallest lead is remembered.
const STRETCH: Micros = Micros::from_millis(10);
/// A larger error is not run down but jumped over; a larger change of the server's clock is another clock.
const SNAP: Micros = Micros::from_millis(250);

/// Controls the input lead on the margin with which inputs arrive at the server.
///
/// Each margin, with the lead under which its input left, tells the delay of that input: transit, clock error and all.
/// Corrections that are still under way do not disturb that. The lead to reach is the delay that all but 1 % of the last
/// 256 stay under, and above it a quarter of a tick and a quarter of what lies between it and the median. A slower input
/// raises it at once; it falls by 0.05 ticks per second, or by a tenth of what it is too large. The lead goes there by
/// running the simulation faster or slower: up to 10 % faster while it is too short, 2 % slower while it is up to a tick
/// too long and 10 % beyond that, and at once beyond 250 ms.
///
/// Everything is held against the own clock, which runs evenly, and not against the estimate of the server's: when that
/// is corrected, inputs go on leaving at the times at which they left before.
#[derive(Clone, Debug)]
pub struct InputLead {
    period_us: f64,
    /// The estimated offset of the server's clock, and how far it has moved since the first one, µs.
    offset_us: Option<i64>,
    moved_us: f64,
    /// As all leads in here: ahead of the own clock plus the first offset.
    lead_us: f64,
    wanted_us: f64,
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
        let lead_us = (rtt.0 as f64 / 2.0 + 2.0 * period_us).min((INPUT_LEAD_MS_MAX * 1_000) as f64);
        Self {
            period_us,
            offset_us: None,
            moved_us: 0.0,
            lead_us,
            wanted_us: lead_us,
            at: None,
            delays_us: VecDeque::new(),
            past: VecDeque::new(),
            late: None,
        }
    }

    /// How far the simulation runs ahead of server time. Call [`InputLead::advance`] first.
    pub fn lead(&self) -> Micros {
        Micros((self.lead_us - self.moved_us) as u64)
    }

    /// The lead that the simulation is on its way to.
    pub fn wanted(&self) -> Micros {
        Micros((self.wanted_us - self.moved_us) as u64)
    }

    /// Lets the lead go on to `now`. `offset_us` is the estimate of the server's clock: its time minus ours.
    pub fn advance(&mut self, now: Micros, offset_us: i64) {
        self.follow(offset_us);
        let Some(before) = self.at.replace(now) else { return };
        // A pause of the process is not made up for here: the error is still there afterwards.
        let seconds = now.since(before).0.min(SNAP.0) as f64 / 1e6;
        let missing_us = self.wanted_us - self.lead_us;
        if missing_us.abs() > SNAP.0 as f64 {
            return self.set(now, self.wanted_us);
        }
        let missing = missing_us / self.period_us;
        let speed = if missing > 0.0 {
            (RISE * missing).min(SPEED_OUTSIDE)
        } else {
            let beyond = (-missing - 1.0).clamp(0.0, 1.0);
            (PROPORTIONAL * missing).max(-SPEED_INSIDE) - (SPEED_OUTSIDE - SPEED_INSIDE) * beyond
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
        let (slowest_us, median_us) = self.spread();
        let slowest_us = if came_late { slowest_us.max(delay_us) } else { slowest_us };
        let least_us = slowest_us + RESERVE_TICKS * self.period_us;
        let needed_us = least_us + RESERVE_SHARE * (slowest_us - median_us);
        // A path that becomes faster spreads the delays, too: nothing is missing then.
        let needed_us = if least_us < self.wanted_us { needed_us.min(self.wanted_us) } else { needed_us };
        let floor_us = if self.delays_us.len() < TRIAL_MARGINS {
            needed_us
        } else {
            let fall = (FALL_TICKS_PER_S * self.period_us).max(FALL_SHARE_PER_S * (self.wanted_us - needed_us));
            self.wanted_us - fall * self.period_us / 1e6
        };
        self.wanted_us = self.bounded(needed_us.max(floor_us));
    }

    fn follow(&mut self, offset_us: i64) {
        let change = offset_us.saturating_sub(self.offset_us.replace(offset_us).unwrap_or(offset_us));
        if change.unsigned_abs() <= SNAP.0 {
            self.moved_us += change as f64;
        }
    }

    /// Keeps what is ahead of the server by 0 to the longest lead.
    fn bounded(&self, lead_us: f64) -> f64 {
        lead_us.clamp(self.moved_us, self.moved_us + (INPUT_LEAD_MS_MAX * 1_000) as f64)
    }

    fn set(&mut self, now: Micros, lead_us: f64) {
        let lead_us = self.bounded(lead_us);
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

    /// The delay that all but the outliers stay under, and the median.
    fn spread(&self) -> (f64, f64) {
        let mut delays: Vec<f64> = self.delays_us.iter().copied().collect();
        delays.sort_unstable_by(|a, b| b.total_cmp(a));
        let at = |place: usize| delays.get(place).copied().unwrap_or(0.0);
        (at((delays.len() as f64 * OUTLIERS) as usize), at(delays.len() / 2))
    }
}

#[cfg(test)]
mod tests;
