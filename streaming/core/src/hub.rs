//! The hub: topics, who reads them, and what each reader gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_shared_wire::limits::{
    CONNECTIONS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, PUBLISH_BYTES_MAX, SERVICE_PUBLISH_BYTES_MAX, SUBSCRIBES_BURST_MAX,
    SUBSCRIBES_PER_S_MAX, SUBSCRIPTIONS_MAX, TOPICS_MAX,
};
use amphi_shared_wire::proto::{
    Payload, Publish, Published, Subscribe, Subscribed, TopicReply, TopicRequest, Unsubscribe, Unsubscribed, payload,
    topic_reply, topic_request,
};
use amphi_shared_wire::{AppId, Code, Micros, Rng, Seed, Topic};
use bytes::Bytes;
use prost::Message;

use crate::audience::{Audiences, stats_topic};
use crate::chat::{ChatLine, PUBLISH_PACE};
use crate::history::History;
use crate::pace::{Pace, Paces};
use crate::payload::{FLAG_KEYFRAME, check, encode};
use crate::topic::{Keys, TopicState};
use crate::{Audience, Content, Denied, Person, Place, Publisher, SessionKey, TopicClass, text};

/// First byte of a reply on lane 1; a publication starts with 1.
const REPLY: u8 = 0;

/// How often one session may subscribe: each time may cost a whole history.
const SUBSCRIBE_PACE: Pace =
    Pace { interval: Micros(1_000_000 / SUBSCRIBES_PER_S_MAX as u64), burst: SUBSCRIBES_BURST_MAX };

/// What a hub holds.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Classes in order; the first whose pattern fits a name wins, a name that fits none is unknown.
    pub classes: Vec<TopicClass>,
    /// Topics at once. Beyond: refuse with `Overloaded`.
    pub topics_max: usize,
}

impl Default for HubConfig {
    /// The three topics of a match, and [`TOPICS_MAX`] topics.
    fn default() -> Self {
        Self {
            classes: vec![TopicClass::match_chat(), TopicClass::match_view(), TopicClass::match_stats()],
            topics_max: TOPICS_MAX,
        }
    }
}

/// What the owner of the sessions has to send, on lane 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubOutput {
    /// To one session.
    Send {
        /// The session.
        session: SessionKey,
        /// The whole message.
        payload: Bytes,
    },
    /// The same bytes to everyone in [`Hub::receivers`] of this alias and offset.
    Broadcast {
        /// The topic.
        alias: u32,
        /// The publication.
        offset: u64,
        /// The whole message.
        payload: Bytes,
    },
    /// To one reader of text.
    SendText {
        /// The reader.
        session: SessionKey,
        /// Where the publication stands; `None` for a reply.
        place: Option<Place>,
        /// One JSON object.
        text: Bytes,
    },
    /// The same text to everyone in [`Hub::text_receivers`] of this place.
    BroadcastText {
        /// The publication.
        place: Place,
        /// One JSON object.
        text: Bytes,
    },
}

/// What a hub has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Publications accepted.
    pub publications: u64,
    /// Publications answered with the offset of an earlier one with the same key.
    pub duplicates: u64,
    /// Requests and service publications refused.
    pub refused: u64,
    /// Of these: refused because of a rate.
    pub rate_limited: u64,
    /// Of these: refused because the hub holds as many topics as it may.
    pub overloaded: u64,
    /// Publications that left a history because of its maximum.
    pub history_dropped: u64,
    /// Readers that came back and got exactly what they had missed.
    pub recovered: u64,
    /// Readers that came back after their position was gone.
    pub unrecovered: u64,
    /// Topics dropped after their idle time.
    pub topics_expired: u64,
}

#[derive(Debug, Default)]
struct SessionState {
    /// Reads text instead of the messages of lane 1.
    text: bool,
    subscriptions: BTreeSet<u32>,
    subscribe_due: Micros,
}

/// Topics, who reads them, and what each reader gets.
///
/// Each `handle_*`, `publish_*` or `session_closed` is followed by [`Hub::poll_output`] until it is empty.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    epochs: Rng,
    names: BTreeMap<(AppId, Topic), u32>,
    topics: BTreeMap<u32, TopicState>,
    alias_last: u32,
    sessions: BTreeMap<SessionKey, SessionState>,
    audiences: Audiences,
    publish_paces: Paces,
    sweeps: BTreeSet<(Micros, u32)>,
    outputs: VecDeque<HubOutput>,
    counters: HubCounters,
}

impl Hub {
    /// An empty hub. Epochs come from `seed`, which differs between processes.
    pub fn new(config: HubConfig, seed: Seed) -> Self {
        Self {
            config,
            epochs: seed.split("epochs").rng(),
            names: BTreeMap::new(),
            topics: BTreeMap::new(),
            alias_last: 0,
            sessions: BTreeMap::new(),
            audiences: Audiences::default(),
            publish_paces: Paces::new(PUBLISH_PACE, CONNECTIONS_MAX),
            sweeps: BTreeSet::new(),
            outputs: VecDeque::new(),
            counters: HubCounters::default(),
        }
    }

    /// Makes a session a reader of text, until it closes. Called before anything else is done for it.
    pub fn open_text(&mut self, session: SessionKey) {
        self.sessions.entry(session).or_default().text = true;
    }

    /// Lets a session read a topic without having asked. It hears nothing of it but the publications, and a `Subscribed`
    /// with the id 0 when what it missed `since` then is gone.
    ///
    /// # Errors
    /// As a `Subscribe` would be refused.
    pub fn read(&mut self, now: Micros, session: SessionKey, person: &Person, ask: Subscribe) -> Result<Place, Denied> {
        let joined = self.join(now, session, person, ask);
        let (reply, replay) = joined.inspect_err(|denied| self.count(*denied))?;
        let place = Place { alias: reply.alias, epoch: reply.epoch, offset: reply.offset };
        if !reply.recovered {
            self.reply((session, 0), topic_reply::Kind::Subscribed(reply));
        }
        self.outputs.extend(replay);
        Ok(place)
    }

    /// Does what a session asks for, and answers it.
    pub fn handle_request(&mut self, now: Micros, session: SessionKey, person: &Person, request: TopicRequest) {
        let id = request.id;
        let done = match request.kind {
            Some(topic_request::Kind::Subscribe(ask)) => self.subscribe(now, (session, id), person, ask),
            Some(topic_request::Kind::Unsubscribe(ask)) => self.unsubscribe(now, (session, id), person, &ask),
            Some(topic_request::Kind::Publish(ask)) => self.publish(now, (session, id), person, ask),
            None => Err(Denied::new(Code::MessageInvalid, "the request asks for nothing")),
        };
        if let Err(denied) = done {
            self.refuse(session, id, denied);
        }
    }

    /// Subscribes what a session read before it lost its connection. Answers come as if it had asked, with the id 0; a
    /// topic that it may not read any more is `Unsubscribed`.
    pub fn restore(&mut self, now: Micros, session: SessionKey, person: &Person, ask: Subscribe) {
        let topic = ask.topic.clone();
        if let Err(denied) = self.subscribe(now, (session, 0), person, ask) {
            self.count(denied);
            let code = denied.code.number();
            self.reply((session, 0), topic_reply::Kind::Unsubscribed(Unsubscribed { topic, alias: 0, code }));
        }
    }

    /// Answers a request that the owner of the sessions does not let through.
    pub fn refuse(&mut self, session: SessionKey, id: u32, denied: Denied) {
        self.count(denied);
        self.reply((session, id), topic_reply::Kind::Failed(denied.to_failed()));
    }

    /// Publishes for a service: the offset of the publication.
    ///
    /// `flags` bit 0 is [`FLAG_KEYFRAME`]; the other bits are the topic's own.
    pub fn publish_service(
        &mut self,
        now: Micros,
        (app, topic): (&AppId, &str),
        flags: u8,
        payload: Option<Payload>,
    ) -> Result<u64, Denied> {
        let done = self.try_publish_service(now, (app, topic), flags, payload);
        if let Err(denied) = done {
            self.count(denied);
        }
        done
    }

    /// Ends every subscription of a session: it closed, or its connection did.
    pub fn session_closed(&mut self, now: Micros, session: SessionKey) {
        let Some(state) = self.sessions.remove(&session) else { return };
        for alias in state.subscriptions {
            self.remove_reader(now, session, alias);
        }
    }

    /// Tells viewer counts that are due and drops topics whose idle time is over.
    pub fn handle_timeout(&mut self, now: Micros) {
        while let Some((group, viewers)) = self.audiences.poll(now) {
            if let Some(alias) = self.names.get(&group).copied() {
                self.publish_viewers(now, alias, viewers);
            }
        }
        while self.sweeps.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, alias)) = self.sweeps.pop_first() else { break };
            self.sweep(now, alias);
        }
    }

    /// The next thing to send.
    pub fn poll_output(&mut self) -> Option<HubOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do, and what.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        let viewers = self.audiences.poll_timeout().map(|at| (at, "viewer count"));
        let sweep = self.sweeps.first().map(|(at, _)| (*at, "idle topic"));
        viewers.into_iter().chain(sweep).min()
    }

    /// Who gets the publication `offset` of the topic `alias`.
    pub fn receivers(&self, alias: u32, offset: u64) -> impl Iterator<Item = SessionKey> + '_ {
        let readers = self.topics.get(&alias).map(|topic| &topic.readers);
        readers.into_iter().flatten().filter(move |(_, given)| **given < offset).map(|(session, _)| *session)
    }

    /// Who gets the publication as text.
    pub fn text_receivers(&self, place: Place) -> impl Iterator<Item = SessionKey> + '_ {
        let readers = self.topics.get(&place.alias).map(|topic| &topic.text_readers);
        readers.into_iter().flatten().filter(move |(_, given)| **given < place.offset).map(|(session, _)| *session)
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Number of subscriptions that count as viewers.
    pub fn viewers(&self) -> u64 {
        self.audiences.viewers()
    }

    /// What was counted since the hub was made.
    pub fn counters(&self) -> HubCounters {
        self.counters
    }

    fn subscribe(&mut self, now: Micros, to: ReplyTo, person: &Person, ask: Subscribe) -> Result<(), Denied> {
        let (reply, replay) = self.join(now, to.0, person, ask)?;
        self.reply(to, topic_reply::Kind::Subscribed(reply));
        self.outputs.extend(replay);
        Ok(())
    }

    /// Adds a reader: what it is told, and what it gets at once.
    fn join(
        &mut self,
        now: Micros,
        session: SessionKey,
        person: &Person,
        ask: Subscribe,
    ) -> Result<(Subscribed, Vec<HubOutput>), Denied> {
        let (name, class) = self.classify(&ask.topic)?;
        if person.role < self.config.classes[class].subscribe {
            return Err(Denied::new(Code::SubscribeForbidden, "the topic needs a higher role"));
        }
        let existing = self.names.get(&(person.app.clone(), name.clone())).copied();
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
        let alias = self.open(now, &person.app, &name, class)?;
        let state = self.sessions.entry(session).or_default();
        state.subscriptions.insert(alias);
        let text = state.text;
        Ok(self.add_reader(now, (session, text), alias, ask))
    }

    fn add_reader(
        &mut self,
        now: Micros,
        (session, text): (SessionKey, bool),
        alias: u32,
        ask: Subscribe,
    ) -> (Subscribed, Vec<HubOutput>) {
        let topic = self.topics.get_mut(&alias).expect("an open topic exists");
        let class = &self.config.classes[topic.class];
        let readers = if text { &mut topic.text_readers } else { &mut topic.readers };
        readers.insert(session, topic.newest);
        topic.used_at = now;
        let replay = topic.replay(ask.since, class);
        if ask.since.is_some() {
            let counter = if replay.recovered { &mut self.counters.recovered } else { &mut self.counters.unrecovered };
            *counter += 1;
        }
        let reply = Subscribed {
            topic: ask.topic,
            alias,
            epoch: topic.epoch,
            offset: topic.newest,
            recovered: replay.recovered,
            replayed: u32::try_from(replay.publications.len()).unwrap_or(u32::MAX),
        };
        if class.audience == Audience::Counted
            && let Some(stats) = stats_topic(&topic.name)
        {
            self.audiences.joined(now, (topic.app.clone(), stats));
        }
        let publications = replay.publications.into_iter().map(|entry| {
            if text {
                let place = Some(topic.place(alias, entry.offset));
                return HubOutput::SendText { session, place, text: topic.text(entry) };
            }
            HubOutput::Send { session, payload: entry.bytes.clone() }
        });
        (reply, publications.collect())
    }

    fn unsubscribe(&mut self, now: Micros, to: ReplyTo, person: &Person, ask: &Unsubscribe) -> Result<(), Denied> {
        let (name, _) = self.classify(&ask.topic)?;
        let missing = Denied::new(Code::NotSubscribed, "the session does not read this topic");
        let alias = self.names.get(&(person.app.clone(), name)).copied().ok_or(missing)?;
        let state = self.sessions.get_mut(&to.0).ok_or(missing)?;
        if !state.subscriptions.remove(&alias) {
            return Err(missing);
        }
        self.remove_reader(now, to.0, alias);
        let reply = Unsubscribed { topic: ask.topic.clone(), alias, code: Code::Bye.number() };
        self.reply(to, topic_reply::Kind::Unsubscribed(reply));
        Ok(())
    }

    fn publish(&mut self, now: Micros, to: ReplyTo, person: &Person, ask: Publish) -> Result<(), Denied> {
        let (name, class) = self.classify(&ask.topic)?;
        let allowed = match self.config.classes[class].publish {
            Publisher::People(role) => person.role >= role,
            Publisher::Service | Publisher::Hub => false,
        };
        if !allowed {
            return Err(Denied::new(Code::PublishForbidden, "the topic does not take publications from you"));
        }
        if ask.key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(Denied::new(Code::MessageInvalid, "an idempotency key has at most 64 bytes"));
        }
        let existing = self.names.get(&(person.app.clone(), name.clone())).and_then(|alias| self.topics.get(alias));
        if let Some(offset) = existing.and_then(|topic| topic.keys.find(person.user, &ask.key)) {
            self.counters.duplicates += 1;
            self.reply(to, topic_reply::Kind::Published(Published { offset }));
            return Ok(());
        }
        let payload = check(ask.payload, PUBLISH_BYTES_MAX)?;
        let line = match self.config.classes[class].content {
            Content::Any => None,
            Content::ChatLine => Some(ChatLine::parse(&payload)?),
        };
        self.publish_paces
            .take(now, person.user)
            .map_err(|wait| Denied::later(Code::RateLimited, "too many publications in a short time", wait))?;
        let alias = self.open(now, &person.app, &name, class)?;
        let next = self.topics.get(&alias).map_or(0, |topic| topic.newest) + 1;
        let payload = line.map_or(payload, |line| line.publication(next, person, now));
        let offset = self.append(now, alias, 0, &payload)?;
        if let Some(topic) = self.topics.get_mut(&alias) {
            topic.keys.remember(person.user, ask.key, offset);
        }
        self.reply(to, topic_reply::Kind::Published(Published { offset }));
        Ok(())
    }

    fn try_publish_service(
        &mut self,
        now: Micros,
        (app, topic): (&AppId, &str),
        flags: u8,
        payload: Option<Payload>,
    ) -> Result<u64, Denied> {
        let (name, class) = self.classify(topic)?;
        if self.config.classes[class].publish == Publisher::Hub {
            return Err(Denied::new(Code::PublishForbidden, "only the hub publishes here"));
        }
        let payload = check(payload, SERVICE_PUBLISH_BYTES_MAX)?;
        let alias = self.open(now, app, &name, class)?;
        self.append(now, alias, flags, &payload)
    }

    fn publish_viewers(&mut self, now: Micros, alias: u32, viewers: u32) {
        let json = format!(r#"{{"viewers":{viewers}}}"#);
        let payload = Payload { kind: Some(payload::Kind::Json(json)) };
        // A number always fits into a frame.
        let _ = self.append(now, alias, 0, &payload);
    }

    /// Gives a publication its offset, remembers it, and hands its bytes to every reader.
    fn append(&mut self, now: Micros, alias: u32, flags: u8, payload: &Payload) -> Result<u64, Denied> {
        let topic = self.topics.get_mut(&alias).expect("an open topic exists");
        let offset = topic.newest + 1;
        let bytes = encode(alias, offset, flags, payload)?;
        topic.newest = offset;
        topic.used_at = now;
        self.counters.history_dropped += topic.history.push(offset, flags & FLAG_KEYFRAME != 0, bytes.clone());
        self.counters.publications += 1;
        if !topic.readers.is_empty() {
            self.outputs.push_back(HubOutput::Broadcast { alias, offset, payload: bytes });
        }
        if !topic.text_readers.is_empty() {
            let place = topic.place(alias, offset);
            // A publication that history had no room for is made for these readers alone.
            let kept = topic.history.newest().filter(|entry| entry.offset == offset);
            let text = kept.map_or_else(
                || text::publication(&topic.name, (topic.epoch, offset), payload),
                |entry| topic.text(entry),
            );
            self.outputs.push_back(HubOutput::BroadcastText { place, text });
        }
        Ok(offset)
    }

    fn classify(&self, topic: &str) -> Result<(Topic, usize), Denied> {
        let name: Topic =
            topic.parse().map_err(|_| Denied::new(Code::TopicInvalid, "the topic name breaks the rules for names"))?;
        let class = self.config.classes.iter().position(|class| class.pattern.matches(&name));
        class.map(|class| (name, class)).ok_or(Denied::new(Code::TopicUnknown, "no class of topics has such names"))
    }

    /// The alias of a topic, which is made when it does not exist.
    fn open(&mut self, now: Micros, app: &AppId, name: &Topic, class: usize) -> Result<u32, Denied> {
        let key = (app.clone(), name.clone());
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
        let topic = TopicState {
            app: app.clone(),
            name: name.clone(),
            class,
            epoch: self.epochs.next_u64(),
            newest: 0,
            history: History::new(rules.history),
            readers: BTreeMap::new(),
            text_readers: BTreeMap::new(),
            keys: Keys::default(),
            used_at: now,
            sweep_at: None,
        };
        let viewers = (rules.publish == Publisher::Hub).then(|| self.audiences.opened(now, &key));
        self.names.insert(key, alias);
        self.topics.insert(alias, topic);
        self.plan_sweep(now, alias);
        if let Some(viewers) = viewers {
            self.publish_viewers(now, alias, viewers);
        }
        Ok(alias)
    }

    fn remove_reader(&mut self, now: Micros, session: SessionKey, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        topic.readers.remove(&session);
        topic.text_readers.remove(&session);
        topic.used_at = now;
        if self.config.classes[topic.class].audience == Audience::Counted
            && let Some(stats) = stats_topic(&topic.name)
        {
            self.audiences.left(now, (topic.app.clone(), stats));
        }
        self.plan_sweep(now, alias);
    }

    /// Looks again at a topic when it may have become idle. One plan per topic at a time.
    fn plan_sweep(&mut self, now: Micros, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        if topic.sweep_at.is_none() {
            let at = topic.expires_at(&self.config.classes[topic.class]).max(now);
            topic.sweep_at = Some(at);
            self.sweeps.insert((at, alias));
        }
    }

    fn sweep(&mut self, now: Micros, alias: u32) {
        let Some(topic) = self.topics.get_mut(&alias) else { return };
        topic.sweep_at = None;
        if topic.has_readers() {
            return;
        }
        if topic.expires_at(&self.config.classes[topic.class]) > now {
            self.plan_sweep(now, alias);
            return;
        }
        if let Some(topic) = self.topics.remove(&alias) {
            let key = (topic.app, topic.name);
            self.names.remove(&key);
            self.audiences.closed(&key);
            self.counters.topics_expired += 1;
        }
    }

    fn reply(&mut self, (session, id): ReplyTo, kind: topic_reply::Kind) {
        let reply = TopicReply { id, kind: Some(kind) };
        let is_text = self.sessions.get(&session).is_some_and(|state| state.text);
        self.outputs.push_back(if is_text {
            HubOutput::SendText { session, place: None, text: text::reply(&reply) }
        } else {
            HubOutput::Send { session, payload: encode_reply(&reply) }
        });
    }

    fn count(&mut self, denied: Denied) {
        self.counters.refused += 1;
        self.counters.rate_limited += u64::from(denied.code == Code::RateLimited);
        self.counters.overloaded += u64::from(denied.code == Code::Overloaded);
    }
}

/// A session and the id of its request.
type ReplyTo = (SessionKey, u32);

/// A reply as it lies on lane 1: the byte 0 and the message.
fn encode_reply(reply: &TopicReply) -> Bytes {
    let mut out = Vec::with_capacity(1 + reply.encoded_len());
    out.push(REPLY);
    reply.encode_raw(&mut out);
    out.into()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
