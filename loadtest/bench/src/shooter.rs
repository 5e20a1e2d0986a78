//! The bench `shooter`: bytes for 32 players, 50 projectiles and 8 vehicles that are all on the move, beside naia.
//!
//! The scene has the counts of naia's own bandwidth bench (`halo_btb_16v16`), which writes the same values over and over;
//! here players run, aim, fight and hide, projectiles fly and are replaced when they hit, and vehicles drive. The battle is
//! recorded once per rate and both sides are fed the same whole numbers: places in cm, velocities in cm/s as in naia's
//! bench, angles in 1/4096 of a turn, rotations with 9 bits per part. Both send everything exactly, to everyone, over a
//! link that delays acks by as many ticks (50 and 33 ms at 60 per second) and loses nothing. Ours is compared with the world after every snapshot, naia's
//! clients with the last tick. A figure is the mean payload of UDP without what encrypts it, per tick and client, after a
//! second of warm-up: our session's header and snapshot in one datagram, naia's packets of up to 430 bytes with theirs.
//!
//! `peer` and `ratio` stand for naia with the types of its bench (a place is three tiles of 16 bits and three variable
//! offsets); `_fixed` for naia with the fewest bits that hold the map (43 for a place, 39 for a velocity). Each property
//! of naia is set only when it changed. The tables of ours are trained in the run, on other seeds; `ours_plain` has none.

mod battle;
mod ground;
mod play;
mod projectile;
mod soldier;
#[cfg(test)]
mod tests;
mod trace;
mod vehicle;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use amphi_shared_wire::Rng;
use anyhow::Context;
use rapier3d::prelude::Vector;

use self::trace::{Kind, STEPS_PER_METRE, Trace};
use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::{floor, peers};

const SEED: u64 = 5;
const TRAINING_SEEDS: [u64; 3] = [21, 22, 23];
const CLIENTS: usize = 16;
const FLOOR_BYTES: usize = 400;

/// How often and how late things are told.
#[derive(Clone, Copy, Debug)]
struct Rate {
    hz: u32,
    /// Ticks until what was sent is acknowledged; one less at every second client.
    ack_ticks: usize,
    /// Of the names of its figures.
    suffix: &'static str,
}

const FAST: Rate = Rate { hz: 60, ack_ticks: 3, suffix: "" };
const SLOW: Rate = Rate { hz: 25, ack_ticks: 2, suffix: "_25hz" };

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let seconds = scale.pick(30, 2);
    let ours = Contestant::new("ours", move || {
        let sample = beside_peer(Sample::new(), FAST, seconds)?;
        beside_peer(sample, SLOW, seconds)
    });
    Bench::new("shooter", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

fn beside_peer(sample: Sample, rate: Rate, seconds: usize) -> anyhow::Result<Sample> {
    let suffix = rate.suffix;
    let trace = battle::record(SEED, rate.hz, seconds * rate.hz as usize);
    let (sample, ours) = ours(sample, &trace, rate)?;
    let Some(peer) = peer(&trace, rate)? else { return Ok(sample) };
    let figure = |name: &str| peer.get(name).copied().with_context(|| format!("the peer tells no {name}"));
    let (bytes, fixed) = (figure("bytes")?, figure("fixed_bytes")?);
    Ok(sample
        .with(format!("peer{suffix}"), bytes)
        .with(format!("ratio{suffix}"), ours / bytes)
        .with(format!("peer_fixed{suffix}"), fixed)
        .with(format!("ratio_fixed{suffix}"), ours / fixed)
        .beside(format!("peer{suffix}_bits_per_entity"), bits_per_entity(bytes))
        .beside(format!("peer_fixed{suffix}_bits_per_entity"), bits_per_entity(fixed))
        .beside(format!("peer{suffix}_us_per_tick"), figure("us_per_tick")?))
}

/// What ours needs for a trace; the bytes again beside the sample.
fn ours(sample: Sample, trace: &Trace, rate: Rate) -> anyhow::Result<(Sample, f64)> {
    let (hz, suffix) = (rate.hz, rate.suffix);
    let training = TRAINING_SEEDS.map(|seed| battle::record(seed, hz, trace.ticks.len()));
    let tables = Arc::new(world::train(hz, &training)?);
    let ours = play::play(trace, rate, Some(&tables))?;
    let plain = play::play(trace, rate, None)?;
    let mut sample = sample
        .with(format!("ours{suffix}"), ours.bytes)
        .with(format!("ours_plain{suffix}"), plain.bytes)
        .with(format!("copies_per_encode{suffix}"), ours.copies_per_body)
        .beside(format!("ours{suffix}_bits_per_entity"), bits_per_entity(ours.bytes))
        .beside(format!("ours{suffix}_bytes_max"), ours.bytes_max)
        .beside(format!("ours{suffix}_us_per_tick"), ours.us_per_tick)
        .beside(format!("changed_percent{suffix}"), trace.changed_percent());
    for (name, kind) in [("players", Kind::Player), ("projectiles", Kind::Projectile), ("vehicles", Kind::Vehicle)] {
        let only = play::play(&trace.only(kind), rate, Some(&tables))?;
        sample = sample.beside(format!("ours{suffix}_{name}_only_bytes"), only.bytes);
    }
    Ok((sample, ours.bytes))
}

fn bits_per_entity(bytes: f64) -> f64 {
    bytes * 8.0 / battle::THINGS as f64
}

/// What naia needs for a trace, when the peers are built.
fn peer(trace: &Trace, rate: Rate) -> anyhow::Result<Option<BTreeMap<String, f64>>> {
    let Some(program) = peers::program() else { return Ok(None) };
    let file = tempfile::NamedTempFile::new()?;
    trace.write(file.path())?;
    let numbers = [CLIENTS, rate.hz as usize, rate.ack_ticks].map(|number| number.to_string());
    let [clients, hz, ack_ticks] = &numbers;
    let path = file.path().to_str().context("the name of a temporary file is no UTF-8")?;
    let args = ["naia", "--trace", path, "--clients", clients, "--hz", hz, "--ack-ticks", ack_ticks];
    Ok(Some(peers::run(&program, &args)?))
}

/// A number between two others.
fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.unit() as f32
}

/// A vector in whole steps.
fn steps(vector: Vector) -> [i32; 3] {
    [vector.x, vector.y, vector.z].map(|part| (part * STEPS_PER_METRE).round() as i32)
}
