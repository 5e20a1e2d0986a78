//! A refused HTTP call.

use std::borrow::Cow;

use amphi_shared_session::Refusal;
use amphi_shared_wire::{Action, Code, proto};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::Response;
use crate::service::ServiceFailure;

/// Why a call was refused: `application/problem+json` (RFC 9457), or a `ServiceError` on internal routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The numbered reason.
    pub code: Code,
    /// What exactly is wrong, for people.
    pub message: String,
    /// HTTP status.
    pub status: u16,
    /// When to try again, ms; 0 says nothing about it: a caller is then told a second, if trying again may help.
    pub retry_after_ms: u32,
}

/// When to try again, ms, when nobody has said it better.
const RETRY_MS: u32 = 1_000;

/// Why a call was refused (RFC 9457).
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Problem")]
pub(super) struct Body<'a> {
    /// `urn:amphi:code:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means.
    title: &'a str,
    /// The HTTP status again.
    status: u16,
    /// What exactly is wrong.
    detail: &'a str,
    /// The numbered reason: `A0114`.
    code: String,
    /// Its name.
    name: &'a str,
    /// What to do: `retry` later, `reconnect`, or `stop` until something was changed.
    action: &'a str,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
    /// Names the call in the logs; not there in problems within an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    /// A problem with the usual HTTP status of its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: status_of(code), retry_after_ms: 0 }
    }

    /// The same, and when to try again, ms.
    pub fn retry_after(mut self, ms: u32) -> Self {
        self.retry_after_ms = ms;
        self
    }

    /// A fault on our side. It is logged here, in full; the caller hears only its number.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::from(Code::Internal)
    }

    pub(crate) fn into_json(self, request_id: &str) -> Response {
        let response = Response::json(&self.body(Some(request_id))).with_status(self.status);
        retry_header(response.with_content_type("application/problem+json"), self.wait_ms())
    }

    /// When to try again, ms, if that may help.
    fn wait_ms(&self) -> Option<u32> {
        match (self.retry_after_ms, self.code.action()) {
            (0, Action::Stop) => None,
            (0, Action::Retry | Action::Reconnect) => Some(RETRY_MS),
            (ms, _) => Some(ms),
        }
    }

    fn body<'a>(&'a self, request_id: Option<&'a str>) -> Body<'a> {
        let number = format!("A{:04}", self.code.number());
        Body {
            kind: format!("urn:amphi:code:{number}"),
            title: self.code.help(),
            status: self.status,
            detail: &self.message,
            code: number,
            name: self.code.name(),
            action: self.code.action().as_str(),
            retry_after_ms: self.wait_ms(),
            request_id,
        }
    }

    pub(crate) fn into_proto(self) -> Response {
        let error = proto::ServiceError {
            code: self.code.number(),
            message: self.message.clone(),
            retry_after_ms: self.retry_after_ms,
        };
        let wait_ms = (self.retry_after_ms > 0).then_some(self.retry_after_ms);
        retry_header(Response::proto(&error).with_status(self.status), wait_ms)
    }
}

fn retry_header(response: Response, wait_ms: Option<u32>) -> Response {
    match wait_ms {
        Some(ms) => response.with_header("retry-after", ms.div_ceil(1_000).to_string()),
        None => response,
    }
}

impl Serialize for Problem {
    /// As a part of an answer, beside what went well.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.body(None).serialize(serializer)
    }
}

impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        Body::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Body::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Body::json_schema(generator)
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, code.help())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message).retry_after(refusal.retry_after_ms)
    }
}

impl From<ServiceFailure> for Problem {
    /// A refusal of the called service keeps its code; a service that did not answer is `Unavailable`.
    fn from(failure: ServiceFailure) -> Self {
        match failure {
            ServiceFailure::Refused { code, message, retry_after_ms } => {
                Self::new(code, message).retry_after(retry_after_ms)
            }
            ServiceFailure::Unreachable(_) | ServiceFailure::Malformed(_) => Self::from(Code::Unavailable),
        }
    }
}

/// The usual HTTP status of a code.
fn status_of(code: Code) -> u16 {
    const STATUS: &[(Code, u16)] = &[
        (Code::TokenMissing, 401),
        (Code::TokenInvalid, 401),
        (Code::TokenExpired, 401),
        (Code::SignInUsed, 401),
        (Code::TokenRevoked, 401),
        (Code::TokenIssuer, 401),
        (Code::TokenAudience, 401),
        (Code::TokenAlgorithm, 401),
        (Code::TokenKeyUnknown, 503),
        (Code::ApiKeyUnknown, 401),
        (Code::ApiKeyRevoked, 401),
        (Code::TokenWrongMatch, 403),
        (Code::TokenWrongApp, 403),
        (Code::RoleMissing, 403),
        (Code::OriginForbidden, 403),
        (Code::PublishForbidden, 403),
        (Code::SubscribeForbidden, 403),
        (Code::PresenceForbidden, 403),
        (Code::MatchUnknown, 404),
        (Code::TopicUnknown, 404),
        (Code::TicketUnknown, 404),
        (Code::HostUnknown, 404),
        (Code::RouteUnknown, 404),
        (Code::MethodNotAllowed, 405),
        (Code::TokenUsed, 409),
        (Code::SeatTaken, 409),
        (Code::MatchFull, 409),
        (Code::AlreadyQueued, 409),
        (Code::TicketEnded, 409),
        (Code::AlreadySubscribed, 409),
        (Code::KeyReused, 409),
        (Code::TopicFull, 409),
        (Code::UserExists, 409),
        (Code::MatchEnded, 410),
        (Code::BodyTooLarge, 413),
        (Code::MessageTooLarge, 413),
        (Code::RateLimited, 429),
        (Code::Internal, 500),
        (Code::Draining, 503),
        (Code::Overloaded, 503),
        (Code::QueueFull, 503),
        (Code::NoCapacity, 503),
        (Code::HostFull, 503),
        (Code::FleetFull, 503),
        (Code::Unavailable, 503),
    ];
    STATUS.iter().find(|(c, _)| *c == code).map_or(400, |(_, status)| *status)
}
