//! A recorded battle: what both sides send, as the whole numbers that they send, tick by tick.
//!
//! As a file it is words of 32 bits, little-endian: the letters `AMBT` and the number of ticks; then for each tick how many
//! things there are, and for each its id, its kind (0 player, 1 projectile, 2 vehicle) and its ten numbers.

use std::io::{BufWriter, Write};
use std::path::Path;

/// Steps per metre, and per m/s: a step is 1 cm, and 1 cm/s.
pub(super) const STEPS_PER_METRE: f32 = 100.0;
/// Steps of an angle in a full turn.
pub(super) const STEPS_PER_TURN: f32 = 4_096.0;

const MAGIC: u32 = u32::from_le_bytes(*b"AMBT");

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `rest`: yaw from 0 and pitch of the aim in 1/4096 of a turn, health, state bits.
    Player,
    /// `rest` is nothing.
    Projectile,
    /// `rest`: the rotation as smallest three, which part is the largest and the others in 9 bits.
    Vehicle,
}

/// One thing in one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    /// Never used again.
    pub(super) id: u32,
    pub(super) kind: Kind,
    /// 1 cm, none below 0.
    pub(super) place: [i32; 3],
    /// 1 cm/s.
    pub(super) speed: [i32; 3],
    pub(super) rest: [i32; 4],
}

impl Thing {
    fn words(&self) -> impl Iterator<Item = u32> {
        let numbers = self.place.into_iter().chain(self.speed).chain(self.rest);
        [self.id, self.kind as u32].into_iter().chain(numbers.map(|number| number as u32))
    }
}

/// Everything there is, tick by tick, in the order of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) ticks: Vec<Vec<Thing>>,
}

impl Trace {
    /// The same without other kinds of things.
    pub(super) fn only(&self, kind: Kind) -> Self {
        let only = |things: &Vec<Thing>| things.iter().filter(|thing| thing.kind == kind).copied().collect();
        Self { ticks: self.ticks.iter().map(only).collect() }
    }

    /// How many things in 100 are elsewhere, or turned, since the tick before.
    pub(super) fn changed_percent(&self) -> f64 {
        let same =
            |(now, before): (&Vec<Thing>, &Vec<Thing>)| now.iter().filter(|thing| before.contains(thing)).count();
        let same: usize = self.ticks.iter().skip(1).zip(&self.ticks).map(same).sum();
        let all: usize = self.ticks.iter().skip(1).map(Vec::len).sum();
        100.0 - same as f64 / all.max(1) as f64 * 100.0
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        let mut put = |word: u32| file.write_all(&word.to_le_bytes());
        put(MAGIC)?;
        put(self.ticks.len() as u32)?;
        for things in &self.ticks {
            put(things.len() as u32)?;
            things.iter().flat_map(Thing::words).try_for_each(&mut put)?;
        }
        file.flush()?;
        Ok(())
    }
}
