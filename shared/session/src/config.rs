//! Timings and bounds of one session.

use amphi_shared_wire::{Micros, limits};

/// Timings and bounds of one session. Every field means what it says; none has a magic zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a session lives without a connection.
    pub resume_window: Micros,
    /// Bytes of unacknowledged messages kept for resume, over all lanes. Beyond: `send` answers `Full`.
    pub retained_bytes_max: usize,
    /// Unacknowledged messages kept for resume, over all lanes. Beyond: `send` answers `Full`.
    pub retained_messages_max: usize,
    /// A pipe on which a message waits for its acknowledgement this long has a reader that is too slow: it is closed
    /// with `SlowReader`, and the session can resume.
    pub retained_age_max: Micros,
    /// An ack leaves after this many received messages …
    pub ack_after_messages: u64,
    /// … or this many received bytes …
    pub ack_after_bytes: usize,
    /// … or this long after the first message that is not acknowledged.
    pub ack_after: Micros,
    /// A received datagram is acknowledged after this time when no datagram of ours carries the ack.
    pub datagram_ack_after: Micros,
    /// Interval of clock probes, which keep the connection alive too.
    pub ping_every: Micros,
    /// A pipe on which nothing was heard for this long is dead: it is closed with `Silent`.
    pub silent_after: Micros,
    /// When set, [`Event::PathSilent`](crate::Event::PathSilent) says that nothing was heard for this long, or for
    /// `3 · srtt + 4 · var` when that is longer. For sessions on which something always flows.
    pub path_silent_after: Option<Micros>,
    /// Time from a client's Hello to the Welcome. Beyond: the pipe is closed with `HandshakeTimeout`.
    pub handshake_timeout: Micros,
    /// How long an orderly close waits for the other side before the pipe is closed anyway.
    pub close_linger: Micros,
    /// Largest assumed difference of two clocks' speeds, in parts per million.
    pub clock_drift_ppm: u32,
}

impl Config {
    /// For home sessions: nothing flows on most of them, so their pings are what an idle audience costs.
    pub fn home() -> Self {
        Self::default().with_ping_every(limits::HOME_PING_EVERY_MS)
    }

    /// Pings each `ms`, and waits twice that and some more before a silent pipe counts as dead.
    fn with_ping_every(self, ms: u64) -> Self {
        let silent_after = Micros::from_millis(limits::silence_ms_max(ms));
        Self { ping_every: Micros::from_millis(ms), silent_after, ..self }
    }
}

/// For match sessions.
impl Default for Config {
    fn default() -> Self {
        Self {
            resume_window: Micros::from_millis(limits::RESUME_WINDOW_MS),
            retained_bytes_max: limits::RESUME_BYTES_MAX,
            retained_messages_max: limits::RESUME_MESSAGES_MAX,
            retained_age_max: Micros::from_millis(limits::RESUME_AGE_MS_MAX),
            ack_after_messages: limits::ACK_AFTER_MESSAGES,
            ack_after_bytes: limits::ACK_AFTER_BYTES,
            ack_after: Micros::from_millis(limits::ACK_AFTER_MS),
            datagram_ack_after: Micros::from_millis(20),
            ping_every: Micros::from_millis(limits::PING_EVERY_MS),
            silent_after: Micros::from_millis(limits::silence_ms_max(limits::PING_EVERY_MS)),
            path_silent_after: None,
            handshake_timeout: Micros::from_millis(limits::HANDSHAKE_MS_MAX),
            close_linger: Micros::from_secs(1),
            clock_drift_ppm: limits::CLOCK_DRIFT_PPM,
        }
    }
}
