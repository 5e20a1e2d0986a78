//! The table of routes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use amphi_shared_wire::Code;

use super::{Access, Method, Operation, Problem, Request, Response};
use crate::telemetry;

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;
pub(crate) type Fallback = Arc<dyn Fn(&str) -> Option<Response> + Send + Sync>;

pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
    /// Bytes of a body; the usual number when nothing is stated.
    pub(crate) body_bytes_max: Option<usize>,
    pub(crate) operation: Option<Operation>,
}

/// Paths, methods, who may call them, and what answers. `{name}` in a path is one part of it ([`Request::param`]).
#[derive(Default)]
pub struct Routes {
    pub(crate) routes: Vec<Route>,
    pub(crate) fallback: Option<Fallback>,
    /// Origins of other pages that may call `/api/`.
    pub(crate) origins: Vec<String>,
}

impl Routes {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a `GET` route.
    pub fn get<H, F>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        self.add(Method::Get, path, access, handler)
    }

    /// Adds a `POST` route.
    pub fn post<H, F>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        self.add(Method::Post, path, access, handler)
    }

    /// Adds a `PUT` route.
    pub fn put<H, F>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        self.add(Method::Put, path, access, handler)
    }

    /// Adds a `PATCH` route.
    pub fn patch<H, F>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        self.add(Method::Patch, path, access, handler)
    }

    /// Adds a `DELETE` route.
    pub fn delete<H, F>(self, path: &str, access: Access, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        self.add(Method::Delete, path, access, handler)
    }

    /// Adds all routes of `other`, and its fallback when there is none yet.
    ///
    /// # Panics
    /// A method and path is there twice.
    pub fn merge(mut self, other: Self) -> Self {
        for route in other.routes {
            self.push(route);
        }
        self.fallback = self.fallback.or(other.fallback);
        self.origins.extend(other.origins);
        self
    }

    /// Answers `GET` of every path that no route has, for the page: its files, and its own addresses.
    pub fn fallback(mut self, page: impl Fn(&str) -> Option<Response> + Send + Sync + 'static) -> Self {
        self.fallback = Some(Arc::new(page));
        self
    }

    /// Lets pages of these origins (`https://example.org`, `*` for all) call `/api/` too (CORS). Callers prove themselves by
    /// a header, never by a cookie, so no answer allows credentials.
    pub fn origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        self.origins.extend(origins);
        self
    }

    /// Says what a route does, for the document of the API.
    ///
    /// # Panics
    /// There is no such route.
    pub fn describe(mut self, method: Method, path: &str, operation: Operation) -> Self {
        self.find(method, path).operation = Some(operation);
        self
    }

    /// Lets the body of a route have up to `bytes_max` bytes.
    ///
    /// # Panics
    /// There is no such route.
    pub fn body_bytes_max(mut self, method: Method, path: &str, bytes_max: usize) -> Self {
        self.find(method, path).body_bytes_max = Some(bytes_max);
        self
    }

    /// Every route: method, path and who may call it.
    pub fn table(&self) -> Vec<(Method, String, Access)> {
        self.routes.iter().map(|route| (route.method, route.path.clone(), route.access)).collect()
    }

    fn add<H, F>(mut self, method: Method, path: &str, access: Access, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let path = path.to_owned();
        self.push(Route { method, path, access, handler, body_bytes_max: None, operation: None });
        self
    }

    fn find(&mut self, method: Method, path: &str) -> &mut Route {
        let route = self.routes.iter_mut().find(|route| route.method == method && route.path == path);
        route.unwrap_or_else(|| panic!("there is no route {} {path}", method.as_str()))
    }

    fn push(&mut self, route: Route) {
        let twice = self.routes.iter().any(|r| r.method == route.method && r.path == route.path);
        assert!(!twice, "the route {} {} is there twice", route.method.as_str(), route.path);
        self.routes.push(route);
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.table()).finish()
    }
}

/// `/healthz` (the process answers), `/readyz` (it takes work; else `ready` says why not) and `/metrics`.
pub fn probes(ready: impl Fn() -> Result<(), String> + Clone + Send + Sync + 'static, metrics: Access) -> Routes {
    Routes::new()
        .get("/healthz", Access::Public, |_| async { Ok(Response::text("ok\n")) })
        .get("/readyz", Access::Public, move |_| {
            let answer = ready();
            async move { answer.map(|()| Response::text("ready\n")).map_err(|why| Problem::new(Code::Unavailable, why)) }
        })
        .get("/metrics", metrics, |_| async {
            Ok(Response::bytes("text/plain; version=0.0.4; charset=utf-8", telemetry::metrics_text()))
        })
}
