//! How long the thread lets packets gather.
//!
//! Thousands of connections on which little happens make a wake-up of each packet, and a wake-up costs several times
//! what its packet does. So while packets come often the thread rests after a round, as a network card moderates its
//! interrupts; not while it carries datagrams or handshakes, which wait for nothing.

use std::time::Duration;

use amphi_shared_wire::Micros;

/// Packets that a rest should gather. More would save little more, and fill the kernel's buffer.
const GATHER: u64 = 32;
/// A rest that gathers fewer is not worth its delay.
const GATHER_MIN: u64 = 8;
/// Longest rest.
const REST_MAX: Micros = Micros::from_millis(20);
/// The thread is calm when it has carried neither datagrams nor handshakes for this long.
const CALM_AFTER: Micros = Micros::from_secs(1);
/// Time over which packets are counted.
const WINDOW: Micros = Micros::from_millis(50);

/// The pace of a thread.
#[derive(Debug)]
pub(super) struct Pace {
    /// Start of the window, and packets in it.
    since: Micros,
    packets: u64,
    /// Packets per window, in the last one.
    usual: u64,
    live_at: Micros,
}

impl Pace {
    pub(super) fn new(now: Micros) -> Self {
        Self { since: now, packets: 0, usual: 0, live_at: now }
    }

    /// Packets were received, or sent: most of these are answered.
    pub(super) fn count(&mut self, packets: usize) {
        self.packets += packets as u64;
    }

    /// There was a datagram, or something of a handshake.
    pub(super) fn live(&mut self, now: Micros) {
        self.live_at = now;
    }

    /// How long to rest after a round; `None`: wait for the next packet.
    pub(super) fn rest(&mut self, now: Micros) -> Option<Duration> {
        let elapsed = now.since(self.since);
        if elapsed >= WINDOW {
            self.usual = self.packets * WINDOW.0 / elapsed.0;
            (self.since, self.packets) = (now, 0);
        }
        // A burst counts from its first packets on.
        let per_window = self.usual.max(self.packets);
        let is_live = now.since(self.live_at) < CALM_AFTER;
        if is_live || per_window * REST_MAX.0 < GATHER_MIN * WINDOW.0 {
            return None;
        }
        Some(Duration::from_micros(REST_MAX.0.min(GATHER * WINDOW.0 / per_window)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Micros = Micros::from_secs(1_763_000_000);

    /// How long a thread rests that has seen `per_s` packets per second, one each round, for a second, µs.
    fn after(per_s: u64) -> Option<u128> {
        let mut pace = Pace::new(START);
        let mut now = START + CALM_AFTER;
        let mut rest = None;
        for _ in 0..per_s {
            now += Micros(1_000_000 / per_s);
            pace.count(1);
            rest = pace.rest(now);
        }
        rest.map(|rest| rest.as_micros())
    }

    #[test]
    fn a_rest_is_as_long_as_it_takes_to_gather_some_packets_and_bounded() {
        assert_eq!(after(200), None, "too few come to gather any");
        assert_eq!(after(1_000), Some(20_000));
        assert_eq!(after(4_000), Some(8_000));
        assert_eq!(after(50_000), Some(640));
    }

    #[test]
    fn a_burst_shortens_the_next_rest_already() {
        let mut pace = Pace::new(START);
        let now = START + Micros::from_secs(2);
        assert_eq!(pace.rest(now), None);
        pace.count(1_000);
        assert_eq!(pace.rest(now), Some(Duration::from_micros(1_600)));
        // And is over with its window but one.
        assert!(pace.rest(now + WINDOW).is_some());
        assert_eq!(pace.rest(now + WINDOW + WINDOW), None);
    }

    #[test]
    fn a_thread_with_datagrams_or_handshakes_does_not_rest() {
        let mut pace = Pace::new(START);
        let calm = START + CALM_AFTER;
        pace.count(100);
        assert_eq!(pace.rest(calm - Micros(1)), None);
        pace.count(100);
        assert!(pace.rest(calm).is_some());
        pace.live(calm);
        assert_eq!(pace.rest(calm), None);
    }
}
