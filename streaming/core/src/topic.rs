//! One topic: its position, its history and its readers.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::limits::IDEMPOTENCY_KEYS_MAX;
use amphi_shared_wire::proto::Position;
use amphi_shared_wire::{AppId, Micros, Topic, UserId};
use bytes::Bytes;

use crate::history::{Entry, History};
use crate::payload::decode;
use crate::{Place, SessionKey, TopicClass, text};

/// One topic: its position, its history and its readers.
#[derive(Debug)]
pub(crate) struct TopicState {
    pub(crate) app: AppId,
    pub(crate) name: Topic,
    /// Index of its class.
    pub(crate) class: usize,
    /// Differs whenever the history starts anew.
    pub(crate) epoch: u64,
    /// Offset of the newest publication; the first one has 1.
    pub(crate) newest: u64,
    pub(crate) history: History,
    /// Each reader with the newest offset it was given when it subscribed.
    pub(crate) readers: BTreeMap<SessionKey, u64>,
    /// The same for readers of text.
    pub(crate) text_readers: BTreeMap<SessionKey, u64>,
    pub(crate) keys: Keys,
    pub(crate) used_at: Micros,
    /// When the hub looks whether it may go.
    pub(crate) sweep_at: Option<Micros>,
}

/// What a reader gets at once.
pub(crate) struct Replay<'a> {
    pub(crate) recovered: bool,
    pub(crate) publications: Vec<&'a Entry>,
}

impl TopicState {
    pub(crate) fn replay(&self, since: Option<Position>, class: &TopicClass) -> Replay<'_> {
        let newcomer = || self.history.newcomer(class.newcomer_messages);
        let Some(since) = since else {
            return Replay { recovered: true, publications: newcomer() };
        };
        let missed = (since.epoch == self.epoch).then(|| self.history.after(since.offset, self.newest)).flatten();
        match missed {
            Some(publications) => Replay { recovered: true, publications },
            None => Replay { recovered: false, publications: newcomer() },
        }
    }

    /// A publication as text; made once.
    pub(crate) fn text(&self, entry: &Entry) -> Bytes {
        let make = || text::publication(&self.name, (self.epoch, entry.offset), &decode(&entry.bytes));
        entry.text.get_or_init(make).clone()
    }

    pub(crate) fn place(&self, alias: u32, offset: u64) -> Place {
        Place { alias, epoch: self.epoch, offset }
    }

    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty() || !self.text_readers.is_empty()
    }

    /// When a topic without readers may go. One that holds nothing goes sooner.
    pub(crate) fn expires_at(&self, class: &TopicClass) -> Micros {
        self.used_at + if self.history.is_empty() { class.idle.min(EMPTY_IDLE) } else { class.idle }
    }
}

/// How long a topic without readers and history keeps its position.
const EMPTY_IDLE: Micros = Micros::from_secs(15);

/// Idempotency keys of the newest keyed publications. Beyond the maximum the oldest is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    offsets: BTreeMap<(UserId, String), u64>,
    order: VecDeque<(UserId, String)>,
}

impl Keys {
    /// Offset of the publication that `user` made with `key`.
    pub(crate) fn find(&self, user: UserId, key: &str) -> Option<u64> {
        if key.is_empty() {
            return None;
        }
        self.offsets.get(&(user, key.to_owned())).copied()
    }

    /// Remembers a key; an empty one is none.
    pub(crate) fn remember(&mut self, user: UserId, key: String, offset: u64) {
        if key.is_empty() {
            return;
        }
        if self.order.len() >= IDEMPOTENCY_KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.offsets.remove(&oldest);
        }
        self.order.push_back((user, key.clone()));
        self.offsets.insert((user, key), offset);
    }
}
