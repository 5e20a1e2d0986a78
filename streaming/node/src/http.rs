//! The live role's routes.

use amphi_shared_auth::{API_KEY_PREFIX, Revoked, Scope};
use amphi_shared_edge::http::{Access, Method, Operation, Problem, Request, Response, Routes};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::SUBSCRIPTIONS_MAX;
use amphi_shared_wire::proto::{
    AddUser, AddUserReply, MintToken, MintTokenReply, PublishBatch, PublishBatchReply, RevokeToken, RevokeTokenReply,
};
use amphi_streaming_core::{Denied, Receipt};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::people::{People, SignedIn};
use crate::shard::{Author, Command, EventsWish};
use crate::tokens::{TokenDesk, TokenWish};

const GUEST: &str = "/api/v1/auth/guest";
const SIGN_IN: &str = "/api/v1/auth/signin";
const EVENTS: &str = "/api/v1/topics/events";

/// Who comes.
#[derive(Deserialize, JsonSchema)]
struct Guest {
    /// 1 to 24 visible characters.
    name: String,
}

/// A sign-in code.
#[derive(Deserialize, JsonSchema)]
struct SignIn {
    code: String,
}

/// Every route of the live role.
pub(crate) fn routes((people, tokens): (&People, &TokenDesk), shard: &mpsc::Sender<Command>) -> Routes {
    let (guests, sign_ins, keys, users) = (people.clone(), people.clone(), people.clone(), people.clone());
    let (minting, revoking) = (tokens.clone(), (tokens.clone(), shard.clone()));
    let (readers, shard) = (shard.clone(), shard.clone());
    Routes::new()
        .post(GUEST, Access::Public, move |request| guest(guests.clone(), request))
        .describe(Method::Post, GUEST, guest_operation())
        .post(SIGN_IN, Access::Public, move |request| sign_in(sign_ins.clone(), request))
        .describe(Method::Post, SIGN_IN, sign_in_operation())
        .get("/.well-known/jwks.json", Access::Public, move |_| jwks(keys.clone()))
        .get(EVENTS, Access::Public, move |request| events(readers.clone(), request))
        .describe(Method::Get, EVENTS, events_operation())
        .post("/internal/v1/topics/publish", Access::Service(Scope::LivePublish), move |request| {
            publish(shard.clone(), request)
        })
        .post("/internal/v1/tokens", Access::Service(Scope::LiveTokens), move |request| mint(minting.clone(), request))
        .post("/internal/v1/tokens/revoke", Access::Service(Scope::LiveTokens), move |request| {
            revoke(revoking.clone(), request)
        })
        .post("/internal/v1/users", Access::Service(Scope::LiveUsers), move |request| add_user(users.clone(), request))
}

fn guest_operation() -> Operation {
    Operation::new("people", "Come as a guest")
        .detail("Makes a person with this name, and a token that lasts a day.")
        .body::<Guest>(json!({ "name": "Ada" }))
        .answer::<SignedIn>()
}

fn sign_in_operation() -> Operation {
    Operation::new("people", "Sign in with a code")
        .detail("The code is the part after # of a sign-in link, and works once.")
        .body::<SignIn>(json!({ "code": "…" }))
        .answer::<SignedIn>()
}

fn events_operation() -> Operation {
    Operation::new("topics", "Follow topics")
        .detail(
            "Server-sent events: each `data` is one message as in the history. A client that comes back with the id of \
             its last event gets what it missed. Guests read what is open to them; a token may also stand in the query, \
             as pages cannot set headers here.",
        )
        .needs_query("topic", "Name of a topic; may be repeated up to 64 times. With a token, its topics are the default.", "news")
        .query("token", "A user token.")
        .query("since", "Where the reader stood: `epoch:offset` per topic, joined by commas.")
        .header("last-event-id", "The same, as browsers send it.")
        .answer_text("text/event-stream")
}

async fn guest(people: People, request: Request) -> Result<Response, Problem> {
    let Guest { name } = request.json()?;
    Ok(Response::json(&people.guest(request.peer.ip(), &name).await?))
}

async fn sign_in(people: People, request: Request) -> Result<Response, Problem> {
    let SignIn { code } = request.json()?;
    Ok(Response::json(&people.sign_in(request.peer.ip(), &code).await?))
}

#[expect(clippy::unused_async, reason = "a handler is async")]
async fn jwks(people: People) -> Result<Response, Problem> {
    Ok(Response::bytes("application/json", people.jwks()).with_header("cache-control", "public, max-age=300"))
}

/// Server-sent events of topics: for guests, or with a token in the header or the address, as pages cannot set headers.
async fn events(shard: mpsc::Sender<Command>, request: Request) -> Result<Response, Problem> {
    let token = request.bearer().or(request.query("token"));
    if token.is_some_and(|token| token.starts_with(API_KEY_PREFIX)) {
        let why = "an API key reads history; to follow topics bring a user token (`amphi token mint`)";
        return Err(Problem::new(Code::TokenInvalid, why));
    }
    let app = request.query("app").unwrap_or_default();
    let wish = EventsWish {
        token: token.map(str::to_owned),
        app: app.parse().map_err(|error| Problem::new(Code::RequestInvalid, format!("app: {error}")))?,
        topics: request.queries("topic").take(SUBSCRIPTIONS_MAX + 1).map(str::to_owned).collect(),
        since: request.header("last-event-id").or(request.query("since")).map(str::to_owned),
        address: request.peer.ip(),
    };
    let ((events, response), (reply, began)) = (Response::events(), oneshot::channel());
    shard.try_send(Command::Events { wish, events, reply }).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Problem::from(Code::Overloaded).retry_after(1_000),
        mpsc::error::TrySendError::Closed(_) => Problem::from(Code::Draining),
    })?;
    began.await.map_err(|_| Problem::from(Code::Draining))??;
    Ok(response)
}

async fn publish(shard: mpsc::Sender<Command>, request: Request) -> Result<Response, Problem> {
    let PublishBatch { publications } = request.proto()?;
    let (reply, receipts) = oneshot::channel();
    let author = Author::Service("service".to_owned());
    shard.try_send(Command::Publish { author, publications, reply }).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Problem::from(Code::Overloaded).retry_after(100),
        mpsc::error::TrySendError::Closed(_) => Problem::from(Code::Draining),
    })?;
    let receipts = receipts.await.map_err(|_| Problem::from(Code::Draining))?;
    let offset = |receipt: Result<Receipt, Denied>| match receipt {
        Ok(receipt) => receipt.offset,
        Err(denied) => {
            tracing::warn!(%denied, "a service's publication was refused");
            0
        }
    };
    let offsets = receipts.into_iter().map(offset).collect();
    Ok(Response::proto(&PublishBatchReply { offsets }))
}

async fn add_user(people: People, request: Request) -> Result<Response, Problem> {
    let AddUser { name, role } = request.proto()?;
    let (user, code) = people.add(&name, &role).await?;
    Ok(Response::proto(&AddUserReply { user_id: user.to_string(), code: code.as_str().to_owned() }))
}

#[expect(clippy::unused_async, reason = "a handler is async")]
async fn mint(tokens: TokenDesk, request: Request) -> Result<Response, Problem> {
    let MintToken { user, name, subscribe, ttl_s } = request.proto()?;
    let minted = tokens.mint(&TokenWish { user, name, subscribe, ttl_s })?;
    Ok(Response::proto(&MintTokenReply {
        token: minted.text,
        token_id: minted.token.id.to_string(),
        user_id: minted.token.user.to_string(),
        expires_us: minted.token.expires.0,
    }))
}

async fn revoke((tokens, shard): (TokenDesk, mpsc::Sender<Command>), request: Request) -> Result<Response, Problem> {
    let RevokeToken { what } = request.proto()?;
    let revoked = tokens.revoke(&what).await?;
    // New connections are refused from here on; those that stand are the shard's.
    shard.send(Command::Revoke(revoked)).await.map_err(|_| Problem::from(Code::Draining))?;
    let revoked = match revoked {
        Revoked::Token(id) => id.to_string(),
        Revoked::User { user, .. } => user.to_string(),
    };
    Ok(Response::proto(&RevokeTokenReply { revoked }))
}
