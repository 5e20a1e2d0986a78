//! From the table of routes to axum: request ids, access, bodies, problems.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amphi_shared_auth::Verifier;
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{HTTP_BODY_BYTES_MAX, INTERNAL_BODY_BYTES_MAX};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{Method as HttpMethod, header};
use axum::middleware::Next;
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::Bytes;
use futures_util::FutureExt;
use tracing::Instrument;

use super::cors::Cors;
use super::request::bearer;
use super::routes::{Fallback, Route};
use super::{Access, Method, Problem, Request, Response, Routes};
use crate::clock::Clock;

/// A body that takes longer than this to arrive is refused.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Characters of a request id that a service hands on.
const REQUEST_ID_CHARS_MAX: usize = 64;
const INTERNAL: &str = "/internal/";

/// The other end of a TCP connection, put beside each request by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What every request needs.
pub(crate) struct Context {
    pub(crate) verifier: Verifier,
    pub(crate) clock: Clock,
    requests: AtomicU64,
}

impl Context {
    pub(crate) fn new(verifier: Verifier, clock: Clock) -> Self {
        Self { verifier, clock, requests: AtomicU64::new(0) }
    }

    /// Unique in this process and, by the clock's random id, very likely everywhere.
    pub(crate) fn next_request_id(&self) -> String {
        format!("{:08x}-{:x}", self.clock.id() as u32, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

/// The routes as an axum router, and beside them `extra`, which axum itself answers.
pub(crate) fn build(routes: Routes, context: Arc<Context>, extra: Option<(&str, MethodRouter)>) -> Router {
    let mut by_path: BTreeMap<String, MethodRouter> = BTreeMap::new();
    for route in routes.routes {
        let (path, filter) = (route.path.clone(), filter_of(route.method));
        let (route, context) = (Arc::new(route), Arc::clone(&context));
        let answer = on(filter, move |request: axum::extract::Request| {
            let (route, context) = (Arc::clone(&route), Arc::clone(&context));
            async move { answer(&route, &context, request).await }
        });
        let methods = by_path.remove(&path).unwrap_or_default().merge(answer);
        by_path.insert(path, methods);
    }
    by_path.extend(extra.map(|(path, methods)| (path.to_owned(), methods)));
    let router = by_path.into_iter().fold(Router::new(), |router, (path, methods)| router.route(&path, methods));
    let (wrong_method, page) = (Arc::clone(&context), routes.fallback);
    let (cors, cors_context) = (Arc::new(Cors::new(routes.origins)), Arc::clone(&context));
    router
        .method_not_allowed_fallback(move |request: axum::extract::Request| {
            let id = wrong_method.next_request_id();
            async move { refuse(request.uri().path(), Problem::from(Code::MethodNotAllowed), &id) }
        })
        .fallback(move |request: axum::extract::Request| {
            let id = context.next_request_id();
            let page = page.clone();
            async move { answer_page(page.as_ref(), &request, &id) }
        })
        .layer(axum::middleware::from_fn(move |request: axum::extract::Request, next: Next| {
            let (cors, id) = (Arc::clone(&cors), cors_context.next_request_id());
            async move { cors.answer(request, next, &id).await }
        }))
}

/// One call: whatever happens inside, there is an answer with a request id.
async fn answer(route: &Route, context: &Context, request: axum::extract::Request) -> axum::response::Response {
    let started = context.clock.now();
    let (parts, body) = request.into_parts();
    let request_id = handed_on(route, &parts).unwrap_or_else(|| context.next_request_id());
    let path = parts.uri.path().to_owned();
    // Whatever is logged on the way carries the id that the caller hears.
    let span = tracing::info_span!("request", request_id, route = route.path);
    let call = AssertUnwindSafe(call(route, context, (parts, body), &request_id)).catch_unwind().instrument(span);
    let result = call.await.unwrap_or_else(|_| {
        tracing::error!(request_id, route = route.path, "a handler panicked");
        Err(Problem::from(Code::Internal))
    });
    let response = match result {
        Ok(response) => response.into_axum(&request_id),
        Err(problem) => {
            tracing::debug!(request_id, route = route.path, code = %problem.code, "a request was refused");
            refuse(&path, problem, &request_id)
        }
    };
    let labels = [
        ("method", route.method.as_str().to_owned()),
        ("route", route.path.clone()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!("edge_http_requests_total", &labels).increment(1);
    let took_s = context.clock.now().since(started).0 as f64 / 1e6;
    metrics::histogram!("edge_http_request_seconds", "route" => route.path.clone()).record(took_s);
    response
}

async fn call(
    route: &Route,
    context: &Context,
    (mut parts, body): (Parts, Body),
    request_id: &str,
) -> Result<Response, Problem> {
    let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(bearer);
    let caller = route.access.admit(&context.verifier, context.clock.now(), token)?;
    let body = read_body(body, route.body_bytes_max.unwrap_or(body_bytes_max(&route.path))).await?;
    let params = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        Err(_) => return Err(Problem::new(Code::RequestInvalid, "the path is not UTF-8")),
    };
    let Some(Peer(peer)) = parts.extensions.get::<Peer>().copied() else {
        return Err(Problem::internal("a request without a peer address"));
    };
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let request = Request {
        method: route.method,
        path: parts.uri.path().to_owned(),
        request_id: request_id.to_owned(),
        peer,
        body,
        caller,
        params,
        query: query.into_owned().collect(),
        headers: parts.headers,
    };
    (route.handler)(request).await
}

async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge, format!("a body here has at most {bytes_max} bytes"));
    if axum::body::HttpBody::size_hint(&body).lower() > bytes_max as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIME_MAX, axum::body::to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // A body that broke off cannot be answered, so what is left is one without a stated length that is too large.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(Code::RequestInvalid, "the body did not arrive in time")),
    }
}

/// The page's answer to a path that no route has.
fn answer_page(
    page: Option<&Fallback>,
    request: &axum::extract::Request,
    request_id: &str,
) -> axum::response::Response {
    let path = request.uri().path();
    let reads = request.method() == HttpMethod::GET || request.method() == HttpMethod::HEAD;
    let found = if reads && !path.starts_with(INTERNAL) { page.and_then(|page| page(path)) } else { None };
    let Some(response) = found else {
        return refuse(path, Problem::from(Code::RouteUnknown), request_id);
    };
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let same = response.header("etag").is_some_and(|etag| known.is_some_and(|known| known.contains(etag)));
    if same {
        let mut unchanged = response.with_status(304);
        unchanged.body = Bytes::new();
        return unchanged.into_axum(request_id);
    }
    response.into_axum(request_id)
}

pub(super) fn refuse(path: &str, problem: Problem, request_id: &str) -> axum::response::Response {
    let response = if path.starts_with(INTERNAL) { problem.into_proto() } else { problem.into_json(request_id) };
    response.into_axum(request_id)
}

/// The id that a service hands on, so that one id names a call through all services.
fn handed_on(route: &Route, parts: &Parts) -> Option<String> {
    let Access::Service(_) = route.access else {
        return None;
    };
    let id = parts.headers.get("x-request-id")?.to_str().ok()?;
    (!id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX).then(|| id.to_owned())
}

fn body_bytes_max(path: &str) -> usize {
    if path.starts_with(INTERNAL) { INTERNAL_BODY_BYTES_MAX } else { HTTP_BODY_BYTES_MAX }
}

fn filter_of(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}
