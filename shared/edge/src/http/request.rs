//! A request whose body is read and whose caller is known.

use std::net::SocketAddr;

use amphi_shared_auth::UserToken;
use amphi_shared_wire::Code;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Problem;

/// Methods that routes can have. A `GET` route also answers `HEAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The name, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One call of a route.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was asked for.
    pub path: String,
    /// Names this call in logs and problems.
    pub request_id: String,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The whole body.
    pub body: Bytes,
    /// The person who calls; always there on `User` and `Role` routes.
    pub caller: Option<UserToken>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: axum::http::HeaderMap,
}

impl Request {
    /// The part of the path that the route calls `{name}`; empty when the route has no such part.
    pub fn param(&self, name: &str) -> &str {
        find(&self.params, name).unwrap_or_default()
    }

    /// Path and query as they came, to pass the request on.
    pub fn path_and_query(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        format!("{}?{query}", self.path)
    }

    /// The first query parameter of this name, percent-decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// Every query parameter of this name, in order.
    pub fn queries<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The header of this name, when it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What follows `Bearer` in the header `authorization`.
    pub fn bearer(&self) -> Option<&str> {
        bearer(self.header("authorization")?)
    }

    /// The caller of a `User` or `Role` route.
    ///
    /// # Errors
    /// `TokenMissing` on a public route that nobody signed in to.
    pub fn user(&self) -> Result<&UserToken, Problem> {
        self.caller.as_ref().ok_or_else(|| Code::TokenMissing.into())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `RequestInvalid`; the message names the field or the place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| Problem::new(Code::RequestInvalid, error.to_string()))
    }

    /// The body as a Protobuf message.
    ///
    /// # Errors
    /// `RequestInvalid`.
    pub fn proto<M: prost::Message + Default>(&self) -> Result<M, Problem> {
        M::decode(self.body.clone()).map_err(|error| Problem::new(Code::RequestInvalid, error.to_string()))
    }
}

/// The token of a header `authorization`. The scheme is a word without case (RFC 9110 section 11.1).
pub(super) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
