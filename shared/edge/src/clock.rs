//! The only clock of the operating system.

mod led;
mod time;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amphi_shared_wire::Micros;
use led::Led;
pub use time::{follow, time_routes};

/// Unix time that never steps: the system time read once, plus the monotonic clock, plus an offset that leads it slowly
/// to the clock of another node ([`follow`]). Cheap to copy.
///
/// A process makes one at its start and hands it to everything in it; two of them differ in [`Clock::id`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_unix: Duration,
    id: u64,
    led: &'static Led,
}

impl Clock {
    /// Reads the system time once. What the clock's copies share lives as long as the process.
    pub fn start() -> Self {
        // Before 1970 counts as 1970: tokens are then refused as not yet valid instead of a panic at start.
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = u64::from_le_bytes(amphi_shared_auth::random_bytes());
        Self { started: Instant::now(), started_unix, id, led: Box::leak(Box::default()) }
    }

    /// Unix time, µs.
    pub fn now(&self) -> Micros {
        let own = self.own();
        Micros(own.0.saturating_add_signed(self.led.slew().offset_us(own)))
    }

    /// Unix time of a moment on the monotonic clock, µs.
    pub(crate) fn at(&self, instant: Instant) -> Micros {
        Micros((self.started_unix + instant.saturating_duration_since(self.started)).as_micros() as u64)
    }

    /// Random number of this clock: a peer that sees another one restarts its estimate.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How far this clock may be from the reference's, µs: 0 when it follows none and is the reference; `None` before
    /// the first answer of the one it follows.
    pub fn error_us(&self) -> Option<u64> {
        self.led.error_us(self.own())
    }

    /// How long to wait from now until `moment`; zero when it has passed.
    pub fn until(&self, moment: Micros) -> Duration {
        Duration::from_micros(moment.since(self.now()).0)
    }

    /// The time without the offset.
    fn own(&self) -> Micros {
        Micros((self.started_unix + self.started.elapsed()).as_micros() as u64)
    }
}
