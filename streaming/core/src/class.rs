//! Topic classes: what holds for every topic whose name fits a pattern.

use amphi_shared_wire::limits::{
    CHAT_HISTORY, HISTORY_AGE_S_MAX, HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX, PUBLISH_BYTES_MAX, SEND_QUEUE_AGE_MS_MAX,
    SEND_QUEUE_BYTES_MAX,
};
use amphi_shared_wire::{Micros, Topic, TopicGrants, TopicPattern};

use crate::chat::LINE_PACE;
use crate::{LogRules, Pace, Person, Reach, Role};

/// What a class expects as a publication's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Whatever is well-formed and within its size.
    Any,
    /// A line of text by a person; the hub adds who said it and when.
    ChatLine,
}

/// Who may do something with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// People from this role up; to publish, services too.
    People(Role),
    /// People whose token grants a pattern that fits; to publish, services too.
    Token,
    /// Services only.
    Service,
    /// The hub itself and nobody else.
    Hub,
}

impl Access {
    /// Whether a person may; `granted` picks the patterns that count.
    pub(crate) fn allows(self, person: &Person, topic: &Topic, granted: fn(&TopicGrants) -> &[TopicPattern]) -> bool {
        match self {
            Self::People(role) => person.role >= role,
            Self::Token => person.grants.as_deref().is_some_and(|grants| fits(granted(grants), topic)),
            Self::Service | Self::Hub => false,
        }
    }
}

fn fits(patterns: &[TopicPattern], topic: &Topic) -> bool {
    patterns.iter().any(|pattern| pattern.matches(topic))
}

/// Whether subscriptions count as viewers of the group that the first two parts of the name make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// They do not.
    Ignored,
    /// They do: the hub says how many on `{first}:{second}:stats`.
    Counted,
}

/// What history is to a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryKind {
    /// The last publications.
    Stream,
    /// Everything from the newest keyframe on; a keyframe drops what lies before it.
    Keyframes,
    /// The newest publication of each entry.
    State,
}

/// What a topic remembers. Beyond a maximum the oldest publication goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Publications kept.
    pub messages_max: usize,
    /// Bytes of payloads kept.
    pub bytes_max: usize,
    /// Age of the oldest publication.
    pub age: Micros,
    /// What a newcomer gets of them.
    pub kind: HistoryKind,
}

/// Who hears of the readers of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceRules {
    /// Who may see who reads.
    pub see: Access,
    /// Whether those are told of each who joins and leaves.
    pub joins: bool,
}

/// What becomes of a reader that does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// Its connection is closed with `SlowReader` when more bytes than this wait for it, or one of them for longer.
    Reliable {
        /// Bytes that may wait.
        bytes_max: usize,
        /// How long one may wait.
        age_max: Micros,
    },
    /// While more bytes than this wait for it, only the newest publication per key is kept for it.
    Latest {
        /// Bytes that may wait.
        bytes_max: usize,
    },
    /// While more bytes than this wait for it, publications are left out.
    Lossy {
        /// Bytes that may wait.
        bytes_max: usize,
    },
}

impl Default for SlowReader {
    /// As the connection itself.
    fn default() -> Self {
        Self::Reliable { bytes_max: SEND_QUEUE_BYTES_MAX, age_max: Micros::from_millis(SEND_QUEUE_AGE_MS_MAX) }
    }
}

/// What holds for every topic whose name fits the pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicClass {
    /// Which names; the first class that fits wins.
    pub pattern: TopicPattern,
    /// Who may subscribe.
    pub subscribe: Access,
    /// Who may publish.
    pub publish: Access,
    /// Who hears of its readers; `None`: nobody.
    pub presence: Option<PresenceRules>,
    /// What a publication carries.
    pub content: Content,
    /// Payload of one publication by a person, bytes; at most [`PUBLISH_BYTES_MAX`].
    pub message_bytes_max: usize,
    /// How often one person may publish, over all topics of the class.
    pub pace: Pace,
    /// Member of the JSON object in a payload that names its entry, or what it is conflated by.
    pub key: Option<String>,
    /// What is remembered.
    pub history: HistoryLimits,
    /// Publications that a reader without a position sees at once, at most.
    pub newcomer_messages: usize,
    /// Whether a reader that returns gets what it missed.
    pub recovery: bool,
    /// What becomes of slow readers.
    pub slow: SlowReader,
    /// Whether its subscriptions count as viewers.
    pub audience: Audience,
    /// How long a topic without readers and publications keeps its history.
    pub idle: Micros,
    /// How far its topics reach.
    pub reach: Reach,
}

impl TopicClass {
    /// Topics that people from `user` up read and services publish to: 100 publications for a day, all nodes share them.
    pub fn new(pattern: TopicPattern) -> Self {
        Self {
            pattern,
            subscribe: Access::People(Role::Guest),
            publish: Access::Service,
            presence: None,
            content: Content::Any,
            message_bytes_max: PUBLISH_BYTES_MAX,
            pace: LINE_PACE,
            key: None,
            history: HistoryLimits {
                messages_max: 100,
                bytes_max: HISTORY_BYTES_MAX / 4,
                age: Micros::from_secs(24 * 3_600),
                kind: HistoryKind::Stream,
            },
            newcomer_messages: 0,
            recovery: true,
            slow: SlowReader::default(),
            audience: Audience::Ignored,
            idle: Micros::from_secs(24 * 3_600),
            reach: Reach::Deployment,
        }
    }

    /// `match:*:chat`: guests may write, a late joiner sees the last 50 lines.
    pub fn match_chat() -> Self {
        Self {
            publish: Access::People(Role::Guest),
            content: Content::ChatLine,
            history: history(4 * CHAT_HISTORY, HISTORY_BYTES_MAX / 2, HistoryKind::Stream),
            newcomer_messages: CHAT_HISTORY,
            idle: Micros::from_secs(300),
            ..Self::new(pattern("match:*:chat"))
        }
    }

    /// `match:*:view:*`: frames of one view of a match, from the newest keyframe on.
    pub fn match_view() -> Self {
        Self {
            history: history(HISTORY_MESSAGES_MAX, HISTORY_BYTES_MAX / 2, HistoryKind::Keyframes),
            newcomer_messages: HISTORY_MESSAGES_MAX,
            audience: Audience::Counted,
            idle: Micros::from_secs(30),
            ..Self::new(pattern("match:*:view:*"))
        }
    }

    /// `match:*:stats`: the last number of viewers.
    pub fn match_stats() -> Self {
        Self {
            publish: Access::Hub,
            history: history(1, 4_096, HistoryKind::Stream),
            newcomer_messages: 1,
            idle: Micros::from_secs(15),
            reach: Reach::Node,
            ..Self::new(pattern("match:*:stats"))
        }
    }

    /// What a broker must know.
    pub fn rules(&self) -> LogRules {
        LogRules { history: self.history, idle: self.idle, reach: self.reach, presence: self.presence.is_some() }
    }
}

fn history(messages_max: usize, bytes_max: usize, kind: HistoryKind) -> HistoryLimits {
    HistoryLimits { messages_max, bytes_max, age: Micros::from_secs(HISTORY_AGE_S_MAX), kind }
}

fn pattern(text: &str) -> TopicPattern {
    text.parse().expect("a pattern written here is well-formed")
}
