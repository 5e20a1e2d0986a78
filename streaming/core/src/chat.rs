//! Chat lines: what may be said, and how a line looks to readers.

use amphi_shared_wire::limits::{CHAT_CHARS_MAX, CHAT_LINES_PER_10_S};
use amphi_shared_wire::proto::{Payload, payload::Kind};
use amphi_shared_wire::{Code, Micros};
use bytes::Bytes;
use prost::Message;
use serde::Serialize;

use crate::payload::decode;
use crate::{Denied, Pace, Person, Record};

/// How often one person may write, over all chats, unless a class says something else.
pub(crate) const LINE_PACE: Pace =
    Pace { interval: Micros(10_000_000 / CHAT_LINES_PER_10_S as u64), burst: CHAT_LINES_PER_10_S };

/// A checked line of text.
///
/// Line breaks and tabs become spaces; other control characters and the marks that turn the direction of
/// text around are taken out; spaces at both ends go. Everything else stays as it is: markup is text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChatLine(String);

impl ChatLine {
    /// Reads a line from a payload, which must be plain text.
    pub(crate) fn parse(payload: &Payload) -> Result<Self, Denied> {
        let Some(Kind::Text(text)) = &payload.kind else {
            return Err(Denied::new(Code::MessageInvalid, "a chat line is a text payload"));
        };
        let line: String = text.chars().filter_map(clean).collect();
        let line = line.trim();
        if line.is_empty() {
            return Err(Denied::new(Code::MessageEmpty, "the chat line has no visible character"));
        }
        if line.chars().count() > CHAT_CHARS_MAX {
            return Err(Denied::new(Code::MessageTooLarge, "a chat line has at most 500 characters"));
        }
        Ok(Self(line.to_owned()))
    }

    /// The payload that is published: `{"from": {"id", "name", "role"}, "text", "at_us"}`.
    pub(crate) fn publication(&self, person: &Person, now: Micros) -> Payload {
        let line = Line {
            from: From { id: person.user.to_string(), name: &person.name, role: person.role.as_str() },
            text: &self.0,
            at_us: now.0,
        };
        let json = serde_json::to_string(&line).expect("strings and numbers always become JSON");
        Payload { kind: Some(Kind::Json(json)) }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    from: From<'a>,
    text: &'a str,
    at_us: u64,
}

#[derive(Serialize)]
struct From<'a> {
    id: String,
    name: &'a str,
    role: &'static str,
}

/// The payload that readers get: with `id`, its offset, which nobody knew before it was published.
pub(crate) fn with_id(record: &Record) -> Bytes {
    let Some(Kind::Json(json)) = decode(&record.payload).kind else { return record.payload.clone() };
    let Some(rest) = json.strip_prefix('{') else { return record.payload.clone() };
    // A service may have published an object without members.
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let json = format!(r#"{{"id":{}{comma}{rest}"#, record.offset);
    Payload { kind: Some(Kind::Json(json)) }.encode_to_vec().into()
}

fn clean(c: char) -> Option<char> {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        // Direction overrides and isolates (UAX #9, section 2): one line could turn the whole chat around.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests;
