//! The bench `codec --trace`: cubes of a recorded trace, through the encoder and decoder of the server.
//!
//! One client on a clean link that acknowledges each snapshot six frames later, so no baseline is younger. Every
//! integer of every cube is compared after every frame. The tables were trained on the built-in scene under other seeds
//! (`amphi-loadtest-bench train FILE`).

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_shared_replica::{Recipient, SnapshotDecoder, SnapshotEncoder, SnapshotHeader, Tables, Trainer};
use anyhow::{Context, ensure};

use super::bitpack;
use super::cubes;
use super::pose::{self, CubePose, CubeWorld};
use super::trace::Trace;
use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};

/// Trained by `amphi-loadtest-bench train loadtest/bench/src/codec/cubes.amtb`.
const TABLES: &[u8] = include_bytes!("cubes.amtb");
/// The scene that is played when no file is given.
pub(crate) const BUILT_IN: &str = "cubes";
/// Room for all cubes in one snapshot.
const BUDGET_BYTES: usize = 1 << 16;
const FLOOR_BYTES: usize = 240;
/// Seeds and frames of the scenes that tables are trained on. The measured scene has seed 1.
const TRAINING_SEEDS: [u64; 4] = [101, 102, 103, 104];
const TRAINING_FRAMES: usize = 1_800;

/// Builds the bench for a trace, or for the built-in scene.
///
/// # Errors
/// When the trace cannot be read or played.
pub(crate) fn bench(file: &Path, scale: Scale) -> anyhow::Result<Bench> {
    let trace = if file == Path::new(BUILT_IN) { cubes::play(1, scale.pick(3_600, 60)) } else { Trace::read(file)? };
    ensure!(trace.frames() > bitpack::BASELINE_FRAMES, "a trace of {} frames is too short", trace.frames());
    let frames = Rc::new(pose::frames(&trace));
    let packed = {
        let frames = Rc::clone(&frames);
        Contestant::new("bit-packing", move || Ok(Sample::new().with("bitpack_bytes", bit_packed(&frames))))
    };
    let ours = Contestant::new("ours", move || ours(&frames));
    Ok(Bench::new("codec", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).against(packed))
}

/// Trains the tables on the built-in scene.
///
/// # Errors
/// When the scene cannot be played.
pub(crate) fn train() -> anyhow::Result<Tables> {
    let mut trainer: Option<Trainer> = None;
    for seed in TRAINING_SEEDS {
        let frames = pose::frames(&cubes::play(seed, TRAINING_FRAMES));
        let mut world = CubeWorld::new(cubes::CUBES)?;
        let trainer = trainer.get_or_insert_with(|| Trainer::new(Arc::clone(world.sim.schema())));
        trainer.start_match();
        for frame in &frames {
            world.step(frame)?;
            trainer.note(world.sim.mirror());
        }
    }
    Ok(trainer.context("no seed to train on")?.finish())
}

/// Mean bytes of a frame behind the sixth.
fn bit_packed(frames: &[Vec<CubePose>]) -> f64 {
    let pairs = frames[bitpack::BASELINE_FRAMES..].iter().zip(frames);
    let bytes: usize = pairs.map(|(now, before)| bitpack::bytes(now, before)).sum();
    bytes as f64 / (frames.len() - bitpack::BASELINE_FRAMES) as f64
}

fn ours(frames: &[Vec<CubePose>]) -> anyhow::Result<Sample> {
    let mut world = CubeWorld::new(frames[0].len())?;
    let tables = Arc::new(Tables::from_bytes(TABLES, world.sim.schema()).context("train the tables again")?);
    let mut encoder = SnapshotEncoder::with_tables(Arc::clone(&tables));
    let mut decoder = SnapshotDecoder::new(Arc::clone(world.sim.schema()));
    decoder.add_tables(1, tables);
    let mut recipient = Recipient::new();
    recipient.use_tables(1);
    let (mut bytes, mut encoding, mut decoding) = (0, Duration::ZERO, Duration::ZERO);
    for (frame, poses) in frames.iter().enumerate() {
        world.step(poses)?;
        let mirror = world.sim.mirror();
        if let Some(acked) = frame.checked_sub(bitpack::BASELINE_FRAMES) {
            recipient.on_acked(acked as u16);
        }
        let start = Instant::now();
        encoder.start_tick(mirror);
        let snapshot = encoder.encode(mirror, &mut recipient, SnapshotHeader::default(), None, BUDGET_BYTES);
        let encoded = start.elapsed();
        let snapshot = snapshot.context("a snapshot has no room")?;
        recipient.sent(frame as u16);
        let start = Instant::now();
        decoder.decode(snapshot)?;
        let decoded = start.elapsed();
        for slot in mirror.order() {
            let (id, row) = (mirror.id(*slot), mirror.component_row(*slot, 1));
            let read = decoder.row(id).map(|(_, row)| &row.values[..]);
            ensure!(read == Some(row), "frame {frame}, cube {}: read as {read:?}, it is {row:?}", id.0);
        }
        if frame >= bitpack::BASELINE_FRAMES {
            bytes += snapshot.len();
            encoding += encoded;
            decoding += decoded;
        }
    }
    let measured = (frames.len() - bitpack::BASELINE_FRAMES) as f64;
    let bitpack = bit_packed(frames);
    Ok(Sample::new()
        .with("shared_bytes", bytes as f64 / measured)
        .with("bitpack_bytes", bitpack)
        .with("ratio", bytes as f64 / measured / bitpack)
        .with("encode_us", encoding.as_secs_f64() * 1e6 / measured)
        .with("decode_us", decoding.as_secs_f64() * 1e6 / measured)
        .with("exact", 1.0))
}
