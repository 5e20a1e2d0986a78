//! What belongs together over all services: one person's way from a ticket to a seat, or one match.

use std::fmt;
use std::str::FromStr;

use crate::{MatchId, TicketId, TokenId};

/// A trace, as W3C Trace Context names it: 16 bytes, in text 32 lower-case hexadecimal digits, never zero.
///
/// Ids of ours are as large and as random, so the trace of a ticket is its id in other digits: nothing has to be stored
/// to find it again, also after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// The text is no trace id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no trace id: 32 lower-case hexadecimal digits, not all zero")]
pub struct TraceIdError;

impl TraceId {
    /// The trace in a `traceparent` header of another system (version 00 or later); `None` when it names none.
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_whole = is_hex(version, 2) && version != "ff" && is_hex(parent, 16) && is_hex(flags, 2);
        let ends = version != "00" || parts.next().is_none();
        if is_whole && ends { trace.parse().ok() } else { None }
    }

    /// The 16 bytes as a number, most significant first.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl From<TicketId> for TraceId {
    fn from(ticket: TicketId) -> Self {
        Self(ticket.to_bits().max(1))
    }
}

impl From<MatchId> for TraceId {
    fn from(match_id: MatchId) -> Self {
        Self(match_id.to_bits().max(1))
    }
}

impl From<TokenId> for TraceId {
    fn from(token: TokenId) -> Self {
        Self(token.to_bits().max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = TraceIdError;

    fn from_str(text: &str) -> Result<Self, TraceIdError> {
        if !is_hex(text, 32) {
            return Err(TraceIdError);
        }
        u128::from_str_radix(text, 16).ok().filter(|bits| *bits != 0).map(Self).ok_or(TraceIdError)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
