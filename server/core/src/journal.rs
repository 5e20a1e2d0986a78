//! The journal of a room: bytes that hold everything needed to run the match again.
//!
//! Layout: magic `AMPJ` and `u16` version, then records: `u32` length, `u32` CRC-32 of the body, body in postcard.
//! Integers are little-endian. A journal that was cut off in the middle of a record is good up to there.

use amphi_shared_replica::MatchMode;
use amphi_shared_wire::limits::{FRAME_BYTES_MAX, INPUT_BYTES_MAX, ROOM_COMMANDS_MAX};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::RoomCommand;
use crate::room::SeatPlan;

const MAGIC: [u8; 4] = *b"AMPJ";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 6;
const RECORD_HEAD_BYTES: usize = 8;
/// A record beyond this is damaged: no tick has more commands than this.
const RECORD_BYTES_MAX: usize = ROOM_COMMANDS_MAX * (INPUT_BYTES_MAX + 192) + FRAME_BYTES_MAX;

/// Why bytes are not a journal.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum JournalError {
    /// Not a journal, or of a version this build does not read.
    #[error("not a journal of version {VERSION}")]
    Version,
    /// A record's checksum or contents are wrong.
    #[error("record {0} is damaged")]
    Damaged(usize),
}

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// The first one: what the room was made of.
    Start {
        game: String,
        version: String,
        schema_hash: u64,
        match_id: u128,
        app: String,
        mode: MatchMode,
        seats: Vec<SeatPlan>,
        tick0_us: u64,
        seed: u64,
    },
    /// A tick: the commands before it, and the hash of the state after it.
    Tick { tick: u32, hash: u64, commands: Vec<RoomCommand> },
    /// The last one.
    End { tick: u32, outcome: String },
}

impl Record {
    /// The bytes to append. The first record of a journal brings the head with it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Postcard fails only on types that cannot be written, and these can.
        let body = postcard::to_stdvec(self).unwrap_or_default();
        let mut out = Vec::with_capacity(HEAD_BYTES + RECORD_HEAD_BYTES + body.len());
        if matches!(self, Self::Start { .. }) {
            out.extend_from_slice(&MAGIC);
            out.extend_from_slice(&VERSION.to_le_bytes());
        }
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        out.extend_from_slice(&body);
        out
    }
}

/// Reads records one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(journal: &'a [u8]) -> Result<Self, JournalError> {
        let head = journal.strip_prefix(&MAGIC).and_then(|rest| rest.strip_prefix(&VERSION.to_le_bytes()));
        Ok(Self { rest: head.ok_or(JournalError::Version)?, number: 0 })
    }

    /// The next record; `None` at the end, or where the journal was cut off.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, JournalError> {
        let Some((head, rest)) = self.rest.split_at_checked(RECORD_HEAD_BYTES) else { return Ok(None) };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, crc) = (word(0) as usize, word(4));
        if length > RECORD_BYTES_MAX {
            return Err(JournalError::Damaged(self.number));
        }
        let Some((body, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        if crc32fast::hash(body) != crc {
            return Err(JournalError::Damaged(self.number));
        }
        let record = postcard::from_bytes(body).map_err(|_| JournalError::Damaged(self.number))?;
        self.rest = rest;
        self.number += 1;
        Ok(Some(record))
    }
}
