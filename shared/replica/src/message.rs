//! Bodies of events, requests and answers: one varint per integer of the struct.
//!
//! A body is forward compatible: integers missing at its end are 0, further ones are ignored.

use amphi_shared_wire::limits::FIELDS_MAX;
use amphi_shared_wire::{decode_varint, encode_varint};
use thiserror::Error;

use crate::Replicate;

/// Bytes of a varint of 32 bits.
const VARINT_BYTES_MAX: usize = 5;

/// Why bytes are no body.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the bytes are no message body: varints of 32 bits, one per number")]
pub struct MessageError;

/// The body of a message.
pub fn encode_message<M: Replicate>(message: &M) -> Vec<u8> {
    let mut row = [0; FIELDS_MAX];
    let row = &mut row[..M::fields().len().min(FIELDS_MAX)];
    message.write(row);
    let mut body = Vec::with_capacity(row.len() * 2);
    for value in row {
        encode_varint(u64::from(zigzag(*value)), &mut body);
    }
    body
}

/// The message of a body.
///
/// # Errors
/// [`MessageError`] when a varint is cut off or does not fit 32 bits.
pub fn decode_message<M: Replicate>(body: &[u8]) -> Result<M, MessageError> {
    let mut row = [0; FIELDS_MAX];
    let row = &mut row[..M::fields().len().min(FIELDS_MAX)];
    read_row(body, row)?;
    Ok(M::read(row))
}

/// Reads the first integers of a body; those it does not have become 0.
pub(crate) fn read_row(mut body: &[u8], row: &mut [i32]) -> Result<(), MessageError> {
    row.fill(0);
    for value in row {
        if body.is_empty() {
            break;
        }
        let read = decode_varint(body).ok().flatten().filter(|(_, length)| *length <= VARINT_BYTES_MAX);
        let (number, length) = read.ok_or(MessageError)?;
        *value = unzigzag(u32::try_from(number).map_err(|_| MessageError)?);
        body = &body[length..];
    }
    Ok(())
}

fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

#[cfg(test)]
mod tests;
