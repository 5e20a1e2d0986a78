//! Classes of one's own: entries, last values, tokens, and brokers that do not answer.

use std::sync::Arc;

use amphi_shared_wire::TopicGrants;
use amphi_shared_wire::limits::TOPIC_OPEN_MS_MAX;

use super::*;
use crate::{BrokerFault, HistoryKind, LogView, Pace, PresenceRules, Record};

fn class(prefix: &str) -> TopicClass {
    let guests = Access::People(Role::Guest);
    TopicClass { publish: guests, ..TopicClass::new(format!("{prefix}:**").parse().unwrap()) }
}

fn with(class: TopicClass) -> Harness {
    Harness::with(HubConfig { classes: vec![class], topics_max: 10 })
}

fn json(topic: &str, json: &str) -> topic_request::Kind {
    let payload = Some(Payload { kind: Some(Kind::Json(json.to_owned())) });
    topic_request::Kind::Publish(Publish { topic: topic.to_owned(), payload, key: String::new() })
}

fn prices() -> TopicClass {
    let mut prices = TopicClass { key: Some("id".to_owned()), ..class("prices") };
    prices.history.kind = HistoryKind::State;
    prices.history.messages_max = 2;
    prices
}

#[test]
fn a_state_is_its_entries_then_what_changes() {
    let mut harness = with(prices());
    for body in [r#"{"id":"a","v":1}"#, r#"{"id":"b","v":2}"#, r#"{"id":"a","v":3}"#, r#"{"id":"c","v":4}"#] {
        assert!(published(&harness.ask(1, json("prices", body))).is_some());
    }
    let joined = harness.ask(2, subscribe("prices", None));
    assert_eq!(texts(&joined, "v"), ["2", "3", "4"]);
    let Subscribed { offset, replayed, epoch, .. } = subscribed(&joined);
    assert_eq!((offset, replayed), (4, 3));
    let live = harness.ask(1, json("prices", r#"{"id":"b"}"#));
    assert_eq!(offsets(&live, 2), [5]);
    let missed = harness.ask(3, subscribe("prices", Some(Position { epoch, offset: 4 })));
    assert!(subscribed(&missed).recovered && offsets(&missed, 3) == [5], "the removal is seen");
    let lost = harness.ask(4, subscribe("prices", Some(Position { epoch, offset: 1 })));
    assert!(!subscribed(&lost).recovered);
    assert_eq!(offsets(&lost, 4), [3, 4], "history does not reach back, so it is the state");
    assert_eq!(refused(&harness.ask(1, json("prices", "[]"))), Code::MessageInvalid);
}

#[test]
fn a_cache_shows_its_last_value_at_once() {
    let mut score = TopicClass { newcomer_messages: 1, ..class("score") };
    score.history.messages_max = 1;
    let mut harness = with(score);
    for body in ["1", "2"] {
        harness.ask(1, json("score:a", body));
    }
    let joined = harness.ask(2, subscribe("score:a", None));
    assert_eq!((subscribed(&joined).offset, offsets(&joined, 2)), (2, vec![2]));
}

#[test]
fn without_recovery_a_position_is_worth_nothing() {
    let mut harness = with(TopicClass { recovery: false, ..class("cursors") });
    let first = subscribed(&harness.ask(1, subscribe("cursors", None)));
    let back = harness.ask(2, subscribe("cursors", Some(Position { epoch: first.epoch, offset: 0 })));
    assert!(!subscribed(&back).recovered);
}

#[test]
fn a_class_has_its_own_pace_and_size() {
    let pace = Pace { interval: Micros::from_secs(10), burst: 1 };
    let mut harness = with(TopicClass { pace, message_bytes_max: 5, ..class("slow") });
    assert_eq!(refused(&harness.ask(1, json("slow", "123456"))), Code::MessageTooLarge);
    assert!(published(&harness.ask(1, json("slow:a", "12345"))).is_some());
    assert_eq!(refused(&harness.ask(1, json("slow:b", "1"))), Code::RateLimited, "over all topics of the class");
    assert!(published(&harness.ask(2, json("slow:b", "1"))).is_some());
}

#[test]
fn a_token_grants_what_a_role_does_not() {
    let presence = Some(PresenceRules { see: Access::Token, joins: false });
    let rooms = TopicClass { subscribe: Access::Token, publish: Access::Token, presence, ..class("room") };
    let mut harness = with(rooms);
    let grants = TopicGrants {
        read: vec!["room:7:**".parse().unwrap()],
        publish: vec!["room:7:orders".parse().unwrap()],
        presence: Vec::new(),
    };
    let ada = Person { grants: Some(Arc::new(grants)), ..person(1, Role::Guest) };
    subscribed(&harness.ask_as(1, &ada, subscribe("room:7:orders", None)));
    subscribed(&harness.ask_as(1, &ada, subscribe("room:7", None)));
    assert_eq!(refused(&harness.ask_as(1, &ada, subscribe("room:8", None))), Code::SubscribeForbidden);
    assert!(published(&harness.ask_as(1, &ada, json("room:7:orders", "1"))).is_some());
    assert_eq!(refused(&harness.ask_as(1, &ada, json("room:7", "1"))), Code::PublishForbidden);
    let operator = person(2, Role::Operator);
    assert_eq!(refused(&harness.ask_as(2, &operator, subscribe("room:7", None))), Code::SubscribeForbidden);
}

#[test]
fn one_read_answers_everyone_who_waits() {
    let mut hub = Hub::new(HubConfig { classes: vec![class("news")], topics_max: 10 });
    let now = Micros::from_secs(9);
    let ask = |hub: &mut Hub, session| {
        let request = TopicRequest { id: 1, kind: Some(subscribe("news", None)) };
        hub.handle_request(now, SessionKey(session), &person(session, Role::Guest), request);
    };
    (1..=5).for_each(|session| ask(&mut hub, session));
    let Some(BrokerRequest::Read { topic, since: None, .. }) = hub.poll_request() else { panic!("no read") };
    assert!(hub.poll_request().is_none() && hub.poll_output().is_none());
    hub.session_closed(now, SessionKey(2));
    let view = LogView { epoch: 7, newest: 3, since: false, records: Vec::new(), state: Vec::new() };
    hub.handle_broker(now, BrokerEvent::Read { topic, view: Ok(view) });
    let answered: Vec<_> = std::iter::from_fn(|| hub.poll_output()).collect();
    assert_eq!(answered.len(), 4);
    assert_eq!(hub.receivers(1, 4).count(), 4);
}

#[test]
fn a_hole_is_read_before_anything_after_it_is_shown() {
    let mut hub = Hub::new(HubConfig { classes: vec![class("news")], topics_max: 10 });
    let now = Micros::from_secs(9);
    let request = TopicRequest { id: 1, kind: Some(subscribe("news", None)) };
    hub.handle_request(now, SessionKey(1), &person(1, Role::Guest), request);
    let Some(BrokerRequest::Read { topic, .. }) = hub.poll_request() else { panic!("no read") };
    let record = |offset| Record { offset, at: now, flags: 0, entry: None, payload: Bytes::new() };
    let view = |since, records: &[u64]| LogView {
        epoch: 7,
        newest: records.last().copied().unwrap_or(1),
        since,
        records: records.iter().map(|offset| record(*offset)).collect(),
        state: Vec::new(),
    };
    let hear = |hub: &mut Hub, event| {
        hub.handle_broker(now, event);
        let sent = std::iter::from_fn(|| hub.poll_output());
        let offset = |output| match output {
            HubOutput::Broadcast { offset, .. } => Some(offset),
            HubOutput::Send { .. }
            | HubOutput::SendText { .. }
            | HubOutput::BroadcastText { .. }
            | HubOutput::Published { .. }
            | HubOutput::History { .. } => None,
        };
        sent.filter_map(offset).collect::<Vec<_>>()
    };
    let publication = |offset| BrokerEvent::Publication { topic: topic.clone(), epoch: 7, record: record(offset) };
    let read = |view| BrokerEvent::Read { topic: topic.clone(), view: Ok(view) };
    assert!(hear(&mut hub, read(view(false, &[1]))).is_empty());
    assert_eq!(hear(&mut hub, publication(2)), [2]);
    assert!(hear(&mut hub, publication(5)).is_empty() && hear(&mut hub, publication(6)).is_empty());
    let since = Some(Position { epoch: 7, offset: 2 });
    assert!(matches!(hub.poll_request(), Some(BrokerRequest::Read { since: asked, .. }) if asked == since));
    assert!(hub.poll_request().is_none(), "one read at a time");
    assert_eq!(hear(&mut hub, publication(3)), [3], "what is next is shown");
    assert_eq!(hear(&mut hub, read(view(true, &[3, 4, 5]))), [4, 5, 6]);
    assert!(hear(&mut hub, publication(5)).is_empty(), "what is known is not shown twice");
    assert_eq!((hub.counters().holes, hub.counters().resets), (1, 0));
}

#[test]
fn a_broker_that_does_not_answer_keeps_nobody_for_long() {
    let mut hub = Hub::new(HubConfig { classes: vec![class("news")], topics_max: 10 });
    let now = Micros::from_secs(9);
    let request = TopicRequest { id: 9, kind: Some(subscribe("news", None)) };
    hub.handle_request(now, SessionKey(1), &person(1, Role::Guest), request);
    let Some(BrokerRequest::Read { topic, .. }) = hub.poll_request() else { panic!("no read") };
    hub.handle_broker(now, BrokerEvent::Read { topic, view: Err(BrokerFault::Unavailable) });
    assert!(hub.poll_request().is_none() && hub.poll_output().is_none());
    hub.handle_timeout(now + Micros::from_millis(500));
    assert!(matches!(hub.poll_request(), Some(BrokerRequest::Read { .. })), "it is asked again");
    hub.handle_timeout(now + Micros::from_millis(TOPIC_OPEN_MS_MAX));
    let Some(HubOutput::Send { payload, .. }) = hub.poll_output() else { panic!("no refusal") };
    assert_eq!(refused(&[(1, read(&payload))]), Code::Unavailable);
    assert_eq!((hub.counters().unanswered, hub.reads(SessionKey(1), 1)), (1, false));
    hub.handle_timeout(now + Micros::from_secs(100));
    assert_eq!((hub.topics(), hub.poll_timeout()), (0, None));
}
