//! The public API over real HTTP: keys, publishing, history, disconnecting.

use std::time::Duration;

use amphi_shared_auth::{ApiKey, Role, Scope, UserToken};
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_store::StoredKey;
use amphi_shared_wire::limits::{API_KEYS_MAX, PUBLISH_BATCH_MAX, PUBLISH_BODY_BYTES_MAX};
use amphi_shared_wire::proto::payload::Kind;
use amphi_shared_wire::proto::{
    CreateKey, CreateKeyReply, ListKeys, ListKeysReply, Payload, PublishBatch, PublishBatchReply, RevokeKey,
    RevokeKeyReply, ServicePublication,
};
use amphi_shared_wire::{AppId, Code, KeyId, Micros, TokenId, TopicGrants, UserId};
use amphi_streaming_node::{Access, HubConfig, LiveConfig, Pace, TopicClass};
use serde_json::{Value, json};

use crate::house::House;

const MESSAGES: &str = "/api/v1/topics/messages";
const DISCONNECT: &str = "/api/v1/sessions/disconnect";
const CHAT: &str = "match:mch_1:chat";

/// An answer: its status, its `retry-after`, and its JSON.
struct Answer {
    status: u16,
    retry_after: Option<String>,
    kind: String,
    body: Value,
}

impl Answer {
    /// The code of a refusal, which has the form that every refusal has.
    fn refusal(&self) -> &str {
        assert_eq!(self.kind, "application/problem+json", "{}", self.body);
        let code = self.body["code"].as_str().unwrap();
        assert_eq!(self.body["type"], format!("urn:amphi:code:{code}"));
        assert_eq!(self.body["status"], self.status);
        for field in ["title", "detail", "action", "request_id"] {
            assert!(self.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {}", self.body);
        }
        let wait = self.body["retry_after_ms"].as_u64().map(|ms| ms.div_ceil(1_000).to_string());
        assert_eq!(self.retry_after, wait);
        code
    }
}

async fn send(house: &House, call: reqwest::RequestBuilder, token: &str) -> Answer {
    let call = if token.is_empty() { call } else { call.bearer_auth(token) };
    let answer = tokio::time::timeout(Duration::from_secs(20), call.send()).await.expect("an answer").unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, retry_after) = (answer.status().as_u16(), header("retry-after"));
    let kind = header("content-type").unwrap_or_default();
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_else(|_| panic!("{}", house.url("")));
    Answer { status, retry_after, kind, body }
}

async fn post(house: &House, path: &str, token: &str, body: impl Into<reqwest::Body>) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    send(house, client.post(house.url(path)).body(body), token).await
}

async fn publish(house: &House, token: &str, body: &Value) -> Answer {
    post(house, MESSAGES, token, body.to_string()).await
}

async fn history(house: &House, token: &str, query: &str) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    send(house, client.get(house.url(&format!("/api/v1/topics/history?{query}"))), token).await
}

/// A house with classes of its own: `news` for services, `open` for guests, `room:*` by token, `prices` with entries.
async fn open() -> House {
    let class = |pattern: &str| TopicClass::new(pattern.parse().unwrap());
    let mut hub = HubConfig::default();
    let open = Access::People(amphi_streaming_node::Role::Guest);
    hub.classes.push(class("news:**"));
    hub.classes.push(TopicClass { publish: open, ..class("open:**") });
    let pace = Pace { interval: Micros::from_secs(1_000), burst: 2 };
    hub.classes.push(TopicClass { publish: Access::Token, subscribe: Access::Token, pace, ..class("room:**") });
    hub.classes.push(TopicClass { subscribe: Access::Service, ..class("secret:**") });
    let mut prices = TopicClass { key: Some("symbol".to_owned()), ..class("prices") };
    prices.history.kind = amphi_streaming_node::HistoryKind::State;
    hub.classes.push(prices);
    House::open_with(LiveConfig { hub, ..LiveConfig::default() }).await
}

fn wish(scopes: &[&str], topics: &[&str]) -> CreateKey {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    CreateKey { name: "cms".to_owned(), scopes: words(scopes), topics: words(topics), ttl_s: 0, calls_per_s: 1_000 }
}

async fn create(house: &House, wish: &CreateKey) -> Result<CreateKeyReply, Code> {
    let reply: Result<_, ServiceFailure> = house.service(Scope::LiveKeys).call("/internal/v1/keys", wish).await;
    reply.map_err(|failure| failure.code())
}

async fn key(house: &House, scopes: &[&str], topics: &[&str]) -> String {
    create(house, &wish(scopes, topics)).await.unwrap().key
}

async fn list(house: &House) -> ListKeysReply {
    house.service(Scope::LiveKeys).call("/internal/v1/keys/list", &ListKeys {}).await.unwrap()
}

async fn revoke(house: &House, what: &str) -> Result<String, Code> {
    let ask = RevokeKey { what: what.to_owned() };
    let reply: Result<RevokeKeyReply, ServiceFailure> =
        house.service(Scope::LiveKeys).call("/internal/v1/keys/revoke", &ask).await;
    reply.map(|reply| reply.key_id).map_err(|failure| failure.code())
}

fn person(house: &House, user: u128, role: Role, grants: TopicGrants) -> String {
    let now = house.clock.now();
    house.keyring.mint_user(
        now,
        &UserToken {
            id: TokenId::from_bits(user),
            user: UserId::from_bits(user),
            app: AppId::default(),
            name: "Ada".to_owned(),
            role,
            subscribe: Vec::new(),
            grants,
            issued: now,
            expires: now + Micros::from_secs(60),
        },
    )
}

fn since(message: &Value) -> String {
    format!("{}:{}", message["epoch"].as_str().unwrap(), message["offset"].as_str().unwrap())
}

#[tokio::test]
async fn a_key_publishes_and_reads_what_it_is_for() {
    let house = open().await;
    let cms = key(&house, &["topics.publish", "topics.read"], &["news:**", "secret"]).await;
    let first = publish(&house, &cms, &json!({ "topic": "news", "data": { "a" : 1 }, "key": "k" })).await;
    assert_eq!((first.status, &first.body["offset"], &first.body["duplicate"]), (200, &json!("1"), &json!(false)));
    let again = publish(&house, &cms, &json!({ "topic": "news", "data": { "a" : 1 }, "key": "k" })).await;
    assert_eq!((&again.body["offset"], &again.body["duplicate"]), (&json!("1"), &json!(true)));
    let other = publish(&house, &cms, &json!({ "topic": "news", "data": { "a" : 2 }, "key": "k" })).await;
    assert_eq!((other.status, other.refusal()), (409, "A0309"));
    // Keys of one publisher are not those of another.
    let feed = key(&house, &["topics.publish"], &["*:**"]).await;
    let theirs = publish(&house, &feed, &json!({ "topic": "news", "text": "b", "key": "k" })).await;
    assert_eq!(theirs.body["offset"], "2");
    publish(&house, &cms, &json!({ "topic": "secret", "base64": "AP8=" })).await;

    let read = history(&house, "", "topic=news").await;
    assert_eq!((&read.body["recovered"], &read.body["more"]), (&json!(true), &json!(false)));
    assert_eq!(read.body["messages"][0]["data"], json!({ "a": 1 }));
    assert_eq!(read.body["messages"][1]["text"], "b");
    assert_eq!(history(&house, "", "topic=secret").await.refusal(), "A0304");
    assert_eq!(history(&house, &cms, "topic=secret").await.body["messages"][0]["base64"], "AP8=");
    assert_eq!(history(&house, &cms, "topic=open").await.refusal(), "A0304");
    assert_eq!(publish(&house, &cms, &json!({ "topic": "open", "text": "x" })).await.refusal(), "A0303");
}

#[tokio::test]
async fn a_key_lives_until_it_is_revoked() {
    let mut house = open().await;
    let made = create(&house, &wish(&["topics.read"], &["news:**"])).await.unwrap();
    let info = made.info.clone().unwrap();
    assert!(made.key.starts_with("amk_") && info.key_id.starts_with("key_"));
    assert_eq!(list(&house).await.keys, std::slice::from_ref(&info));
    assert_eq!(history(&house, &made.key, "topic=news").await.status, 200);
    let listed = list(&house).await.keys.remove(0);
    assert!(listed.used_us >= info.created_us);
    assert!(!format!("{listed:?}").contains(&made.key));

    let message = json!({ "topic": "news", "text": "x" });
    let other_scope = publish(&house, &made.key, &message).await;
    assert_eq!((other_scope.status, other_scope.refusal()), (403, "A0206"));
    let unknown = ApiKey::generate();
    for (key, code) in [(unknown.as_str(), "A0217"), ("amk_", "A0217"), ("amk_\u{20ac}", "A0200"), ("", "A0200")] {
        let refused = publish(&house, key, &message).await;
        assert_eq!((refused.status, refused.refusal()), (401, code), "{key}");
    }
    let events = house.get(&format!("/api/v1/topics/events?topic=news&token={}", made.key)).await;
    assert_eq!((events.0, &events.1["code"]), (401, &json!("A0201")));

    assert_eq!(revoke(&house, "nonsense").await, Err(Code::RequestInvalid));
    assert_eq!(revoke(&house, unknown.as_str()).await, Err(Code::ApiKeyUnknown));
    assert_eq!(revoke(&house, &made.key).await, Ok(info.key_id.clone()));
    assert_eq!(revoke(&house, &info.key_id).await, Err(Code::ApiKeyRevoked));
    assert_eq!(history(&house, &made.key, "topic=news").await.refusal(), "A0218");

    // What ended, and what holds, is known to the next process.
    let (expired, valid) = (ApiKey::generate(), key(&house, &["topics.read"], &["match:**"]).await);
    let now = house.clock.now();
    let stored = StoredKey {
        id: KeyId::from_bits(1),
        hash: expired.hash(),
        app: AppId::default(),
        name: "old".to_owned(),
        scopes: vec!["topics.read".to_owned()],
        topics: vec!["match:**".to_owned()],
        calls_per_s: 1,
        created: now,
        expires: Some(now),
        used: None,
        revoked: None,
    };
    house.store.add_key(&stored).await.unwrap();
    house = house.reopen().await;
    let query = format!("topic={CHAT}");
    assert_eq!(history(&house, &made.key, &query).await.refusal(), "A0218");
    assert_eq!(history(&house, expired.as_str(), &query).await.refusal(), "A0202");
    assert_eq!(history(&house, &valid, &query).await.status, 200);
}

#[tokio::test]
async fn a_wish_for_a_key_is_checked() {
    let house = open().await;
    let fine = || wish(&["topics.read"], &["news:**"]);
    let many = vec!["news".to_owned(); 65];
    for (wish, code) in [
        (wish(&[], &["news"]), Code::RequestInvalid),
        (wish(&["topics.all"], &["news"]), Code::RequestInvalid),
        (wish(&["topics.read"], &[]), Code::RequestInvalid),
        (wish(&["topics.read"], &["News"]), Code::RequestInvalid),
        (wish(&["topics.read"], &["a b"]), Code::RequestInvalid),
        (CreateKey { topics: many, ..fine() }, Code::RequestInvalid),
        (CreateKey { calls_per_s: 0, ..fine() }, Code::RequestInvalid),
        (CreateKey { calls_per_s: u32::MAX, ..fine() }, Code::RequestInvalid),
        (CreateKey { name: "\u{202e}".to_owned(), ..fine() }, Code::NameInvalid),
    ] {
        assert_eq!(create(&house, &wish).await.map(|made| made.key), Err(code), "{wish:?}");
    }
    let forever = CreateKey { ttl_s: u64::MAX, ..wish(&["sessions.disconnect"], &[]) };
    let made = create(&house, &forever).await.unwrap();
    assert_eq!(post(&house, DISCONNECT, &made.key, r#"{"user":"usr_00000000000000000000000000"}"#).await.status, 200);
    let live = house.service(Scope::LiveKeys);
    for _ in 1..API_KEYS_MAX {
        let _: CreateKeyReply = live.call("/internal/v1/keys", &fine()).await.unwrap();
    }
    assert_eq!(create(&house, &fine()).await.map(|made| made.key), Err(Code::Overloaded));
    revoke(&house, &made.key).await.unwrap();
    create(&house, &fine()).await.unwrap();
    let other: Result<ListKeysReply, ServiceFailure> =
        house.service(Scope::LiveTokens).call("/internal/v1/keys/list", &ListKeys {}).await;
    assert_eq!(other.unwrap_err().code(), Code::RoleMissing);
}

#[tokio::test]
async fn a_key_has_a_rate() {
    let house = open().await;
    let slow = CreateKey { calls_per_s: 1, ..wish(&["topics.publish"], &["news"]) };
    let slow = create(&house, &slow).await.unwrap().key;
    let batch = json!({ "messages": vec![json!({ "topic": "news", "text": "x" }); PUBLISH_BATCH_MAX] });
    let all = publish(&house, &slow, &batch).await;
    assert!(all.body["results"].as_array().unwrap().iter().all(|result| result["offset"].is_string()));
    let more = publish(&house, &slow, &batch).await;
    let results = more.body["results"].as_array().unwrap();
    assert!(results[0]["offset"].is_string() && results[PUBLISH_BATCH_MAX - 1]["problem"]["code"] == "A0114");
    assert!(results[PUBLISH_BATCH_MAX - 1]["problem"]["retry_after_ms"].as_u64().unwrap() > 0);
    let one = publish(&house, &slow, &json!({ "topic": "news", "text": "x" })).await;
    assert_eq!((one.status, one.refusal(), one.retry_after.as_deref()), (429, "A0114", Some("1")));
}

#[tokio::test]
async fn people_publish_within_their_rights() {
    let house = open().await;
    let ada = house.guest_token("Ada").await;
    let one = publish(&house, &ada, &json!({ "topic": "open:lobby", "data": [1], "key": "k" })).await;
    assert_eq!((one.status, &one.body["topic"]), (200, &json!("open:lobby")));
    let line = publish(&house, &ada, &json!({ "topic": CHAT, "text": "  <b>hi</b> " })).await;
    assert_eq!(line.status, 200, "{}", line.body);
    let read = history(&house, "", &format!("topic={CHAT}")).await;
    let said = &read.body["messages"][0]["data"];
    assert_eq!((&said["text"], &said["from"]["name"], &said["id"]), (&json!("<b>hi</b>"), &json!("Ada"), &json!(1)));

    let check = async |token: &str, topic: &str, status: u16, code: &str| {
        let refused = publish(&house, token, &json!({ "topic": topic, "text": "x" })).await;
        assert_eq!((refused.status, refused.refusal()), (status, code), "{topic}");
    };
    check(&ada, "news", 403, "A0303").await;
    check(&ada, "room:1", 403, "A0303").await;
    check(&ada, "no:such:class", 404, "A0301").await;
    check("nonsense", "open", 401, "A0201").await;
    check(&house.token("default", Micros(0)), "open", 401, "A0202").await;
    let grants = TopicGrants { publish: vec!["room:*".parse().unwrap()], ..TopicGrants::default() };
    let bob = person(&house, 9, Role::Guest, grants);
    assert_eq!(publish(&house, &bob, &json!({ "topic": "room:1", "text": "x" })).await.status, 200);
    assert_eq!(history(&house, &bob, "topic=room:1").await.refusal(), "A0304");
    let wrong = history(&house, "nonsense", "topic=open").await;
    assert_eq!((wrong.status, wrong.refusal()), (401, "A0201"), "a token that is brought must be valid");
    let second = publish(&house, &bob, &json!({ "topic": "room:1", "text": "x" })).await;
    assert_eq!(second.status, 200);
    let busy = publish(&house, &bob, &json!({ "topic": "room:1", "text": "x" })).await;
    assert_eq!((busy.status, busy.refusal()), (429, "A0114"));
}

#[tokio::test]
async fn of_a_batch_each_is_answered_by_itself() {
    let house = open().await;
    let cms = key(&house, &["topics.publish"], &["news:**"]).await;
    let messages = json!({ "messages": [
        { "topic": "news", "data": null },
        { "topic": "open", "text": "not for this key" },
        { "topic": "news:No", "text": "no name" },
        { "topic": "news" },
        { "topic": "news", "text": "a", "data": 1 },
        { "topic": "news", "base64": "!" },
        { "topik": "news" },
        7,
        { "topic": "news", "text": "x", "key": "k".repeat(65) },
        { "topic": "news:sport", "text": "b" },
        { "topic": "news", "text": "c" },
    ] });
    let answer = publish(&house, &cms, &messages).await;
    assert_eq!(answer.status, 200);
    let said = |result: &Value| {
        let place = format!("{} {}", result["topic"].as_str()?, result["offset"].as_str()?);
        Some(place)
    };
    let results: Vec<String> = answer.body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| said(result).unwrap_or_else(|| result["problem"]["code"].as_str().unwrap().to_owned()))
        .collect();
    let expected =
        ["news 1", "A0303", "A0300", "A0500", "A0500", "A0500", "A0500", "A0500", "A0107", "news:sport 1", "news 2"];
    assert_eq!(results, expected);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_whole() {
    let house = open().await;
    let cms = key(&house, &["topics.publish", "topics.read"], &["*:**"]).await;
    let check = async |body: String, status: u16, code: &str| {
        let start: String = body.chars().take(60).collect();
        let refused = post(&house, MESSAGES, &cms, body).await;
        assert_eq!((refused.status, refused.refusal()), (status, code), "{start}");
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(String::new(), 400, "A0500").await;
    check("null".to_owned(), 400, "A0500").await;
    check("[]".to_owned(), 400, "A0500").await;
    check(nested(10_000), 400, "A0500").await;
    check(format!(r#"{{"topic":"news","data":{}}}"#, nested(10_000)), 400, "A0107").await;
    check(format!(r#"{{"messages":{{"a":{}}}}}"#, nested(10_000)), 400, "A0500").await;
    check(format!(r#"{{"topic":"news","text":"x","more":{}}}"#, nested(10_000)), 400, "A0500").await;
    check(r#"{"topic":"news\u0000\u001b[2J","text":"x"}"#.to_owned(), 400, "A0300").await;
    check(format!(r#"{{"topic":"{}","text":"x"}}"#, "a".repeat(1_000_000)), 400, "A0300").await;
    check(r#"{"topic":"news","text":""#.to_owned() + "\u{0}\"}", 400, "A0500").await;
    check(r#"{"messages":[]}"#.to_owned(), 400, "A0500").await;
    check(r#"{"messages":[{}],"topic":"news"}"#.to_owned(), 400, "A0500").await;
    let long = vec![r#"{"topic":"news","text":"x"}"#; PUBLISH_BATCH_MAX + 1].join(",");
    check(format!(r#"{{"messages":[{long}]}}"#), 400, "A0500").await;
    check(format!(r#"{{"topic":"news","text":"{}"}}"#, "x".repeat(70_000)), 413, "A0305").await;
    check(" ".repeat(PUBLISH_BODY_BYTES_MAX + 1), 413, "A0504").await;
    let one = post(&house, MESSAGES, &cms, format!(r#"{{"messages":{}}}"#, nested(10_000))).await;
    assert_eq!((one.status, &one.body["results"][0]["problem"]["code"]), (200, &json!("A0500")));
    // Bytes that are no UTF-8.
    let refused = post(&house, MESSAGES, &cms, vec![0xff_u8; 100]).await;
    assert_eq!(refused.refusal(), "A0500");
    // Nothing of it was published.
    assert_eq!(history(&house, &cms, "topic=news").await.body["messages"], json!([]));

    for (query, status, code) in [
        ("", 400, "A0500"),
        ("topic=", 400, "A0300"),
        ("topic=News", 400, "A0300"),
        ("topic=a%00b", 400, "A0300"),
        ("topic=no:such:class", 404, "A0301"),
        ("topic=news&limit=0", 400, "A0500"),
        ("topic=news&limit=513", 400, "A0500"),
        ("topic=news&limit=x", 400, "A0500"),
        ("topic=news&since=1", 400, "A0500"),
        ("topic=news&since=", 400, "A0500"),
        ("topic=news&since=1:1,1:1", 400, "A0500"),
        ("topic=news&since=-1:1", 400, "A0500"),
        ("topic=news&since=18446744073709551616:1", 400, "A0500"),
    ] {
        let refused = history(&house, &cms, query).await;
        assert_eq!((refused.status, refused.refusal()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn history_is_read_in_parts_and_a_lost_place_is_said() {
    let house = open().await;
    let cms = key(&house, &["topics.publish"], &["*:**"]).await;
    let messages: Vec<Value> = (1..=7).map(|n| json!({ "topic": "news", "data": n })).collect();
    publish(&house, &cms, &json!({ "messages": messages })).await;
    let numbers = |answer: &Answer| -> Vec<u64> {
        answer.body["messages"].as_array().unwrap().iter().map(|message| message["data"].as_u64().unwrap()).collect()
    };
    let newest = history(&house, "", "topic=news&limit=3").await;
    assert_eq!(numbers(&newest), [5, 6, 7]);
    assert_eq!((&newest.body["offset"], &newest.body["more"]), (&json!("7"), &json!(false)));
    let epoch = newest.body["epoch"].as_str().unwrap();
    let mut place = format!("{epoch}:0");
    let mut parts = Vec::new();
    loop {
        let part = history(&house, "", &format!("topic=news&since={place}&limit=3")).await;
        assert_eq!(part.body["recovered"], true);
        parts.push(numbers(&part));
        place = since(part.body["messages"].as_array().unwrap().last().unwrap());
        if part.body["more"] == false {
            break;
        }
    }
    assert_eq!(parts, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    let nothing = history(&house, "", &format!("topic=news&since={place}")).await;
    assert_eq!((numbers(&nothing), &nothing.body["recovered"]), (vec![], &json!(true)));

    // Places that never were: another epoch, and an offset that lies ahead.
    for forged in ["1:3".to_owned(), format!("{epoch}:8"), format!("{epoch}:{}", u64::MAX), format!("{}:0", u64::MAX)] {
        let lost = history(&house, "", &format!("topic=news&since={forged}&limit=2")).await;
        assert_eq!((&lost.body["recovered"], numbers(&lost)), (&json!(false), vec![6, 7]), "{forged}");
    }
    // More than is kept.
    let more: Vec<Value> = (8..=107).map(|n| json!({ "topic": "news", "data": n })).collect();
    publish(&house, &cms, &json!({ "messages": more })).await;
    let lost = history(&house, "", &format!("topic=news&since={epoch}:1&limit=1")).await;
    assert_eq!((&lost.body["recovered"], numbers(&lost)), (&json!(false), vec![107]));
    let entries = [("EUR", 1), ("USD", 2), ("EUR", 3)];
    let entries = entries.map(|(symbol, bid)| json!({ "topic": "prices", "data": { "symbol": symbol, "bid": bid } }));
    publish(&house, &cms, &json!({ "messages": entries })).await;
    let prices = history(&house, "", "topic=prices&limit=1").await;
    let bids: Vec<_> =
        prices.body["messages"].as_array().unwrap().iter().map(|one| one["data"]["bid"].clone()).collect();
    assert_eq!(bids, [2, 3], "entries are told whole");
}

#[tokio::test]
async fn sessions_end_when_a_service_says_so() {
    let house = open().await;
    let ops = key(&house, &["sessions.disconnect"], &[]).await;
    let user = UserId::from_bits(9).to_string();
    let token = person(&house, 9, Role::Guest, TopicGrants::default());
    let other = house.guest_token("Bob").await;
    let mut first = crate::client::Client::connect(house.address, &token).await;
    let mut second = crate::client::Client::connect(house.address, &token).await;
    let mut bob = crate::client::Client::connect(house.address, &other).await;
    let session = first.session_id();
    let one = post(&house, DISCONNECT, &ops, json!({ "session": session, "reconnect": true }).to_string()).await;
    assert_eq!((one.status, &one.body["disconnected"]), (200, &json!(1)));
    assert_eq!(first.closed().await, Code::ReconnectAsked);
    let rest = post(&house, DISCONNECT, &ops, json!({ "user": user }).to_string()).await;
    assert_eq!(rest.body["disconnected"], 1);
    assert_eq!(second.closed().await, Code::Disconnected);
    assert_eq!(post(&house, DISCONNECT, &ops, json!({ "user": user }).to_string()).await.body["disconnected"], 0);
    bob.subscribe(CHAT, None).await;

    let moderator = person(&house, 10, Role::Moderator, TopicGrants::default());
    let by_person = post(&house, DISCONNECT, &moderator, json!({ "user": user }).to_string()).await;
    assert_eq!(by_person.status, 200);
    for (token, body, status, code) in [
        (&other, json!({ "user": user }), 403, "A0206"),
        (&String::new(), json!({ "user": user }), 401, "A0200"),
        (&ops, json!({}), 400, "A0500"),
        (&ops, json!({ "user": user, "session": session }), 400, "A0500"),
        (&ops, json!({ "user": "Ann" }), 400, "A0500"),
        (&ops, json!({ "user": user, "recconect": true }), 400, "A0500"),
        (&ops, json!({ "session": user }), 400, "A0500"),
    ] {
        let refused = post(&house, DISCONNECT, token, body.to_string()).await;
        assert_eq!((refused.status, refused.refusal()), (status, code), "{body}");
    }
}

#[tokio::test]
async fn a_publication_of_an_inner_service_is_made_once_by_its_key() {
    let house = open().await;
    let publication = |text: &str| ServicePublication {
        topic: "news".to_owned(),
        payload: Some(Payload { kind: Some(Kind::Text(text.to_owned())) }),
        key: "k".to_owned(),
        ..ServicePublication::default()
    };
    let publications = vec![publication("a"), publication("a"), publication("b")];
    let live = house.service(Scope::LivePublish);
    let reply: PublishBatchReply =
        live.call("/internal/v1/topics/publish", &PublishBatch { publications }).await.unwrap();
    assert_eq!(reply.offsets, [1, 1, 0]);
    let read = history(&house, "", "topic=news").await;
    assert_eq!(read.body["messages"].as_array().unwrap().len(), 1);
}
