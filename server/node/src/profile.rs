//! Spans and plots for Tracy: nothing at all without the feature `tracy`.

#[cfg(feature = "tracy")]
use std::sync::OnceLock;

use amphi_server_core::Room;
#[cfg(feature = "tracy")]
use amphi_shared_replica::Measured;
use amphi_shared_wire::TickClock;
#[cfg(feature = "tracy")]
use tracy_client::{Client, PlotName};

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
    /// The least margin of all inputs that came since the tick before, quarters of a tick.
    pub(crate) margin: Option<i8>,
}

impl TickPlot {
    /// Notes the least margin of a player's inputs.
    pub(crate) fn note_margin(&mut self, margin: Option<i8>) {
        self.margin = [self.margin, margin].into_iter().flatten().min();
    }
}

/// Lets a profiler on this machine connect. Nothing is recorded until one does.
pub(crate) fn start() {
    #[cfg(feature = "tracy")]
    {
        Client::start();
    }
}

/// Draws the numbers of a tick.
#[cfg(feature = "tracy")]
pub(crate) fn plot(plot: TickPlot) {
    let Some(client) = Client::running() else { return };
    client.plot(tracy_client::plot_name!("snapshots"), plot.snapshots as f64);
    client.plot(tracy_client::plot_name!("snapshot bytes"), plot.snapshot_bytes as f64);
    client.plot(tracy_client::plot_name!("players"), plot.players as f64);
    client.plot(tracy_client::plot_name!("entities"), plot.entities as f64);
    if let Some(quarters) = plot.margin {
        client.plot(tracy_client::plot_name!("input margin, ticks"), f64::from(quarters) / 4.0);
    }
}

#[cfg(not(feature = "tracy"))]
pub(crate) fn plot(_: TickPlot) {}

/// What the snapshots of a room are made of, second by second.
#[cfg(feature = "tracy")]
#[derive(Debug)]
pub(crate) struct Rates {
    /// By number of the component. All rooms of a host have the same.
    names: &'static [PlotName],
    ticks: u32,
    tick_hz: u32,
    before: Measured,
}

#[cfg(feature = "tracy")]
impl Rates {
    /// Lets a room count what its components cost.
    pub(crate) fn start(room: &mut Room, ticks: TickClock) -> Self {
        static NAMES: OnceLock<Vec<PlotName>> = OnceLock::new();
        room.start_measuring();
        let names = || room.components().map(|name| PlotName::new_leak(format!("{name}, bytes/s"))).collect();
        Self { names: NAMES.get_or_init(names), ticks: 0, tick_hz: ticks.tick_hz, before: Measured::default() }
    }

    /// Draws what a second of the room has cost, when it is over.
    pub(crate) fn tick(&mut self, room: &Room) {
        self.ticks += 1;
        let (true, Some(after)) = (self.ticks.is_multiple_of(self.tick_hz), room.measured()) else { return };
        let Some(client) = Client::running() else { return };
        let bytes = |after: u64, before: u64| (after - before) as f64 / 8.0;
        let before = self.before.components.iter().copied().chain(std::iter::repeat(0));
        for ((name, after), before) in self.names.iter().zip(&after.components).zip(before) {
            client.plot(*name, bytes(*after, before));
        }
        let rows = after.rows - self.before.rows;
        if rows > 0 {
            let name = tracy_client::plot_name!("bytes per entity told");
            client.plot(name, bytes(after.bodies, self.before.bodies) / rows as f64);
        }
        self.before.clone_from(after);
    }
}

/// Nothing is counted.
#[cfg(not(feature = "tracy"))]
pub(crate) struct Rates;

#[cfg(not(feature = "tracy"))]
impl Rates {
    pub(crate) fn start(_: &mut Room, _: TickClock) -> Self {
        Self
    }

    pub(crate) fn tick(&mut self, _: &Room) {}
}
