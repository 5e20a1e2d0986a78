//! Chat and views as people meet them.

use amphi_shared_wire::proto::{Position, payload::Kind, topic_reply};
use amphi_shared_wire::{Code, Micros};
use amphi_streaming_node::{HubConfig, LiveConfig, SlowReader, TopicClass};
use serde_json::json;

use crate::client::{Client, Heard, publish};
use crate::house::House;

const CHAT: &str = "match:mch_1:chat";
const VIEW: &str = "match:mch_1:view:0";
const STATS: &str = "match:mch_1:stats";

#[tokio::test]
async fn two_people_chat_and_a_late_joiner_sees_it() {
    let house = House::open().await;
    let (mut ada, mut bob) = (house.guest("Ada").await, house.guest("Bob").await);
    ada.subscribe(CHAT, None).await;
    bob.subscribe(CHAT, None).await;
    assert_eq!(ada.say(CHAT, "hello").await, 1);
    let line = bob.publication().await.json();
    assert_eq!((&line["text"], &line["from"]["name"], &line["id"]), (&json!("hello"), &json!("Ada"), &json!(1)));
    assert_eq!(line["from"]["role"], "guest");
    assert!(line["from"]["id"].as_str().unwrap().starts_with("usr_") && line["at_us"].as_u64().unwrap() > 1 << 50);
    assert_eq!(bob.say(CHAT, "hi Ada").await, 2);
    assert_eq!(ada.publication().await.offset, 1);
    assert_eq!(ada.publication().await.json()["text"], "hi Ada");

    let mut late = house.guest("Cleo").await;
    let subscribed = late.subscribe(CHAT, None).await;
    assert_eq!((subscribed.offset, subscribed.replayed), (2, 2));
    assert_eq!(late.publication().await.json()["text"], "hello");
    assert_eq!(late.publication().await.json()["text"], "hi Ada");
}

#[tokio::test]
async fn a_spectator_starts_at_the_last_keyframe() {
    let house = House::open().await;
    let frames = [(1, vec![1]), (0, vec![2]), (1, vec![3]), (0, vec![4])];
    assert_eq!(house.publish_view(VIEW, frames).await, Ok(vec![1, 2, 3, 4]));
    let mut spectator = house.guest("Ada").await;
    assert_eq!(spectator.subscribe(VIEW, None).await.replayed, 2);
    let first = spectator.publication().await;
    assert_eq!((first.offset, first.flags, first.payload.kind), (3, 1, Some(Kind::Binary(vec![3].into()))));
    assert_eq!(spectator.publication().await.offset, 4);
    house.publish_view(VIEW, [(0, vec![5])]).await.unwrap();
    assert_eq!(spectator.publication().await.offset, 5);
}

#[tokio::test]
async fn viewers_are_counted() {
    let house = House::open().await;
    let mut host = house.guest("Ada").await;
    host.subscribe(STATS, None).await;
    assert_eq!(host.publication().await.json(), json!({ "viewers": 0 }));
    let mut spectator = house.guest("Bob").await;
    spectator.subscribe(VIEW, None).await;
    assert_eq!(host.publication().await.json(), json!({ "viewers": 1 }));
    drop(spectator);
    assert_eq!(host.publication().await.json(), json!({ "viewers": 0 }));
}

#[tokio::test]
async fn who_loses_the_connection_gets_what_was_missed() {
    let house = House::open().await;
    let (mut ada, mut bob) = (house.guest("Ada").await, house.guest("Bob").await);
    let first = bob.subscribe(CHAT, None).await;
    ada.say(CHAT, "one").await;
    assert_eq!(bob.publication().await.offset, 1);
    bob.cut().await;
    ada.say(CHAT, "two").await;
    ada.say(CHAT, "three").await;
    bob.resume().await;
    let back = bob.subscribe(CHAT, Some(Position { epoch: first.epoch, offset: 1 })).await;
    assert!(back.recovered);
    assert_eq!((back.epoch, back.alias, back.replayed), (first.epoch, first.alias, 2));
    assert_eq!(bob.publication().await.json()["text"], "two");
    assert_eq!(bob.publication().await.json()["text"], "three");
    let gone = house.guest("Cleo").await.subscribe(CHAT, Some(Position { epoch: first.epoch ^ 1, offset: 1 })).await;
    assert!(!gone.recovered);
}

#[tokio::test]
async fn one_hello_brings_every_topic_back() {
    let house = House::open().await;
    let (mut ada, mut bob) = (house.guest("Ada").await, house.guest("Bob").await);
    let chat = bob.subscribe(CHAT, None).await;
    ada.say(CHAT, "one").await;
    assert_eq!(bob.publication().await.offset, 1);
    bob.cut().await;
    ada.say(CHAT, "two").await;
    bob.resume_with(&[(CHAT, Some((chat.epoch, 1))), ("nothing:here", None), (STATS, None)]).await;
    let topic_reply::Kind::Subscribed(back) = bob.reply().await else { panic!("no subscription") };
    assert_eq!((back.topic.as_str(), back.recovered, back.replayed), (CHAT, true, 1));
    assert_eq!(bob.publication().await.json()["text"], "two");
    let topic_reply::Kind::Unsubscribed(gone) = bob.reply().await else { panic!("no refusal") };
    assert_eq!((gone.topic.as_str(), gone.code), ("nothing:here", Code::TopicUnknown.number()));
    let topic_reply::Kind::Subscribed(stats) = bob.reply().await else { panic!("no subscription") };
    assert_eq!(stats.topic, STATS);
    ada.say(CHAT, "three").await;
    loop {
        let publication = bob.publication().await;
        if publication.alias == back.alias {
            assert_eq!(publication.json()["text"], "three");
            break;
        }
    }
}

#[tokio::test]
async fn another_node_restores_the_topics_of_a_session_it_never_had() {
    let (before, after) = (House::open().await, House::open().await);
    let mut bob = before.guest("Bob").await;
    let chat = bob.subscribe(CHAT, None).await;
    bob.move_to(after.address, &after.guest_token("Bob").await);
    bob.restart_with(&[(CHAT, Some((chat.epoch, 0)))]).await;
    let topic_reply::Kind::Subscribed(there) = bob.reply().await else { panic!("no subscription") };
    assert!(there.epoch != chat.epoch && !there.recovered, "its history is another one");
}

#[tokio::test]
async fn a_newer_token_prolongs_a_session() {
    let house = House::open().await;
    let mut ada = Client::connect(house.address, &house.token("default", Micros::from_secs(60))).await;
    let soon = house.clock.now() + Micros::from_secs(500);
    let refreshed = ada.refresh(&house.token("default", Micros::from_secs(600))).await;
    assert!(refreshed.code == 0 && refreshed.expires_us > soon.0);
    let again = ada.refresh(&house.token("default", Micros::from_secs(900))).await;
    assert_eq!((again.code, again.expires_us), (Code::RateLimited.number(), refreshed.expires_us));
    assert!((1..=1_001).contains(&again.retry_after_ms));

    let mut bob = Client::connect(house.address, &house.token("default", Micros::from_secs(60))).await;
    let other = house.guest_token("Cleo").await;
    let kept = bob.refresh(&other).await;
    assert!(kept.code == Code::TokenInvalid.number() && kept.expires_us < soon.0);
    bob.subscribe(CHAT, None).await;
}

#[tokio::test]
async fn who_never_reads_is_cut_off_and_can_come_back() {
    let house = House::open().await;
    let (mut sleeper, mut reader) = (house.guest("Sleeper").await, house.guest("Reader").await);
    let position = sleeper.subscribe(VIEW, None).await;
    reader.subscribe(VIEW, None).await;
    let mut expected = 0;
    // The kernel's buffers take some megabytes before the queue of the connection begins to fill.
    for batch in 0..80_u8 {
        let frames = (0..8_u32).map(|n| (u32::from(n == 0), vec![batch; 60_000]));
        house.publish_view(VIEW, frames).await.unwrap();
        for _ in 0..8 {
            expected += 1;
            assert_eq!(reader.publication().await.offset, expected, "the others see everything");
        }
    }
    let mut seen = 0;
    while let Heard::Publication(publication) = sleeper.next().await {
        seen += 1;
        assert_eq!(publication.offset, seen, "what was delivered has no hole");
    }
    assert!(seen < expected, "a slow reader was not cut off");
    sleeper.resume().await;
    let back = sleeper.subscribe(VIEW, Some(Position { epoch: position.epoch, offset: seen })).await;
    assert!(!back.recovered, "megabytes are not kept");
    assert_eq!(back.replayed, 8, "the reader starts again at the last keyframe");
    assert_eq!(sleeper.publication().await.offset, expected - 7);
}

#[tokio::test]
async fn readers_who_come_while_a_topic_is_busy_miss_and_repeat_nothing() {
    const MESSAGES: u64 = 600;
    let mut hub = HubConfig::default();
    hub.classes.push(TopicClass { newcomer_messages: 0, ..TopicClass::new("room:**".parse().unwrap()) });
    let house = House::open_with(LiveConfig { hub, ..LiveConfig::default() }).await;
    let publish = async {
        for n in 0..MESSAGES / 3 {
            // Alone and in batches, each as soon as the last is answered.
            let frames = (0..1 + n % 5).map(|_| (0, vec![7; 20]));
            house.publish_view("room:1", frames).await.unwrap();
        }
    };
    let read = |name: &'static str| {
        let house = &house;
        async move {
            let mut read = 0;
            while read < MESSAGES {
                let mut reader = house.guest(name).await;
                let subscribed = reader.subscribe("room:1", None).await;
                let mut next = subscribed.offset - u64::from(subscribed.replayed) + 1;
                // It leaves in the middle of the stream, and comes again.
                for _ in 0..40 {
                    if next > MESSAGES {
                        return;
                    }
                    assert_eq!(reader.publication().await.offset, next, "{name}");
                    next += 1;
                }
                read = next;
            }
        }
    };
    tokio::join!(publish, read("Ada"), read("Bob"), read("Cleo"));
}

#[tokio::test]
async fn slow_readers_of_latest_and_lossy_topics_stay() {
    let class = |prefix: &str, slow| {
        let pattern = format!("{prefix}:**").parse().unwrap();
        TopicClass { slow, newcomer_messages: 0, ..TopicClass::new(pattern) }
    };
    let mut hub = HubConfig::default();
    hub.classes.push(class("latest", SlowReader::Latest { bytes_max: 64 << 10 }));
    hub.classes.push(class("lossy", SlowReader::Lossy { bytes_max: 64 << 10 }));
    let house = House::open_with(LiveConfig { hub, ..LiveConfig::default() }).await;
    for topic in ["latest", "lossy"] {
        let mut sleeper = Client::connect_narrow(house.address, &house.guest_token("Sleeper").await).await;
        sleeper.subscribe(topic, None).await;
        // More than the kernel's buffers hold. A reader that takes nothing for seconds would lose its connection.
        let frames = (0..30).map(|_| (0, vec![7; 60_000]));
        house.publish_view(topic, frames).await.unwrap();
        // The answer comes behind all that waited; then there is room.
        assert_eq!(sleeper.refused(publish(topic, Kind::Text("mine".to_owned()))).await, Code::PublishForbidden);
        let newest = house.publish_view(topic, [(0, vec![8])]).await.unwrap()[0];
        let (mut last, mut seen) = (0, 0);
        while last < newest {
            let publication = sleeper.publication().await;
            assert!(publication.offset > last, "an older one never comes after a newer one");
            (last, seen) = (publication.offset, seen + 1);
        }
        assert!(seen < newest, "{topic}: nothing was left out");
    }
}

#[tokio::test]
async fn a_hundred_subscriptions_are_too_many() {
    let house = House::open().await;
    let mut ada = house.guest("Ada").await;
    for n in 0..64 {
        ada.subscribe(&format!("match:m{n}:chat"), None).await;
    }
    for n in 64..100 {
        let refused = ada.refused(crate::client::subscribe(&format!("match:m{n}:chat"))).await;
        assert_eq!(refused, Code::TooManySubscriptions);
    }
    assert_eq!(ada.say("match:m1:chat", "still here").await, 1);
}

#[tokio::test]
async fn a_home_session_reads_the_clock_of_its_node_over_each_connection() {
    let house = House::open().await;
    let mut ada = house.guest("Ada").await;
    for answers in 1..=3 {
        assert!(ada.read_clock().await >= answers);
    }
    ada.cut().await;
    ada.resume().await;
    assert!(ada.read_clock().await >= 4);
    ada.subscribe(CHAT, None).await;
    assert_eq!(ada.say(CHAT, "and lane 1 goes on").await, 1);
}
