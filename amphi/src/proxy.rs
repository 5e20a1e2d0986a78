//! A live role that stands apart passes the public calls of the other roles on, so that a page needs one address.

use std::time::Duration;

use amphi_shared_edge::http::{Access, Method, Problem, Request, Response, Routes};
use amphi_shared_wire::Code;
use amphi_shared_wire::limits::{HTTP_BODY_BYTES_MAX, LONG_POLL_MS_MAX};
use anyhow::Result;
use serde_json::Value;

/// What the match role answers. Access is checked there: tokens are passed on.
const MATCH_PATHS: &[(Method, &str)] = &[
    (Method::Post, "/api/v1/matchmaking/queue"),
    (Method::Get, "/api/v1/matchmaking/queue/{ticket}"),
    (Method::Delete, "/api/v1/matchmaking/queue/{ticket}"),
    (Method::Post, "/api/v1/matches/{id}/seat"),
    (Method::Get, "/api/v1/modes"),
    (Method::Get, "/api/v1/ratings/me"),
];
/// What the fleet role answers.
const FLEET_PATHS: &[(Method, &str)] = &[(Method::Get, "/api/v1/matches"), (Method::Get, "/api/v1/matches/{id}")];
/// A long poll plus the way there and back.
const TIMEOUT: Duration = Duration::from_millis(LONG_POLL_MS_MAX + 5_000);

/// Another role's base URL and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    url: String,
    http: reqwest::Client,
}

impl Upstream {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http: http.build()? })
    }

    /// Base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Routes that pass the match role's public calls on.
    pub(crate) fn match_routes(&self) -> Routes {
        amphi_matchmaker_node::describe(self.routes(MATCH_PATHS))
    }

    /// Routes that pass the fleet role's public calls on.
    pub(crate) fn fleet_routes(&self) -> Routes {
        amphi_fleet_node::describe(self.routes(FLEET_PATHS))
    }

    /// Asks for JSON in the name of the caller of `request`.
    pub(crate) async fn get_json(&self, path: &str, request: &Request) -> Option<Value> {
        let call =
            self.http.get(format!("{}{path}", self.url)).header("authorization", request.header("authorization")?);
        serde_json::from_slice(&call.send().await.ok()?.bytes().await.ok()?).ok()
    }

    fn routes(&self, paths: &[(Method, &str)]) -> Routes {
        paths.iter().fold(Routes::new(), |routes, (method, path)| {
            let upstream = self.clone();
            let pass = move |request| {
                let upstream = upstream.clone();
                async move { upstream.pass(request).await }
            };
            match method {
                Method::Get => routes.get(path, Access::Public, pass),
                Method::Post => routes.post(path, Access::Public, pass),
                Method::Put => routes.put(path, Access::Public, pass),
                Method::Patch => routes.patch(path, Access::Public, pass),
                Method::Delete => routes.delete(path, Access::Public, pass),
            }
        })
    }

    async fn pass(&self, request: Request) -> Result<Response, Problem> {
        let unavailable = |error: reqwest::Error| {
            tracing::warn!(%error, "another role did not answer");
            Problem::from(Code::Unavailable)
        };
        let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes()).map_err(Problem::internal)?;
        let mut call = self.http.request(method, format!("{}{}", self.url, request.path_and_query()));
        for name in ["authorization", "content-type"] {
            if let Some(value) = request.header(name) {
                call = call.header(name, value);
            }
        }
        let answer = call.body(request.body.clone()).send().await.map_err(unavailable)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(unavailable)?;
        if body.len() > HTTP_BODY_BYTES_MAX * 16 {
            return Err(Code::Unavailable.into());
        }
        let content_type = header("content-type").unwrap_or_else(|| "application/octet-stream".to_owned());
        let mut response = Response::bytes(&content_type, body).with_status(status);
        if let Some(value) = header("retry-after") {
            response = response.with_header("retry-after", value);
        }
        Ok(response)
    }
}
