//! The bench `latency`: how long an input waits, and how often it comes too late.
//!
//! Two measurements, since a path and a server are two things:
//!
//! * `added`: a player beside a real match host, over native QUIC on loopback. From the moment an input leaves the player
//!   until the player holds a snapshot that says it was applied: waiting for its tick, the tick, the snapshot, two sockets.
//!   The player's lead is the engine's own ([`InputLead`](amphi_shared_session::InputLead)).
//! * `mobile`: ten minutes over a mobile path, in virtual time: the real client, session and room, without sockets. An
//!   input is late when its tick runs before it arrives. The arrival margin is how early it came. A speed correction is a
//!   tick of the player that took longer or shorter than a tick.
//!
//! The goal for the margin is half of what a client keeps that adds four times the jitter and a tick to the delay. Jitter
//! is the standard deviation of the transit time of inputs over 4 s, in the mean. `hindsight_ms` is the median margin under
//! the best lead that never changes, chosen by who knows the whole trace: the smallest one under which 0.1 % come late.

mod mobile;
mod played;
mod served;
pub(crate) mod spread;

use std::path::Path;

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use mobile::Trace;

const FLOOR_BYTES: usize = 100;
const TICK_HZ: u32 = 60;
/// Share of inputs that may come late.
const LATE_SHARE: f64 = 0.001;

/// Builds the bench over the built-in mobile path.
pub(crate) fn bench(scale: Scale) -> Bench {
    over(Trace::built_in(scale), scale)
}

/// Builds the bench over a recorded path.
///
/// # Errors
/// The recording cannot be read.
pub(crate) fn on_trace(file: &Path, scale: Scale) -> anyhow::Result<Bench> {
    Ok(over(Trace::read(file, scale)?, scale))
}

fn over(trace: Trace, scale: Scale) -> Bench {
    let ours = Contestant::new("ours", move || {
        let served = served::run(scale)?;
        Ok(served.and(mobile_figures(&trace)?))
    });
    Bench::new("latency", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(1)
}

fn mobile_figures(trace: &Trace) -> anyhow::Result<Sample> {
    let played = played::play(trace)?;
    let period_ms = 1_000.0 / f64::from(TICK_HZ);
    let jitter_ms = spread::jitter(&played.transits_ms);
    let hindsight_ms = spread::at(&played.transits_ms, 1.0 - LATE_SHARE) - spread::at(&played.transits_ms, 0.5);
    Ok(Sample::new()
        .with("late_share", played.late_share)
        .with("margin_ms_p50", spread::at(&played.margins_ms, 0.5))
        .with("steady_share", played.steady_share)
        .beside("margin_ms_p99", spread::at(&played.margins_ms, 0.99))
        .beside("jitter_ms", jitter_ms)
        .beside("margin_goal_ms", 0.5 * (4.0 * jitter_ms + period_ms))
        .beside("hindsight_ms", hindsight_ms)
        .beside("transit_ms_p50", spread::at(&played.transits_ms, 0.5))
        .beside("inputs", played.margins_ms.len() as f64))
}
