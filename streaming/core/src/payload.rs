//! What a publication may carry.

use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{FRAME_BYTES_MAX, JSON_DEPTH_MAX};
use amphi_shared_wire::proto::{Payload, payload::Kind};
use amphi_shared_wire::{decode_varint, encode_varint};
use bytes::Bytes;
use prost::Message;
use serde::de::IgnoredAny;

use crate::Denied;

/// Flag of a publication that needs none before it.
pub const FLAG_KEYFRAME: u8 = 1;

/// First byte of a publication on lane 1; a reply starts with 0.
const PUBLICATION: u8 = 1;

/// Checks a payload's size and, for JSON, its syntax and nesting.
pub(crate) fn check(payload: Option<Payload>, bytes_max: usize) -> Result<Payload, Denied> {
    let Some(Payload { kind: Some(kind) }) = payload else {
        return Err(Denied::new(Code::MessageEmpty, "the publication has no payload"));
    };
    let length = match &kind {
        Kind::Json(text) | Kind::Text(text) => text.len(),
        Kind::Binary(bytes) => bytes.len(),
    };
    if length > bytes_max {
        return Err(Denied::new(Code::MessageTooLarge, "the payload is larger than this topic takes"));
    }
    if let Kind::Json(text) = &kind {
        check_json(text)?;
    }
    Ok(Payload { kind: Some(kind) })
}

/// The bytes every reader gets: `1, varint alias, varint offset, u8 flags, Payload`.
pub(crate) fn encode(alias: u32, offset: u64, flags: u8, payload: &Payload) -> Result<Bytes, Denied> {
    let mut out = Vec::with_capacity(18 + payload.encoded_len());
    out.push(PUBLICATION);
    encode_varint(u64::from(alias), &mut out);
    encode_varint(offset, &mut out);
    out.push(flags);
    payload.encode_raw(&mut out);
    if out.len() > FRAME_BYTES_MAX {
        return Err(Denied::new(Code::MessageTooLarge, "the publication does not fit into one frame"));
    }
    Ok(out.into())
}

/// The payload of bytes that [`encode`] made.
pub(crate) fn decode(bytes: &[u8]) -> Payload {
    let after = |bytes: &[u8]| decode_varint(bytes).ok().flatten().map_or(0, |(_, length)| length);
    let alias = after(&bytes[1..]);
    let offset = after(&bytes[1 + alias..]);
    // Own bytes; what cannot be read of them has no payload.
    Payload::decode(&bytes[2 + alias + offset..]).unwrap_or_default()
}

fn check_json(text: &str) -> Result<(), Denied> {
    if depth(text) > JSON_DEPTH_MAX {
        return Err(Denied::new(Code::MessageInvalid, "the JSON is nested too deeply"));
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|_| Denied::new(Code::MessageInvalid, "the payload is not JSON"))
}

/// Deepest nesting of arrays and objects, without recursion.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
