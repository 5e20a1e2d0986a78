//! What an operator may set about matchmaking.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::{TICKET_SILENCE_MS_MAX, TICKETS_MAX};
use thiserror::Error;

/// Settings of a [`crate::Matchmaker`]. Ratings are in points of the rating scale: a newcomer has 25, and 4 points
/// more mean winning about two of three matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Time between two rounds of forming.
    pub round: Micros,
    /// Tickets that may wait, 1 to `TICKETS_MAX`.
    pub tickets_max: usize,
    /// Rating distance that is accepted at once, in points.
    pub window_start: f64,
    /// By how much the accepted distance grows, in points per second of waiting.
    pub window_growth_per_s: f64,
    /// The widest accepted distance, in points.
    pub window_max: f64,
    /// Share of a player's uncertainty that widens the window of a ticket.
    pub window_uncertainty: f64,
    /// Latency to a region that is accepted at once, ms.
    pub latency_start_ms: u32,
    /// By how much the accepted latency grows, in ms per second of waiting.
    pub latency_growth_ms_per_s: u32,
    /// A ticket that nobody asks for this long is cancelled.
    pub silence: Micros,
    /// How long an ended ticket can still be asked for.
    pub ended_kept: Micros,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            round: Micros::from_millis(100),
            tickets_max: TICKETS_MAX,
            window_start: 2.0,
            window_growth_per_s: 0.5,
            window_max: 50.0,
            window_uncertainty: 0.5,
            latency_start_ms: 80,
            latency_growth_ms_per_s: 10,
            silence: Micros::from_millis(TICKET_SILENCE_MS_MAX),
            ended_kept: Micros::from_secs(60),
        }
    }
}

/// Which setting is out of bounds.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Rounds must be 10 ms to 10 s apart.
    #[error("match.round must be 10 ms to 10 s")]
    Round,
    /// `tickets_max` is 0 or beyond the limit.
    #[error("match.tickets_max must be 1 to {TICKETS_MAX}")]
    TicketsMax,
    /// The window is not a growing range of numbers.
    #[error("match.window: start, growth and uncertainty must be at least 0, and max at least start")]
    Window,
    /// A client asks every 25 s at most, so silence must be longer.
    #[error("match.silence must be 26 s to 10 min")]
    Silence,
}

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn build(self) -> Result<Self, ConfigError> {
        let window = [self.window_start, self.window_growth_per_s, self.window_uncertainty, self.window_max];
        if self.round < Micros::from_millis(10) || self.round > Micros::from_secs(10) {
            return Err(ConfigError::Round);
        }
        if self.tickets_max == 0 || self.tickets_max > TICKETS_MAX {
            return Err(ConfigError::TicketsMax);
        }
        if window.iter().any(|x| !x.is_finite() || *x < 0.0) || self.window_max < self.window_start {
            return Err(ConfigError::Window);
        }
        if self.silence < Micros::from_secs(26) || self.silence > Micros::from_secs(600) {
            return Err(ConfigError::Silence);
        }
        Ok(self)
    }

    /// The rating distance a ticket accepts after waiting this long.
    pub(crate) fn window(&self, waited: Micros, uncertainty: f64) -> f64 {
        let grown = self.window_start + self.window_growth_per_s * seconds(waited);
        grown.min(self.window_max) + self.window_uncertainty * uncertainty
    }

    /// How long a ticket waits until its window reaches `distance`; `None` when it never does.
    pub(crate) fn time_to_window(&self, distance: f64, uncertainty: f64) -> Option<Micros> {
        let needed = distance - self.window_uncertainty * uncertainty;
        if needed <= self.window_start {
            return Some(Micros(0));
        }
        if needed > self.window_max || self.window_growth_per_s == 0.0 {
            return None;
        }
        let seconds = (needed - self.window_start) / self.window_growth_per_s;
        Some(Micros((seconds * 1_000_000.0).ceil() as u64))
    }

    /// The latency a ticket accepts after waiting this long, ms.
    pub(crate) fn latency_ms(&self, waited: Micros) -> u32 {
        let grown = u64::from(self.latency_growth_ms_per_s) * (waited.0 / 1_000_000);
        self.latency_start_ms.saturating_add(u32::try_from(grown).unwrap_or(u32::MAX))
    }
}

fn seconds(span: Micros) -> f64 {
    span.0 as f64 / 1_000_000.0
}
