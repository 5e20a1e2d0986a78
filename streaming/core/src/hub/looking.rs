//! What a topic holds, for those who ask once and read no further.

use amphi_shared_wire::limits::{HISTORY_READS_WAITING_MAX, TOPIC_OPEN_MS_MAX};
use amphi_shared_wire::proto::{Position, Subscribe};
use amphi_shared_wire::{AppId, Code, Micros};
use bytes::Bytes;

use super::{Hub, HubOutput};
use crate::topic::Look;
use crate::{BrokerFault, Denied, Person, TopicKey};

/// What a topic holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryView {
    /// Where the topic stands.
    pub newest: Position,
    /// False: history does not reach back to the position that was asked for, and this is what a newcomer gets.
    pub recovered: bool,
    /// There is more behind the last one.
    pub more: bool,
    /// Publications as text, each one JSON object; rising offsets.
    pub publications: Vec<Bytes>,
}

impl Hub {
    /// Tells what a topic holds: everything after `since`, the oldest first, or else the newest, at most `limit`. A topic
    /// of entries is told whole. The answer comes as a [`HubOutput::History`] with this `ticket`. A service (no person)
    /// may read every topic.
    ///
    /// # Errors
    /// As a `Subscribe` would be refused.
    pub fn look(
        &mut self,
        now: Micros,
        ticket: u64,
        (app, person): (&AppId, Option<&Person>),
        (ask, limit): (Subscribe, usize),
    ) -> Result<(), Denied> {
        let done = self.try_look(now, ticket, (app, person), (ask, limit));
        done.inspect_err(|denied| self.count(*denied))
    }

    fn try_look(
        &mut self,
        now: Micros,
        ticket: u64,
        (app, person): (&AppId, Option<&Person>),
        (ask, limit): (Subscribe, usize),
    ) -> Result<(), Denied> {
        let (name, class) = self.classify(&ask.topic)?;
        let subscribe = self.config.classes[class].subscribe;
        if person.is_some_and(|person| !subscribe.allows(person, &name, |grants| &grants.read)) {
            return Err(Denied::new(
                Code::SubscribeForbidden,
                "the topic needs a higher role, or a token that grants it",
            ));
        }
        if self.looks_waiting >= HISTORY_READS_WAITING_MAX {
            return Err(BrokerFault::Overloaded.denied());
        }
        let alias = self.open(now, TopicKey { app: app.clone(), name }, class)?;
        let Some(topic) = self.topics.get_mut(&alias) else { return Ok(()) };
        topic.used_at = now;
        let until = now + Micros::from_millis(TOPIC_OPEN_MS_MAX);
        topic.looks.push(Look { ticket, since: ask.since, limit, until });
        self.looks_waiting += 1;
        if topic.is_open {
            self.answer_looks(now, alias);
        } else {
            self.patience.push_back((until, alias));
        }
        Ok(())
    }

    /// Tells those who wait what the topic holds.
    pub(super) fn answer_looks(&mut self, now: Micros, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        topic.history.expire(now);
        let class = &self.config.classes[topic.class];
        for Look { ticket, since, limit, .. } in std::mem::take(&mut topic.looks) {
            let view = Ok(topic.look(since, class, limit));
            self.looks_waiting -= 1;
            self.outputs.push_back(HubOutput::History { ticket, view });
        }
    }

    /// Refuses those who have waited for the first read of a topic until `now`.
    pub(super) fn refuse_looks(&mut self, now: Micros, alias: u32, denied: Denied) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let (over, waiting): (Vec<_>, _) = topic.looks.drain(..).partition(|look| look.until <= now);
        topic.looks = waiting;
        self.looks_waiting -= over.len();
        for Look { ticket, .. } in over {
            self.count(denied);
            self.outputs.push_back(HubOutput::History { ticket, view: Err(denied) });
        }
    }
}
