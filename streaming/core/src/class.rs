//! Topic classes: what holds for every topic whose name fits a pattern.

use std::str::FromStr;

use amphi_shared_wire::limits::{CHAT_HISTORY, HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX};
use amphi_shared_wire::{Micros, Topic, TopicError};

use crate::Role;

/// What a class expects as a publication's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Whatever is well-formed and within its size.
    Any,
    /// A line of text by a person; the hub adds who said it and when.
    ChatLine,
}

/// Who may publish beside services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// People from this role up, and services.
    People(Role),
    /// Services only.
    Service,
    /// The hub itself and nobody else.
    Hub,
}

/// Whether subscriptions count as viewers of the group that the first two parts of the name make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// They do not.
    Ignored,
    /// They do: the hub says how many on `{first}:{second}:stats`.
    Counted,
}

/// What a topic remembers. Beyond a maximum the oldest publication goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Publications kept.
    pub messages_max: usize,
    /// Encoded bytes kept.
    pub bytes_max: usize,
    /// True when a keyframe drops everything before it and a newcomer starts at it.
    pub keyframes: bool,
}

/// A pattern of topic names: parts joined by `:`, where `*` stands for any one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Option<String>>);

impl Pattern {
    /// True when `topic` has the same number of parts and each one fits.
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut parts = topic.parts();
        let fits = self.0.iter().all(|want| match (want, parts.next()) {
            (Some(want), Some(part)) => want == part,
            (None, Some(_)) => true,
            (Some(_) | None, None) => false,
        });
        fits && parts.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        let part = |part: &str| match part {
            "*" => Ok(None),
            name => name.parse::<Topic>().map(|topic| Some(topic.as_str().to_owned())),
        };
        text.split(':').map(part).collect::<Result<_, _>>().map(Self)
    }
}

/// What holds for every topic whose name fits the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicClass {
    /// Which names; the first class that fits wins.
    pub pattern: Pattern,
    /// Lowest role that may subscribe.
    pub subscribe: Role,
    /// Who may publish.
    pub publish: Publisher,
    /// What a publication carries.
    pub content: Content,
    /// What is remembered.
    pub history: HistoryLimits,
    /// Publications that a reader without a position sees at once, at most.
    pub newcomer_messages: usize,
    /// Whether its subscriptions count as viewers.
    pub audience: Audience,
    /// How long a topic without readers and publications keeps its history.
    pub idle: Micros,
}

impl TopicClass {
    /// `match:*:chat`: guests may write, a late joiner sees the last 50 lines.
    pub fn match_chat() -> Self {
        Self {
            pattern: pattern("match:*:chat"),
            subscribe: Role::Guest,
            publish: Publisher::People(Role::Guest),
            content: Content::ChatLine,
            history: HistoryLimits {
                messages_max: 4 * CHAT_HISTORY,
                bytes_max: HISTORY_BYTES_MAX / 2,
                keyframes: false,
            },
            newcomer_messages: CHAT_HISTORY,
            audience: Audience::Ignored,
            idle: Micros::from_secs(300),
        }
    }

    /// `match:*:view:*`: frames of one view of a match, from the newest keyframe on.
    pub fn match_view() -> Self {
        Self {
            pattern: pattern("match:*:view:*"),
            subscribe: Role::Guest,
            publish: Publisher::Service,
            content: Content::Any,
            history: HistoryLimits {
                messages_max: HISTORY_MESSAGES_MAX,
                bytes_max: HISTORY_BYTES_MAX / 2,
                keyframes: true,
            },
            newcomer_messages: HISTORY_MESSAGES_MAX,
            audience: Audience::Counted,
            idle: Micros::from_secs(30),
        }
    }

    /// `match:*:stats`: the last number of viewers.
    pub fn match_stats() -> Self {
        Self {
            pattern: pattern("match:*:stats"),
            subscribe: Role::Guest,
            publish: Publisher::Hub,
            content: Content::Any,
            history: HistoryLimits { messages_max: 1, bytes_max: 4_096, keyframes: false },
            newcomer_messages: 1,
            audience: Audience::Ignored,
            idle: Micros::from_secs(15),
        }
    }
}

fn pattern(text: &str) -> Pattern {
    text.parse().expect("a pattern written here is well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_part_by_part() {
        let pattern: Pattern = "match:*:view:*".parse().unwrap();
        for (name, fits) in [
            ("match:a:view:0", true),
            ("match:a:view", false),
            ("match:a:view:0:x", false),
            ("match:a:chat:0", false),
            ("march:a:view:0", false),
        ] {
            assert_eq!(pattern.matches(&name.parse().unwrap()), fits, "{name}");
        }
        assert!("match::chat".parse::<Pattern>().is_err());
        assert!("Match:*".parse::<Pattern>().is_err());
    }
}
