//! What a publication may carry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use amphi_shared_wire::limits::{ENTRY_BYTES_MAX, FRAME_BYTES_MAX, JSON_DEPTH_MAX, SERVICE_PUBLISH_BYTES_MAX};
use amphi_shared_wire::proto::{Payload, payload::Kind};
use amphi_shared_wire::{Code, encode_varint};
use bytes::Bytes;
use prost::Message;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Denied, EntryChange};

/// Flag of a publication that needs none before it.
pub const FLAG_KEYFRAME: u8 = 1;

/// First byte of a publication on lane 1; a reply starts with 0.
const PUBLICATION: u8 = 1;

/// Bytes in front of a payload at most: kind, alias, offset and flags.
const HEAD_BYTES_MAX: usize = 1 + 5 + 10 + 1;
/// Bytes of the head of a `Payload` message, and of a number that is put into a chat line.
const PAYLOAD_HEAD_BYTES_MAX: usize = 8 + 26;
const _: () = assert!(SERVICE_PUBLISH_BYTES_MAX + HEAD_BYTES_MAX + PAYLOAD_HEAD_BYTES_MAX <= FRAME_BYTES_MAX);

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

/// The bytes every reader gets: `1, varint alias, varint offset, u8 flags, Payload`. A checked payload fits into a frame
/// with them.
pub(crate) fn encode(alias: u32, offset: u64, flags: u8, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEAD_BYTES_MAX + payload.len());
    out.push(PUBLICATION);
    encode_varint(u64::from(alias), &mut out);
    encode_varint(offset, &mut out);
    out.push(flags);
    out.extend_from_slice(payload);
    out.into()
}

/// A `Payload` message; what cannot be read has no payload.
pub(crate) fn decode(bytes: &[u8]) -> Payload {
    Payload::decode(bytes).unwrap_or_default()
}

/// Stands for a body, so that a key is not used for two (FNV-1a, 64 bits). Keys belong to a person, so who finds two
/// bodies with one number fools nobody else.
pub(crate) fn fingerprint(payload: &Payload) -> u64 {
    let (kind, bytes): (u8, &[u8]) = match &payload.kind {
        Some(Kind::Json(text)) => (1, text.as_bytes()),
        Some(Kind::Text(text)) => (2, text.as_bytes()),
        Some(Kind::Binary(bytes)) => (3, bytes),
        None => (0, &[]),
    };
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    std::iter::once(&kind).chain(bytes).fold(0xcbf2_9ce4_8422_2325, step)
}

/// What a JSON object changes: the entry that its member `key` names, which is taken out when the object holds nothing else.
pub(crate) fn entry(payload: &Payload, key: &str) -> Result<EntryChange, Denied> {
    let invalid =
        Denied::new(Code::MessageInvalid, "this topic takes JSON objects with the member that its class names");
    let Some(Kind::Json(json)) = &payload.kind else { return Err(invalid) };
    let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json).map_err(|_| invalid)?;
    let name = object.get(key).ok_or(invalid)?;
    let name = match serde_json::from_str::<Value>(name.get()).map_err(|_| invalid)? {
        Value::String(name) => name,
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(invalid),
    };
    if name.is_empty() || name.len() > ENTRY_BYTES_MAX {
        return Err(Denied::new(Code::MessageInvalid, "the name of an entry has 1 to 64 bytes"));
    }
    Ok(EntryChange { key: name, removes: object.len() == 1 })
}

pub(crate) fn check_json(text: &str) -> Result<(), Denied> {
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
