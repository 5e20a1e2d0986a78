//! What a hub asks of a broker, and what it hears.
//!
//! A broker orders the publications of a topic, keeps its history, and hands every publication to each hub that follows
//! the topic. Which broker it is, a hub cannot see.

use amphi_shared_wire::proto::Position;
use amphi_shared_wire::{AppId, Code, Micros, Topic};
use bytes::Bytes;

use crate::{Denied, HistoryLimits};

/// A topic of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicKey {
    /// The app.
    pub app: AppId,
    /// Its name.
    pub name: Topic,
}

/// How far a topic reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Each node has its own.
    Node,
    /// All nodes of the deployment share it.
    Deployment,
}

/// What a broker must know of a topic's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRules {
    /// What is remembered.
    pub history: HistoryLimits,
    /// How long a topic that nobody uses is kept.
    pub idle: Micros,
    /// How far it reaches.
    pub reach: Reach,
    /// Nodes that follow it hear what is told about it, too.
    pub presence: bool,
}

/// What a publication does to an entry of a `state` topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryChange {
    /// Name of the entry.
    pub key: String,
    /// Takes the entry out instead of replacing it.
    pub removes: bool,
}

/// A publication as a broker keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place; the first publication of an epoch has 1.
    pub offset: u64,
    /// When it was published.
    pub at: Micros,
    /// Bit 0 is [`crate::FLAG_KEYFRAME`].
    pub flags: u8,
    /// The entry it changes, in a topic that has entries.
    pub entry: Option<EntryChange>,
    /// A `Payload` message.
    pub payload: Bytes,
}

/// An idempotency key and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The key; it belongs to whoever published.
    pub key: String,
    /// Stands for the body.
    pub fingerprint: u64,
}

/// A publication to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOrder {
    /// Comes back with the answer.
    pub ticket: u64,
    /// The topic.
    pub topic: TopicKey,
    /// The rules of its class.
    pub rules: LogRules,
    /// The publication; its offset is the broker's to say.
    pub record: Record,
    /// Makes it once.
    pub once: Option<Once>,
}

/// What a hub asks of a broker. Each request but `Leave` and `Tell` is answered by one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerRequest {
    /// Follow the topic, then say what it holds after a position, or all of it.
    Read {
        /// The topic.
        topic: TopicKey,
        /// The rules of its class.
        rules: LogRules,
        /// What the hub knows already.
        since: Option<Position>,
    },
    /// Publish.
    Publish(PublishOrder),
    /// Follow the topic no more.
    Leave {
        /// The topic.
        topic: TopicKey,
        /// The rules of its class.
        rules: LogRules,
    },
    /// Hand a message to all nodes, or to those that follow a topic; the sender hears it, too. It is kept nowhere, and lost
    /// while the broker is away.
    Tell {
        /// The topic.
        topic: Option<TopicKey>,
        /// A `NodeMessage`.
        message: Bytes,
    },
}

impl BrokerRequest {
    /// How far the topic of the request reaches.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Read { rules, .. } | Self::Leave { rules, .. } => rules.reach,
            Self::Publish(order) => order.rules.reach,
            Self::Tell { .. } => Reach::Deployment,
        }
    }
}

/// What a topic holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogView {
    /// Its epoch.
    pub epoch: u64,
    /// Offset of the newest publication.
    pub newest: u64,
    /// True when `records` are exactly those after the position that was asked for. False: they are all of history.
    pub since: bool,
    /// Publications, with rising offsets; those of history without a hole up to the newest.
    pub records: Vec<Record>,
    /// With `since` false, the entries of a `state` topic, with rising offsets.
    pub state: Vec<Record>,
}

/// Where a publication came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The topic's epoch.
    pub epoch: u64,
    /// The publication's offset.
    pub offset: u64,
    /// It stood there already, by its key.
    pub duplicate: bool,
}

/// Why a broker did not publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerFault {
    /// The key was used for another body.
    KeyReused,
    /// The topic holds as many entries as it may.
    Full,
    /// The broker is at a limit; nothing was published.
    Overloaded,
    /// The broker did not answer: the publication was made or not.
    Unavailable,
}

impl BrokerFault {
    /// The refusal that a client hears.
    pub fn denied(self) -> Denied {
        let (code, wait) = match self {
            Self::KeyReused => (Code::KeyReused, Micros(0)),
            Self::Full => (Code::TopicFull, Micros(0)),
            Self::Overloaded => (Code::Overloaded, Micros::from_millis(500)),
            Self::Unavailable => (Code::Unavailable, Micros::from_millis(500)),
        };
        let message = match self {
            Self::KeyReused => "the idempotency key was used for another message",
            Self::Full => "the topic holds as many entries as it may",
            Self::Overloaded => "the broker is at a limit",
            Self::Unavailable => "the broker did not answer; repeat with the same key",
        };
        Denied::later(code, message, wait)
    }
}

/// What a hub hears from a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerEvent {
    /// What a topic holds; or why nobody knows, after which the hub asks again.
    Read {
        /// The topic.
        topic: TopicKey,
        /// What it holds.
        view: Result<LogView, BrokerFault>,
    },
    /// What became of a publication.
    Published {
        /// The ticket of the order.
        ticket: u64,
        /// Where it stands.
        receipt: Result<Receipt, BrokerFault>,
    },
    /// A publication in a topic that the hub follows.
    Publication {
        /// The topic.
        topic: TopicKey,
        /// The topic's epoch.
        epoch: u64,
        /// The publication.
        record: Record,
    },
    /// What a node told.
    Told {
        /// The topic that it concerns.
        topic: Option<TopicKey>,
        /// A `NodeMessage`.
        message: Bytes,
    },
    /// Publications may have been missed: every topic that reaches beyond the node is to be read again.
    Unsure,
}
