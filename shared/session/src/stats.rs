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
    /// Pipes that were closed because their reader was too slow.
    pub slow_readers: u64,
    /// Lanes that were lost.
    pub lanes_lost: u64,
    /// Frames and datagrams of a pipe that no longer carries the session.
    pub stale_in: u64,
    /// Clock probes answered by the peer.
    pub pongs_in: u64,
}

/// Counters of one session's datagrams, over all its pipes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramStats {
    /// Datagrams handed to pipes.
    pub out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams that arrived, empty acknowledgements included.
    pub received: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams that arrived twice, too late, or unreadable, and were dropped.
    pub dropped: u64,
    /// Sent datagrams that arrived.
    pub acked: u64,
    /// Sent datagrams that were given up.
    pub lost: u64,
    /// Datagrams of a latest lane replaced by a newer one before they left (counted as lost too).
    pub replaced: u64,
    /// Unordered datagrams dropped because too many waited (counted as lost too).
    pub overflowed: u64,
    /// Datagrams that were given up and arrived after all.
    pub late: u64,
    /// Acks of datagrams that were never sent. The first one ends the session.
    pub acks_unsent: u64,
}
