//! An answer.

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde::Serialize;

use super::events::EventStream;

/// What a handler answers: a status, headers and a whole body, or one that goes on ([`Response::events`]).
pub struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// The body instead, when it goes on.
    pub(crate) events: Option<EventStream>,
}

impl Response {
    /// 200 with a body of this type.
    pub fn bytes(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: vec![("content-type", content_type.to_owned())], body: body.into(), events: None }
    }

    /// 200 with `value` as JSON.
    ///
    /// A value that has no JSON form (a map with keys that are no strings) is a mistake in the caller: answered as 500.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::bytes("application/json", body),
            Err(error) => {
                tracing::error!(%error, "an answer has no JSON form");
                Self::empty().with_status(500)
            }
        }
    }

    /// 201 with `value` as JSON.
    pub fn created_json<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::json(value).with_status(201)
    }

    /// 200 with a Protobuf message.
    pub fn proto<M: prost::Message>(message: &M) -> Self {
        Self::bytes("application/x-protobuf", message.encode_to_vec())
    }

    /// 200 with plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::bytes("text/plain; charset=utf-8", text.into())
    }

    /// 204 without a body.
    pub fn empty() -> Self {
        Self { status: 204, headers: Vec::new(), body: Bytes::new(), events: None }
    }

    /// The same with another status, 200 to 599.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with a header set.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(key, _)| *key != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn with_content_type(self, content_type: &str) -> Self {
        self.with_header("content-type", content_type)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// As axum wants it. A header whose value cannot be sent is left out.
    pub(crate) fn into_axum(self, request_id: &str) -> axum::response::Response {
        let body = self.events.map_or_else(|| Body::from(self.body), EventStream::into_body);
        let mut response = axum::response::Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain([("x-request-id", request_id)]) {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = if self.events.is_some() { "events".to_owned() } else { format!("{} bytes", self.body.len()) };
        write!(f, "Response({}, {body})", self.status)
    }
}
