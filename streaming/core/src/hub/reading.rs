//! Who reads what: subscriptions, what each brings at once, and how they end.

use amphi_shared_wire::limits::{SUBSCRIBES_BURST_MAX, SUBSCRIBES_PER_S_MAX, SUBSCRIPTIONS_MAX, TOPIC_OPEN_MS_MAX};
use amphi_shared_wire::proto::{Position, Subscribe, Subscribed, Unsubscribe, Unsubscribed, topic_reply};
use amphi_shared_wire::{Code, Micros};

use super::{Hub, HubOutput, ReplyTo};
use crate::audience::stats_topic;
use crate::topic::{How, Replay, TopicState, Waiting};
use crate::{Access, Audience, BrokerFault, Denied, Pace, Person, SessionKey, TopicClass, TopicKey};

/// How often one session may subscribe: each time may cost a whole history.
const SUBSCRIBE_PACE: Pace =
    Pace { interval: Micros(1_000_000 / SUBSCRIBES_PER_S_MAX as u64), burst: SUBSCRIBES_BURST_MAX };

impl Hub {
    /// Makes a session a reader of a topic, or lets it wait until the topic is read: the topic's alias.
    pub(super) fn join(
        &mut self,
        now: Micros,
        (session, how): (SessionKey, How),
        person: &Person,
        ask: Subscribe,
    ) -> Result<u32, Denied> {
        let (name, class) = self.classify(&ask.topic)?;
        if !self.config.classes[class].subscribe.allows(person, &name, |grants| &grants.read) {
            return Err(Denied::new(
                Code::SubscribeForbidden,
                "the topic needs a higher role, or a token that grants it",
            ));
        }
        let key = TopicKey { app: person.app.clone(), name };
        let existing = self.names.get(&key).copied();
        let state = self.sessions.entry(session).or_default();
        if existing.is_some_and(|alias| state.subscriptions.contains(&alias)) {
            return Err(Denied::new(Code::AlreadySubscribed, "the session already reads this topic"));
        }
        if state.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(Denied::new(Code::TooManySubscriptions, "the session reads as many topics as it may"));
        }
        SUBSCRIBE_PACE
            .take(now, &mut state.subscribe_due)
            .map_err(|wait| Denied::later(Code::RateLimited, "too many subscriptions in a short time", wait))?;
        let alias = self.open(now, key, class)?;
        self.sessions.entry(session).or_default().subscriptions.insert(alias);
        let waiting = Waiting { session, how, ask, until: now + Micros::from_millis(TOPIC_OPEN_MS_MAX) };
        let Some(topic) = self.topics.get_mut(&alias) else { return Ok(alias) };
        topic.used_at = now;
        if topic.is_open {
            self.add_reader(now, alias, waiting);
        } else {
            self.patience.push_back((waiting.until, alias));
            topic.waiting.push(waiting);
        }
        Ok(alias)
    }

    /// Tells a reader where the topic stands, and gives it what it gets at once.
    pub(super) fn add_reader(&mut self, now: Micros, alias: u32, Waiting { session, how, ask, .. }: Waiting) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let text = self.sessions.get(&session).is_some_and(|state| state.text);
        let given = topic.newest;
        let readers = if text { &mut topic.text_readers } else { &mut topic.readers };
        readers.insert(session, given);
        let is_return = ask.since.is_some();
        let class = &self.config.classes[topic.class];
        if class.audience == Audience::Counted
            && let Some(stats) = stats_topic(topic.name())
        {
            self.audiences.joined(now, (topic.key.app.clone(), stats));
        }
        let (recovered, outputs) = replay(now, (session, text), (alias, topic), (class, ask.since));
        if is_return {
            let counter = if recovered { &mut self.counters.recovered } else { &mut self.counters.unrecovered };
            *counter += 1;
        }
        let reply = Subscribed {
            topic: ask.topic,
            alias,
            epoch: topic.epoch,
            offset: given,
            recovered,
            replayed: u32::try_from(outputs.len()).unwrap_or(u32::MAX),
        };
        match how {
            How::Asked(id) => self.reply((session, id), topic_reply::Kind::Subscribed(reply)),
            How::Silent if recovered => {}
            How::Restored | How::Silent => self.reply((session, 0), topic_reply::Kind::Subscribed(reply)),
        }
        self.outputs.extend(outputs);
    }

    /// Tells every reader of a topic that what it missed is gone, with what a newcomer gets.
    pub(super) fn reset_readers(&mut self, now: Micros, alias: u32) {
        self.counters.resets += 1;
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let newest = topic.newest;
        let readers: Vec<_> = topic.readers.keys().map(|session| (*session, false)).collect();
        let text_readers: Vec<_> = topic.text_readers.keys().map(|session| (*session, true)).collect();
        topic.readers.values_mut().chain(topic.text_readers.values_mut()).for_each(|given| *given = newest);
        for (session, text) in readers.into_iter().chain(text_readers) {
            let Some(topic) = self.topics.get_mut(&alias) else { return };
            let class = &self.config.classes[topic.class];
            let (_, outputs) = replay(now, (session, text), (alias, topic), (class, None));
            let reply = Subscribed {
                topic: topic.name().to_string(),
                alias,
                epoch: topic.epoch,
                offset: newest,
                recovered: false,
                replayed: u32::try_from(outputs.len()).unwrap_or(u32::MAX),
            };
            self.reply((session, 0), topic_reply::Kind::Subscribed(reply));
            self.outputs.extend(outputs);
        }
    }

    /// Refuses those who have waited for the first read of a topic for too long.
    pub(super) fn give_up(&mut self, now: Micros, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let (over, waiting): (Vec<_>, _) = topic.waiting.drain(..).partition(|waiting| waiting.until <= now);
        topic.waiting = waiting;
        self.counters.unanswered += over.len() as u64;
        self.refuse_waiting(now, alias, (over, BrokerFault::Unavailable.denied()));
        self.refuse_looks(now, alias, BrokerFault::Unavailable.denied());
    }

    /// Refuses those who wait for the first read of a topic.
    pub(super) fn refuse_waiting(&mut self, now: Micros, alias: u32, (waiting, denied): (Vec<Waiting>, Denied)) {
        for Waiting { session, how, ask, .. } in waiting {
            if let Some(state) = self.sessions.get_mut(&session) {
                state.subscriptions.remove(&alias);
            }
            match how {
                How::Asked(id) => self.refuse(session, id, denied),
                How::Restored | How::Silent => self.end_subscription(session, ask.topic, denied),
            }
        }
        self.plan_sweep(now, alias);
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Micros,
        to: ReplyTo,
        person: &Person,
        ask: &Unsubscribe,
    ) -> Result<(), Denied> {
        let (name, _) = self.classify(&ask.topic)?;
        let missing = Denied::new(Code::NotSubscribed, "the session does not read this topic");
        let key = TopicKey { app: person.app.clone(), name };
        let alias = self.names.get(&key).copied().ok_or(missing)?;
        let state = self.sessions.get_mut(&to.0).ok_or(missing)?;
        if !state.subscriptions.remove(&alias) {
            return Err(missing);
        }
        self.remove_reader(now, to.0, alias);
        let reply = Unsubscribed { topic: ask.topic.clone(), alias, code: Code::Bye.number() };
        self.reply(to, topic_reply::Kind::Unsubscribed(reply));
        Ok(())
    }

    pub(super) fn remove_reader(&mut self, now: Micros, session: SessionKey, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        let read = topic.readers.remove(&session).is_some() | topic.text_readers.remove(&session).is_some();
        topic.waiting.retain(|waiting| waiting.session != session);
        topic.used_at = now;
        if read
            && self.config.classes[topic.class].audience == Audience::Counted
            && let Some(stats) = stats_topic(topic.name())
        {
            self.audiences.left(now, (topic.key.app.clone(), stats));
        }
        self.plan_sweep(now, alias);
    }

    /// The alias of a topic, which is followed from now on when it was not.
    pub(super) fn open(&mut self, now: Micros, key: TopicKey, class: usize) -> Result<u32, Denied> {
        if let Some(alias) = self.names.get(&key) {
            return Ok(*alias);
        }
        let full = Denied::later(Code::Overloaded, "this node holds as many topics as it may", Micros::from_secs(5));
        if self.topics.len() >= self.config.topics_max {
            return Err(full);
        }
        let alias = self.alias_last.checked_add(1).ok_or(full)?;
        self.alias_last = alias;
        let rules = &self.config.classes[class];
        let by_hub = rules.publish == Access::Hub;
        self.topics.insert(alias, TopicState::new(key.clone(), class, rules, now));
        self.names.insert(key.clone(), alias);
        self.plan_sweep(now, alias);
        if by_hub {
            // Before the read, so that the reader for whom the topic came to be sees a number.
            let group = (key.app, key.name);
            let viewers = self.audiences.opened(now, &group);
            self.publish_viewers(now, &group, viewers);
        }
        self.request_read(alias);
        Ok(alias)
    }
}

/// What a reader gets at once, and whether that is exactly what it missed.
fn replay(
    now: Micros,
    (session, text): (SessionKey, bool),
    (alias, topic): (u32, &mut TopicState),
    (class, since): (&TopicClass, Option<Position>),
) -> (bool, Vec<HubOutput>) {
    topic.history.expire(now);
    let topic = &*topic;
    let Replay { recovered, publications } = topic.replay(since, class);
    let publications = publications.into_iter().map(|entry| {
        if text {
            let place = Some(topic.place(alias, entry.record.offset));
            let text = entry.text.get_or_init(|| topic.text(class.content, &entry.record)).clone();
            return HubOutput::SendText { session, place, text };
        }
        let frame = entry.frame.get_or_init(|| TopicState::frame(alias, class.content, &entry.record));
        HubOutput::Send { session, payload: frame.clone() }
    });
    (recovered, publications.collect())
}
