//! Which pages of other origins may call `/api/` (CORS, WHATWG Fetch section 3.2).

use amphi_shared_wire::Code;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response as HttpResponse;

use super::router::refuse;
use super::{Problem, Response};

/// Where other pages may call; the rest is for the service's own.
const PATHS: [&str; 2] = ["/api/", "/.well-known/"];
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, last-event-id, traceparent");
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// How long a browser remembers the answer to a preflight, s.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");

/// The origins that may call.
pub(super) struct Cors {
    any: bool,
    origins: Vec<String>,
}

impl Cors {
    pub(super) fn new(origins: Vec<String>) -> Self {
        Self { any: origins.iter().any(|origin| origin == "*"), origins }
    }

    /// Answers a preflight, and marks what pages of allowed origins may read.
    pub(super) async fn answer(&self, request: Request, next: Next, request_id: &str) -> HttpResponse {
        let path = request.uri().path();
        if !PATHS.iter().any(|prefix| path.starts_with(prefix)) {
            return next.run(request).await;
        }
        let allowed = request.headers().get(header::ORIGIN).and_then(|origin| self.allow(origin));
        let preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ORIGIN)
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = match (&allowed, preflight) {
            (Some(_), true) => Response::empty().into_axum(request_id),
            (None, true) => {
                let problem =
                    Problem::new(Code::OriginForbidden, "`live.origins` does not name the origin of this page");
                refuse(path, problem, request_id)
            }
            (_, false) => next.run(request).await,
        };
        let headers = response.headers_mut();
        if !self.any && !self.origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = allowed {
            set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
            if preflight {
                set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                set(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
                set(headers, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
            }
        }
        response
    }

    /// What to say to pages of this origin; `None`: nothing.
    fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.insert(name, value);
}
