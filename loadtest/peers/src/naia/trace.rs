//! A battle as the bench wrote it; the format is described in `loadtest/bench/src/shooter/trace.rs`.

use std::path::Path;

use anyhow::{Context, ensure};

const MAGIC: u32 = u32::from_le_bytes(*b"AMBT");

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `rest`: yaw and pitch in 1/4096 of a turn, health, state bits.
    Player,
    /// `rest` is nothing.
    Projectile,
    /// `rest`: the rotation as smallest three.
    Vehicle,
}

/// One thing in one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    /// 1 cm.
    pub(super) place: [i32; 3],
    /// 1 cm/s.
    pub(super) speed: [i32; 3],
    pub(super) rest: [i32; 4],
}

/// Things with their ids, in the order of ids.
pub(super) type Frame = Vec<(u32, Thing)>;

/// Reads a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Frame>> {
    let bytes = std::fs::read(path).with_context(|| format!("read the trace {}", path.display()))?;
    let mut words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let mut word = || words.next().context("the trace ends too early");
    ensure!(word()? == MAGIC, "{} is no trace", path.display());
    let ticks = word()?;
    (0..ticks).map(|_| frame(&mut word)).collect()
}

fn frame(word: &mut impl FnMut() -> anyhow::Result<u32>) -> anyhow::Result<Frame> {
    let things = word()?;
    (0..things).map(|_| Ok((word()?, thing(word)?))).collect()
}

fn thing(word: &mut impl FnMut() -> anyhow::Result<u32>) -> anyhow::Result<Thing> {
    let kind = match word()? {
        0 => Kind::Player,
        1 => Kind::Projectile,
        2 => Kind::Vehicle,
        other => anyhow::bail!("a thing of the kind {other}"),
    };
    let mut numbers = [0; 10];
    for number in &mut numbers {
        *number = word()? as i32;
    }
    let [px, py, pz, sx, sy, sz, a, b, c, d] = numbers;
    Ok(Thing { kind, place: [px, py, pz], speed: [sx, sy, sz], rest: [a, b, c, d] })
}
