//! Topics as text: one JSON object per message, for clients without a protocol of their own (`docs/wire.md`).

use std::borrow::Cow;

use amphi_shared_wire::proto::{
    Done, ListPresence, Member, Payload, Position, Publish, SetPresence, Subscribe, TopicReply, TopicRequest,
    Unsubscribe, UnwatchPresence, WatchPresence, payload::Kind, topic_reply, topic_request,
};
use amphi_shared_wire::{Code, Topic};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Denied;

/// Where a publication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The topic, as this node numbers it.
    pub alias: u32,
    /// The epoch of its history.
    pub epoch: u64,
    /// The publication.
    pub offset: u64,
}

/// A publication: `{"topic", "epoch", "offset", "data" | "text" | "base64"}`. JSON lies under `data` as it was
/// published, but for line breaks between its parts: one message is one line.
pub(crate) fn publication(topic: &Topic, (epoch, offset): (u64, u64), payload: &Payload) -> Bytes {
    let (key, value) = match &payload.kind {
        // In checked JSON a line break only ever stands between parts.
        Some(Kind::Json(json)) => ("data", json.replace(['\n', '\r'], " ")),
        Some(Kind::Text(text)) => ("text", quoted(text)),
        Some(Kind::Binary(bytes)) => ("base64", quoted(&STANDARD.encode(bytes))),
        None => ("data", "null".to_owned()),
    };
    // A topic's name needs no escapes.
    format!(r#"{{"topic":"{topic}","epoch":"{epoch}","offset":"{offset}","{key}":{value}}}"#).into()
}

/// A reply, as canonical JSON of its message.
pub(crate) fn reply(reply: &TopicReply) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Out<'a> {
        id: u32,
        #[serde(flatten)]
        kind: Option<Kind<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
    enum Kind<'a> {
        Failed {
            code: u32,
            message: &'a str,
            retry_after_ms: u32,
        },
        Subscribed {
            topic: &'a str,
            alias: u32,
            epoch: String,
            offset: String,
            recovered: bool,
            replayed: u32,
        },
        Unsubscribed {
            topic: &'a str,
            alias: u32,
            code: u32,
        },
        Published {
            offset: String,
        },
        PresenceState {
            topic: &'a str,
            alias: u32,
            count: u32,
            listed: bool,
            members: Vec<OutMember<'a>>,
        },
        PresenceDiff {
            alias: u32,
            count: u32,
            listed: bool,
            joined: Vec<OutMember<'a>>,
            changed: Vec<OutMember<'a>>,
            left: &'a [String],
        },
        PresencePage {
            topic: &'a str,
            count: u32,
            members: Vec<OutMember<'a>>,
            next: &'a str,
        },
        Done {},
    }
    let kind = reply.kind.as_ref().map(|kind| match kind {
        topic_reply::Kind::Failed(failed) => {
            Kind::Failed { code: failed.code, message: &failed.message, retry_after_ms: failed.retry_after_ms }
        }
        topic_reply::Kind::Subscribed(subscribed) => Kind::Subscribed {
            topic: &subscribed.topic,
            alias: subscribed.alias,
            epoch: subscribed.epoch.to_string(),
            offset: subscribed.offset.to_string(),
            recovered: subscribed.recovered,
            replayed: subscribed.replayed,
        },
        topic_reply::Kind::Unsubscribed(ended) => {
            Kind::Unsubscribed { topic: &ended.topic, alias: ended.alias, code: ended.code }
        }
        topic_reply::Kind::Published(published) => Kind::Published { offset: published.offset.to_string() },
        topic_reply::Kind::PresenceState(state) => Kind::PresenceState {
            topic: &state.topic,
            alias: state.alias,
            count: state.count,
            listed: state.listed,
            members: out_members(&state.members),
        },
        topic_reply::Kind::PresenceDiff(diff) => Kind::PresenceDiff {
            alias: diff.alias,
            count: diff.count,
            listed: diff.listed,
            joined: out_members(&diff.joined),
            changed: out_members(&diff.changed),
            left: &diff.left,
        },
        topic_reply::Kind::PresencePage(page) => Kind::PresencePage {
            topic: &page.topic,
            count: page.count,
            members: out_members(&page.members),
            next: &page.next,
        },
        topic_reply::Kind::Done(Done {}) => Kind::Done {},
    });
    let out = Out { id: reply.id, kind };
    serde_json::to_vec(&out).expect("texts and numbers are JSON").into()
}

/// A member; what others see beside it lies there as JSON.
#[derive(Serialize)]
struct OutMember<'a> {
    user: &'a str,
    name: &'a str,
    connections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
}

fn out_members(members: &[Member]) -> Vec<OutMember<'_>> {
    let out = |member| {
        let Member { user, name, connections, meta }: &Member = member;
        OutMember { user, name, connections: *connections, meta: serde_json::from_str(meta).ok() }
    };
    members.iter().map(out).collect()
}

/// A request, from the canonical JSON of its message; a publication may also hold any JSON under `data`.
///
/// # Errors
/// `MessageInvalid`.
pub fn parse_request(text: &[u8]) -> Result<TopicRequest, Denied> {
    let invalid = Denied::new(Code::MessageInvalid, "the message is not the JSON of a request");
    let request: In<'_> = serde_json::from_slice(text).map_err(|_| invalid)?;
    let In { id, subscribe, unsubscribe, publish, watch_presence, unwatch_presence, list_presence, set_presence } =
        request;
    let wishes = [
        subscribe.map(|ask| {
            let since = ask.since.map(|since| Position { epoch: since.epoch.0, offset: since.offset.0 });
            Ok(topic_request::Kind::Subscribe(Subscribe { topic: ask.topic.into(), since, meta: meta(ask.meta) }))
        }),
        unsubscribe.map(|ask| Ok(topic_request::Kind::Unsubscribe(Unsubscribe { topic: ask.topic.into() }))),
        publish.map(|ask| parse_publish(ask).map(topic_request::Kind::Publish)),
        watch_presence.map(|ask| Ok(topic_request::Kind::WatchPresence(WatchPresence { topic: ask.topic.into() }))),
        unwatch_presence
            .map(|ask| Ok(topic_request::Kind::UnwatchPresence(UnwatchPresence { topic: ask.topic.into() }))),
        list_presence.map(|InList { topic, after, limit }| {
            Ok(topic_request::Kind::ListPresence(ListPresence { topic: topic.into(), after, limit }))
        }),
        set_presence.map(|ask| {
            let set = SetPresence { topic: ask.topic.into(), meta: meta(ask.meta) };
            Ok(topic_request::Kind::SetPresence(set))
        }),
    ];
    let mut wishes = wishes.into_iter().flatten();
    let (Some(kind), None) = (wishes.next(), wishes.next()) else {
        return Err(Denied::new(
            Code::MessageInvalid,
            "a request holds one of subscribe, unsubscribe, publish, \
             watchPresence, unwatchPresence, listPresence and setPresence",
        ));
    };
    Ok(TopicRequest { id, kind: Some(kind?) })
}

fn parse_publish(ask: InPublish<'_>) -> Result<Publish, Denied> {
    let payload = ask.payload.unwrap_or_default();
    let kind = match (ask.data, payload.json, payload.text, payload.binary) {
        (Some(data), None, None, None) => Some(Kind::Json(data.get().to_owned())),
        (None, Some(json), None, None) => Some(Kind::Json(json)),
        (None, None, Some(text), None) => Some(Kind::Text(text)),
        (None, None, None, Some(binary)) => {
            let bytes = STANDARD.decode(&*binary);
            Some(Kind::Binary(bytes.map_err(|_| Denied::new(Code::MessageInvalid, "`binary` is not base64"))?.into()))
        }
        _ => None,
    };
    let payload = kind.map(|kind| Payload { kind: Some(kind) });
    Ok(Publish { topic: ask.topic.into(), payload, key: ask.key })
}

/// Any JSON as it was written.
fn meta(meta: Option<&RawValue>) -> String {
    meta.map_or_else(String::new, |meta| meta.get().to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct In<'a> {
    #[serde(default)]
    id: u32,
    #[serde(borrow)]
    subscribe: Option<InSubscribe<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<InTopic<'a>>,
    #[serde(borrow)]
    publish: Option<InPublish<'a>>,
    #[serde(borrow)]
    watch_presence: Option<InTopic<'a>>,
    #[serde(borrow)]
    unwatch_presence: Option<InTopic<'a>>,
    #[serde(borrow)]
    list_presence: Option<InList<'a>>,
    #[serde(borrow)]
    set_presence: Option<InSet<'a>>,
}

#[derive(Deserialize)]
struct InTopic<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
}

#[derive(Deserialize)]
struct InSubscribe<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    since: Option<InPosition>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InList<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(default)]
    after: String,
    #[serde(default)]
    limit: u32,
}

#[derive(Deserialize)]
struct InSet<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InPosition {
    epoch: Number,
    offset: Number,
}

#[derive(Deserialize)]
struct InPublish<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<InPayload<'a>>,
    #[serde(default)]
    key: String,
}

#[derive(Default, Deserialize)]
struct InPayload<'a> {
    json: Option<String>,
    text: Option<String>,
    #[serde(borrow)]
    binary: Option<Cow<'a, str>>,
}

/// A 64-bit number: a string in canonical JSON, a number from clients that write one.
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests {
    use amphi_shared_wire::proto::Failed;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_publication_is_one_line_with_its_payload_as_it_was() {
        let topic: Topic = "match:m:chat".parse().unwrap();
        let check = |kind, expected: &str| {
            let text = publication(&topic, (u64::MAX, 7), &Payload { kind: Some(kind) });
            let head = r#"{"topic":"match:m:chat","epoch":"18446744073709551615","offset":"7","#;
            assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{head}{expected}}}"));
            serde_json::from_slice::<Value>(&text).unwrap();
        };
        check(Kind::Json("{\"a\" : 1.50,\r\n\"b\":\"x\\n\"}".to_owned()), "\"data\":{\"a\" : 1.50,  \"b\":\"x\\n\"}");
        check(Kind::Text("a\n\"b\"".to_owned()), r#""text":"a\n\"b\"""#);
        check(Kind::Binary(vec![0, 255].into()), r#""base64":"AP8=""#);
    }

    #[test]
    fn requests_are_read_as_canonical_json() {
        let read = |json: Value| parse_request(json.to_string().as_bytes());
        let since = Some(Position { epoch: 5, offset: 7 });
        for since_json in [json!({ "epoch": "5", "offset": "7" }), json!({ "epoch": 5, "offset": 7 })] {
            let request =
                read(json!({ "id": 3, "subscribe": { "topic": "a", "since": since_json }, "new": 1 })).unwrap();
            let kind = topic_request::Kind::Subscribe(Subscribe { topic: "a".to_owned(), since, meta: String::new() });
            assert_eq!(request, TopicRequest { id: 3, kind: Some(kind) });
        }
        let published = |json: Value| match read(json!({ "publish": json })).unwrap().kind {
            Some(topic_request::Kind::Publish(publish)) => publish.payload.and_then(|payload| payload.kind),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            published(json!({ "topic": "a", "data": { "x": [1] } })),
            Some(Kind::Json("{\"x\":[1]}".to_owned()))
        );
        let text = json!({ "topic": "a", "payload": { "text": "hi" }, "key": "k" });
        assert_eq!(published(text), Some(Kind::Text("hi".to_owned())));
        let binary = json!({ "topic": "a", "payload": { "binary": "AP8=" } });
        assert_eq!(published(binary), Some(Kind::Binary(vec![0, 255].into())));
        assert_eq!(published(json!({ "topic": "a" })), None);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in
            ["", "null", "[]", "{}", "{\"subscribe\":{}}", "{\"subscribe\":{\"topic\":1}}", "\u{0}", "{\"id\":-1}"]
        {
            assert_eq!(parse_request(text.as_bytes()).unwrap_err().code, Code::MessageInvalid, "{text}");
        }
        let both = r#"{"subscribe":{"topic":"a"},"unsubscribe":{"topic":"a"}}"#;
        assert_eq!(parse_request(both.as_bytes()).unwrap_err().code, Code::MessageInvalid);
        assert!(parse_request(&[0xff; 9]).is_err());
    }

    #[test]
    fn replies_are_canonical_json() {
        let failed = Failed { code: 304, message: "no".to_owned(), retry_after_ms: 5 };
        let text = reply(&TopicReply { id: 2, kind: Some(topic_reply::Kind::Failed(failed)) });
        let expected = json!({ "id": 2, "failed": { "code": 304, "message": "no", "retryAfterMs": 5 } });
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), expected);
    }
}
