//! A record as brokers outside of the process keep it and tell of it.

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::SERVICE_PUBLISH_BYTES_MAX;
use bytes::Bytes;

use crate::{EntryChange, Record};

/// A record with its epoch and the number of the publication at its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The topic's epoch.
    pub epoch: u64,
    /// Publications of the server so far.
    pub number: u64,
    /// The publication.
    pub record: Record,
}

impl Packed {
    /// Reads `epoch offset flags time number bytes-of-entry bytes-of-payload entry payload`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut numbers = [0_u64; 7];
        for number in &mut numbers {
            let end = rest.iter().take(21).position(|byte| *byte == b' ')?;
            let (digits, after) = rest.split_at(end);
            *number = std::str::from_utf8(digits).ok()?.parse().ok()?;
            rest = &after[1..];
        }
        let [epoch, offset, flags, at, number, entry_bytes, payload_bytes] = numbers;
        let (entry_bytes, payload_bytes) = (usize::try_from(entry_bytes).ok()?, usize::try_from(payload_bytes).ok()?);
        let whole = rest.len() == entry_bytes.checked_add(payload_bytes)?;
        // What another node of the deployment lets through fits into a frame here too.
        if !whole || payload_bytes > SERVICE_PUBLISH_BYTES_MAX + 8 {
            return None;
        }
        let (entry, payload) = rest.split_at(entry_bytes);
        let entry = match entry.split_first() {
            None => None,
            Some((sign @ (b'+' | b'-'), key)) => {
                Some(EntryChange { key: std::str::from_utf8(key).ok()?.to_owned(), removes: *sign == b'-' })
            }
            Some(_) => return None,
        };
        let flags = u8::try_from(flags).ok()?;
        let record = Record { offset, at: Micros(at), flags, entry, payload: Bytes::copy_from_slice(payload) };
        Some(Self { epoch, number, record })
    }
}

#[cfg(test)]
mod tests;
