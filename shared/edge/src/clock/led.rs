//! The offset of a clock, shared by its copies: one writer, and readers that never wait for it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use amphi_shared_session::{ReferenceClock, Slew};
use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::CLOCK_DRIFT_PPM;

/// The slew in force and the estimate behind it.
#[derive(Debug, Default)]
pub(super) struct Led {
    /// Odd while the other fields change; 0 = there never was an offset.
    version: AtomicU64,
    at: AtomicU64,
    offset_us: AtomicI64,
    target_us: AtomicI64,
    /// The estimate of the clock that is followed, if one is.
    reference: Mutex<Option<ReferenceClock>>,
}

impl Led {
    /// The slew in force.
    pub(super) fn slew(&self) -> Slew {
        loop {
            let before = self.version.load(Ordering::Acquire);
            if before == 0 {
                return Slew::default();
            }
            let slew = Slew {
                at: Micros(self.at.load(Ordering::Relaxed)),
                offset_us: self.offset_us.load(Ordering::Relaxed),
                target_us: self.target_us.load(Ordering::Relaxed),
            };
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return slew;
            }
            spin_loop();
        }
    }

    /// Another clock is followed from here on.
    pub(super) fn begin(&self) {
        let mut reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        reference.get_or_insert_with(|| ReferenceClock::new(CLOCK_DRIFT_PPM));
    }

    /// Takes an answer of the clock that is followed.
    pub(super) fn answer(&self, answer: impl FnOnce(&mut ReferenceClock) -> Slew) {
        let mut reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        let slew = answer(reference.get_or_insert_with(|| ReferenceClock::new(CLOCK_DRIFT_PPM)));
        // The lock makes this the only writer.
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.at.store(slew.at.0, Ordering::Relaxed);
        self.offset_us.store(slew.offset_us, Ordering::Relaxed);
        self.target_us.store(slew.target_us, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// See `Clock::error_us`; `own` is the time without the offset.
    pub(super) fn error_us(&self, own: Micros) -> Option<u64> {
        let reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        reference.as_ref().map_or(Some(0), |reference| reference.error_us(own))
    }
}

#[cfg(test)]
mod tests;
