//! Ending sessions.

use amphi_shared_auth::{KeyScope, Role};
use amphi_shared_edge::http::{Operation, Problem, Request, Response};
use amphi_shared_wire::Code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Api, Caller};
use crate::shard::{Command, Whose};

/// Whose sessions end; one of `user` and `session`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Disconnect {
    /// A person, usr_…: all sessions.
    user: Option<String>,
    /// A session, ses_….
    session: Option<String>,
    /// Whether the client should come back at once: it hears A0121, else A0120.
    #[serde(default)]
    reconnect: bool,
}

/// How many sessions ended.
#[derive(JsonSchema, Serialize)]
struct Disconnected {
    /// Sessions, plain WebSockets and event streams at this node.
    disconnected: usize,
}

pub(super) fn operation() -> Operation {
    Operation::new("sessions", "End sessions")
        .detail(
            "Ends what a person, or one session, has open at this node. It keeps nobody out: whoever has a token may come \
             again, unless it is revoked (`amphi token revoke`). For services with a key, and people from moderator up.",
        )
        .scope(KeyScope::SessionsDisconnect.as_str())
        .body::<Disconnect>(json!({ "user": "usr_01jy7k3v9m2q4x8c6w5t1r0hba", "reconnect": false }))
        .answer::<Disconnected>()
}

/// `POST /api/v1/sessions/disconnect`
pub(super) async fn disconnect(api: Api, request: Request) -> Result<Response, Problem> {
    if request.caller.as_ref().is_some_and(|caller| !caller.role.allows(Role::Moderator)) {
        return Err(Problem::new(Code::RoleMissing, format!("this needs the role {}", Role::Moderator)));
    }
    let caller = api.caller(&request, KeyScope::SessionsDisconnect)?;
    api.pace(&caller)?;
    let app = match caller {
        Caller::Person(person) => person.app.clone(),
        Caller::Key(key) => key.app.clone(),
    };
    let Disconnect { user, session, reconnect } = request.json()?;
    let invalid =
        |field: &str, error: &dyn std::fmt::Display| Problem::new(Code::RequestInvalid, format!("{field}: {error}"));
    let whose = match (user, session) {
        (Some(user), None) => Whose::User(user.parse().map_err(|error| invalid("user", &error))?),
        (None, Some(session)) => Whose::Session(session.parse().map_err(|error| invalid("session", &error))?),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::new(Code::RequestInvalid, "name one of `user` and `session`"));
        }
    };
    let code = if reconnect { Code::ReconnectAsked } else { Code::Disconnected };
    let disconnected = api.ask(|reply| Command::Disconnect { app, whose, code, reply }).await?;
    Ok(Response::json(&Disconnected { disconnected }))
}
