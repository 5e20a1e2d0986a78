//! `GET /api/v1/ops/overview`: what the roles of this process know, and those of the others it is told about.

use amphi_fleet_node::FleetWatcher;
use amphi_shared_auth::Role;
use amphi_shared_edge::http::{Access, Method, Operation, Request, Response, Routes};
use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::proxy::Upstream;

/// The path of the overview.
const PATH: &str = "/api/v1/ops/overview";

/// Where the numbers come from. Whatever is `None` runs elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    pub(crate) fleet: Option<FleetWatcher>,
    pub(crate) live: Option<std::sync::Arc<amphi_streaming_node::LiveRole>>,
    pub(crate) matchmaking: Option<std::sync::Arc<amphi_matchmaker_node::MatchRole>>,
    pub(crate) upstreams: Vec<Upstream>,
}

/// What the roles say; a role that is not reached is left out.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "says what an overview holds; parts of other processes are passed on as they come")]
struct Overview {
    fleet: Option<amphi_fleet_node::FleetOverview>,
    live: Option<amphi_streaming_node::LiveOverview>,
    r#match: Option<amphi_matchmaker_node::MatchOverview>,
}

/// The route, for operators.
pub(crate) fn routes(sources: Sources) -> Routes {
    let operation = Operation::new("service", "Numbers of every role").answer::<Overview>();
    Routes::new()
        .get(PATH, Access::Role(Role::Operator), move |request| {
            let sources = sources.clone();
            async move { Ok(Response::json(&overview(&sources, &request).await)) }
        })
        .describe(Method::Get, PATH, operation)
}

async fn overview(sources: &Sources, request: &Request) -> Value {
    let mut all = Map::new();
    for upstream in &sources.upstreams {
        match upstream.get_json(PATH, request).await {
            Some(Value::Object(part)) => all.extend(part),
            Some(_) | None => tracing::warn!(url = upstream.url(), "no overview from another role"),
        }
    }
    if let Some(fleet) = &sources.fleet {
        insert(&mut all, "fleet", &fleet.overview().await);
    }
    if let Some(live) = &sources.live {
        insert(&mut all, "live", &live.overview());
    }
    if let Some(matchmaking) = &sources.matchmaking {
        insert(&mut all, "match", &matchmaking.overview().await);
    }
    Value::Object(all)
}

fn insert(all: &mut Map<String, Value>, key: &str, part: &impl serde::Serialize) {
    match serde_json::to_value(part) {
        Ok(value) => {
            all.insert(key.to_owned(), value);
        }
        Err(error) => tracing::error!(%error, key, "an overview has no JSON form"),
    }
}
