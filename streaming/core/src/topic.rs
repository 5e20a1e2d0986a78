//! One topic that a hub follows: its tail and its readers.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::proto::{Position, Subscribe};
use amphi_shared_wire::{Micros, Topic};
use bytes::Bytes;

use crate::history::{Entry, History};
use crate::log::EMPTY_IDLE;
use crate::payload::{decode, encode};
use crate::{Content, HistoryView, LogView, Place, Record, SessionKey, TopicClass, TopicKey, chat, text};

/// One topic that a hub follows: its tail and its readers.
#[derive(Debug)]
pub(crate) struct TopicState {
    pub(crate) key: TopicKey,
    /// Index of its class.
    pub(crate) class: usize,
    /// Differs whenever the history starts anew. 0 before the first read.
    pub(crate) epoch: u64,
    /// Offset of the newest publication; the first one has 1.
    pub(crate) newest: u64,
    /// All that the broker remembers, once it was read.
    pub(crate) history: History,
    /// Each reader with the newest offset it was given when it subscribed.
    pub(crate) readers: BTreeMap<SessionKey, u64>,
    /// The same for readers of text.
    pub(crate) text_readers: BTreeMap<SessionKey, u64>,
    /// The first read is answered: everything up to `newest` is known.
    pub(crate) is_open: bool,
    /// A broker owes the answer to a read.
    pub(crate) is_reading: bool,
    /// More is to be read then.
    pub(crate) reads_again: bool,
    /// Who waits for the first read.
    pub(crate) waiting: Vec<Waiting>,
    /// Who asked for history before it.
    pub(crate) looks: Vec<Look>,
    /// Publications, with their epochs, that came before one that is missing.
    pub(crate) held: VecDeque<(u64, Record)>,
    pub(crate) used_at: Micros,
    /// When the hub looks whether it may go.
    pub(crate) sweep_at: Option<Micros>,
}

/// A subscriber that waits for the first read.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) session: SessionKey,
    pub(crate) how: How,
    pub(crate) ask: Subscribe,
    pub(crate) until: Micros,
}

/// Somebody who waits for what the topic holds.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) ticket: u64,
    pub(crate) since: Option<Position>,
    pub(crate) limit: usize,
    pub(crate) until: Micros,
}

/// How a subscriber came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// By a request with this id.
    Asked(u32),
    /// By the positions in its Hello.
    Restored,
    /// By its token: it hears nothing but publications.
    Silent,
}

/// What a reader gets at once.
pub(crate) struct Replay<'a> {
    pub(crate) recovered: bool,
    pub(crate) publications: Vec<&'a Entry>,
}

impl TopicState {
    pub(crate) fn new(key: TopicKey, class: usize, rules: &TopicClass, now: Micros) -> Self {
        Self {
            key,
            class,
            epoch: 0,
            newest: 0,
            history: History::new(rules.history),
            readers: BTreeMap::new(),
            text_readers: BTreeMap::new(),
            is_open: false,
            is_reading: false,
            reads_again: false,
            waiting: Vec::new(),
            looks: Vec::new(),
            held: VecDeque::new(),
            used_at: now,
            sweep_at: None,
        }
    }

    pub(crate) fn name(&self) -> &Topic {
        &self.key.name
    }

    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.newest }
    }

    pub(crate) fn replay(&self, since: Option<Position>, class: &TopicClass) -> Replay<'_> {
        let newcomer = || self.history.newcomer(class.newcomer_messages);
        let Some(since) = since else {
            return Replay { recovered: true, publications: newcomer() };
        };
        let known = class.recovery && since.epoch == self.epoch;
        match known.then(|| self.history.after(since.offset, self.newest)).flatten() {
            Some(publications) => Replay { recovered: true, publications },
            None => Replay { recovered: false, publications: newcomer() },
        }
    }

    /// What it holds for one who asks once.
    pub(crate) fn look(&self, since: Option<Position>, class: &TopicClass, limit: usize) -> HistoryView {
        let known = since.filter(|since| class.recovery && since.epoch == self.epoch);
        let missed = known.and_then(|since| self.history.after(since.offset, self.newest));
        let recovered = missed.is_some() || since.is_none();
        let (entries, more) = match missed {
            Some(mut missed) => {
                let more = missed.len() > limit;
                missed.truncate(limit);
                (missed, more)
            }
            None => (self.history.newcomer(limit), false),
        };
        let text = |entry: &Entry| entry.text.get_or_init(|| self.text(class.content, &entry.record)).clone();
        let publications = entries.into_iter().map(text).collect();
        HistoryView { newest: self.position(), recovered, more, publications }
    }

    /// Takes what the broker holds in place of what was known.
    pub(crate) fn replace(&mut self, view: LogView, class: &TopicClass) {
        self.epoch = view.epoch;
        self.newest = view.newest;
        self.history = History::new(class.history);
        view.state.iter().for_each(|record| self.history.keep_state(record));
        for record in view.records {
            self.history.push(record);
        }
    }

    /// A publication as every reader gets it.
    pub(crate) fn frame(alias: u32, content: Content, record: &Record) -> Bytes {
        match content {
            Content::Any => encode(alias, record.offset, record.flags, &record.payload),
            Content::ChatLine => encode(alias, record.offset, record.flags, &chat::with_id(record)),
        }
    }

    /// A publication as text.
    pub(crate) fn text(&self, content: Content, record: &Record) -> Bytes {
        let payload = match content {
            Content::Any => decode(&record.payload),
            Content::ChatLine => decode(&chat::with_id(record)),
        };
        text::publication(self.name(), (self.epoch, record.offset), &payload)
    }

    pub(crate) fn place(&self, alias: u32, offset: u64) -> Place {
        Place { alias, epoch: self.epoch, offset }
    }

    pub(crate) fn has_readers(&self) -> bool {
        !self.readers.is_empty() || !self.text_readers.is_empty() || !self.waiting.is_empty() || !self.looks.is_empty()
    }

    /// When a topic without readers is followed no more. One that holds nothing goes sooner.
    pub(crate) fn expires_at(&self, class: &TopicClass) -> Micros {
        self.used_at + class.idle.min(if self.history.is_empty() { EMPTY_IDLE } else { FOLLOWED_IDLE })
    }
}

/// How long a topic without readers is followed at most: those who lost their connection find its tail.
const FOLLOWED_IDLE: Micros = Micros::from_secs(60);
