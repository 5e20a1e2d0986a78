//! What bad input gets: a numbered code, and nobody else notices.

use amphi_shared_auth::Scope;
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, TopicRequest, payload::Kind};
use amphi_shared_wire::{Code, LANE_ROOM, LANE_TOPICS, Micros, encode_pipe_frame};
use futures_util::SinkExt;
use prost::Message as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Heard, publish, subscribe};
use crate::house::House;

const CHAT: &str = "match:mch_1:chat";
const VIEW: &str = "match:mch_1:view:0";

/// The others go on: a fresh person can still chat.
async fn still_works(house: &House) {
    let mut someone = house.guest("Someone").await;
    someone.subscribe("match:mch_9:chat", None).await;
    assert!(someone.say("match:mch_9:chat", "fine").await > 0);
}

#[tokio::test]
async fn a_chat_line_of_a_megabyte_ends_its_connection() {
    let house = House::open().await;
    let mut ada = house.guest("Ada").await;
    assert_eq!(ada.refused(publish(CHAT, Kind::Text("x".repeat(501)))).await, Code::MessageTooLarge);
    assert_eq!(ada.refused(publish(CHAT, Kind::Text("x".repeat(10_000)))).await, Code::MessageTooLarge);
    let Some(line) = TopicRequest { id: 1, kind: Some(publish(CHAT, Kind::Text("x".repeat(1 << 20)))) }.into() else {
        unreachable!()
    };
    let frame = encode_pipe_frame(LANE_TOPICS, &line.encode_to_vec());
    // The server may close before it has read all of it.
    let _ = ada.socket.send(Message::Binary(frame)).await;
    assert!(matches!(ada.next().await, Heard::Closed(Code::FrameTooLarge) | Heard::Detached));
    still_works(&house).await;
}

#[tokio::test]
async fn bytes_that_are_no_request_end_the_session() {
    let house = House::open().await;
    for garbage in [vec![0xff; 40], vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], b"{\"subscribe\":1}".to_vec()] {
        let mut ada = house.guest("Ada").await;
        ada.send_raw(garbage).await;
        assert_eq!(ada.closed().await, Code::MessageInvalid);
    }
    let mut ada = house.guest("Ada").await;
    ada.socket.send(Message::Binary(encode_pipe_frame(LANE_ROOM, b"room"))).await.unwrap();
    assert_eq!(ada.closed().await, Code::LaneInvalid);
    still_works(&house).await;
}

#[tokio::test]
async fn wrong_requests_are_refused_one_by_one() {
    let house = House::open().await;
    let mut ada = house.guest("Ada").await;
    let nested = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    for (request, code) in [
        (publish(CHAT, Kind::Json(nested)), Code::MessageInvalid),
        (publish(CHAT, Kind::Json("{".to_owned())), Code::MessageInvalid),
        (publish(CHAT, Kind::Text(" \n ".to_owned())), Code::MessageEmpty),
        (publish(VIEW, Kind::Binary(vec![1].into())), Code::PublishForbidden),
        (publish("match:mch_1:stats", Kind::Json("{\"viewers\":9}".to_owned())), Code::PublishForbidden),
        (publish("nowhere", Kind::Text("x".to_owned())), Code::TopicUnknown),
        (subscribe("../etc/passwd"), Code::TopicInvalid),
        (subscribe("nowhere"), Code::TopicUnknown),
    ] {
        assert_eq!(ada.refused(request).await, code);
    }
    assert_eq!(ada.say(CHAT, "and still here").await, 1);
}

#[tokio::test]
async fn a_flood_of_lines_waits() {
    let house = House::open().await;
    let mut ada = house.guest("Ada").await;
    for _ in 0..8 {
        ada.say(CHAT, "spam").await;
    }
    assert_eq!(ada.refused(publish(CHAT, Kind::Text("spam".to_owned()))).await, Code::RateLimited);
    still_works(&house).await;
}

#[tokio::test]
async fn markup_and_sql_stay_text() {
    let house = House::open().await;
    let name = "<b>Bobby'); DROP--</b>";
    let text = r#"<script>alert("x")</script>'); DROP TABLE users;-- \u0000"#;
    let mut bobby = house.guest(name).await;
    bobby.subscribe(CHAT, None).await;
    bobby.say(CHAT, text).await;
    let line = bobby.publication().await.json();
    assert_eq!((&line["text"], &line["from"]["name"]), (&json!(text), &json!(name)));
    still_works(&house).await;
}

#[tokio::test]
async fn tokens_that_do_not_fit_are_refused() {
    let house = House::open().await;
    let expired = house.token("default", Micros(0));
    let elsewhere = house.token("other", Micros::from_secs(60));
    for (token, expected) in [
        ("", Code::TokenInvalid),
        ("not.a.token", Code::TokenInvalid),
        (&expired, Code::TokenExpired),
        (&elsewhere, Code::TokenWrongApp),
    ] {
        let mut client = Client::dial(house.address, token).await;
        let Heard::Refused { code, .. } = client.next().await else { panic!("{token:?} was not refused") };
        assert_eq!(code, expected, "{token:?}");
    }
    let mut brief = Client::connect(house.address, &house.token("default", Micros::from_secs(2))).await;
    assert_eq!(brief.closed().await, Code::TokenExpired);
}

#[tokio::test]
async fn services_need_the_right_scope_and_batches_answer_one_by_one() {
    let house = House::open().await;
    let publications = |topics: &[(&str, &str)]| PublishBatch {
        publications: topics
            .iter()
            .map(|(app, topic)| amphi_shared_wire::proto::ServicePublication {
                topic: (*topic).to_owned(),
                flags: 1,
                payload: Some(Payload { kind: Some(Kind::Binary(vec![1].into())) }),
                app: (*app).to_owned(),
                key: String::new(),
            })
            .collect(),
    };
    let path = "/internal/v1/topics/publish";
    let wrong: Result<PublishBatchReply, _> =
        house.service(Scope::LiveUsers).call(path, &publications(&[("", VIEW)])).await;
    assert!(matches!(wrong, Err(ServiceFailure::Refused { code: Code::RoleMissing, .. })), "{wrong:?}");
    let live = house.service(Scope::LivePublish);
    let mixed = publications(&[("", VIEW), ("", "nowhere"), ("No App", VIEW), ("other", VIEW), ("", VIEW)]);
    let reply: PublishBatchReply = live.call(path, &mixed).await.unwrap();
    assert_eq!(reply.offsets, [1, 0, 0, 1, 2]);
}
