//! A journal run again: the same commands must give the same hashes.

use amphi_shared_replica::{Game, GameError, Mirror, SimMode};
use amphi_shared_wire::Seed;
use thiserror::Error;

use crate::world::World;
use crate::{JournalError, JournalReader};

/// Why a journal could not be run again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was written by another game, or another build of it.
    #[error("the journal was written by {game} {build} (schema {schema_hash:016x})")]
    Build {
        /// Name of the game.
        game: String,
        /// Its version.
        build: String,
        /// Hash of its schema.
        schema_hash: u64,
    },
    /// The world could not be built or stepped.
    #[error(transparent)]
    Game(#[from] GameError),
}

/// What a replay found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// Ticks simulated.
    pub ticks: u32,
    /// Hash after the last one.
    pub hash: u64,
    /// The first tick whose hash differs from the journal's.
    pub first_difference: Option<u32>,
}

/// Runs a journal again. A torn last record, which a crash leaves behind, ends it quietly.
///
/// # Errors
/// The journal is damaged, or belongs to another game or build.
pub fn replay(game: &Game, journal: &[u8]) -> Result<ReplayReport, ReplayError> {
    replay_with(game, journal, |_| ())
}

/// As [`replay`], and shows the quantised state after each tick.
///
/// # Errors
/// As [`replay`].
pub fn replay_with(game: &Game, journal: &[u8], mut show: impl FnMut(&Mirror)) -> Result<ReplayReport, ReplayError> {
    let mut reader = JournalReader::new(journal)?;
    let header = reader.header().clone();
    if (header.game.as_str(), header.build.as_str(), header.schema_hash)
        != (game.name(), game.version(), game.schema().hash())
    {
        return Err(ReplayError::Build { game: header.game, build: header.build, schema_hash: header.schema_hash });
    }
    let mut world = World::new(game, SimMode::Replay, header.mode, Seed(header.seed))?;
    let mut report = ReplayReport { ticks: 0, hash: world.sim.state_hash(), first_difference: None };
    loop {
        let record = match reader.next_record() {
            Ok(Some(record)) => record,
            Ok(None) | Err(JournalError::Torn) => return Ok(report),
            Err(error) => return Err(error.into()),
        };
        let Some(wanted) = record.hash else { continue };
        world.step(&record.commands)?;
        report.ticks += 1;
        report.hash = world.sim.state_hash();
        if report.hash != wanted {
            report.first_difference = Some(record.tick);
            return Ok(report);
        }
        show(world.sim.mirror());
    }
}
