//! Two live nodes over one Redis behave as one.

use std::time::Duration;

use amphi_shared_wire::Code;
use amphi_shared_wire::proto::{Failed, Payload, Publish, Subscribed, payload::Kind, topic_reply, topic_request};
use amphi_streaming_node::LiveConfig;

use crate::client::{Client, Heard};
use crate::house::House;
use crate::redis::Redis;

const CHAT: &str = "match:mch_1:chat";
const VIEW: &str = "match:mch_1:view:0";

async fn node(redis: &Redis) -> House {
    House::open_with(LiveConfig { redis_url: Some(redis.url()), ..LiveConfig::default() }).await
}

/// Says a line, again with the same key as often as the node asks for it; the offset.
async fn insist(client: &mut Client, text: &str) -> u64 {
    loop {
        match try_say(client, text, text).await {
            Ok(offset) => return offset,
            Err(Failed { code, retry_after_ms, .. }) => {
                assert_eq!(Code::from_number(code), Some(Code::Unavailable));
                tokio::time::sleep(Duration::from_millis(retry_after_ms.into())).await;
            }
        }
    }
}

async fn try_say(client: &mut Client, text: &str, key: &str) -> Result<u64, Failed> {
    let payload = Some(Payload { kind: Some(Kind::Text(text.to_owned())) });
    let publish = Publish { topic: CHAT.to_owned(), payload, key: key.to_owned() };
    let answer = client.ask(topic_request::Kind::Publish(publish)).await;
    if let topic_reply::Kind::Failed(failed) = answer {
        return Err(failed);
    }
    let topic_reply::Kind::Published(published) = answer else { panic!("{answer:?}") };
    Ok(published.offset)
}

/// The next thing that a reader hears is a reset.
async fn reset(client: &mut Client) -> Subscribed {
    let topic_reply::Kind::Subscribed(told) = client.reply().await else { panic!("no reset") };
    assert!(!told.recovered && told.topic == CHAT, "{told:?}");
    told
}

#[tokio::test]
async fn people_at_two_nodes_are_in_one_chat() {
    let redis = Redis::start();
    let (one, other) = (node(&redis).await, node(&redis).await);
    let (mut ada, mut bob) = (one.guest("Ada").await, other.guest("Bob").await);
    insist(&mut ada, "first").await;
    let (here, there) = (ada.subscribe(CHAT, None).await, bob.subscribe(CHAT, None).await);
    assert_eq!((here.epoch, here.offset, here.replayed), (there.epoch, there.offset, there.replayed));
    assert_eq!((ada.publication().await.offset, bob.publication().await.offset), (1, 1));
    assert_eq!(try_say(&mut bob, "from the other", "").await, Ok(2));
    for client in [&mut ada, &mut bob] {
        let line = client.publication().await;
        assert_eq!((line.offset, line.json()["id"].as_u64()), (2, Some(2)));
        assert_eq!(line.json()["text"], "from the other");
    }
    // The other node is gone; its reader finds its place at this one.
    bob.move_to(one.address, &one.guest_token("Bob").await);
    try_say(&mut ada, "meanwhile", "").await.unwrap();
    bob.restart_with(&[(CHAT, Some((there.epoch, 2)))]).await;
    let topic_reply::Kind::Subscribed(back) = bob.reply().await else { panic!("no subscription") };
    assert!(back.recovered);
    assert_eq!((back.epoch, back.replayed), (there.epoch, 1));
    assert_eq!(bob.publication().await.json()["text"], "meanwhile");
}

#[tokio::test]
async fn views_that_one_node_is_given_are_watched_at_the_other() {
    let redis = Redis::start();
    let (one, other) = (node(&redis).await, node(&redis).await);
    let mut bob = other.guest("Bob").await;
    let mut offset = 0;
    // Until both are connected to Redis.
    while offset == 0 {
        offset = one.publish_view(VIEW, [(1, vec![1])]).await.unwrap()[0];
    }
    let there = loop {
        let answer = bob.ask(crate::client::subscribe(VIEW)).await;
        if let topic_reply::Kind::Subscribed(subscribed) = answer {
            break subscribed;
        }
        assert!(matches!(answer, topic_reply::Kind::Failed(_)), "{answer:?}");
    };
    assert_eq!((there.offset, there.replayed), (1, 1));
    assert_eq!(one.publish_view(VIEW, (0..20).map(|n| (0, vec![n]))).await.unwrap().last(), Some(&21));
    for offset in 1..=21 {
        assert_eq!(bob.publication().await.offset, offset);
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_loses_and_doubles_nothing() {
    let mut redis = Redis::start();
    let (one, other) = (node(&redis).await, node(&redis).await);
    let (mut ada, mut bob) = (one.guest("Ada").await, other.guest("Bob").await);
    insist(&mut ada, "line 1").await;
    ada.subscribe(CHAT, None).await;
    bob.subscribe(CHAT, None).await;
    redis.kill();
    assert_eq!(try_say(&mut bob, "lost", "lost").await.map_err(|failed| failed.code), Err(Code::Unavailable.number()));
    let late = other.guest("Cleo").await.subscribe(CHAT, None).await;
    assert_eq!(late.replayed, 1, "what is known is shown while Redis is away");
    redis.restart();
    for n in 2..=4 {
        assert_eq!(insist(&mut ada, &format!("line {n}")).await, n);
    }
    for client in [&mut ada, &mut bob] {
        for n in 1..=4 {
            let line = client.publication().await;
            assert_eq!((line.offset, line.json()["text"].as_str()), (n, Some(&*format!("line {n}"))));
        }
    }
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_resets_each_reader_once() {
    let mut redis = Redis::start();
    let (one, other) = (node(&redis).await, node(&redis).await);
    let (mut ada, mut bob) = (one.guest("Ada").await, other.guest("Bob").await);
    insist(&mut ada, "before").await;
    let before = ada.subscribe(CHAT, None).await;
    bob.subscribe(CHAT, None).await;
    assert_eq!((ada.publication().await.offset, bob.publication().await.offset), (1, 1));
    redis.kill();
    redis.wipe();
    redis.restart();
    let (here, there) = (reset(&mut ada).await, reset(&mut bob).await);
    assert_eq!((here.epoch, here.offset), (there.epoch, 0));
    assert_ne!(here.epoch, before.epoch);
    for text in ["after", "and after"] {
        insist(&mut ada, text).await;
        for client in [&mut ada, &mut bob] {
            let Heard::Publication(line) = client.next().await else { panic!("something else than a publication") };
            assert_eq!(line.json()["text"], text);
        }
    }
}
