//! Plain counters of a room.

/// What happened in a room since it began. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomStats {
    /// Datagrams with inputs that could be read.
    pub input_datagrams: u64,
    /// Datagrams with inputs that could not be read.
    pub inputs_invalid: u64,
    /// Inputs that were played in their tick.
    pub inputs_applied: u64,
    /// Ticks of seated people that were played without their input.
    pub inputs_missing: u64,
    /// Inputs that arrived after their tick was played without them.
    pub inputs_late: u64,
    /// Inputs further ahead than `INPUT_LEAD_TICKS_MAX`.
    pub inputs_ahead: u64,
    /// Commands that were refused.
    pub commands_refused: u64,
    /// One-shot events of the game that were dropped.
    pub events_dropped: u64,
    /// Bytes of snapshots encoded.
    pub snapshot_bytes: u64,
}
