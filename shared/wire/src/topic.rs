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

/// A pattern of topic names: parts joined by `:`, where `*` stands for any one part, and `**` at the end for any
/// further parts, or none.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicPattern {
    parts: Vec<Option<Arc<str>>>,
    open: bool,
}

impl TopicPattern {
    /// True when every part fits, and `topic` has no further ones unless the pattern takes them.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut parts = topic.parts();
        let fits = self.parts.iter().all(|want| match (want, parts.next()) {
            (Some(want), Some(part)) => &**want == part,
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        });
        fits && (self.open || parts.next().is_none())
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts.iter().map(|part| part.as_deref().unwrap_or("*")).chain(self.open.then_some("**"));
        f.write_str(&parts.collect::<Vec<_>>().join(":"))
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for TopicPattern {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX {
            return Err(TopicError::Length);
        }
        let (text, open) = text.strip_suffix(":**").map_or((text, false), |text| (text, true));
        let part = |part: &str| match part {
            "*" => Ok(None),
            name => name.parse::<Topic>().map(|topic| Some(topic.0)),
        };
        let parts = text.split(':').map(part).collect::<Result<_, _>>()?;
        Ok(Self { parts, open })
    }
}

/// What a token lets its person do beyond their role, by patterns of topic names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicGrants {
    /// Topics to publish to.
    pub publish: Vec<TopicPattern>,
    /// Topics to read.
    pub read: Vec<TopicPattern>,
    /// Topics whose presence may be seen.
    pub presence: Vec<TopicPattern>,
}

impl TopicGrants {
    /// Patterns in all three lists.
    pub fn len(&self) -> usize {
        self.publish.len() + self.read.len() + self.presence.len()
    }

    /// True when nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
