//! Time below the nodes: integers that are handed in, never read from a clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Unix time in microseconds, or a span of it. Never steps backwards within one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// A span of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    /// A span of whole seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000)
    }

    /// Whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The span from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, span: Self) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} µs", self.0)
    }
}

/// Number of a simulation step of one match, from 0. At 128 Hz it lasts 388 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick `n` steps later.
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// The tick `n` steps earlier, not before 0.
    pub const fn minus(self, n: u32) -> Self {
        Self(self.0.saturating_sub(n))
    }

    /// Signed number of steps from `other` to `self`.
    pub const fn diff(self, other: Self) -> i64 {
        self.0 as i64 - other.0 as i64
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Converts between ticks and server time: tick `t` starts at `tick0_us + t · 10⁶ / tick_hz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickClock {
    /// Server time at which tick 0 starts.
    pub tick0: Micros,
    /// Ticks per second, 5 to 128.
    pub tick_hz: u32,
}

impl TickClock {
    /// Server time at which `tick` starts.
    pub const fn start_of(self, tick: Tick) -> Micros {
        Micros(self.tick0.0.saturating_add(tick.0 as u64 * 1_000_000 / self.tick_hz as u64))
    }

    /// The tick that is running at `now`; tick 0 before the match starts.
    pub const fn at(self, now: Micros) -> Tick {
        let elapsed = now.0.saturating_sub(self.tick0.0);
        let tick = (elapsed as u128 * self.tick_hz as u128 / 1_000_000) as u32;
        // Starts are rounded down, so the next tick may already have begun.
        let next = Tick(tick.saturating_add(1));
        if self.start_of(next).0 <= now.0 { next } else { Tick(tick) }
    }

    /// Length of one tick, rounded down.
    pub const fn period(self) -> Micros {
        Micros(1_000_000 / self.tick_hz as u64)
    }
}

#[cfg(test)]
mod tests;
