//! The hub against a reference model, under a seed: a reader that drops and returns gets exactly what it missed
//! or is told otherwise, and no publication reaches a session that does not read its topic.

use std::collections::BTreeMap;

use amphi_shared_wire::proto::Position;
use proptest::prelude::*;

use super::tests::{Sent, person, read, say, subscribe};
use super::{Rng, *};
use crate::Role;

const TOPICS: [&str; 3] = ["match:a:chat", "match:a:view:0", "match:b:chat"];
const SESSIONS: u64 = 5;

/// What one session believes about one topic.
#[derive(Clone, Copy, Debug, Default)]
struct Reader {
    alias: Option<u32>,
    position: Option<Position>,
    /// Publications of a replay that are still to come, from this offset on.
    expecting: u64,
}

struct Model {
    hub: Hub,
    now: Micros,
    rng: Rng,
    /// Everything ever published, per epoch of a topic: the payload of offset `i + 1`, and its keyframe flag.
    published: BTreeMap<(usize, u64), Vec<(Payload, bool)>>,
    readers: BTreeMap<(u64, usize), Reader>,
    recovered: usize,
    reset: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let classes = vec![
            TopicClass {
                history: crate::HistoryLimits { messages_max: 6, bytes_max: 100_000, keyframes: false },
                newcomer_messages: 4,
                ..TopicClass::match_chat()
            },
            TopicClass {
                history: crate::HistoryLimits { messages_max: 8, bytes_max: 120, keyframes: true },
                ..TopicClass::match_view()
            },
            TopicClass::match_stats(),
        ];
        Self {
            hub: Hub::new(HubConfig { classes, topics_max: 10 }, Seed(seed)),
            now: Micros::from_secs(1_000),
            rng: Seed(seed).split("model").rng(),
            published: BTreeMap::new(),
            readers: BTreeMap::new(),
            recovered: 0,
            reset: 0,
        }
    }

    fn step(&mut self) {
        let session = self.rng.below(SESSIONS);
        let topic = self.rng.below(TOPICS.len() as u64) as usize;
        match self.rng.below(100) {
            0..45 => self.publish(session, topic),
            45..75 => self.join(session, topic),
            75..80 => self.leave(session, topic),
            80..90 => self.drop_session(session),
            90..98 => self.pass(Micros::from_millis(self.rng.clone().below(5_000))),
            _ => self.pass(Micros::from_secs(400)),
        }
    }

    fn request(&mut self, session: u64, topic: usize, kind: topic_request::Kind) {
        let request = TopicRequest { id: 1 + topic as u32, kind: Some(kind) };
        self.hub.handle_request(self.now, SessionKey(session), &person(session, Role::Guest), request);
        self.drain();
    }

    fn publish(&mut self, session: u64, topic: usize) {
        if topic == 1 {
            let keyframe = self.rng.chance(200);
            let body = vec![0; self.rng.below(40) as usize];
            let payload = Payload { kind: Some(payload::Kind::Binary(body.into())) };
            let to = (&AppId::default(), TOPICS[topic]);
            let offset = self.hub.publish_service(self.now, to, u8::from(keyframe), Some(payload.clone())).unwrap();
            self.publication(topic, offset, (payload, keyframe));
            self.drain();
        } else {
            let text = format!("line {}", self.rng.next_u64());
            let (speaker, before) = (person(session, Role::Guest), self.hub.counters().publications);
            let request = TopicRequest { id: 1, kind: Some(say(TOPICS[topic], &text, "")) };
            self.hub.handle_request(self.now, SessionKey(session), &speaker, request);
            if self.hub.counters().publications > before {
                let offset = self.topic(topic).newest;
                let line = ChatLine::parse(&Payload { kind: Some(payload::Kind::Text(text)) }).unwrap();
                self.publication(topic, offset, (line.publication(offset, &speaker, self.now), false));
            }
            self.drain();
        }
    }

    fn join(&mut self, session: u64, topic: usize) {
        let reader = self.readers.entry((session, topic)).or_default();
        if reader.alias.is_some() {
            return;
        }
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
        self.readers.iter_mut().filter(|((s, _), _)| *s == session).for_each(|(_, reader)| reader.alias = None);
        self.hub.session_closed(self.now, SessionKey(session));
        self.drain();
    }

    fn pass(&mut self, span: Micros) {
        let until = self.now + span;
        while let Some((at, _)) = self.hub.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = at.max(self.now);
            self.hub.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                HubOutput::Send { session, payload } => self.sent(session.0, read(&payload)),
                HubOutput::SendText { .. } | HubOutput::BroadcastText { .. } => panic!("nobody here reads text"),
                HubOutput::Broadcast { alias, offset, payload } => {
                    let receivers: Vec<_> = self.hub.receivers(alias, offset).collect();
                    let reading = self.readers.iter().filter(|(_, reader)| reader.alias == Some(alias));
                    let expected: Vec<_> = reading.map(|((session, _), _)| SessionKey(*session)).collect();
                    assert_eq!(receivers, expected, "exactly the readers get a publication");
                    receivers.into_iter().for_each(|session| self.sent(session.0, read(&payload)));
                }
            }
        }
    }

    fn sent(&mut self, session: u64, sent: Sent) {
        match sent {
            Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::Subscribed(reply)), .. }) => {
                self.joined(session, reply);
            }
            Sent::Reply(_) => {}
            Sent::Publication { alias, offset, payload, flags } => {
                self.received(session, alias, offset, (payload, flags & FLAG_KEYFRAME != 0));
            }
        }
    }

    fn joined(&mut self, session: u64, reply: Subscribed) {
        let topic = TOPICS.iter().position(|name| *name == reply.topic).unwrap();
        let all = self.published.entry((topic, reply.epoch)).or_default();
        let reader = self.readers.get_mut(&(session, topic)).unwrap();
        let first = reply.offset + 1 - u64::from(reply.replayed);
        match reader.position {
            Some(position) if reply.recovered => {
                assert_eq!(position.epoch, reply.epoch);
                assert_eq!(first, position.offset + 1, "exactly what was missed");
                self.recovered += 1;
            }
            Some(_) => self.reset += 1,
            None => assert!(reply.recovered),
        }
        if topic == 1 && reply.replayed > 0 && !(reply.recovered && reader.position.is_some()) {
            assert!(all[first as usize - 1].1, "a newcomer starts at a keyframe");
        }
        *reader = Reader {
            alias: Some(reply.alias),
            position: Some(Position { epoch: reply.epoch, offset: first - 1 }),
            expecting: first,
        };
    }

    fn received(&mut self, session: u64, alias: u32, offset: u64, body: (Payload, bool)) {
        let found = self.readers.iter_mut().find(|((s, _), reader)| *s == session && reader.alias == Some(alias));
        let Some(((_, topic), reader)) = found else {
            assert_eq!(alias, u32::MAX, "session {session} got a publication of a topic it does not read");
            return;
        };
        assert_eq!(offset, reader.expecting, "no gap and no repetition");
        reader.expecting += 1;
        let position = reader.position.as_mut().unwrap();
        position.offset = offset;
        let (topic, epoch) = (*topic, position.epoch);
        assert_eq!(self.published[&(topic, epoch)][offset as usize - 1], body, "every reader gets the same");
    }

    /// What was just published, before anyone received it.
    fn publication(&mut self, topic: usize, offset: u64, body: (Payload, bool)) {
        let epoch = self.topic(topic).epoch;
        let all = self.published.entry((topic, epoch)).or_default();
        assert_eq!(all.len() as u64 + 1, offset);
        all.push(body);
    }

    fn topic(&self, topic: usize) -> &TopicState {
        let key = (AppId::default(), TOPICS[topic].parse().unwrap());
        &self.hub.topics[&self.hub.names[&key]]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn readers_get_what_they_missed_or_are_told(seed: u64) {
        let mut model = Model::new(seed);
        for _ in 0..600 {
            model.step();
        }
        prop_assert!(model.recovered > 0 && model.reset > 0, "both ways back were taken");
        for session in 0..SESSIONS {
            model.drop_session(session);
        }
        model.pass(Micros::from_secs(1_000));
        prop_assert_eq!(model.hub.topics(), 0);
        prop_assert_eq!(model.hub.viewers(), 0);
        prop_assert!(model.hub.poll_timeout().is_none() && model.hub.sessions.is_empty());
    }
}
