//! How long the thread lets packets gather.
//!
//! Many connections on which little happens make a wake-up of each packet, and a wake-up costs several times what its
//! packet does. So while packets come often, the thread rests after a round, as a network card moderates its
//! interrupts. Time is bounded where it matters: datagrams and handshakes wait far less than a frame on the screen, and
//! only where neither has been seen for a while a ping and its answer wait longer.

use std::time::Duration;

use amphi_shared_wire::Micros;

/// Packets that a rest should gather. More would lose little more, and fill the kernel's buffer.
const GATHER: u64 = 8;
/// A rest that gathers fewer is not worth its delay.
const GATHER_MIN: u64 = 2;
/// Longest rest while the thread carries datagrams or handshakes.
const LIVE_REST_MAX: Micros = Micros(500);
/// Longest rest while it carries neither.
const CALM_REST_MAX: Micros = Micros::from_millis(10);
/// The thread is calm when it has carried neither for this long.
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

/// What a thread does before its next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Waits for the next packet, order or timer.
    None,
    /// Waits this long, whatever happens.
    Live(Duration),
    /// Waits this long, or until an order comes.
    Calm(Duration),
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

    /// What to do after a round.
    pub(super) fn rest(&mut self, now: Micros) -> Rest {
        let elapsed = now.since(self.since);
        if elapsed >= WINDOW {
            self.usual = self.packets * WINDOW.0 / elapsed.0;
            (self.since, self.packets) = (now, 0);
        }
        // A burst counts from its first packets on.
        let per_window = self.usual.max(self.packets);
        let is_live = now.since(self.live_at) < CALM_AFTER;
        let longest = if is_live { LIVE_REST_MAX } else { CALM_REST_MAX };
        if per_window * longest.0 < GATHER_MIN * WINDOW.0 {
            return Rest::None;
        }
        let rest = Duration::from_micros(longest.0.min(GATHER * WINDOW.0 / per_window));
        if is_live { Rest::Live(rest) } else { Rest::Calm(rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Micros = Micros::from_secs(1_763_000_000);

    /// What a thread does that has seen `per_s` packets per second, one each round, for a second.
    fn after(per_s: u64, is_live: bool) -> Rest {
        let mut pace = Pace::new(START);
        let mut now = START + CALM_AFTER;
        let mut rest = Rest::None;
        for _ in 0..per_s {
            now += Micros(1_000_000 / per_s);
            if is_live {
                pace.live(now);
            }
            pace.count(1);
            rest = pace.rest(now);
        }
        rest
    }

    #[test]
    fn a_rest_is_as_long_as_it_takes_to_gather_some_packets_and_bounded() {
        let ms = |us: u64| Duration::from_micros(us);
        // Too few come to gather any.
        assert_eq!(after(100, false), Rest::None);
        assert_eq!(after(1_000, true), Rest::None);
        // Bounded.
        assert_eq!(after(500, false), Rest::Calm(ms(10_000)));
        assert_eq!(after(10_000, true), Rest::Live(ms(500)));
        // Enough come in less.
        assert_eq!(after(4_000, false), Rest::Calm(ms(2_000)));
        assert_eq!(after(50_000, true), Rest::Live(ms(160)));
    }

    #[test]
    fn a_burst_shortens_the_next_rest_already() {
        let mut pace = Pace::new(START);
        pace.live(START);
        let now = START + Micros::from_secs(2);
        assert_eq!(pace.rest(now), Rest::None);
        pace.count(1_000);
        assert_eq!(pace.rest(now), Rest::Calm(Duration::from_micros(400)));
        // And is over with its window but one.
        assert_ne!(pace.rest(now + WINDOW), Rest::None);
        assert_eq!(pace.rest(now + WINDOW + WINDOW), Rest::None);
    }

    #[test]
    fn a_datagram_ends_the_calm() {
        let mut pace = Pace::new(START);
        let now = START + CALM_AFTER;
        pace.count(100);
        assert!(matches!(pace.rest(now - Micros(1)), Rest::None | Rest::Live(_)));
        pace.count(100);
        assert!(matches!(pace.rest(now), Rest::Calm(_)));
        pace.live(now);
        assert!(matches!(pace.rest(now), Rest::None | Rest::Live(_)));
    }
}
