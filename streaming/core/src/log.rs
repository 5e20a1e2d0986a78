//! The log of one topic in memory: its position, its history, and the keys of what was published.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::IDEMPOTENCY_KEYS_MAX;
use amphi_shared_wire::proto::Position;

use crate::history::History;
use crate::{BrokerFault, LogRules, LogView, Once, Receipt, Record};

/// How long a topic without readers and history keeps its position.
pub(crate) const EMPTY_IDLE: Micros = Micros::from_secs(15);

/// The log of one topic.
#[derive(Debug)]
pub(crate) struct TopicLog {
    rules: LogRules,
    epoch: u64,
    newest: u64,
    history: History,
    keys: Keys,
    pub(crate) used_at: Micros,
    /// A hub follows it.
    pub(crate) followed: bool,
    /// When it is looked at whether it may go.
    pub(crate) sweep_at: Option<Micros>,
}

impl TopicLog {
    pub(crate) fn new(rules: LogRules, epoch: u64, now: Micros) -> Self {
        Self {
            rules,
            epoch,
            newest: 0,
            history: History::new(rules.history),
            keys: Keys::default(),
            used_at: now,
            followed: false,
            sweep_at: None,
        }
    }

    /// Gives a publication its place, and the record with it; no record when it stood there already.
    pub(crate) fn publish(
        &mut self,
        mut record: Record,
        once: Option<Once>,
    ) -> Result<(Receipt, Option<Record>), BrokerFault> {
        if let Some(once) = &once
            && let Some((offset, fingerprint)) = self.keys.find(&once.key)
        {
            if fingerprint != once.fingerprint {
                return Err(BrokerFault::KeyReused);
            }
            return Ok((Receipt { epoch: self.epoch, offset, duplicate: true }, None));
        }
        if !self.history.has_room(record.entry.as_ref(), record.payload.len()) {
            return Err(BrokerFault::Full);
        }
        self.newest += 1;
        record.offset = self.newest;
        self.used_at = record.at;
        self.history.push(record.clone());
        if let Some(once) = once {
            self.keys.remember(once, record.offset);
        }
        Ok((Receipt { epoch: self.epoch, offset: record.offset, duplicate: false }, Some(record)))
    }

    pub(crate) fn view(&mut self, now: Micros, since: Option<Position>) -> LogView {
        self.used_at = now;
        self.history.expire(now);
        let known = since.filter(|since| since.epoch == self.epoch);
        let missed = known.and_then(|since| self.history.after(since.offset, self.newest));
        if let Some(missed) = missed {
            let records = missed.into_iter().map(|entry| entry.record.clone()).collect();
            return LogView { epoch: self.epoch, newest: self.newest, since: true, records, state: Vec::new() };
        }
        let (records, state) = self.history.all();
        LogView { epoch: self.epoch, newest: self.newest, since: false, records, state }
    }

    /// When it may go unless somebody uses it. One that holds nothing goes sooner.
    pub(crate) fn expires_at(&self) -> Micros {
        let idle = self.rules.idle;
        self.used_at + if self.history.is_empty() { idle.min(EMPTY_IDLE) } else { idle }
    }
}

/// Idempotency keys of the newest keyed publications. Beyond the maximum the oldest is forgotten.
#[derive(Debug, Default)]
struct Keys {
    used: BTreeMap<String, (u64, u64)>,
    order: VecDeque<String>,
}

impl Keys {
    /// Offset and fingerprint of the publication that was made with `key`.
    fn find(&self, key: &str) -> Option<(u64, u64)> {
        self.used.get(key).copied()
    }

    fn remember(&mut self, once: Once, offset: u64) {
        if self.order.len() >= IDEMPOTENCY_KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.used.remove(&oldest);
        }
        self.order.push_back(once.key.clone());
        self.used.insert(once.key, (offset, once.fingerprint));
    }
}
