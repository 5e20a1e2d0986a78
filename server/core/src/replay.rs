//! A match again from its journal.

use amphi_shared_replica::{Game, SimMode};
use amphi_shared_wire::{AppId, MatchId, Micros, Seed, Tick, TickClock};
use thiserror::Error;

use crate::journal::{Record, Records};
use crate::{JournalError, Room, RoomConfig, RoomError};

/// Why a journal cannot be run again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The bytes are not a journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It has no beginning.
    #[error("the journal has no start record")]
    Empty,
    /// Another game, version or schema wrote it.
    #[error("the journal is of {wrote}, this build is {build}")]
    Build {
        /// Name, version and schema hash in the journal.
        wrote: String,
        /// The same of this build.
        build: String,
    },
    /// The room cannot be built.
    #[error(transparent)]
    Room(#[from] RoomError),
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Ticks that were simulated again.
    pub ticks: u32,
    /// The first tick whose state hash differs, if any; the replay stops there.
    pub difference: Option<Tick>,
    /// The journal has its last record.
    pub complete: bool,
    /// Hash of the last state.
    pub hash: u64,
}

impl Room {
    /// Runs a journal again and compares the state hash of every tick.
    pub fn replay(game: &Game, journal: &[u8]) -> Result<Replay, ReplayError> {
        let mut records = Records::new(journal)?;
        let Some(start) = records.next()? else { return Err(ReplayError::Empty) };
        let mut room = Self::build(game, config(game, start)?, SimMode::Replay)?;
        let mut replay = Replay { ticks: 0, difference: None, complete: false, hash: room.sim().state_hash() };
        while let Some(record) = records.next()? {
            match record {
                Record::Start { .. } => return Err(ReplayError::Empty),
                Record::End { .. } => {
                    replay.complete = true;
                    break;
                }
                Record::Tick { tick, hash, commands } => {
                    // A command the live room took is taken again.
                    commands.into_iter().for_each(|command| drop(room.push(Micros(0), command)));
                    let step = room.step(Micros(0));
                    while room.poll_output().is_some() {}
                    replay.ticks += 1;
                    replay.hash = step.hash;
                    if step.tick != Tick(tick) || step.hash != hash {
                        replay.difference = Some(Tick(tick));
                        break;
                    }
                }
            }
        }
        Ok(replay)
    }
}

fn config(game: &Game, start: Record) -> Result<RoomConfig, ReplayError> {
    let Record::Start { game: name, version, schema_hash, match_id, app, mode, seats, tick0_us, seed } = start else {
        return Err(ReplayError::Empty);
    };
    let wrote = format!("{name} {version}, schema {schema_hash:016x}");
    let build = format!("{} {}, schema {:016x}", game.name(), game.version(), game.schema().hash());
    if wrote != build {
        return Err(ReplayError::Build { wrote, build });
    }
    let tick_clock = TickClock { tick0: Micros(tick0_us), tick_hz: mode.tick_hz };
    let app: AppId = app.parse().unwrap_or_default();
    Ok(RoomConfig { match_id: MatchId::from_bits(match_id), app, mode, seats, tick_clock, seed: Seed(seed) })
}
