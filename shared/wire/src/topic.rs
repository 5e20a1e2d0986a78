//! Topic names: `[a-z0-9_-]+(:[a-z0-9_-]+)*`, at most 128 bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::MatchId;
use crate::limits::TOPIC_BYTES_MAX;

/// Why a string is not a topic name.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TopicError {
    /// Empty, or longer than [`TOPIC_BYTES_MAX`] bytes.
    #[error("a topic name has 1 to 128 bytes")]
    Length,
    /// A character outside the alphabet, or an empty part.
    #[error("a topic name has parts of a-z, 0-9, `_` and `-`, joined by `:`")]
    Character,
}

/// A valid topic name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the colons.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split(':')
    }

    /// The chat of a match: `match:{id}:chat`.
    pub fn match_chat(match_id: MatchId) -> Self {
        Self(format!("match:{match_id}:chat").into())
    }

    /// A view of a match: `match:{id}:view:{view}`.
    pub fn match_view(match_id: MatchId, view: u32) -> Self {
        Self(format!("match:{match_id}:view:{view}").into())
    }

    /// Numbers about a match's audience: `match:{id}:stats`.
    pub fn match_stats(match_id: MatchId) -> Self {
        Self(format!("match:{match_id}:stats").into())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX {
            return Err(TopicError::Length);
        }
        let good = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        if text.split(':').all(good) { Ok(Self(text.into())) } else { Err(TopicError::Character) }
    }
}

#[cfg(test)]
mod tests;
