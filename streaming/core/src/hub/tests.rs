use amphi_shared_wire::limits::{
    CHAT_HISTORY, CHAT_LINES_PER_10_S, IDEMPOTENCY_KEYS_MAX, SERVICE_PUBLISH_BYTES_MAX, SUBSCRIPTIONS_MAX,
};
use amphi_shared_wire::proto::{Failed, Payload, Position, Publish, Subscribed, Unsubscribe, payload::Kind};
use amphi_shared_wire::{AppId, Seed, UserId};

use super::*;
use crate::{Access, BrokerEvent, Content, FLAG_KEYFRAME, MemoryBroker, Role};

mod classes;
mod looking;

const CHAT: &str = "match:mch_1:chat";
const VIEW: &str = "match:mch_1:view:0";
const STATS: &str = "match:mch_1:stats";

/// One thing that a session was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sent {
    Reply(TopicReply),
    Publication { alias: u32, offset: u64, flags: u8, payload: Payload },
}

pub(super) fn read(bytes: &Bytes) -> Sent {
    if bytes[0] == REPLY {
        return Sent::Reply(TopicReply::decode(&bytes[1..]).unwrap());
    }
    let (alias, a) = amphi_shared_wire::decode_varint(&bytes[1..]).unwrap().unwrap();
    let (offset, o) = amphi_shared_wire::decode_varint(&bytes[1 + a..]).unwrap().unwrap();
    let payload = Payload::decode(&bytes[2 + a + o..]).unwrap();
    Sent::Publication { alias: alias as u32, offset, flags: bytes[1 + a + o], payload }
}

pub(super) fn person(n: u64, role: Role) -> Person {
    let (user, app) = (UserId::from_bits(u128::from(n)), AppId::default());
    Person { user, app, name: format!("Person {n}"), role, grants: None }
}

pub(super) fn subscribe(topic: &str, since: Option<Position>) -> topic_request::Kind {
    topic_request::Kind::Subscribe(Subscribe { topic: topic.to_owned(), since })
}

pub(super) fn say(topic: &str, text: &str, key: &str) -> topic_request::Kind {
    let payload = Some(Payload { kind: Some(Kind::Text(text.to_owned())) });
    topic_request::Kind::Publish(Publish { topic: topic.to_owned(), payload, key: key.to_owned() })
}

struct Harness {
    hub: Hub,
    broker: MemoryBroker,
    now: Micros,
    /// What became of service publications.
    services: Vec<Result<u64, Code>>,
}

impl Harness {
    fn new() -> Self {
        Self::with(HubConfig::default())
    }

    fn with(config: HubConfig) -> Self {
        let broker = MemoryBroker::new(config.topics_max, Seed(1));
        Self { hub: Hub::new(config), broker, now: Micros::from_secs(1_000), services: Vec::new() }
    }

    fn wait(&mut self, seconds: u64) -> Vec<(u64, Sent)> {
        let until = self.now + Micros::from_secs(seconds);
        let mut sent = Vec::new();
        loop {
            let due = [self.hub.poll_timeout(), self.broker.poll_timeout()].into_iter().flatten().min();
            let Some((at, _)) = due.filter(|(at, _)| *at <= until) else { break };
            self.now = at.max(self.now);
            self.broker.handle_timeout(self.now);
            self.hub.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = until;
        sent
    }

    fn ask(&mut self, session: u64, kind: topic_request::Kind) -> Vec<(u64, Sent)> {
        self.ask_as(session, &person(session, Role::Guest), kind)
    }

    fn ask_as(&mut self, session: u64, person: &Person, kind: topic_request::Kind) -> Vec<(u64, Sent)> {
        self.hub.handle_request(self.now, SessionKey(session), person, TopicRequest { id: 9, kind: Some(kind) });
        self.drain()
    }

    fn frame(&mut self, flags: u8, byte: u8) -> Vec<(u64, Sent)> {
        let payload = Some(Payload { kind: Some(Kind::Binary(vec![byte; 4].into())) });
        self.serve(VIEW, flags, payload).unwrap();
        self.drain()
    }

    /// Publishes as a service; the offset.
    fn serve(&mut self, topic: &str, flags: u8, payload: Option<Payload>) -> Result<u64, Code> {
        let ask = Publish { topic: topic.to_owned(), payload, key: String::new() };
        let service = (&AppId::default(), "service");
        self.hub.publish_service(self.now, 3, service, (flags, ask)).map_err(|denied| denied.code)?;
        self.ask_broker();
        self.services.pop().unwrap()
    }

    /// Everything that the hub asks of its broker, and what comes of it.
    fn ask_broker(&mut self) {
        while let Some(request) = self.hub.poll_request() {
            self.broker.handle_request(self.now, request);
            while let Some(event) = self.broker.poll_event() {
                if let BrokerEvent::Published { ticket: 0, .. } = event {
                    panic!("tickets begin with 1");
                }
                self.hub.handle_broker(self.now, event);
            }
        }
        self.hub.outputs.retain(|output| match output {
            HubOutput::Published { ticket, receipt } => {
                assert_eq!(*ticket, 3);
                self.services.push(receipt.map(|receipt| receipt.offset).map_err(|denied| denied.code));
                false
            }
            HubOutput::Send { .. }
            | HubOutput::SendText { .. }
            | HubOutput::Broadcast { .. }
            | HubOutput::BroadcastText { .. }
            | HubOutput::History { .. } => true,
        });
    }

    fn drain(&mut self) -> Vec<(u64, Sent)> {
        self.ask_broker();
        let mut sent = Vec::new();
        while let Some(output) = self.hub.poll_output() {
            match output {
                HubOutput::Send { session, payload } => sent.push((session.0, read(&payload))),
                HubOutput::SendText { .. }
                | HubOutput::BroadcastText { .. }
                | HubOutput::Published { .. }
                | HubOutput::History { .. } => {
                    panic!("nobody here reads text, and services were heard")
                }
                HubOutput::Broadcast { alias, offset, payload, .. } => {
                    sent.extend(self.hub.receivers(alias, offset).map(|session| (session.0, read(&payload))));
                }
            }
        }
        sent
    }
}

fn subscribed(sent: &[(u64, Sent)]) -> Subscribed {
    match &sent[0].1 {
        Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::Subscribed(reply)), .. }) => reply.clone(),
        Sent::Reply(_) | Sent::Publication { .. } => panic!("not subscribed: {sent:?}"),
    }
}

fn failed(sent: &[(u64, Sent)]) -> Failed {
    match &sent[0].1 {
        Sent::Reply(TopicReply { id: 9, kind: Some(topic_reply::Kind::Failed(reply)) }) => reply.clone(),
        Sent::Reply(_) | Sent::Publication { .. } => panic!("not refused: {sent:?}"),
    }
}

fn refused(sent: &[(u64, Sent)]) -> Code {
    Code::from_number(failed(sent).code).unwrap()
}

fn published(sent: &[(u64, Sent)]) -> Option<u64> {
    sent.iter().find_map(|(_, sent)| match sent {
        Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::Published(reply)), .. }) => Some(reply.offset),
        Sent::Reply(_) | Sent::Publication { .. } => None,
    })
}

fn offsets(sent: &[(u64, Sent)], session: u64) -> Vec<u64> {
    let mine = sent.iter().filter(|(to, _)| *to == session);
    mine.filter_map(|(_, sent)| match sent {
        Sent::Publication { offset, .. } => Some(*offset),
        Sent::Reply(_) => None,
    })
    .collect()
}

fn texts(sent: &[(u64, Sent)], field: &str) -> Vec<String> {
    let json = sent.iter().filter_map(|(_, sent)| match sent {
        Sent::Publication { payload: Payload { kind: Some(Kind::Json(json)) }, .. } => Some(json),
        Sent::Publication { .. } | Sent::Reply(_) => None,
    });
    json.map(|json| serde_json::from_str::<serde_json::Value>(json).unwrap()[field].to_string()).collect()
}

#[test]
fn two_people_chat_and_a_late_joiner_sees_it() {
    let mut harness = Harness::new();
    harness.ask(1, subscribe(CHAT, None));
    harness.ask(2, subscribe(CHAT, None));
    let sent = harness.ask(1, say(CHAT, "<b>hi</b>", ""));
    assert_eq!(published(&sent), Some(1));
    assert_eq!((offsets(&sent, 1), offsets(&sent, 2)), (vec![1], vec![1]));
    assert_eq!(texts(&sent, "text"), [r#""<b>hi</b>""#, r#""<b>hi</b>""#]);
    let late = harness.ask(3, subscribe(CHAT, None));
    assert_eq!(subscribed(&late).replayed, 1);
    assert_eq!(offsets(&late, 3), [1]);
}

#[test]
fn a_late_joiner_sees_the_last_fifty_lines() {
    let mut harness = Harness::new();
    for n in 0..CHAT_HISTORY as u64 + 10 {
        assert!(published(&harness.ask(n, say(CHAT, "line", ""))).is_some());
    }
    let late = harness.ask(1_000, subscribe(CHAT, None));
    assert_eq!(offsets(&late, 1_000), (11..=60).collect::<Vec<u64>>());
}

#[test]
fn who_returns_gets_what_was_missed_or_is_told() {
    let mut harness = Harness::new();
    let first = subscribed(&harness.ask(1, subscribe(CHAT, None)));
    harness.ask(2, say(CHAT, "one", ""));
    harness.hub.session_closed(harness.now, SessionKey(1));
    harness.ask(2, say(CHAT, "two", ""));
    harness.ask(2, say(CHAT, "three", ""));
    let back = harness.ask(1, subscribe(CHAT, Some(Position { epoch: first.epoch, offset: 1 })));
    assert!(subscribed(&back).recovered);
    assert_eq!(offsets(&back, 1), [2, 3]);
    for wrong in [Position { epoch: first.epoch ^ 1, offset: 1 }, Position { epoch: first.epoch, offset: 4 }] {
        let back = harness.ask(3, subscribe(CHAT, Some(wrong)));
        assert!(!subscribed(&back).recovered);
        assert_eq!(offsets(&back, 3), [1, 2, 3], "a reset reader sees what a newcomer sees");
        harness.hub.session_closed(harness.now, SessionKey(3));
    }
}

#[test]
fn an_idle_topic_goes_and_comes_back_with_another_epoch() {
    let mut harness = Harness::new();
    let first = subscribed(&harness.ask(1, subscribe(CHAT, None)));
    harness.ask(1, say(CHAT, "one", ""));
    harness.wait(1_000);
    assert_eq!(harness.hub.topics(), 1, "a topic with a reader stays");
    harness.hub.session_closed(harness.now, SessionKey(1));
    harness.wait(60);
    assert_eq!((harness.hub.topics(), harness.broker.topics()), (0, 1), "it is followed no more, and remembered");
    harness.wait(299);
    assert_eq!(harness.broker.topics(), 1);
    harness.wait(1);
    assert_eq!(harness.broker.topics(), 0);
    let back = subscribed(&harness.ask(1, subscribe(CHAT, Some(Position { epoch: first.epoch, offset: 1 }))));
    assert!(!back.recovered);
    assert_ne!(back.epoch, first.epoch);
    assert_ne!(back.alias, first.alias);
    harness.hub.session_closed(harness.now, SessionKey(1));
    harness.wait(75);
    assert_eq!(harness.broker.topics(), 0, "an empty topic goes sooner");
    assert_eq!((harness.hub.poll_timeout(), harness.broker.poll_timeout()), (None, None));
}

#[test]
fn a_spectator_starts_at_the_keyframe() {
    let mut harness = Harness::new();
    harness.frame(0, 1);
    harness.frame(FLAG_KEYFRAME, 2);
    harness.frame(0, 3);
    let joined = harness.ask(1, subscribe(VIEW, None));
    assert_eq!(offsets(&joined, 1), [2, 3]);
    assert_eq!(offsets(&harness.frame(0, 4), 1), [4]);
    assert_eq!(refused(&harness.ask(1, say(VIEW, "mine", ""))), Code::PublishForbidden);
}

#[test]
fn viewers_are_counted_at_most_once_per_second() {
    let mut harness = Harness::new();
    let joined = harness.ask(1, subscribe(STATS, None));
    assert_eq!(texts(&joined, "viewers"), ["0"]);
    for viewer in 10..20 {
        assert!(texts(&harness.ask(viewer, subscribe(VIEW, None)), "viewers").is_empty());
    }
    assert_eq!(texts(&harness.wait(1), "viewers"), ["10"]);
    harness.hub.session_closed(harness.now, SessionKey(10));
    assert_eq!(texts(&harness.wait(5), "viewers"), ["9"]);
    harness.ask(10, subscribe(VIEW, None));
    harness.hub.session_closed(harness.now, SessionKey(10));
    assert!(harness.wait(5).is_empty(), "no news is not told");
    assert_eq!(harness.hub.viewers(), 9);
    assert_eq!(texts(&harness.ask(2, subscribe(STATS, None)), "viewers"), ["9"]);
    assert_eq!(refused(&harness.ask(2, say(STATS, "{}", ""))), Code::PublishForbidden);
    assert_eq!(harness.serve(STATS, 0, Some(Payload { kind: None })), Err(Code::PublishForbidden));
}

#[test]
fn a_key_publishes_once() {
    let mut harness = Harness::new();
    assert_eq!(published(&harness.ask(1, say(CHAT, "a", "k"))), Some(1));
    let again = harness.ask(1, say(CHAT, "a", "k"));
    assert_eq!((published(&again), harness.hub.counters().duplicates), (Some(1), 1));
    assert_eq!(published(&harness.ask(2, say(CHAT, "b", "k"))), Some(2), "keys belong to a person");
    assert_eq!(refused(&harness.ask(1, say(CHAT, "other", "k"))), Code::KeyReused);
    assert_eq!(refused(&harness.ask(1, say(CHAT, "a", &"k".repeat(65)))), Code::MessageInvalid);
    for n in 0..IDEMPOTENCY_KEYS_MAX as u64 {
        harness.ask(100 + n, say(CHAT, "c", "x"));
    }
    let forgotten = published(&harness.ask(1, say(CHAT, "a", "k")));
    assert_eq!(forgotten, Some(3 + IDEMPOTENCY_KEYS_MAX as u64));
}

#[test]
fn a_flood_of_lines_is_refused_with_the_time_to_wait() {
    let mut harness = Harness::new();
    for _ in 0..CHAT_LINES_PER_10_S {
        assert!(published(&harness.ask(1, say(CHAT, "spam", ""))).is_some());
    }
    let flood = failed(&harness.ask(1, say("match:mch_2:chat", "spam", "")));
    assert_eq!((flood.code, flood.retry_after_ms), (Code::RateLimited.number(), 1_250));
    assert!(published(&harness.ask(2, say(CHAT, "fine", ""))).is_some());
    harness.wait(2);
    assert!(published(&harness.ask(1, say(CHAT, "slower", ""))).is_some());
    assert_eq!(harness.hub.counters().rate_limited, 1);
}

#[test]
fn subscriptions_are_bounded_and_wrong_requests_numbered() {
    let mut harness = Harness::new();
    for n in 0..100 {
        let sent = harness.ask(1, subscribe(&format!("match:m{n}:chat"), None));
        if n < SUBSCRIPTIONS_MAX {
            subscribed(&sent);
        } else {
            assert_eq!(refused(&sent), Code::TooManySubscriptions);
        }
    }
    assert_eq!(refused(&harness.ask(1, subscribe("match:m0:chat", None))), Code::AlreadySubscribed);
    assert_eq!(refused(&harness.ask(1, subscribe("Match", None))), Code::TopicInvalid);
    assert_eq!(refused(&harness.ask(1, subscribe("nowhere", None))), Code::TopicUnknown);
    let off = |topic: &str| topic_request::Kind::Unsubscribe(Unsubscribe { topic: topic.to_owned() });
    assert_eq!(refused(&harness.ask(1, off(VIEW))), Code::NotSubscribed);
    harness.ask(1, off("match:m0:chat"));
    assert_eq!(refused(&harness.ask(1, off("match:m0:chat"))), Code::NotSubscribed);
    let flood = (0..200).map(|_| {
        harness.ask(1, off("match:m1:chat"));
        harness.ask(1, subscribe("match:m1:chat", None))
    });
    let refusals = flood.filter(|sent| {
        !matches!(&sent[0].1, Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::Subscribed(_)), .. }))
    });
    assert_eq!(refused(&refusals.last().unwrap()), Code::RateLimited);
    harness.hub.handle_request(harness.now, SessionKey(1), &person(1, Role::Guest), TopicRequest { id: 9, kind: None });
    assert_eq!(refused(&harness.drain()), Code::MessageInvalid);
}

#[test]
fn classes_ask_for_roles_and_apps_are_apart() {
    let staff = TopicClass {
        pattern: "staff".parse().unwrap(),
        subscribe: Access::People(Role::Moderator),
        publish: Access::People(Role::Operator),
        content: Content::Any,
        ..TopicClass::match_chat()
    };
    let config = HubConfig { classes: vec![staff, TopicClass::match_chat()], topics_max: 3 };
    let mut harness = Harness::with(config);
    let (moderator, operator) = (person(2, Role::Moderator), person(3, Role::Operator));
    assert_eq!(refused(&harness.ask(1, subscribe("staff", None))), Code::SubscribeForbidden);
    subscribed(&harness.ask_as(2, &moderator, subscribe("staff", None)));
    assert_eq!(refused(&harness.ask_as(2, &moderator, say("staff", "x", ""))), Code::PublishForbidden);
    assert!(published(&harness.ask_as(3, &operator, say("staff", "x", ""))).is_some());

    let elsewhere = Person { app: "other".parse().unwrap(), ..person(4, Role::Guest) };
    subscribed(&harness.ask(1, subscribe(CHAT, None)));
    let sent = harness.ask_as(4, &elsewhere, say(CHAT, "hello", ""));
    assert!(published(&sent).is_some() && offsets(&sent, 1).is_empty());
    assert_eq!(refused(&harness.ask(1, subscribe("match:m3:chat", None))), Code::Overloaded, "three topics exist");
    assert_eq!(harness.hub.counters().overloaded, 1);
}

#[test]
fn service_publications_are_checked_too() {
    let mut harness = Harness::new();
    let mut publish =
        |topic: &str, kind: Option<Kind>| harness.serve(topic, 0, kind.map(|kind| Payload { kind: Some(kind) }));
    assert_eq!(publish(VIEW, None), Err(Code::MessageEmpty));
    let large = Kind::Binary(vec![0; SERVICE_PUBLISH_BYTES_MAX + 1].into());
    assert_eq!(publish(VIEW, Some(large)), Err(Code::MessageTooLarge));
    let largest = Kind::Binary(vec![0; SERVICE_PUBLISH_BYTES_MAX].into());
    assert_eq!(publish(VIEW, Some(largest)), Ok(1));
    assert_eq!(publish(VIEW, Some(Kind::Json("{".to_owned()))), Err(Code::MessageInvalid));
    assert_eq!(publish("view", Some(Kind::Json("1".to_owned()))), Err(Code::TopicUnknown));
    assert_eq!(harness.hub.counters().refused, 4);
}
