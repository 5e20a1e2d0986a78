//! One suite for every broker, the Redis one on a real server.

use std::future::poll_fn;

use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_wire::limits::{BROKER_CALLS_MAX, IDEMPOTENCY_KEYS_MAX, STATE_ENTRIES_MAX};
use amphi_shared_wire::proto::Position;
use amphi_shared_wire::{AppId, Micros, Seed};
use amphi_streaming_core::{
    BrokerEvent, BrokerFault, BrokerRequest, EntryChange, HistoryKind, HistoryLimits, LogRules, LogView, MemoryBroker,
    Once, PublishOrder, Reach, Receipt, Record, TopicKey,
};
use amphi_streaming_node::{Broker, RedisBroker};
use bytes::Bytes;

use crate::client::patient;
use crate::redis::Redis;

/// A broker, and what it has said that nobody asked about yet.
pub(crate) struct Desk {
    broker: Box<dyn Broker>,
    now: Micros,
    heard: Vec<(u64, u64)>,
    told: Vec<(Option<TopicKey>, Bytes)>,
    unsure: usize,
    tickets: u64,
}

const RULES: LogRules = LogRules {
    history: HistoryLimits {
        messages_max: 4,
        bytes_max: 1_000,
        age: Micros::from_secs(3_600),
        kind: HistoryKind::Stream,
    },
    idle: Micros::from_secs(600),
    reach: Reach::Deployment,
    presence: false,
};

fn rules(kind: HistoryKind) -> LogRules {
    LogRules { history: HistoryLimits { kind, ..RULES.history }, ..RULES }
}

fn topic(name: &str) -> TopicKey {
    TopicKey { app: AppId::default(), name: name.parse().unwrap() }
}

fn once(key: &str, fingerprint: u64) -> Option<Once> {
    Some(Once { key: key.to_owned(), fingerprint })
}

impl Desk {
    pub(crate) fn new(broker: impl Broker + 'static) -> Self {
        let now = Micros::from_secs(1_763_000_000);
        Self { broker: Box::new(broker), now, heard: Vec::new(), told: Vec::new(), unsure: 0, tickets: 0 }
    }

    /// The broker of a server, once it is connected.
    async fn redis(redis: &Redis, seed: u64) -> Self {
        let broker = RedisBroker::start((&redis.url(), None), Seed(seed), Shutdown::new()).unwrap();
        let mut desk = Self::new(broker);
        desk.until_unsure().await;
        desk
    }

    async fn next(&mut self) -> BrokerEvent {
        patient(async {
            loop {
                if let Some(event) = self.broker.poll_event() {
                    return event;
                }
                poll_fn(|context| self.broker.poll_ready(context)).await;
            }
        })
        .await
    }

    /// Waits for another connection.
    async fn until_unsure(&mut self) {
        let before = self.unsure;
        while self.unsure == before {
            let event = self.next().await;
            self.note(event);
        }
    }

    fn note(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Publication { epoch, record, .. } => self.heard.push((epoch, record.offset)),
            BrokerEvent::Unsure => self.unsure += 1,
            BrokerEvent::Told { topic, message } => self.told.push((topic, message)),
            BrokerEvent::Read { .. } | BrokerEvent::Published { .. } => panic!("{event:?} was not asked for"),
        }
    }

    async fn publish(&mut self, name: &str, rules: LogRules, draft: Draft<'_>) -> Result<Receipt, BrokerFault> {
        self.tickets += 1;
        let Draft { body, flags, entry, once } = draft;
        let payload = Bytes::copy_from_slice(body);
        let record = Record { offset: 0, at: self.now, flags, entry, payload };
        let order = PublishOrder { ticket: self.tickets, topic: topic(name), rules, record, once };
        self.broker.submit(self.now, BrokerRequest::Publish(order));
        loop {
            match self.next().await {
                BrokerEvent::Published { ticket, receipt } => {
                    assert_eq!(ticket, self.tickets);
                    return receipt;
                }
                other @ (BrokerEvent::Publication { .. }
                | BrokerEvent::Told { .. }
                | BrokerEvent::Unsure
                | BrokerEvent::Read { .. }) => self.note(other),
            }
        }
    }

    /// Publishes many at once, each with its number as its body, and waits until all are answered; what the topic then
    /// holds, in its order.
    async fn say_all(&mut self, name: &str, count: usize) -> Vec<usize> {
        let history = HistoryLimits { messages_max: count, bytes_max: 1_000_000, ..RULES.history };
        let rules = LogRules { history, ..RULES };
        let first = self.tickets + 1;
        for n in 0..count {
            self.tickets += 1;
            let record = Record { offset: 0, at: self.now, flags: 0, entry: None, payload: n.to_string().into() };
            let order = PublishOrder { ticket: self.tickets, topic: topic(name), rules, record, once: None };
            self.broker.submit(self.now, BrokerRequest::Publish(order));
        }
        let mut answered = 0;
        while answered < count {
            match self.next().await {
                BrokerEvent::Published { ticket, receipt } => {
                    assert!((first..=self.tickets).contains(&ticket) && receipt.is_ok());
                    answered += 1;
                }
                other @ (BrokerEvent::Publication { .. }
                | BrokerEvent::Told { .. }
                | BrokerEvent::Unsure
                | BrokerEvent::Read { .. }) => self.note(other),
            }
        }
        let view = self.try_read(name, rules, None).await.unwrap();
        view.records.iter().map(|record| std::str::from_utf8(&record.payload).unwrap().parse().unwrap()).collect()
    }

    /// Publishes a body of ten bytes; its offset.
    async fn say(&mut self, name: &str) -> u64 {
        self.publish(name, RULES, Draft::default()).await.unwrap().offset
    }

    async fn try_read(&mut self, name: &str, rules: LogRules, since: Option<Position>) -> Result<LogView, BrokerFault> {
        self.broker.submit(self.now, BrokerRequest::Read { topic: topic(name), rules, since });
        loop {
            match self.next().await {
                BrokerEvent::Read { topic: told, view } => {
                    assert_eq!(told, topic(name));
                    return view;
                }
                other @ (BrokerEvent::Publication { .. }
                | BrokerEvent::Told { .. }
                | BrokerEvent::Unsure
                | BrokerEvent::Published { .. }) => self.note(other),
            }
        }
    }

    async fn read(&mut self, name: &str, since: Option<Position>) -> LogView {
        self.try_read(name, RULES, since).await.unwrap()
    }

    /// Waits until so many publications were heard, and takes them: their offsets.
    async fn hear(&mut self, count: usize) -> Vec<u64> {
        while self.heard.len() < count {
            let event = self.next().await;
            self.note(event);
        }
        self.heard.drain(..).map(|(_, offset)| offset).collect()
    }
}

struct Draft<'a> {
    body: &'a [u8],
    flags: u8,
    entry: Option<EntryChange>,
    once: Option<Once>,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self { body: b"0123456789", flags: 0, entry: None, once: None }
    }
}

fn offsets(view: &LogView) -> Vec<u64> {
    view.records.iter().map(|record| record.offset).collect()
}

/// What every broker does.
async fn conforms(desk: &mut Desk) {
    orders_and_tells(desk).await;
    reads_what_was_missed(desk).await;
    keeps_to_its_limits(desk).await;
    starts_at_keyframes(desk).await;
    publishes_once_by_key(desk).await;
    keeps_a_state(desk).await;
}

async fn orders_and_tells(desk: &mut Desk) {
    assert_eq!(desk.say("order").await, 1, "nobody needs to follow it");
    let view = desk.read("order", None).await;
    assert_eq!((view.newest, view.since, offsets(&view)), (1, false, vec![1]));
    let draft = Draft { body: b"\0\r\n {}", flags: 6, ..Draft::default() };
    let receipt = desk.publish("order", RULES, draft).await.unwrap();
    assert_eq!(receipt, Receipt { epoch: view.epoch, offset: 2, duplicate: false });
    assert_eq!(desk.hear(1).await, [2]);
    let record = desk.read("order", None).await.records.pop().unwrap();
    assert_eq!((&record.payload[..], record.flags, record.at), (&b"\0\r\n {}"[..], 6, desk.now));
    desk.broker.submit(desk.now, BrokerRequest::Leave { topic: topic("order"), rules: RULES });
    assert_eq!(desk.say("order").await, 3);
    assert_eq!(desk.read("order", None).await.newest, 3);
    assert_eq!(desk.say("order").await, 4);
    assert_eq!(desk.hear(1).await, [4], "it was not followed in between");
    // More than there may be calls at a time.
    let count = 2 * BROKER_CALLS_MAX;
    assert_eq!(
        desk.say_all("crowd", count).await,
        (0..count).collect::<Vec<_>>(),
        "what is submitted first stands first"
    );
}

async fn reads_what_was_missed(desk: &mut Desk) {
    let epoch = desk.read("missed", None).await.epoch;
    let at = |epoch, offset| Some(Position { epoch, offset });
    let empty = desk.read("missed", at(epoch, 0)).await;
    assert!(empty.since && empty.records.is_empty());
    for _ in 0..6 {
        desk.say("missed").await;
    }
    let view = desk.read("missed", at(epoch, 4)).await;
    assert_eq!((view.since, view.newest, offsets(&view)), (true, 6, vec![5, 6]));
    let view = desk.read("missed", at(epoch, 6)).await;
    assert!(view.since && view.records.is_empty());
    for lost in [at(epoch, 1), at(epoch, 7), at(epoch ^ 1, 5), at(epoch, u64::MAX)] {
        let view = desk.read("missed", lost).await;
        assert_eq!((view.since, view.epoch, offsets(&view)), (false, epoch, vec![3, 4, 5, 6]), "{lost:?}");
    }
    desk.hear(6).await;
}

async fn keeps_to_its_limits(desk: &mut Desk) {
    let limits = HistoryLimits { messages_max: 100, bytes_max: 35, ..RULES.history };
    let by_bytes = LogRules { history: limits, ..RULES };
    for _ in 0..5 {
        desk.publish("bytes", by_bytes, Draft::default()).await.unwrap();
    }
    let view = desk.try_read("bytes", by_bytes, None).await.unwrap();
    assert_eq!((view.newest, offsets(&view)), (5, vec![3, 4, 5]));
    let huge = Draft { body: &[7; 36], ..Draft::default() };
    assert_eq!(desk.publish("bytes", by_bytes, huge).await.unwrap().offset, 6);
    let view = desk.try_read("bytes", by_bytes, None).await.unwrap();
    assert_eq!((view.newest, offsets(&view)), (6, vec![]));

    let limits = HistoryLimits { age: Micros::from_secs(60), ..RULES.history };
    let by_age = LogRules { history: limits, ..RULES };
    for _ in 0..3 {
        desk.publish("age", by_age, Draft::default()).await.unwrap();
        desk.now += Micros::from_secs(30);
    }
    let view = desk.try_read("age", by_age, None).await.unwrap();
    assert_eq!((view.newest, offsets(&view)), (3, vec![2, 3]));
    let known = Some(Position { epoch: view.epoch, offset: 0 });
    assert!(!desk.try_read("age", by_age, known).await.unwrap().since);
    desk.hear(1).await;
}

async fn starts_at_keyframes(desk: &mut Desk) {
    let rules = rules(HistoryKind::Keyframes);
    for flags in [1, 0, 1, 0] {
        desk.publish("frames", rules, Draft { flags, ..Draft::default() }).await.unwrap();
    }
    let view = desk.try_read("frames", rules, None).await.unwrap();
    assert_eq!((view.newest, offsets(&view)), (4, vec![3, 4]));
    let before = Some(Position { epoch: view.epoch, offset: 1 });
    assert!(!desk.try_read("frames", rules, before).await.unwrap().since);
    let after = Some(Position { epoch: view.epoch, offset: 2 });
    assert!(desk.try_read("frames", rules, after).await.unwrap().since);
}

async fn publishes_once_by_key(desk: &mut Desk) {
    let keyed = |key: &str, mark| Draft { once: once(key, mark), ..Draft::default() };
    let first = desk.publish("keys", RULES, keyed("usr/a:b", 7)).await.unwrap();
    assert!(!first.duplicate);
    let again = desk.publish("keys", RULES, keyed("usr/a:b", 7)).await.unwrap();
    assert_eq!(again, Receipt { duplicate: true, ..first });
    let other = desk.publish("keys", RULES, keyed("usr/a:b", u64::MAX)).await;
    assert_eq!(other, Err(BrokerFault::KeyReused));
    assert_eq!(desk.read("keys", None).await.newest, 1);
    for n in 1..IDEMPOTENCY_KEYS_MAX {
        desk.publish("keys", RULES, keyed(&format!("k{n}"), 1)).await.unwrap();
    }
    assert!(desk.publish("keys", RULES, keyed("usr/a:b", 7)).await.unwrap().duplicate, "the oldest that is kept");
    desk.publish("keys", RULES, keyed("one more", 1)).await.unwrap();
    assert!(!desk.publish("keys", RULES, keyed("usr/a:b", 7)).await.unwrap().duplicate);
    desk.hear(IDEMPOTENCY_KEYS_MAX + 1).await;
}

async fn keeps_a_state(desk: &mut Desk) {
    let rules = rules(HistoryKind::State);
    let set = |key: &str| {
        let entry = Some(EntryChange { key: key.to_owned(), removes: false });
        Draft { entry, ..Draft::default() }
    };
    let removed = Draft { entry: Some(EntryChange { key: "b".to_owned(), removes: true }), ..Draft::default() };
    for key in ["a", "b", "c", "a"] {
        desk.publish("state", rules, set(key)).await.unwrap();
    }
    desk.publish("state", rules, removed).await.unwrap();
    let view = desk.try_read("state", rules, None).await.unwrap();
    let state: Vec<_> = view.state.iter().map(|record| record.offset).collect();
    assert_eq!((view.newest, offsets(&view), state), (5, vec![2, 3, 4, 5], vec![3, 4]));
    let change = view.records.last().unwrap().entry.clone().unwrap();
    assert!(change.removes && change.key == "b");
    let view = desk.try_read("state", rules, Some(Position { epoch: view.epoch, offset: 3 })).await.unwrap();
    assert_eq!((view.since, offsets(&view), view.state.len()), (true, vec![4, 5], 0));
    for n in 2..STATE_ENTRIES_MAX {
        desk.publish("state", rules, set(&format!("entry{n}"))).await.unwrap();
    }
    assert_eq!(desk.publish("state", rules, set("too many")).await, Err(BrokerFault::Full));
    assert!(desk.publish("state", rules, set("a")).await.is_ok(), "what is there may change");
    desk.hear(STATE_ENTRIES_MAX - 1).await;
}

/// What is told is heard by who follows the topic, or by all, with the sender among them.
async fn tells(desk: &mut Desk) {
    let rules = LogRules { presence: true, ..RULES };
    desk.try_read("told", rules, None).await.unwrap();
    let to_readers = (Some(topic("told")), Bytes::from_static(b"\0\r\n\xff"));
    for (topic, message) in [to_readers.clone(), (None, Bytes::from_static(b"all"))] {
        desk.broker.submit(desk.now, BrokerRequest::Tell { topic, message });
    }
    while desk.told.len() < 2 {
        let event = desk.next().await;
        desk.note(event);
    }
    assert_eq!(desk.told, [to_readers, (None, Bytes::from_static(b"all"))]);
}

#[tokio::test]
async fn memory_conforms() {
    let mut desk = Desk::new(MemoryBroker::new(100, Seed(1)));
    conforms(&mut desk).await;
    tells(&mut desk).await;
    let full = MemoryBroker::new(1, Seed(1));
    let mut desk = Desk::new(full);
    desk.say("one").await;
    assert_eq!(desk.publish("two", RULES, Draft::default()).await, Err(BrokerFault::Overloaded));
    assert_eq!(desk.try_read("two", RULES, None).await, Err(BrokerFault::Overloaded));
}

#[tokio::test]
async fn redis_conforms() {
    let redis = Redis::start();
    let mut desk = Desk::redis(&redis, 1).await;
    conforms(&mut desk).await;
    tells(&mut desk).await;
    let ttl: u64 = redis.command(&["PTTL", "amphi:{default/order}"]).parse().unwrap();
    assert!((600_000..=660_000).contains(&ttl), "{ttl}");
    desk.read("nothing", None).await;
    let ttl: u64 = redis.command(&["PTTL", "amphi:{default/nothing}"]).parse().unwrap();
    assert!((60_000..=75_000).contains(&ttl), "names alone take nothing for long: {ttl}");
}

#[tokio::test]
async fn what_one_node_publishes_the_other_hears() {
    let redis = Redis::start();
    let (mut one, mut other) = (Desk::redis(&redis, 1).await, Desk::redis(&redis, 2).await);
    let (here, there) = (one.read("both", None).await, other.read("both", None).await);
    assert_eq!(here, there, "the first one made the epoch");
    for offset in 1..=20 {
        let publisher = if offset % 3 == 0 { &mut one } else { &mut other };
        assert_eq!(publisher.say("both").await, offset);
    }
    let all: Vec<_> = (1..=20).collect();
    assert_eq!((one.hear(20).await, other.hear(20).await), (all.clone(), all));
}

#[tokio::test]
async fn a_killed_server_with_an_append_only_file_has_everything() {
    let mut redis = Redis::start();
    let mut desk = Desk::redis(&redis, 1).await;
    let before = desk.read("kept", None).await;
    for _ in 0..3 {
        desk.say("kept").await;
    }
    desk.hear(3).await;
    redis.kill();
    assert_eq!(desk.publish("kept", RULES, Draft::default()).await, Err(BrokerFault::Unavailable));
    assert_eq!(desk.try_read("kept", RULES, None).await, Err(BrokerFault::Unavailable));
    redis.restart();
    desk.until_unsure().await;
    let known = Some(Position { epoch: before.epoch, offset: 1 });
    let view = desk.read("kept", known).await;
    assert_eq!((view.since, view.epoch, offsets(&view)), (true, before.epoch, vec![2, 3]));
    assert_eq!(desk.say("kept").await, 4);
    assert_eq!(desk.hear(1).await, [4], "it is followed again");
}

#[tokio::test]
async fn a_server_that_lost_something_begins_one_new_epoch() {
    for durable in [true, false] {
        let mut redis = Redis::start_with(durable);
        let (mut one, mut other) = (Desk::redis(&redis, 1).await, Desk::redis(&redis, 2).await);
        let before = one.read("lost", None).await;
        one.say("lost").await;
        one.hear(1).await;
        redis.kill();
        redis.wipe();
        redis.restart();
        one.until_unsure().await;
        other.until_unsure().await;
        let known = Some(Position { epoch: before.epoch, offset: 1 });
        let (here, there) = (one.read("lost", known).await, other.read("lost", None).await);
        assert_ne!(here.epoch, before.epoch);
        assert_eq!((here.since, here.newest, here.epoch), (false, 0, there.epoch), "one epoch for both");
    }
}

#[tokio::test]
async fn acknowledged_writes_that_are_gone_are_noticed() {
    let mut redis = Redis::start();
    let (mut one, mut other) = (Desk::redis(&redis, 1).await, Desk::redis(&redis, 2).await);
    let before = one.read("back", None).await;
    one.say("back").await;
    // As after a power cut: the server comes back with an earlier state under the same positions.
    let (meta, server) = ("amphi:{default/back}", "amphi:server");
    one.say("back").await;
    redis.command(&["HSET", meta, "s", "1"]);
    redis.command(&["DEL", &format!("{meta}:h")]);
    redis.command(&["HSET", server, "q", "1"]);
    redis.kill();
    redis.restart();
    one.until_unsure().await;
    other.until_unsure().await;
    let known = Some(Position { epoch: before.epoch, offset: 1 });
    let view = one.read("back", known).await;
    assert!(!view.since && view.epoch != before.epoch, "offset 2 was another one");
    assert_eq!(other.read("back", None).await.epoch, view.epoch);
    assert_eq!(redis.command(&["HGET", server, "g"]), "1", "counted once");
}

#[tokio::test]
async fn an_address_that_is_none_is_named_without_its_password() {
    let error =
        RedisBroker::start(("http://me:secret@host", None), Seed(1), Shutdown::new()).err().unwrap().to_string();
    assert!(error.contains("http://…@host") && !error.contains("secret") && error.contains("redis://"), "{error}");
    for (url, ca) in [("redis://host", "a certificate that nobody asks for"), ("rediss://host", "no certificate")] {
        let ca = Some(ca.as_bytes().to_vec());
        assert!(RedisBroker::start((url, ca), Seed(1), Shutdown::new()).is_err(), "{url}");
    }
}
