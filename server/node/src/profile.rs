//! Spans and plots for Tracy: nothing at all without the feature `tracy`.

/// A phase of a tick, up to the end of the block that binds it.
#[cfg(feature = "tracy")]
macro_rules! phase {
    ($name:literal) => {
        tracy_client::Client::running().map(|client| client.span(tracy_client::span_location!($name), 0))
    };
}
#[cfg(not(feature = "tracy"))]
macro_rules! phase {
    ($name:literal) => {
        $crate::profile::Off
    };
}
pub(crate) use phase;

/// What a phase is in a build without Tracy.
#[cfg(not(feature = "tracy"))]
pub(crate) struct Off;

/// Ends a phase before its block does.
pub(crate) fn end<P>(phase: P) {
    let _ended = phase;
}

/// Numbers of one tick of a room.
#[cfg_attr(not(feature = "tracy"), allow(dead_code, reason = "only Tracy reads them"))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TickPlot {
    /// Snapshots sent.
    pub(crate) snapshots: u64,
    /// Bytes of their payloads.
    pub(crate) snapshot_bytes: u64,
    /// People connected.
    pub(crate) players: usize,
    /// Entities that are sent.
    pub(crate) entities: usize,
}

/// Lets a profiler on this machine connect. Nothing is recorded until one does.
pub(crate) fn start() {
    #[cfg(feature = "tracy")]
    {
        tracy_client::Client::start();
    }
}

/// Draws the numbers of a tick.
#[cfg(feature = "tracy")]
pub(crate) fn plot(plot: TickPlot) {
    use std::sync::LazyLock;
    use tracy_client::{Client, PlotName};

    static NAMES: LazyLock<[PlotName; 4]> = LazyLock::new(|| {
        ["snapshots", "snapshot bytes", "players", "entities"].map(|name| PlotName::new_leak(name.to_owned()))
    });
    let Some(client) = Client::running() else { return };
    let values = [plot.snapshots as f64, plot.snapshot_bytes as f64, plot.players as f64, plot.entities as f64];
    for (name, value) in NAMES.iter().zip(values) {
        client.plot(*name, value);
    }
}

#[cfg(not(feature = "tracy"))]
pub(crate) fn plot(_: TickPlot) {}
