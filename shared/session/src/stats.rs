//! Plain counters of one session.

/// Counters of one session, over all its pipes. The node exports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Times a pipe was attached.
    pub attaches: u64,
    /// Times the session lost its pipe.
    pub detaches: u64,
    /// Frames handed to pipes.
    pub frames_out: u64,
    /// Bytes of those frames' payloads.
    pub frame_bytes_out: u64,
    /// Frames that arrived.
    pub frames_in: u64,
    /// Bytes of those frames' payloads.
    pub frame_bytes_in: u64,
    /// Messages delivered in order on resumable lanes.
    pub messages_in: u64,
    /// Messages that an attach sent: again, or for the first time after waiting for it.
    pub messages_resent: u64,
    /// Messages that arrived twice, because of a resume, and were dropped.
    pub messages_repeated: u64,
    /// Messages on lane 1 that were dropped because there was no pipe.
    pub topics_dropped: u64,
    /// Times `send` answered `Full`.
    pub sends_full: u64,
    /// Unacknowledged messages kept now.
    pub retained_messages: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Lanes that were lost.
    pub lanes_lost: u64,
    /// Frames and datagrams of a pipe that no longer carries the session.
    pub stale_in: u64,
    /// Datagrams handed to pipes.
    pub datagrams_out: u64,
    /// Their bytes.
    pub datagram_bytes_out: u64,
    /// Datagrams that arrived, empty acknowledgements included.
    pub datagrams_in: u64,
    /// Their bytes.
    pub datagram_bytes_in: u64,
    /// Datagrams that arrived twice, too late, or unreadable, and were dropped.
    pub datagrams_dropped: u64,
    /// Sent datagrams that arrived.
    pub datagrams_acked: u64,
    /// Sent datagrams that were given up.
    pub datagrams_lost: u64,
    /// Datagrams replaced by a newer one before they left (counted as lost too).
    pub datagrams_replaced: u64,
    /// Datagrams that were given up and arrived after all.
    pub datagrams_late: u64,
    /// Clock probes answered by the peer.
    pub pongs_in: u64,
    /// Smoothed round-trip time, µs; 0 before the first sample.
    pub rtt_us: u64,
    /// Its mean deviation, µs.
    pub rtt_var_us: u64,
}
