//! The journal: a header, then one record per tick, each framed so that a torn end is found.
//!
//! Frame: magic `AMPJ` (4 bytes), version (u16), body length (u32), CRC-32 of the body (u32), all little-endian, then
//! the body in postcard.

use amphi_shared_replica::MatchMode;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::RoomCommand;

const MAGIC: &[u8; 4] = b"AMPJ";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 14;
/// Bytes of one body. Beyond: the journal is not read any further.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a room was made with: enough to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The match.
    pub match_id: String,
    /// The app.
    pub app: String,
    /// Name of the game.
    pub game: String,
    /// Version of the game: another build may simulate differently.
    pub build: String,
    /// Hash of the schema.
    pub schema_hash: u64,
    /// The mode.
    pub mode: MatchMode,
    /// The room's seed.
    pub seed: u64,
    /// Server time of tick 0, µs.
    pub tick0_us: u64,
}

/// One tick: what entered it, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRecord {
    /// The tick.
    pub tick: u32,
    /// What entered before it ran.
    pub commands: Vec<RoomCommand>,
    /// Hash of the state after it; `None` when the match was ended without simulating.
    pub hash: Option<u64>,
}

/// Why a journal cannot be read further.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// It does not start like a journal.
    #[error("this is no journal")]
    Magic,
    /// Another version of the format.
    #[error("the journal has version {0}; this program reads version {VERSION}")]
    Version(u16),
    /// The last record was not written to its end.
    #[error("the journal ends in the middle of a record")]
    Torn,
    /// The bytes of a record were changed.
    #[error("a record of the journal is damaged")]
    Damaged,
}

/// One frame around a body.
pub(crate) fn frame<T: Serialize>(body: &T) -> Bytes {
    let body = postcard::to_stdvec(body).unwrap_or_else(|error| panic!("a record has no bytes: {error}"));
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    out.put_slice(MAGIC);
    out.put_u16_le(VERSION);
    out.put_u32_le(body.len() as u32);
    out.put_u32_le(crc32fast::hash(&body));
    out.put_slice(&body);
    out.freeze()
}

/// Reads a journal record by record.
#[derive(Clone, Debug)]
pub struct JournalReader<'a> {
    header: JournalHeader,
    rest: &'a [u8],
}

impl<'a> JournalReader<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// These bytes are no journal of this version.
    pub fn new(bytes: &'a [u8]) -> Result<Self, JournalError> {
        let mut rest = bytes;
        let header = next(&mut rest)?.ok_or(JournalError::Torn)?;
        Ok(Self { header, rest })
    }

    /// What the room was made with.
    pub fn header(&self) -> &JournalHeader {
        &self.header
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// The record is damaged, or torn by the end of its process.
    pub fn next_record(&mut self) -> Result<Option<JournalRecord>, JournalError> {
        next(&mut self.rest)
    }
}

fn next<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<Option<T>, JournalError> {
    if rest.is_empty() {
        return Ok(None);
    }
    if rest.len() < HEADER_BYTES {
        return Err(if MAGIC.starts_with(&rest[..rest.len().min(4)]) {
            JournalError::Torn
        } else {
            JournalError::Magic
        });
    }
    let mut frame = *rest;
    if &frame[..4] != MAGIC {
        return Err(JournalError::Magic);
    }
    frame.advance(4);
    let version = frame.get_u16_le();
    if version != VERSION {
        return Err(JournalError::Version(version));
    }
    let (length, crc) = (frame.get_u32_le() as usize, frame.get_u32_le());
    if length > BODY_BYTES_MAX {
        return Err(JournalError::Damaged);
    }
    let Some(body) = frame.get(..length) else { return Err(JournalError::Torn) };
    if crc32fast::hash(body) != crc {
        return Err(JournalError::Damaged);
    }
    let value = postcard::from_bytes(body).map_err(|_| JournalError::Damaged)?;
    *rest = &frame[length..];
    Ok(Some(value))
}

#[cfg(test)]
mod tests;
