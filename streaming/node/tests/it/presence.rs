//! Who reads a topic, over real sockets and over two nodes.

use amphi_shared_auth::Scope;
use amphi_shared_wire::proto::{
    Done, HoldMembers, Member, PresenceDiff, PresenceState, Subscribe, WatchPresence, topic_reply, topic_request,
};
use amphi_shared_wire::{Code, UserId};
use amphi_streaming_node::{Access, LiveConfig, PresenceRules, Role, TopicClass};
use serde_json::json;

use crate::client::Client;
use crate::house::House;
use crate::redis::Redis;
use crate::stock::Plain;

const ROOM: &str = "room:1";

fn config(redis: Option<&Redis>, joins: bool) -> LiveConfig {
    let mut config = LiveConfig { redis_url: redis.map(Redis::url), ..LiveConfig::default() };
    let presence = Some(PresenceRules { see: Access::People(Role::Guest), joins });
    config.hub.classes.push(TopicClass { presence, ..TopicClass::new("room:**".parse().unwrap()) });
    config
}

/// Reads the room, again while the node has no broker.
async fn enter(client: &mut Client, meta: &str) {
    let ask = Subscribe { topic: ROOM.to_owned(), since: None, meta: meta.to_owned() };
    loop {
        let answer = client.ask(topic_request::Kind::Subscribe(ask.clone())).await;
        let topic_reply::Kind::Failed(failed) = answer else {
            assert!(matches!(answer, topic_reply::Kind::Subscribed(_)), "{answer:?}");
            return;
        };
        assert_eq!(Code::from_number(failed.code), Some(Code::Unavailable));
    }
}

async fn watch(client: &mut Client) -> PresenceState {
    let ask = WatchPresence { topic: ROOM.to_owned() };
    let answer = client.ask(topic_request::Kind::WatchPresence(ask)).await;
    let topic_reply::Kind::PresenceState(state) = answer else { panic!("{answer:?} instead of who is there") };
    state
}

async fn diff(client: &mut Client) -> PresenceDiff {
    loop {
        let heard = client.reply().await;
        if let topic_reply::Kind::PresenceDiff(diff) = heard {
            return diff;
        }
        // What a class with `joins` tells first.
        assert!(matches!(heard, topic_reply::Kind::PresenceState(_)), "{heard:?} instead of a diff");
    }
}

/// The next diff that brings somebody new.
async fn joined(client: &mut Client) -> Vec<String> {
    loop {
        let diff = diff(client).await;
        if !diff.joined.is_empty() {
            return names(&diff.joined);
        }
    }
}

fn names(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.name.clone()).collect()
}

#[tokio::test]
async fn a_watcher_hears_of_every_kind_of_reader() {
    let house = House::open_with(config(None, false)).await;
    let mut ada = house.guest("Ada").await;
    enter(&mut ada, "{\"seat\":1}").await;
    let state = watch(&mut ada).await;
    assert_eq!(
        (state.count, names(&state.members), state.members[0].meta.as_str()),
        (1, vec!["Ada".to_owned()], "{\"seat\":1}")
    );
    let mut plain = Plain::open(&house, &format!("?token={}", house.guest_token("Bob").await)).await.unwrap();
    plain.ask(json!({ "id": 1, "subscribe": { "topic": ROOM, "meta": { "seat": 2 } } })).await;
    assert_eq!(joined(&mut ada).await, ["Bob"]);
    let state = plain.ask(json!({ "id": 2, "watchPresence": { "topic": ROOM } })).await;
    assert_eq!(state["presenceState"]["count"], 2);
    let metas: Vec<_> =
        state["presenceState"]["members"].as_array().unwrap().iter().map(|m| m["meta"]["seat"].clone()).collect();
    assert_eq!(metas, [json!(1), json!(2)]);
    let mut cleo = house.guest("Cleo").await;
    enter(&mut cleo, "").await;
    assert_eq!(joined(&mut ada).await, ["Cleo"]);
    let told = plain.next().await.unwrap();
    assert_eq!(told["presenceDiff"]["joined"][0]["name"], "Cleo", "{told}");
    plain.ask(json!({ "id": 3, "setPresence": { "topic": ROOM, "meta": "away" } })).await;
    assert_eq!(diff(&mut ada).await.changed[0].meta, "\"away\"");
    let mut page = plain.ask(json!({ "id": 4, "listPresence": { "topic": ROOM, "limit": 2 } })).await;
    while page["id"] != 4 {
        page = plain.next().await.unwrap();
    }
    assert_eq!(page["presencePage"]["members"].as_array().map(Vec::len), Some(2), "{page}");
    drop(plain);
    loop {
        let diff = diff(&mut ada).await;
        if let [left] = diff.left.as_slice() {
            assert!(left.starts_with("usr_") && diff.count == 2);
            break;
        }
    }
}

#[tokio::test]
async fn services_say_who_is_there_by_another_way() {
    let house = House::open_with(config(None, true)).await;
    let mut ada = house.guest("Ada").await;
    enter(&mut ada, "").await;
    let begun = ada.reply().await;
    assert!(matches!(begun, topic_reply::Kind::PresenceState(_)), "{begun:?}");
    let live = house.service(Scope::LivePublish);
    let member = |user: &str| Member { user: user.to_owned(), name: "Radio".to_owned(), ..Member::default() };
    let hold = |member: Member, topic: &str, time_ms: u32| HoldMembers {
        app: String::new(),
        topic: topic.to_owned(),
        members: vec![member],
        time_ms,
    };
    let user = UserId::from_bits(77).to_string();
    let Done {} = live.call("/internal/v1/topics/presence", &hold(member(&user), ROOM, 60_000)).await.unwrap();
    while joined(&mut ada).await != ["Radio"] {}
    let Done {} = live.call("/internal/v1/topics/presence", &hold(member(&user), ROOM, 0)).await.unwrap();
    assert_eq!(diff(&mut ada).await.left, std::slice::from_ref(&user));
    for (held, code) in [
        (hold(member("nobody"), ROOM, 1), Code::RequestInvalid),
        (hold(member(&user), ROOM, 3_600_001), Code::RequestInvalid),
        (hold(member(&user), "match:m:chat", 1), Code::PresenceForbidden),
        (hold(Member { meta: "{".to_owned(), ..member(&user) }, ROOM, 1), Code::MessageInvalid),
    ] {
        let refused = live.call::<_, Done>("/internal/v1/topics/presence", &held).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
    }
}

#[tokio::test]
async fn people_at_two_nodes_see_each_other() {
    let redis = Redis::start();
    let (one, other) =
        (House::open_with(config(Some(&redis), false)).await, House::open_with(config(Some(&redis), false)).await);
    let (mut ada, mut bob) = (one.guest("Ada").await, other.guest("Bob").await);
    enter(&mut ada, "").await;
    enter(&mut bob, "").await;
    let mut count = watch(&mut ada).await.count;
    while count < 2 {
        count = diff(&mut ada).await.count;
    }
    let mut count = watch(&mut bob).await.count;
    while count < 2 {
        count = diff(&mut bob).await.count;
    }
    let mut cleo = other.guest("Cleo").await;
    enter(&mut cleo, "").await;
    assert_eq!((joined(&mut ada).await, joined(&mut bob).await), (vec!["Cleo".to_owned()], vec!["Cleo".to_owned()]));
    cleo.cut().await;
    for client in [&mut ada, &mut bob] {
        let told = diff(client).await;
        assert_eq!((told.left.len(), told.count), (1, 2));
    }
}
