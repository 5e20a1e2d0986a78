//! Who reads a topic, for services.

use amphi_shared_auth::{KeyScope, Role};
use amphi_shared_edge::http::{Operation, Problem, Request, Response};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::PRESENCE_PAGE_MAX;
use amphi_shared_wire::proto::ListPresence;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Api, Caller, problem};
use crate::shard::Command;

/// Who reads a topic.
#[derive(JsonSchema, Serialize)]
struct Presence {
    topic: String,
    /// People who read it, all pages together.
    count: u32,
    /// In the order of their ids.
    members: Vec<Member>,
    /// `after` for the next page; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A person who reads it.
#[derive(JsonSchema, Serialize)]
struct Member {
    user: String,
    name: String,
    connections: u32,
    /// What the person shows beside the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    meta: Option<Box<RawValue>>,
}

pub(super) fn operation() -> Operation {
    Operation::new("topics", "See who reads a topic")
        .detail("Of topics whose class has presence. For services with a key, and people from moderator up.")
        .scope(KeyScope::TopicsPresence.as_str())
        .needs_query("topic", "Name of the topic.", "news")
        .query("after", "The `next` of the page before.")
        .query("limit", "Members at most, 1 to 200; 100 when nothing is said.")
        .answer::<Presence>()
}

/// `GET /api/v1/topics/presence`
pub(super) async fn list(api: Api, request: Request) -> Result<Response, Problem> {
    let invalid = |why: &str| Problem::new(Code::RequestInvalid, why);
    if request.caller.as_ref().is_some_and(|caller| !caller.role.allows(Role::Moderator)) {
        return Err(Problem::new(Code::RoleMissing, format!("this needs the role {}", Role::Moderator)));
    }
    let caller = api.caller(&request, KeyScope::TopicsPresence)?;
    api.pace(&caller)?;
    let topic = request.query("topic").ok_or_else(|| invalid("name a topic: ?topic=NAME"))?.to_owned();
    let limit = match request.query("limit") {
        None => 0,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=PRESENCE_PAGE_MAX as u32).contains(limit))
            .ok_or_else(|| invalid("`limit` is not 1 to 200"))?,
    };
    let app = match caller {
        Caller::Person(person) => person.app.clone(),
        Caller::Key(key) if key.covers(&topic) => key.app.clone(),
        Caller::Key(_) => return Err(Problem::new(Code::SubscribeForbidden, "the key is not for this topic")),
    };
    let after = request.query("after").unwrap_or_default().to_owned();
    let ask = ListPresence { topic: topic.clone(), after, limit };
    let page = api.ask(|reply| Command::Presence { app, ask, reply }).await?.map_err(problem)?;
    let member = |member: amphi_shared_wire::proto::Member| Member {
        user: member.user,
        name: member.name,
        connections: member.connections,
        // The hub took it as JSON; empty is nothing.
        meta: RawValue::from_string(member.meta).ok(),
    };
    let next = (!page.next.is_empty()).then_some(page.next);
    let members = page.members.into_iter().map(member).collect();
    Ok(Response::json(&Presence { topic, count: page.count, members, next }))
}
