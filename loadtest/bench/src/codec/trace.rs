//! Recorded motion in the file format `AMTR`, so that any engine's recording can be coded.
//!
//! Little-endian: the letters `AMTR`, u32 entities, u32 frames, u32 hz; then per frame and entity thirteen f32:
//! position, rotation x y z w, linear velocity, angular velocity. Metres and seconds; y is up.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, ensure};

const MAGIC: &[u8; 4] = b"AMTR";
/// Numbers of one entity in one frame.
const NUMBERS: usize = 13;
/// Numbers of a whole trace at most: 4 GiB.
const NUMBERS_MAX: usize = 1 << 30;

/// One entity in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Motion {
    /// Centre, m.
    pub(crate) position: [f32; 3],
    /// Unit quaternion x y z w.
    pub(crate) rotation: [f32; 4],
    /// m/s.
    pub(crate) linear: [f32; 3],
    /// rad/s.
    pub(crate) angular: [f32; 3],
}

/// The motion of a fixed number of entities, frame by frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trace {
    entities: usize,
    hz: u32,
    motions: Vec<Motion>,
}

impl Trace {
    /// A trace without frames.
    pub(crate) fn new(entities: usize, hz: u32) -> Self {
        Self { entities, hz, motions: Vec::new() }
    }

    /// Frames so far.
    pub(crate) fn frames(&self) -> usize {
        self.motions.len() / self.entities
    }

    /// All entities in one frame.
    pub(crate) fn frame(&self, frame: usize) -> &[Motion] {
        &self.motions[frame * self.entities..][..self.entities]
    }

    /// Appends a frame; `motions` yields one motion per entity.
    pub(crate) fn push(&mut self, motions: impl IntoIterator<Item = Motion>) {
        self.motions.extend(motions);
        assert!(self.motions.len().is_multiple_of(self.entities), "a frame holds every entity");
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not a trace.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("open the trace {}", path.display()))?;
        let mut file = BufReader::new(file);
        let mut head = [0; 16];
        file.read_exact(&mut head).context("a trace begins with 16 bytes")?;
        ensure!(head.starts_with(MAGIC), "{} is no trace: it does not begin with AMTR", path.display());
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (entities, frames, hz) = (word(4) as usize, word(8) as usize, word(12));
        let numbers = entities.checked_mul(frames).and_then(|n| n.checked_mul(NUMBERS));
        ensure!(entities > 0 && numbers.is_some_and(|n| n <= NUMBERS_MAX), "a trace of {entities} × {frames} motions");
        let mut trace = Self::new(entities, hz);
        let mut bytes = [0; 4 * NUMBERS];
        for _ in 0..entities * frames {
            file.read_exact(&mut bytes).context("the trace ends too early")?;
            trace.motions.push(Motion::from_bytes(&bytes));
        }
        Ok(trace)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path).with_context(|| format!("create the trace {}", path.display()))?;
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        for word in [self.entities as u32, self.frames() as u32, self.hz] {
            file.write_all(&word.to_le_bytes())?;
        }
        for motion in &self.motions {
            for number in motion.numbers() {
                file.write_all(&number.to_le_bytes())?;
            }
        }
        file.flush()?;
        Ok(())
    }
}

impl Motion {
    fn numbers(&self) -> impl Iterator<Item = f32> {
        let Self { position, rotation, linear, angular } = *self;
        position.into_iter().chain(rotation).chain(linear).chain(angular)
    }

    fn from_bytes(bytes: &[u8; 4 * NUMBERS]) -> Self {
        let number = |at: usize| f32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * at + byte]));
        Self {
            position: std::array::from_fn(number),
            rotation: std::array::from_fn(|at| number(3 + at)),
            linear: std::array::from_fn(|at| number(7 + at)),
            angular: std::array::from_fn(|at| number(10 + at)),
        }
    }
}
