//! Calls between services: `POST /internal/v1/…`, Protobuf bodies, a service token with one scope per call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_wire::limits::INTERNAL_BODY_BYTES_MAX;
use amphi_shared_wire::{Code, proto};
use bytes::{Bytes, BytesMut};
use prost::Message;
use thiserror::Error;

/// How long a call may take unless [`ServiceClient::with_timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are given up before the other side does, so that no call meets one that is just closing.
const IDLE_TIME_MAX: Duration = Duration::from_secs(5);

/// Why a call has no result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceFailure {
    /// The service said no.
    #[error("{code}: {message}")]
    Refused {
        /// Why; `Internal` when it is a code this build does not know.
        code: Code,
        /// In words.
        message: String,
        /// When to try again, ms; 0 says nothing about it.
        retry_after_ms: u32,
    },
    /// There was no answer in time.
    #[error("the service did not answer: {0}")]
    Unreachable(String),
    /// The answer could not be read.
    #[error("the service's answer could not be read: {0}")]
    Malformed(String),
}

impl ServiceFailure {
    /// The code to tell a client: the service's own, or `Unavailable`.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Unreachable(_) | Self::Malformed(_) => Code::Unavailable,
        }
    }
}

/// Calls one service. Cheap to clone; keeps its connections.
#[derive(Clone)]
pub struct ServiceClient {
    base_url: String,
    token: Arc<dyn Fn(&str) -> String + Send + Sync>,
    http: reqwest::Client,
    timeout: Duration,
}

impl ServiceClient {
    /// A client of the service at `base_url` (`http://host:port`). For each call `token_source` is asked for the
    /// service token of the path, so one client can hold tokens of several scopes, or mint fresh ones.
    ///
    /// # Errors
    /// The operating system has no random numbers, or the like.
    pub fn new(
        base_url: &str,
        token_source: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self, ServiceFailure> {
        crate::listener::install_crypto();
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_idle_timeout(IDLE_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ServiceFailure::Unreachable(error.to_string()))?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { base_url, token: Arc::new(token_source), http, timeout: TIMEOUT })
    }

    /// The same with another limit on the time of each call.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where the calls go.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// One call of `path` (`/internal/v1/…`).
    ///
    /// # Errors
    /// The service refused, did not answer in time, or its answer is not a `Res`.
    pub async fn call<Req: Message, Res: Message + Default>(
        &self,
        path: &str,
        request: &Req,
    ) -> Result<Res, ServiceFailure> {
        let call = self
            .http
            .post(format!("{}{path}", self.base_url))
            .bearer_auth((self.token)(path))
            .header("content-type", "application/x-protobuf")
            .timeout(self.timeout)
            .body(request.encode_to_vec());
        let mut response = call.send().await.map_err(unreachable)?;
        let ok = response.status().is_success();
        let status = response.status();
        let body = read_bounded(&mut response).await?;
        if ok {
            return Res::decode(body).map_err(|error| ServiceFailure::Malformed(error.to_string()));
        }
        match proto::ServiceError::decode(body) {
            Ok(error) if error.code != 0 => Err(ServiceFailure::Refused {
                code: Code::from_number(error.code).unwrap_or(Code::Internal),
                message: error.message,
                retry_after_ms: error.retry_after_ms,
            }),
            Ok(_) | Err(_) => Err(ServiceFailure::Malformed(format!("HTTP status {status}"))),
        }
    }
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceClient({})", self.base_url)
    }
}

async fn read_bounded(response: &mut reqwest::Response) -> Result<Bytes, ServiceFailure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > INTERNAL_BODY_BYTES_MAX {
            return Err(ServiceFailure::Malformed("the answer is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost cause says most ("connection refused").
fn unreachable(error: reqwest::Error) -> ServiceFailure {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ServiceFailure::Unreachable(cause.to_string())
}
