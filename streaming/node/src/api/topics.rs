//! Publishing and history.

use std::borrow::Cow;

use amphi_shared_auth::KeyScope;
use amphi_shared_edge::http::{Operation, Problem, Request, Response};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{HISTORY_MESSAGES_MAX, PUBLISH_BATCH_MAX};
use amphi_shared_wire::proto::{Payload, Position, ServicePublication, Subscribe, payload::Kind};
use amphi_streaming_core::Receipt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Api, Caller, problem};
use crate::shard::{Author, Command, Look};
use crate::stock::parse_places;

/// Messages of one answer when nothing is said.
const LIMIT: usize = 100;

/// A message to publish; one of `data`, `text` and `base64`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    /// Name of the topic.
    #[serde(borrow)]
    topic: Cow<'a, str>,
    /// Any JSON; readers get it as it was written.
    #[serde(borrow, default, deserialize_with = "stated")]
    #[schemars(with = "Option<serde_json::Value>")]
    data: Option<&'a RawValue>,
    /// Plain text; a chat line is one.
    text: Option<String>,
    /// Bytes, in base64.
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    /// Idempotency key, at most 64 bytes: however often a message is sent with it, it is published once.
    #[serde(default)]
    key: String,
}

/// One message, or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "says what a body looks like; each message of a batch is read by itself")]
enum PublishBody<'a> {
    One(Message<'a>),
    Batch(Batch<'a>),
}

/// Several messages.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    /// At most 100, published in this order.
    #[serde(borrow)]
    #[schemars(with = "Vec<Message<'a>>")]
    messages: Vec<&'a RawValue>,
}

/// Whether a body is a batch.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
}

/// Where a message came to stand.
#[derive(JsonSchema, Serialize)]
struct Published {
    topic: String,
    /// A 64-bit number.
    epoch: String,
    /// A 64-bit number.
    offset: String,
    /// It stood there already, by its key.
    duplicate: bool,
}

/// What became of a message of a batch.
#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
enum Outcome {
    Published(Published),
    /// A message that was refused.
    Refused {
        /// Why it was not published; the others were all the same.
        problem: Problem,
    },
}

/// What became of one message, or of each of several, in their order.
#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
enum PublishAnswer {
    One(Published),
    /// What became of each, in their order.
    Batch {
        results: Vec<Outcome>,
    },
}

/// What a topic holds.
#[derive(JsonSchema, Serialize)]
struct History {
    topic: String,
    /// Epoch of the topic, a 64-bit number.
    epoch: String,
    /// Offset of its newest message, a 64-bit number.
    offset: String,
    /// False: `since` lies before what is kept, or in another epoch, so messages may be missing; these are what somebody
    /// gets who comes for the first time.
    recovered: bool,
    /// There are more behind the last one: ask again with its epoch and offset.
    more: bool,
    #[schemars(with = "Vec<HistoryMessage>")]
    messages: Vec<Box<RawValue>>,
}

/// A message; one of `data`, `text` and `base64`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "says what the hub writes")]
struct HistoryMessage {
    topic: String,
    epoch: String,
    offset: String,
    data: Option<serde_json::Value>,
    text: Option<String>,
    base64: Option<String>,
}

pub(super) fn publish_operation() -> Operation {
    Operation::new("topics", "Publish messages")
        .detail(
            "One message, or `messages` with up to 100. Of several each is answered by itself: one that is refused \
             does not stop the others. People publish where the topic's class or their token lets them, services where \
             their key has a pattern that fits.",
        )
        .scope(KeyScope::TopicsPublish.as_str())
        .body::<PublishBody<'_>>(json!({ "topic": "news", "data": { "title": "Hello" }, "key": "hello-1" }))
        .answer::<PublishAnswer>()
}

pub(super) fn history_operation() -> Operation {
    Operation::new("topics", "Read what a topic holds")
        .detail(
            "With `since`, exactly what came after that position, the oldest first, or `recovered: false`. Without it, \
             the newest messages. A topic of entries (`kind = \"state\"`) is told whole.",
        )
        .scope(KeyScope::TopicsRead.as_str())
        .needs_query("topic", "Name of the topic.", "news")
        .query("since", "Where the reader stood: `epoch:offset` of the last message it has.")
        .query("limit", "Messages at most, 1 to 512; 100 when nothing is said.")
        .answer::<History>()
}

/// `POST /api/v1/topics/messages`
pub(super) async fn publish(api: Api, request: Request) -> Result<Response, Problem> {
    let caller = api.caller(&request, KeyScope::TopicsPublish)?;
    let shape: Shape<'_> = read(&request.body)?;
    if shape.messages.is_none() {
        let message = draft(&api, &caller, read(&request.body)?)?;
        let mut results = send(&api, &caller, &request, vec![Ok(message)]).await?;
        return match results.pop() {
            Some(Outcome::Published(published)) => Ok(Response::json(&PublishAnswer::One(published))),
            Some(Outcome::Refused { problem }) => Err(problem),
            None => Err(Problem::internal("a message without an outcome")),
        };
    }
    let Batch { messages } = read(&request.body)?;
    if messages.is_empty() || messages.len() > PUBLISH_BATCH_MAX {
        let why = format!("`messages` holds {}, not 1 to {PUBLISH_BATCH_MAX}", messages.len());
        return Err(Problem::new(Code::RequestInvalid, why));
    }
    let drafts = messages.into_iter().map(|message| draft(&api, &caller, read(message.get().as_bytes())?)).collect();
    let results = send(&api, &caller, &request, drafts).await?;
    Ok(Response::json(&PublishAnswer::Batch { results }))
}

/// `GET /api/v1/topics/history`
pub(super) async fn history(api: Api, request: Request) -> Result<Response, Problem> {
    let invalid = |why: &str| Problem::new(Code::RequestInvalid, why);
    api.pace_read(request.peer.ip())?;
    let caller = api.caller(&request, KeyScope::TopicsRead)?;
    api.pace(&caller)?;
    let topic = request.query("topic").ok_or_else(|| invalid("name a topic: ?topic=NAME"))?.to_owned();
    let limit = match request.query("limit") {
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=HISTORY_MESSAGES_MAX).contains(limit))
            .ok_or_else(|| invalid("`limit` is not 1 to 512"))?,
    };
    let since = request.query("since").map(since).transpose()?;
    let (app, person) = match caller {
        Caller::Person(person) => (person.app.clone(), Some(*person)),
        Caller::Key(key) if key.covers(&topic) => (key.app.clone(), None),
        Caller::Key(_) => return Err(Problem::new(Code::SubscribeForbidden, "the key is not for this topic")),
    };
    let ask = Subscribe { topic: topic.clone(), since };
    let view = api.ask(|reply| Command::Look(Look { app, person, ask, limit, reply })).await?.map_err(problem)?;
    let raw = |text: bytes::Bytes| {
        let text = String::from_utf8(text.into()).map_err(Problem::internal)?;
        RawValue::from_string(text).map_err(Problem::internal)
    };
    Ok(Response::json(&History {
        topic,
        epoch: view.newest.epoch.to_string(),
        offset: view.newest.offset.to_string(),
        recovered: view.recovered,
        more: view.more,
        messages: view.publications.into_iter().map(raw).collect::<Result<_, _>>()?,
    }))
}

/// Publishes the drafts that are any good; the outcomes stand in the order of the drafts.
async fn send(
    api: &Api,
    caller: &Caller,
    request: &Request,
    drafts: Vec<Result<ServicePublication, Problem>>,
) -> Result<Vec<Outcome>, Problem> {
    let mut outcomes = Vec::with_capacity(drafts.len());
    let mut publications = Vec::with_capacity(drafts.len());
    for draft in drafts {
        outcomes.push(draft.map(|draft| {
            let topic = draft.topic.clone();
            publications.push(draft);
            topic
        }));
    }
    let author = match caller {
        Caller::Person(person) => Author::Person(person.clone(), request.peer.ip()),
        Caller::Key(key) => Author::Service(key.id.to_string()),
    };
    let receipts = api.ask(|reply| Command::Publish { author, publications, reply }).await?;
    let mut receipts = receipts.into_iter();
    let outcome = |sent: Result<String, Problem>| {
        let topic = match sent {
            Ok(topic) => topic,
            Err(problem) => return Outcome::Refused { problem },
        };
        match receipts.next() {
            Some(Ok(Receipt { epoch, offset, duplicate })) => {
                let (epoch, offset) = (epoch.to_string(), offset.to_string());
                Outcome::Published(Published { topic, epoch, offset, duplicate })
            }
            Some(Err(denied)) => Outcome::Refused { problem: problem(denied) },
            None => Outcome::Refused { problem: Code::Internal.into() },
        }
    };
    Ok(outcomes.into_iter().map(outcome).collect())
}

/// What the hub is asked to publish.
fn draft(api: &Api, caller: &Caller, message: Message<'_>) -> Result<ServicePublication, Problem> {
    let app = match caller {
        Caller::Key(key) if !key.covers(&message.topic) => {
            return Err(Problem::new(Code::PublishForbidden, "the key is not for this topic"));
        }
        Caller::Key(key) => key.app.to_string(),
        Caller::Person(_) => String::new(),
    };
    let Message { topic, data, text, base64, key } = message;
    let kind = match (data, text, base64) {
        (Some(data), None, None) => Kind::Json(data.get().to_owned()),
        (None, Some(text), None) => Kind::Text(text),
        (None, None, Some(base64)) => {
            let bytes = STANDARD.decode(&*base64);
            Kind::Binary(bytes.map_err(|_| Problem::new(Code::RequestInvalid, "`base64` is not base64"))?.into())
        }
        _ => return Err(Problem::new(Code::RequestInvalid, "a message holds one of `data`, `text` and `base64`")),
    };
    api.pace(caller)?;
    Ok(ServicePublication {
        topic: topic.into_owned(),
        flags: 0,
        payload: Some(Payload { kind: Some(kind) }),
        app,
        key,
    })
}

/// One place, which must be one.
fn since(text: &str) -> Result<Position, Problem> {
    match parse_places(text).as_deref() {
        Ok([Some(position)]) => Ok(*position),
        Ok(_) | Err(_) => Err(Problem::new(Code::RequestInvalid, "`since` is not `epoch:offset`")),
    }
}

/// JSON that is there, `null` too.
fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// Reads an object; a list of its members in order is none.
fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Problem> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Code::RequestInvalid, "a JSON object is expected"));
    }
    serde_json::from_slice(json).map_err(|error| Problem::new(Code::RequestInvalid, error.to_string()))
}
