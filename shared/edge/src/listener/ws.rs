//! The upgrade of an HTTP request to a session over WebSocket (RFC 6455 section 4.2).

use std::sync::Arc;

use amphi_shared_session::{ClientHello, PipeKind};
use amphi_shared_wire::limits::{TOKEN_BYTES_MAX, UPGRADE_HELLO_BYTES_MAX};
use amphi_shared_wire::{AppId, Code, PROTOCOL_MAX, WS_BINARY, WS_HELLO, WS_HELLO_PREFIX, WS_JSON};
use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::admission::{OVERLOADED_RETRY_MS, Shared};
use super::stream::Stream;
use crate::counters::Refused;
use crate::http::{Context, Peer, Problem};
use crate::network::ws::{Greeting, Upgraded};
use crate::network::{Job, Mailbox};
use crate::session::{From, Transport};

/// What a server's answer to a key is made with (RFC 6455 section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key.
const KEY_BYTES: usize = 16;
const VERSION: &str = "13";
/// Parameters that are read of an address; the head of a request bounds their bytes.
const QUERY_PAIRS_MAX: usize = 16;

/// The route that upgrades to a session.
pub(super) fn route(shared: Arc<Shared>, context: Arc<Context>, thread: Arc<Mailbox>) -> MethodRouter {
    get(move |peer: Extension<Peer>, request: Request| {
        let (shared, context, thread) = (Arc::clone(&shared), Arc::clone(&context), Arc::clone(&thread));
        async move {
            open(peer.0, request, &shared, thread).await.unwrap_or_else(|problem| {
                let request_id = context.next_request_id();
                problem.into_json(&request_id).into_axum(&request_id)
            })
        }
    })
}

/// What a client wants to speak.
struct Wanted {
    /// The subprotocol to name in the answer; none when the client named none.
    protocol: Option<&'static str>,
    greeting: Greeting,
}

async fn open(
    Peer(peer): Peer,
    mut request: Request,
    shared: &Shared,
    thread: Arc<Mailbox>,
) -> Result<Response, Problem> {
    let accept = check_upgrade(&request)?;
    let wanted = wanted(request.headers(), request.uri()).inspect_err(|problem| {
        if problem.code == Code::ProtocolUnsupported {
            shared.counters.count(Refused::Protocol);
        }
    })?;
    let origin = text(request.headers(), header::ORIGIN).map(str::to_owned);
    if !shared.allows(origin.as_deref()) {
        return Err(Code::OriginForbidden.into());
    }
    let overloaded = || Problem::from(Code::Overloaded).retry_after(OVERLOADED_RETRY_MS);
    let place = shared.place().await.ok_or_else(overloaded)?;
    let transport = match wanted.greeting {
        Greeting::Text(_) => Transport::WebSocketJson,
        Greeting::Message | Greeting::Request(_) => Transport::WebSocket,
    };
    let query = query(request.uri());
    let from = From { transport, kind: PipeKind::Ordered, peer, origin, query, early: false };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // A client that went away before the answer gives its place back.
        let Some((stream, early)) = leave_http(upgrade).await else { return };
        let Ok((stream, tls)) = stream.into_parts() else { return };
        thread.push(Job::Upgraded(Box::new(Upgraded { stream, tls, early, from, place, greeting: wanted.greeting })));
    });
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = wanted.protocol {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response.body(Body::empty()).map_err(|_| Problem::internal("an upgrade has no answer"))
}

/// The socket, and what HTTP has read behind the request.
async fn leave_http(upgrade: OnUpgrade) -> Option<(Stream, Bytes)> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<Stream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// Checks that the request is an upgrade; the answer to its key.
fn check_upgrade(request: &Request) -> Result<String, Problem> {
    let headers = request.headers();
    let is_upgrade = request.method() == Method::GET
        && names(headers, header::CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"))
        && names(headers, header::UPGRADE).any(|name| name.eq_ignore_ascii_case("websocket"));
    if !is_upgrade {
        return Err(Problem::new(Code::RequestInvalid, "this address takes WebSocket upgrades only"));
    }
    if text(headers, header::SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(Problem::new(Code::RequestInvalid, "the WebSocket version here is 13"));
    }
    let key = text(headers, header::SEC_WEBSOCKET_KEY).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
        return Err(Problem::new(Code::RequestInvalid, "`sec-websocket-key` is not 16 bytes in base64"));
    }
    Ok(accept_of(key))
}

fn accept_of(key: &str) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(ACCEPT_GUID.as_bytes());
    STANDARD.encode(digest.finish())
}

/// Binary when it is offered, with the Hello if that is offered too; text when it is offered, or when there is a token and
/// no subprotocol.
fn wanted(headers: &HeaderMap, uri: &Uri) -> Result<Wanted, Problem> {
    let offers = |protocol: &str| names(headers, header::SEC_WEBSOCKET_PROTOCOL).any(|name| name == protocol);
    if offers(WS_BINARY) {
        let mut names = names(headers, header::SEC_WEBSOCKET_PROTOCOL);
        let hello = names.find_map(|name| name.strip_prefix(WS_HELLO_PREFIX)).filter(|_| offers(WS_HELLO));
        return Ok(match hello {
            Some(hello) => Wanted { protocol: Some(WS_HELLO), greeting: Greeting::Request(read_hello(hello)) },
            None => Wanted { protocol: Some(WS_BINARY), greeting: Greeting::Message },
        });
    }
    let bearer = text(headers, header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let (mut token, mut app) = (bearer.map(str::to_owned), AppId::default());
    for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match &*key {
            "token" => token = token.or_else(|| Some(value.into_owned())),
            "app" => app = value.parse().map_err(|_| Problem::new(Code::RequestInvalid, "`app` is not an app id"))?,
            _ => {}
        }
    }
    let json = offers(WS_JSON);
    if !json && (token.is_none() || headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL)) {
        let words = format!("the subprotocols here are `{WS_BINARY}` and `{WS_JSON}`");
        return Err(Problem::new(Code::ProtocolUnsupported, words));
    }
    if token.as_ref().is_some_and(|token| token.len() > TOKEN_BYTES_MAX) {
        return Err(Code::TokenInvalid.into());
    }
    let hello = ClientHello {
        protocol: PROTOCOL_MAX,
        app,
        game: String::new(),
        build: String::new(),
        schema_hash: 0,
        tables_known: Vec::new(),
        capabilities: Vec::new(),
        token: token.unwrap_or_default(),
        resume: None,
    };
    Ok(Wanted { protocol: json.then_some(WS_JSON), greeting: Greeting::Text(Box::new(hello)) })
}

/// The Hello that is offered as a subprotocol. What is wrong with it is said on lane 0: a page cannot read why an upgrade
/// was refused.
fn read_hello(offered: &str) -> Result<Bytes, Code> {
    if offered.len() > UPGRADE_HELLO_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Code::FrameTooLarge);
    }
    URL_SAFE_NO_PAD.decode(offered).map(Bytes::from).map_err(|_| Code::HandshakeInvalid)
}

/// The parameters of the address. The token is for the Hello alone.
fn query(uri: &Uri) -> Vec<(String, String)> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs
        .filter(|(key, _)| key != "token")
        .take(QUERY_PAIRS_MAX)
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The names in a header that holds a list of them.
fn names(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_gets_its_answer() {
        // RFC 6455 section 1.3.
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
