//! The hub: topics, who reads them, and what each reader gets.

mod following;
mod looking;
mod presence;
mod publishing;
mod reading;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_shared_wire::limits::{CONNECTIONS_MAX, TOPICS_MAX};
use amphi_shared_wire::proto::{
    PresencePage, Subscribe, TopicReply, TopicRequest, Unsubscribed, topic_reply, topic_request,
};
use amphi_shared_wire::{Code, Micros, Topic};
use bytes::Bytes;
use prost::Message;

use crate::audience::Audiences;
use crate::pace::Paces;
use crate::presence::Nodes;
use crate::topic::{How, TopicState};
use crate::{
    BrokerRequest, Denied, NodeId, Person, Place, Receipt, SessionKey, SlowReader, TopicClass, TopicKey, text,
};
pub use looking::HistoryView;
pub(crate) use presence::{NewMember, TopicPresence};
use publishing::Asker;

/// First byte of a reply on lane 1; a publication starts with 1.
const REPLY: u8 = 0;

/// How long somebody whose connection broke stays present.
const RETURN_WITHIN: Micros = Micros::from_secs(2);

/// What a hub holds.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Classes in order; the first whose pattern fits a name wins, a name that fits none is unknown.
    pub classes: Vec<TopicClass>,
    /// Topics at once. Beyond: refuse with `Overloaded`.
    pub topics_max: usize,
    /// This node among others that share its broker; `None`: there are none.
    pub node: Option<NodeId>,
}

impl Default for HubConfig {
    /// The three topics of a match, [`TOPICS_MAX`] topics, and no other node.
    fn default() -> Self {
        Self {
            classes: vec![TopicClass::match_chat(), TopicClass::match_view(), TopicClass::match_stats()],
            topics_max: TOPICS_MAX,
            node: None,
        }
    }
}

/// What the owner of the sessions has to send, on lane 1, and what services hear.
#[derive(Clone, Debug, PartialEq)]
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
        /// What becomes of those that do not keep up.
        lag: Lag,
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
        /// What becomes of those that do not keep up.
        lag: Lag,
        /// One JSON object.
        text: Bytes,
    },
    /// What became of a publication that no session made.
    Published {
        /// The ticket that it was given.
        ticket: u64,
        /// Where it stands.
        receipt: Result<Receipt, Denied>,
    },
    /// What a topic holds, for one who asked without a session.
    History {
        /// The ticket of the question.
        ticket: u64,
        /// What it holds.
        view: Result<HistoryView, Denied>,
    },
    /// The same reply to everyone in [`Hub::watchers`] of this alias.
    Presence {
        /// The topic.
        alias: u32,
        /// The whole message.
        payload: Bytes,
    },
    /// The same text to everyone in [`Hub::text_watchers`] of this alias.
    PresenceText {
        /// The topic.
        alias: u32,
        /// One JSON object.
        text: Bytes,
    },
    /// What a service asked by [`Hub::list_for_service`].
    PresenceListed {
        /// The ticket that it gave.
        ticket: u64,
        /// Members.
        page: Result<PresencePage, Denied>,
    },
}

/// What becomes of a publication for those that do not keep up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The class's policy.
    pub slow: SlowReader,
    /// What a later publication with the same one replaces; empty in a class without a key.
    pub key: String,
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
    /// Topics whose readers were told that history is gone.
    pub resets: u64,
    /// Times that publications were missing and read from history.
    pub holes: u64,
    /// First reads that a broker did not answer in time.
    pub unanswered: u64,
    /// Topics dropped after their idle time.
    pub topics_expired: u64,
    /// Nodes that were not heard any more.
    pub nodes_gone: u64,
    /// Messages of nodes that could not be read, or of one node too many.
    pub nodes_unheard: u64,
}

#[derive(Debug, Default)]
struct SessionState {
    /// Reads text instead of the messages of lane 1.
    text: bool,
    subscriptions: BTreeSet<u32>,
    subscribe_due: Micros,
    presence_due: Micros,
}

/// Topics, who reads them, and what each reader gets.
///
/// Each `handle_*`, `publish_*` or `session_closed` is followed by [`Hub::poll_output`] and [`Hub::poll_request`] until both
/// are empty. What a broker says to a request comes back by [`Hub::handle_broker`].
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    names: BTreeMap<TopicKey, u32>,
    topics: BTreeMap<u32, TopicState>,
    alias_last: u32,
    sessions: BTreeMap<SessionKey, SessionState>,
    audiences: Audiences,
    /// One per class.
    publish_paces: Vec<Paces>,
    /// Who waits for a broker's word about a publication.
    pending: BTreeMap<u64, Asker>,
    ticket_last: u64,
    /// When a subscriber of a topic that opens gives up; all wait equally long.
    patience: VecDeque<(Micros, u32)>,
    /// Questions for history that wait for a first read.
    looks_waiting: usize,
    /// Topics to be read again.
    rereads: BTreeSet<(Micros, u32)>,
    sweeps: BTreeSet<(Micros, u32)>,
    /// Topics whose presence has something due.
    presences: BTreeSet<(Micros, u32)>,
    nodes: Option<Nodes>,
    outputs: VecDeque<HubOutput>,
    requests: VecDeque<BrokerRequest>,
    counters: HubCounters,
}

impl Hub {
    /// An empty hub.
    pub fn new(config: HubConfig) -> Self {
        Self {
            publish_paces: config.classes.iter().map(|class| Paces::new(class.pace, CONNECTIONS_MAX)).collect(),
            names: BTreeMap::new(),
            topics: BTreeMap::new(),
            alias_last: 0,
            sessions: BTreeMap::new(),
            audiences: Audiences::default(),
            pending: BTreeMap::new(),
            ticket_last: 0,
            patience: VecDeque::new(),
            looks_waiting: 0,
            rereads: BTreeSet::new(),
            sweeps: BTreeSet::new(),
            presences: BTreeSet::new(),
            nodes: config.node.map(Nodes::new),
            outputs: VecDeque::new(),
            requests: VecDeque::new(),
            counters: HubCounters::default(),
            config,
        }
    }

    /// Makes a session a reader of text, until it closes. Called before anything else is done for it.
    pub fn open_text(&mut self, session: SessionKey) {
        self.sessions.entry(session).or_default().text = true;
    }

    /// Lets a session read a topic without having asked: the topic's alias. It hears nothing of it but the publications, a
    /// `Subscribed` with the id 0 when what it missed `since` then is gone, and an `Unsubscribed` when no broker answers.
    ///
    /// # Errors
    /// As a `Subscribe` would be refused.
    pub fn read(&mut self, now: Micros, session: SessionKey, person: &Person, ask: Subscribe) -> Result<u32, Denied> {
        let joined = self.join(now, (session, How::Silent), person, ask);
        joined.inspect_err(|denied| self.count(*denied))
    }

    /// Does what a session asks for, and answers it.
    pub fn handle_request(&mut self, now: Micros, session: SessionKey, person: &Person, request: TopicRequest) {
        let id = request.id;
        let done = match request.kind {
            Some(topic_request::Kind::Subscribe(ask)) => {
                self.join(now, (session, How::Asked(id)), person, ask).map(|_| ())
            }
            Some(topic_request::Kind::Unsubscribe(ask)) => self.unsubscribe(now, (session, id), person, &ask),
            Some(topic_request::Kind::Publish(ask)) => self.publish(now, Asker::Session((session, id)), person, ask),
            Some(topic_request::Kind::WatchPresence(ask)) => {
                self.watch_presence(now, (session, id), person, &ask.topic)
            }
            Some(topic_request::Kind::UnwatchPresence(ask)) => self.unwatch_presence((session, id), person, &ask.topic),
            Some(topic_request::Kind::ListPresence(ask)) => self.list_presence(now, (session, id), person, &ask),
            Some(topic_request::Kind::SetPresence(ask)) => self.set_presence(now, (session, id), person, ask),
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
        if let Err(denied) = self.join(now, (session, How::Restored), person, ask) {
            self.end_subscription(session, topic, denied);
        }
    }

    /// Answers a request that the owner of the sessions does not let through.
    pub fn refuse(&mut self, session: SessionKey, id: u32, denied: Denied) {
        self.count(denied);
        self.reply((session, id), topic_reply::Kind::Failed(denied.to_failed()));
    }

    /// Ends all subscriptions of a session. Its person stays present for a moment: connections come back.
    pub fn session_closed(&mut self, now: Micros, session: SessionKey) {
        let Some(state) = self.sessions.remove(&session) else { return };
        for alias in state.subscriptions {
            self.remove_reader(now, (session, alias), RETURN_WITHIN);
        }
    }

    /// Tells viewer counts and presence that are due, gives up on brokers that do not answer, and drops topics whose idle time is over.
    pub fn handle_timeout(&mut self, now: Micros) {
        while let Some((group, viewers)) = self.audiences.poll(now) {
            self.publish_viewers(now, &group, viewers);
        }
        while let Some((_, alias)) = self.patience.pop_front_if(|(at, _)| *at <= now) {
            self.give_up(now, alias);
        }
        while self.rereads.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, alias)) = self.rereads.pop_first() else { break };
            self.request_read(alias);
        }
        while self.sweeps.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, alias)) = self.sweeps.pop_first() else { break };
            self.sweep(now, alias);
        }
        self.handle_presence_timeout(now);
    }

    /// The next thing to send.
    pub fn poll_output(&mut self) -> Option<HubOutput> {
        self.outputs.pop_front()
    }

    /// The next thing to ask of a broker.
    pub fn poll_request(&mut self) -> Option<BrokerRequest> {
        self.requests.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do, and what.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        let viewers = self.audiences.poll_timeout().map(|at| (at, "viewer count"));
        let patience = self.patience.front().map(|(at, _)| (*at, "unanswered read"));
        let rereads = self.rereads.first().map(|(at, _)| (*at, "read again"));
        let sweep = self.sweeps.first().map(|(at, _)| (*at, "idle topic"));
        let presence = self.presence_timeout().map(|at| (at, "presence"));
        [viewers, patience, rereads, sweep, presence].into_iter().flatten().min()
    }

    /// Who gets the publication `offset` of the topic `alias`.
    pub fn receivers(&self, alias: u32, offset: u64) -> impl Iterator<Item = SessionKey> + '_ {
        let readers = self.topics.get(&alias).map(|topic| &topic.readers);
        readers.into_iter().flatten().filter(move |(_, given)| **given < offset).map(|(session, _)| *session)
    }

    /// Who has a publication from `first` on, and does not have that of `last` yet, and up to where.
    pub fn receivers_between(&self, alias: u32, first: u64, last: u64) -> impl Iterator<Item = (SessionKey, u64)> + '_ {
        let readers = self.topics.get(&alias).map(|topic| &topic.readers);
        let between = move |(_, given): &(_, &u64)| (first..last).contains(*given);
        readers.into_iter().flatten().filter(between).map(|(session, given)| (*session, *given))
    }

    /// Who gets the publication as text.
    pub fn text_receivers(&self, place: Place) -> impl Iterator<Item = SessionKey> + '_ {
        let readers = self.topics.get(&place.alias).map(|topic| &topic.text_readers);
        readers.into_iter().flatten().filter(move |(_, given)| **given < place.offset).map(|(session, _)| *session)
    }

    /// Whether a session reads a topic, or waits to.
    pub fn reads(&self, session: SessionKey, alias: u32) -> bool {
        self.sessions.get(&session).is_some_and(|state| state.subscriptions.contains(&alias))
    }

    /// Number of topics that are followed.
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

    fn classify(&self, topic: &str) -> Result<(Topic, usize), Denied> {
        let name: Topic =
            topic.parse().map_err(|_| Denied::new(Code::TopicInvalid, "the topic name breaks the rules for names"))?;
        let class = self.config.classes.iter().position(|class| class.pattern.matches(&name));
        class.map(|class| (name, class)).ok_or(Denied::new(
            Code::TopicUnknown,
            "no class of topics has such names; a `[[live.class]]` in the settings makes one",
        ))
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
        self.forget(alias);
        self.counters.topics_expired += 1;
    }

    /// Follows a topic no more.
    fn forget(&mut self, alias: u32) {
        let Some(topic) = self.topics.remove(&alias) else { return };
        if let Some(at) = topic.sweep_at {
            self.sweeps.remove(&(at, alias));
        }
        let rules = self.config.classes[topic.class].rules();
        self.names.remove(&topic.key);
        if let Some(at) = topic.presence.and_then(|presence| presence.planned) {
            self.presences.remove(&(at, alias));
        }
        self.audiences.closed(&(topic.key.app.clone(), topic.key.name.clone()));
        self.requests.push_back(BrokerRequest::Leave { topic: topic.key, rules });
    }

    /// Tells a session that it does not read a topic.
    fn end_subscription(&mut self, session: SessionKey, topic: String, denied: Denied) {
        self.count(denied);
        let ended = Unsubscribed { topic, alias: 0, code: denied.code.number() };
        self.reply((session, 0), topic_reply::Kind::Unsubscribed(ended));
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
