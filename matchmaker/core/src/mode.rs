//! The modes people can queue for.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::SEATS_MAX;
use thiserror::Error;

/// Letters of a mode's name.
const NAME_BYTES_MAX: usize = 32;

/// What happens to seats for which nobody is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bots {
    /// A match waits until it is full.
    Never,
    /// Bots take the free seats once the oldest ticket has waited this long; zero means at once.
    After(Micros),
}

/// A mode people can queue for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Its name: 1 to 32 of `a-z`, `0-9`, `_` and `-`.
    pub name: String,
    /// Number of teams, at least 1.
    pub teams: u8,
    /// Seats of each team, at least 1.
    pub team_size: u8,
    /// Length of a match, seconds.
    pub duration_s: u32,
    /// What happens to free seats.
    pub bots: Bots,
}

/// What is wrong with a mode.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ModeError {
    /// The name has other letters, or too many.
    #[error("mode `{0}`: a name has 1 to 32 of a-z, 0-9, `_` and `-`")]
    Name(String),
    /// No seat at all, or too many.
    #[error("mode `{0}`: teams · team_size must be 1 to {SEATS_MAX}")]
    Seats(String),
    /// Two modes of one name.
    #[error("mode `{0}` is defined twice")]
    Twice(String),
    /// There is nothing to queue for.
    #[error("at least one mode is needed")]
    None,
}

impl Mode {
    /// Seats of one match.
    pub fn seats(&self) -> usize {
        usize::from(self.teams) * usize::from(self.team_size)
    }

    /// Checks name and sizes.
    ///
    /// # Errors
    /// The first thing that is out of bounds.
    pub fn check(&self) -> Result<(), ModeError> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.bytes().all(good) {
            return Err(ModeError::Name(self.name.clone()));
        }
        if self.seats() == 0 || self.seats() > SEATS_MAX {
            return Err(ModeError::Seats(self.name.clone()));
        }
        Ok(())
    }
}
