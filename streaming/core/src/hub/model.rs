//! Two hubs over one broker against a reference model, under a seed: publications are delayed and lost on their way, the
//! broker goes away, comes back, and comes back empty. A reader that drops and returns, at either hub, gets exactly what
//! it missed or is told otherwise; no publication reaches a session that does not read its topic; in the end everybody
//! has everything.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::proto::{Payload, Position, Publish, Subscribed, Unsubscribe, payload::Kind};
use amphi_shared_wire::{AppId, Rng, Seed};
use proptest::prelude::*;

use super::tests::{Sent, person, read, say, subscribe};
use super::*;
use crate::payload::decode;
use crate::{BrokerEvent, BrokerFault, FLAG_KEYFRAME, HistoryKind, HistoryLimits, MemoryBroker, Record, Role, chat};

const TOPICS: [&str; 3] = ["match:a:chat", "match:a:view:0", "match:b:chat"];
const SESSIONS: u64 = 6;
/// Id of all requests to publish; those about a topic have its index and one.
const PUBLISHED: u32 = 100;

/// What one session believes about one topic.
#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    alias: Option<u32>,
    /// Asked, and not answered yet.
    asked: bool,
    position: Option<Position>,
    /// Publications of a replay that are still to come, from this offset on.
    expecting: u64,
}

/// A hub and what is on its way to it.
struct Node {
    hub: Hub,
    follows: BTreeSet<TopicKey>,
    inbox: VecDeque<BrokerEvent>,
}

struct Model {
    nodes: [Node; 2],
    broker: MemoryBroker,
    now: Micros,
    rng: Rng,
    /// Everything ever published, per epoch of a topic: the payload of offset `i + 1`, and its keyframe flag.
    published: BTreeMap<(usize, u64), Vec<(Payload, bool)>>,
    readers: BTreeMap<(u64, usize), Reader>,
    recovered: usize,
    reset: usize,
    told: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let limits = |messages_max, bytes_max, kind| HistoryLimits {
            messages_max,
            bytes_max,
            age: Micros::from_secs(1_000),
            kind,
        };
        let classes = vec![
            TopicClass {
                history: limits(6, 100_000, HistoryKind::Stream),
                newcomer_messages: 4,
                ..TopicClass::match_chat()
            },
            TopicClass { history: limits(8, 120, HistoryKind::Keyframes), ..TopicClass::match_view() },
            TopicClass::match_stats(),
        ];
        let node = || Node {
            hub: Hub::new(HubConfig { classes: classes.clone(), topics_max: 10 }),
            follows: BTreeSet::new(),
            inbox: VecDeque::new(),
        };
        Self {
            nodes: [node(), node()],
            broker: MemoryBroker::new(10, Seed(seed)),
            now: Micros::from_secs(1_000),
            rng: Seed(seed).split("model").rng(),
            published: BTreeMap::new(),
            readers: BTreeMap::new(),
            recovered: 0,
            reset: 0,
            told: 0,
        }
    }

    fn step(&mut self) {
        let session = self.rng.below(SESSIONS);
        let topic = self.rng.below(TOPICS.len() as u64) as usize;
        let node = self.rng.below(2) as usize;
        match self.rng.below(1_000) {
            0..400 => self.publish(session, topic),
            400..600 => self.join(session, topic),
            600..640 => self.leave(session, topic),
            640..700 => self.drop_session(session),
            700..900 => self.listen(node, 1 + self.rng.clone().below(16) as usize),
            900..930 => self.lose_one(node),
            930..950 => self.cut(node),
            950..966 => self.wipe(),
            966..994 => self.pass(Micros::from_millis(self.rng.clone().below(5_000))),
            _ => self.pass(Micros::from_secs(400)),
        }
    }

    fn hub(&mut self, session: u64) -> &mut Hub {
        &mut self.nodes[home(session)].hub
    }

    fn request(&mut self, session: u64, topic: usize, kind: topic_request::Kind) {
        let id = if matches!(kind, topic_request::Kind::Publish(_)) { PUBLISHED } else { 1 + topic as u32 };
        let request = TopicRequest { id, kind: Some(kind) };
        let now = self.now;
        self.hub(session).handle_request(now, SessionKey(session), &person(session, Role::Guest), request);
        self.drain(home(session));
    }

    fn publish(&mut self, session: u64, topic: usize) {
        if topic == 1 {
            let keyframe = self.rng.chance(200);
            let body = vec![0; self.rng.below(40) as usize];
            let payload = Payload { kind: Some(Kind::Binary(body.into())) };
            let (now, service) = (self.now, (&AppId::default(), "service"));
            let ask = Publish { topic: TOPICS[topic].to_owned(), payload: Some(payload), key: String::new() };
            self.hub(session).publish_service(now, 1, service, (u8::from(keyframe), ask)).unwrap();
            self.drain(home(session));
        } else {
            let text = format!("line {}", self.rng.next_u64());
            self.request(session, topic, say(TOPICS[topic], &text, ""));
        }
    }

    fn join(&mut self, session: u64, topic: usize) {
        let reader = self.readers.entry((session, topic)).or_default();
        if reader.alias.is_some() || reader.asked {
            return;
        }
        reader.asked = true;
        let since = reader.position;
        self.request(session, topic, subscribe(TOPICS[topic], since));
    }

    fn leave(&mut self, session: u64, topic: usize) {
        let Some(reader) = self.readers.get_mut(&(session, topic)).filter(|reader| reader.alias.is_some()) else {
            return;
        };
        reader.alias = None;
        let ask = Unsubscribe { topic: TOPICS[topic].to_owned() };
        self.request(session, topic, topic_request::Kind::Unsubscribe(ask));
    }

    fn drop_session(&mut self, session: u64) {
        for (_, reader) in self.readers.iter_mut().filter(|((s, _), _)| *s == session) {
            (reader.alias, reader.asked) = (None, false);
        }
        let now = self.now;
        self.hub(session).session_closed(now, SessionKey(session));
        self.drain(home(session));
    }

    fn pass(&mut self, span: Micros) {
        let until = self.now + span;
        loop {
            let timeouts = self.nodes.iter().map(|node| node.hub.poll_timeout()).chain([self.broker.poll_timeout()]);
            let Some((at, _)) = timeouts.flatten().min().filter(|(at, _)| *at <= until) else { break };
            self.now = at.max(self.now);
            self.broker.handle_timeout(self.now);
            for node in 0..2 {
                self.nodes[node].hub.handle_timeout(self.now);
                self.drain(node);
            }
        }
        self.now = until;
    }

    /// A node hears some of what is on its way to it.
    fn listen(&mut self, node: usize, events: usize) {
        for _ in 0..events {
            let Some(event) = self.nodes[node].inbox.pop_front() else { return };
            self.nodes[node].hub.handle_broker(self.now, event);
            self.drain(node);
        }
    }

    /// A publication does not reach a node, and nothing says so.
    fn lose_one(&mut self, node: usize) {
        let inbox = &mut self.nodes[node].inbox;
        if let Some(at) = inbox.iter().position(|event| matches!(event, BrokerEvent::Publication { .. })) {
            inbox.remove(at);
        }
    }

    /// A node's connection to the broker ends, and another one begins.
    fn cut(&mut self, node: usize) {
        let cut = |event| match event {
            BrokerEvent::Publication { .. } | BrokerEvent::Unsure => None,
            BrokerEvent::Read { topic, .. } => Some(BrokerEvent::Read { topic, view: Err(BrokerFault::Unavailable) }),
            BrokerEvent::Published { ticket, .. } => {
                Some(BrokerEvent::Published { ticket, receipt: Err(BrokerFault::Unavailable) })
            }
        };
        let inbox = &mut self.nodes[node].inbox;
        *inbox = inbox.drain(..).filter_map(cut).collect();
        inbox.push_back(BrokerEvent::Unsure);
    }

    /// The broker comes back with nothing.
    fn wipe(&mut self) {
        self.broker = MemoryBroker::new(10, Seed(self.rng.next_u64()));
        self.cut(0);
        self.cut(1);
    }

    fn drain(&mut self, node: usize) {
        loop {
            if let Some(output) = self.nodes[node].hub.poll_output() {
                self.output(node, output);
            } else if let Some(request) = self.nodes[node].hub.poll_request() {
                self.asked(node, request);
            } else {
                return;
            }
        }
    }

    fn asked(&mut self, node: usize, request: BrokerRequest) {
        match &request {
            BrokerRequest::Read { topic, .. } => drop(self.nodes[node].follows.insert(topic.clone())),
            BrokerRequest::Leave { topic, .. } => {
                self.nodes[node].follows.remove(topic);
                if self.nodes.iter().any(|node| node.follows.contains(topic)) {
                    return;
                }
            }
            BrokerRequest::Publish(_) => {}
        }
        let published = match &request {
            BrokerRequest::Publish(order) => Some((order.topic.clone(), order.rules)),
            BrokerRequest::Read { .. } | BrokerRequest::Leave { .. } => None,
        };
        if let Some((topic, rules)) = published {
            // A memory broker tells only of topics that are followed; here each node follows for itself.
            self.broker.handle_request(self.now, BrokerRequest::Read { topic: topic.clone(), rules, since: None });
            self.broker.poll_event();
            self.broker.handle_request(self.now, request);
            if !self.nodes.iter().any(|node| node.follows.contains(&topic)) {
                self.broker.handle_request(self.now, BrokerRequest::Leave { topic, rules });
            }
        } else {
            self.broker.handle_request(self.now, request);
        }
        while let Some(event) = self.broker.poll_event() {
            if let BrokerEvent::Publication { topic, epoch, record } = &event {
                self.publication(topic, *epoch, record);
                for node in self.nodes.iter_mut().filter(|node| node.follows.contains(topic)) {
                    node.inbox.push_back(event.clone());
                }
            } else {
                self.nodes[node].inbox.push_back(event);
            }
        }
    }

    /// What was just published, before anyone received it.
    fn publication(&mut self, topic: &TopicKey, epoch: u64, record: &Record) {
        let topic = TOPICS.iter().position(|name| *name == topic.name.as_str()).unwrap();
        let payload = if topic == 1 { decode(&record.payload) } else { decode(&chat::with_id(record)) };
        let all = self.published.entry((topic, epoch)).or_default();
        assert_eq!(all.len() as u64 + 1, record.offset);
        all.push((payload, record.flags & FLAG_KEYFRAME != 0));
    }

    fn output(&mut self, node: usize, output: HubOutput) {
        match output {
            HubOutput::Send { session, payload } => self.sent(session.0, read(&payload)),
            HubOutput::SendText { .. } | HubOutput::BroadcastText { .. } => panic!("nobody here reads text"),
            HubOutput::Published { .. } | HubOutput::History { .. } => {}
            HubOutput::Broadcast { alias, offset, payload, .. } => {
                let receivers: Vec<_> = self.nodes[node].hub.receivers(alias, offset).collect();
                let reading = self
                    .readers
                    .iter()
                    .filter(|((session, _), reader)| home(*session) == node && reader.alias == Some(alias));
                let expected: Vec<_> = reading.map(|((session, _), _)| SessionKey(*session)).collect();
                assert_eq!(receivers, expected, "exactly the readers get a publication");
                receivers.into_iter().for_each(|session| self.sent(session.0, read(&payload)));
            }
        }
    }

    fn sent(&mut self, session: u64, sent: Sent) {
        match sent {
            Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::Subscribed(reply)), id }) => {
                self.joined(session, reply, id);
            }
            Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::Failed(_)), id }) => {
                // What a publication is refused for is its own.
                if let Some(reader) = self.readers.get_mut(&(session, (id - 1) as usize)) {
                    reader.asked = false;
                }
            }
            Sent::Reply(_) => {}
            Sent::Publication { alias, offset, payload, flags } => {
                self.received(session, alias, offset, (payload, flags & FLAG_KEYFRAME != 0));
            }
        }
    }

    fn joined(&mut self, session: u64, reply: Subscribed, id: u32) {
        let topic = TOPICS.iter().position(|name| *name == reply.topic).unwrap();
        let unasked = id == 0;
        let all = self.published.entry((topic, reply.epoch)).or_default();
        let reader = self.readers.get_mut(&(session, topic)).unwrap();
        let first = reply.offset + 1 - u64::from(reply.replayed);
        match reader.position {
            Some(_) if unasked => {
                assert!(reader.alias == Some(reply.alias) && !reply.recovered);
                self.told += 1;
            }
            Some(position) if reply.recovered => {
                assert_eq!(position.epoch, reply.epoch);
                assert_eq!(first, position.offset + 1, "exactly what was missed");
                self.recovered += 1;
            }
            Some(_) => self.reset += 1,
            None => assert!(reply.recovered && !unasked),
        }
        if topic == 1 && reply.replayed > 0 && !(reply.recovered && reader.position.is_some()) {
            assert!(all[first as usize - 1].1, "a newcomer starts at a keyframe");
        }
        *reader = Reader {
            alias: Some(reply.alias),
            asked: false,
            position: Some(Position { epoch: reply.epoch, offset: first - 1 }),
            expecting: first,
        };
    }

    fn received(&mut self, session: u64, alias: u32, offset: u64, body: (Payload, bool)) {
        let found = self.readers.iter_mut().find(|((s, _), reader)| *s == session && reader.alias == Some(alias));
        let Some(((_, topic), reader)) = found else {
            panic!("session {session} got a publication of a topic it does not read");
        };
        assert_eq!(offset, reader.expecting, "no gap and no repetition");
        reader.expecting += 1;
        let position = reader.position.as_mut().unwrap();
        position.offset = offset;
        let (topic, epoch) = (*topic, position.epoch);
        assert_eq!(self.published[&(topic, epoch)][offset as usize - 1], body, "every reader gets the same");
    }

    /// Everything arrives, after which everybody has everything.
    fn settle(&mut self) {
        for node in 0..2 {
            self.cut(node);
        }
        for _ in 0..6 {
            for node in 0..2 {
                self.listen(node, usize::MAX);
            }
            self.pass(Micros::from_secs(1));
        }
        for ((session, topic), reader) in &self.readers {
            assert!(!reader.asked, "session {session} was never answered about {}", TOPICS[*topic]);
            if reader.alias.is_some() {
                let key = TopicKey { app: AppId::default(), name: TOPICS[*topic].parse().unwrap() };
                let view = self.broker.peek(self.now, &key).unwrap();
                let position = Position { epoch: view.epoch, offset: view.newest };
                assert_eq!(reader.position, Some(position), "session {session} in {}", TOPICS[*topic]);
            }
        }
    }
}

/// The node of a session.
fn home(session: u64) -> usize {
    (session % 2) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn readers_get_what_they_missed_or_are_told(seed: u64) {
        let mut model = Model::new(seed);
        for _ in 0..2_000 {
            model.step();
        }
        model.settle();
        prop_assert!(model.recovered > 0 && model.reset > 0 && model.told > 0, "every way was taken: {} {} {}", model.recovered, model.reset, model.told);
        for session in 0..SESSIONS {
            model.drop_session(session);
        }
        model.pass(Micros::from_secs(2_000));
        prop_assert_eq!(model.broker.topics(), 0);
        for Node { hub, .. } in &model.nodes {
            prop_assert_eq!((hub.topics(), hub.viewers()), (0, 0));
            prop_assert!(hub.poll_timeout().is_none() && hub.sessions.is_empty() && hub.pending.is_empty());
        }
    }
}
