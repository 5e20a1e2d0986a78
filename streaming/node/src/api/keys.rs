//! What the command line asks about API keys.

use amphi_shared_edge::http::{Problem, Request, Response};
use amphi_shared_wire::proto::{CreateKey, CreateKeyReply, ListKeys, ListKeysReply, RevokeKey, RevokeKeyReply};

use super::Api;
use crate::keys::KeyWish;

/// `POST /internal/v1/keys`
pub(super) async fn create(api: Api, request: Request) -> Result<Response, Problem> {
    let CreateKey { name, scopes, topics, ttl_s, calls_per_s } = request.proto()?;
    let wish = KeyWish { name, scopes, topics, ttl_s: (ttl_s > 0).then_some(ttl_s), calls_per_s };
    let (key, info) = api.shared.keys.create(&wish).await?;
    Ok(Response::proto(&CreateKeyReply { key: key.as_str().to_owned(), info: Some(info) }))
}

/// `POST /internal/v1/keys/list`
pub(super) async fn list(api: Api, request: Request) -> Result<Response, Problem> {
    let ListKeys {} = request.proto()?;
    Ok(Response::proto(&ListKeysReply { keys: api.shared.keys.list() }))
}

/// `POST /internal/v1/keys/revoke`
pub(super) async fn revoke(api: Api, request: Request) -> Result<Response, Problem> {
    let RevokeKey { what } = request.proto()?;
    let key_id = api.shared.keys.revoke(&what).await?.to_string();
    Ok(Response::proto(&RevokeKeyReply { key_id }))
}
