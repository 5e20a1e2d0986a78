//! Readers without a protocol of their own: a plain WebSocket client, and server-sent events over plain HTTP.

use std::time::Duration;

use amphi_shared_auth::Scope;
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_wire::proto::{MintToken, MintTokenReply, RevokeToken, RevokeTokenReply};
use amphi_shared_wire::{Code, Micros};
use amphi_streaming_node::LiveConfig;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::house::House;

const CHAT: &str = "match:mch_1:chat";
const VIEW: &str = "match:mch_1:view:0";
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket client that knows JSON and nothing else.
pub(crate) struct Plain(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Plain {
    pub(crate) async fn open(house: &House, query: &str) -> Result<Self, Error> {
        let mut request = format!("ws://{}/session{query}", house.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "amphi.v1+json".parse().unwrap());
        tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    /// The next text, or the code that the connection was closed with.
    pub(crate) async fn next(&mut self) -> Result<Value, Code> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return Err(Code::from_number(u32::from(u16::from(frame.code)) - 4_000).unwrap());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("{other:?} instead of a text"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("something was expected")
    }

    pub(crate) async fn ask(&mut self, request: Value) -> Value {
        self.0.send(Message::text(request.to_string())).await.unwrap();
        self.next().await.unwrap()
    }
}

/// Server-sent events as their fields.
struct EventSource {
    answer: reqwest::Response,
    text: String,
}

impl EventSource {
    async fn open(house: &House, query: &str, headers: &[(&'static str, &str)]) -> Result<Self, (u16, Value)> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = house.url(&format!("/api/v1/topics/events{query}"));
        let call = headers.iter().fold(client.get(&url), |call, (name, value)| call.header(*name, *value));
        let answer = call.send().await.unwrap();
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            return Err((status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()));
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Ok(Self { answer, text: String::new() })
    }

    /// Id and data of the next event; `None` when the answer ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim_start_matches(": ").to_owned())
                };
                let found = field("data").map(|data| (field("id").unwrap_or_default(), data));
                self.text = rest.to_owned();
                if let Some((id, data)) = found {
                    return Some((id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("something was expected");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }
}

async fn mint(house: &House, topics: &[&str]) -> MintTokenReply {
    let subscribe = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let wish = MintToken { subscribe, ttl_s: 60, ..MintToken::default() };
    house.service(Scope::LiveTokens).call("/internal/v1/tokens", &wish).await.unwrap()
}

fn since(message: &Value) -> String {
    format!("{}:{}", message["epoch"].as_str().unwrap(), message["offset"].as_str().unwrap())
}

#[tokio::test]
async fn a_plain_websocket_reads_the_topics_of_its_token_and_finds_its_place_again() {
    let house = House::open().await;
    let token = mint(&house, &[CHAT, VIEW]).await.token;
    let mut ada = house.guest("Ada").await;
    ada.say(CHAT, "before").await;
    let mut plain = Plain::open(&house, &format!("?token={token}")).await.unwrap();
    let first = plain.next().await.unwrap();
    assert_eq!((&first["topic"], &first["data"]["text"]), (&json!(CHAT), &json!("before")));
    ada.say(CHAT, "now").await;
    let second = plain.next().await.unwrap();
    assert_eq!((&second["offset"], &second["data"]["text"]), (&json!("2"), &json!("now")));
    house.publish_view(VIEW, [(1, vec![0, 255])]).await.unwrap();
    let frame = plain.next().await.unwrap();
    assert_eq!((&frame["topic"], &frame["base64"]), (&json!(VIEW), &json!("AP8=")));

    drop(plain);
    for text in ["missed", "missed too"] {
        ada.say(CHAT, text).await;
    }
    let query = format!("?token={token}&since={},{}", since(&second), since(&frame));
    let mut plain = Plain::open(&house, &query).await.unwrap();
    for text in ["missed", "missed too"] {
        assert_eq!(plain.next().await.unwrap()["data"]["text"], text);
    }
    ada.say(CHAT, "live").await;
    assert_eq!(plain.next().await.unwrap()["data"]["text"], "live");

    // A place of another life of the topic: said once, then what a newcomer gets.
    let mut lost = Plain::open(&house, &format!("?token={token}&since=1:1")).await.unwrap();
    let gap = lost.next().await.unwrap();
    assert_eq!((&gap["id"], &gap["subscribed"]["recovered"]), (&json!(0), &json!(false)));
    assert_eq!(lost.next().await.unwrap()["data"]["text"], "before");
}

#[tokio::test]
async fn a_plain_websocket_may_ask_in_json() {
    let house = House::open().await;
    let mut plain = Plain::open(&house, &format!("?token={}", house.guest_token("Ada").await)).await.unwrap();
    let subscribed = plain.ask(json!({ "id": 1, "subscribe": { "topic": CHAT } })).await;
    assert_eq!((&subscribed["id"], &subscribed["subscribed"]["topic"]), (&json!(1), &json!(CHAT)));
    let publish = json!({ "id": 2, "publish": { "topic": CHAT, "payload": { "text": "<b>hi</b>" }, "key": "k" } });
    let (a, b) = (plain.ask(publish.clone()).await, plain.next().await.unwrap());
    let (reply, line) = if a["id"] == 2 { (a, b) } else { (b, a) };
    assert_eq!(reply["published"]["offset"], "1");
    assert_eq!((&line["data"]["text"], &line["data"]["from"]["name"]), (&json!("<b>hi</b>"), &json!("Ada")));
    assert_eq!(plain.ask(publish).await["published"]["offset"], "1", "the key makes it one line");
    for (request, code) in [
        (json!({ "id": 3, "publish": { "topic": CHAT, "data": [1] } }), Code::MessageInvalid),
        (json!({ "id": 3, "publish": { "topic": VIEW, "data": 1 } }), Code::PublishForbidden),
        (json!({ "id": 3, "subscribe": { "topic": CHAT } }), Code::AlreadySubscribed),
        (json!({ "id": 3, "subscribe": { "topic": "No Topic" } }), Code::TopicInvalid),
    ] {
        let reply = plain.ask(request).await;
        assert_eq!(reply["failed"]["code"].as_u64().map(|n| n as u32), Some(code.number()), "{reply}");
    }
    let nonsense = plain.ask(json!("nonsense")).await;
    assert_eq!((&nonsense["id"], &nonsense["failed"]["code"]), (&json!(0), &json!(107)));
    let gone = plain.ask(json!({ "id": 4, "unsubscribe": { "topic": CHAT } })).await;
    assert_eq!(gone["unsubscribed"]["topic"], CHAT);
}

#[tokio::test]
async fn a_plain_websocket_is_refused_and_ended_with_codes() {
    let house = House::open().await;
    for (token, code) in [
        (String::new(), Code::TokenMissing),
        ("nonsense".to_owned(), Code::TokenInvalid),
        (house.token("default", Micros(0)), Code::TokenExpired),
        (mint(&house, &["no:such:class"]).await.token, Code::TopicUnknown),
    ] {
        let mut plain = Plain::open(&house, &format!("?token={token}")).await.unwrap();
        assert_eq!(plain.next().await, Err(code));
    }
    let minted = mint(&house, &[CHAT]).await;
    for since in ["x", "1:2,3:4"] {
        let mut plain = Plain::open(&house, &format!("?token={}&since={since}", minted.token)).await.unwrap();
        assert_eq!(plain.next().await, Err(Code::RequestInvalid));
    }
    let mut plain = Plain::open(&house, &format!("?token={}", minted.token)).await.unwrap();
    let mut events = EventSource::open(&house, &format!("?token={}", minted.token), &[]).await.unwrap();
    let ask = RevokeToken { what: minted.user_id };
    let reply: Result<RevokeTokenReply, ServiceFailure> =
        house.service(Scope::LiveTokens).call("/internal/v1/tokens/revoke", &ask).await;
    reply.unwrap();
    assert_eq!(plain.next().await, Err(Code::TokenRevoked));
    assert_eq!(events.next().await, None);

    let ending = house.token("default", Micros::from_secs(2));
    let mut plain = Plain::open(&house, &format!("?token={ending}")).await.unwrap();
    assert_eq!(plain.next().await, Err(Code::TokenExpired));
}

#[tokio::test]
async fn server_sent_events_are_for_everyone_and_come_back_by_their_id() {
    let house = House::open().await;
    let mut ada = house.guest("Ada").await;
    let mut events = EventSource::open(&house, &format!("?topic={CHAT}"), &[]).await.unwrap();
    ada.say(CHAT, "one").await;
    let (id, first) = events.next().await.unwrap();
    assert_eq!((&first["data"]["text"], id.as_str()), (&json!("one"), since(&first).as_str()));
    drop(events);
    ada.say(CHAT, "two").await;
    let mut events =
        EventSource::open(&house, &format!("?topic={CHAT}"), &[("last-event-id", id.as_str())]).await.unwrap();
    let (_, second) = events.next().await.unwrap();
    assert_eq!(second["data"]["text"], "two", "exactly what was missed");

    // Several topics share one id with a place for each.
    let query = format!("?topic={CHAT}&topic={VIEW}&since=,");
    let mut both = EventSource::open(&house, &query, &[]).await.unwrap();
    house.publish_view(VIEW, [(1, vec![7])]).await.unwrap();
    let mut last = String::new();
    for _ in 0..3 {
        last = both.next().await.unwrap().0;
    }
    drop(both);
    ada.say(CHAT, "three").await;
    let mut both = EventSource::open(&house, &query, &[("last-event-id", last.as_str())]).await.unwrap();
    assert_eq!(both.next().await.unwrap().1["data"]["text"], "three");

    let minted = mint(&house, &[CHAT]).await.token;
    let bearer = format!("Bearer {minted}");
    let mut own = EventSource::open(&house, "", &[("authorization", bearer.as_str())]).await.unwrap();
    assert_eq!(own.next().await.unwrap().1["data"]["text"], "one", "the topics of the token");
    for (query, status, code) in [
        ("", 400, "A0500"),
        ("?topic=No+Topic", 400, "A0300"),
        ("?topic=no:such:class", 404, "A0301"),
        ("?topic=a&token=nonsense", 401, "A0201"),
        (&format!("?topic={CHAT}&since=1:2,3:4"), 400, "A0500"),
        (&format!("?topic={CHAT}{}", "&topic=a".repeat(64)), 400, "A0306"),
    ] {
        let (got, problem) = EventSource::open(&house, query, &[]).await.err().unwrap();
        assert_eq!((got, problem["code"].as_str().unwrap()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn readers_of_text_are_told_when_to_come_back_after_a_drain() {
    let house = House::open_with(LiveConfig { drain: Micros::from_millis(200), ..LiveConfig::default() }).await;
    let token = house.guest_token("Ada").await;
    let mut plain = Plain::open(&house, &format!("?token={token}")).await.unwrap();
    let mut events = EventSource::open(&house, &format!("?topic={CHAT}"), &[]).await.unwrap();
    house.shutdown.trigger();
    assert_eq!(plain.next().await, Err(Code::Draining));
    assert_eq!(events.next().await, None);
    assert!(events.text.starts_with("retry: ") || events.text.is_empty(), "{}", events.text);
    assert!(house.live.finished().await);
}
