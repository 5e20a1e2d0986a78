//! Recorded matches to learn code tables from: journals of this host's data directory, or matches of bots.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use amphi_server_core::{ReplayError, replay_with};
use amphi_shared_replica::{
    Game, GameError, MatchMode, Mirror, Recipient, Seat, SimMode, SnapshotEncoder, SnapshotHeader, TRAINED_SET, Tables,
};
use amphi_shared_wire::Seed;
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, DATAGRAM_HEADER_BYTES};
use thiserror::Error;

/// Ticks from a snapshot to its ack in the comparison: a round trip of 67 ms at 60 Hz.
const ACK_TICKS: usize = 4;
/// What a native client's datagram holds.
const BUDGET_BYTES: usize = DATAGRAM_BYTES_NATIVE_MAX - DATAGRAM_HEADER_BYTES - 1;

/// Why a match cannot be learned from.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// A file or directory cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A journal cannot be run again.
    #[error("`{}`", path.display())]
    Replay {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ReplayError,
    },
    /// A journal gives another state in this build.
    #[error("`{}`: tick {tick} comes out differently in this build", path.display())]
    Different {
        /// Which.
        path: PathBuf,
        /// The first such tick.
        tick: u32,
    },
    /// The game's world cannot be built or stepped.
    #[error(transparent)]
    Game(#[from] GameError),
}

/// A match that can be played again.
#[derive(Clone, Debug)]
pub enum Recording {
    /// A journal of this build.
    Journal(PathBuf),
    /// Bots on all seats, to the end of the mode's time, under a seed.
    Bots(MatchMode, u64),
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(path) => path.display().fmt(f),
            Self::Bots(mode, seed) => write!(f, "{}, {} s with bots, seed {seed}", mode.name, mode.duration_s),
        }
    }
}

impl Recording {
    /// A journal; of a directory `rooms` as hosts write it, or one like it, the journals of all matches, by name.
    ///
    /// # Errors
    /// [`RecordingError::Unreadable`].
    pub fn journals(path: &Path) -> Result<Vec<Self>, RecordingError> {
        if !path.is_dir() {
            return Ok(vec![Self::Journal(path.to_owned())]);
        }
        let unreadable = |source| RecordingError::Unreadable { path: path.to_owned(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            let journal = if entry.is_dir() { entry.join("journal") } else { entry };
            if journal.is_file() {
                files.push(journal);
            }
        }
        files.sort();
        Ok(files.into_iter().map(Self::Journal).collect())
    }

    /// Plays the match and shows the state after each tick.
    ///
    /// # Errors
    /// See [`RecordingError`].
    pub fn play(&self, game: &Game, mut show: impl FnMut(&Mirror)) -> Result<(), RecordingError> {
        match self {
            Self::Journal(path) => {
                let unreadable = |source| RecordingError::Unreadable { path: path.clone(), source };
                let journal = fs::read(path).map_err(unreadable)?;
                let report = replay_with(game, &journal, show);
                let report = report.map_err(|source| RecordingError::Replay { path: path.clone(), source })?;
                if let Some(tick) = report.first_difference {
                    return Err(RecordingError::Different { path: path.clone(), tick });
                }
            }
            Self::Bots(mode, seed) => {
                let mut sim = game.build(SimMode::Authority, mode.clone(), Seed(*seed))?;
                for _ in 0..mode.duration_ticks() {
                    sim.step()?;
                    sim.take_events();
                    show(sim.mirror());
                }
            }
        }
        Ok(())
    }

    /// Bytes of a snapshot for seat 0, mean over the match, in these tables or in the plain codes.
    ///
    /// # Errors
    /// As [`play`](Self::play).
    pub fn snapshot_bytes(&self, game: &Game, tables: Option<&Arc<Tables>>) -> Result<f64, RecordingError> {
        let trained = |tables: &Arc<Tables>| SnapshotEncoder::with_tables(Arc::clone(tables));
        let mut encoder = tables.map_or_else(SnapshotEncoder::new, trained);
        let mut recipient = Recipient::new();
        recipient.use_tables(tables.map_or(0, |_| TRAINED_SET));
        let (mut bytes, mut seq, mut snapshots, mut open) = (0, 0_u16, 0_u32, VecDeque::new());
        self.play(game, |mirror| {
            if open.len() == ACK_TICKS
                && let Some(arrived) = open.pop_front()
            {
                recipient.on_acked(arrived);
            }
            encoder.start_tick(mirror);
            let header = SnapshotHeader::default();
            bytes += encoder.encode(mirror, &mut recipient, header, Some(Seat(0)), BUDGET_BYTES).map_or(0, <[u8]>::len);
            (seq, snapshots) = (seq.wrapping_add(1), snapshots + 1);
            recipient.sent(seq);
            open.push_back(seq);
        })?;
        Ok(bytes as f64 / f64::from(snapshots.max(1)))
    }
}

#[cfg(test)]
mod tests;
