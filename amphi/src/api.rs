//! The document of the API, and the page that shows it.

use std::sync::Arc;

use amphi_shared_edge::http::{Access, Method, Operation, Response, Routes, asset, openapi};
use bytes::Bytes;

const DOCUMENT: &str = "/api/v1/openapi.json";
const PAGE: &str = "/api/docs";
const HTML: &str = include_str!("api/docs.html");

/// The routes, and two that tell of them.
pub(crate) fn document(routes: Routes) -> Routes {
    // The two stand in the document too, so its bytes are put in when every route is there.
    let text: Arc<std::sync::OnceLock<Bytes>> = Arc::default();
    let served = Arc::clone(&text);
    let new = |summary| Operation::new("service", summary);
    let routes = routes
        .get(DOCUMENT, Access::Public, move |_| {
            let document = served.get().cloned().unwrap_or_default();
            async move { Ok(Response::bytes("application/json", document)) }
        })
        .describe(Method::Get, DOCUMENT, new("This document").answer::<serde_json::Value>())
        .get(PAGE, Access::Public, |_| async { Ok(asset("docs.html", HTML)) })
        .describe(Method::Get, PAGE, new("This page").answer_text("text/html"));
    let document = openapi(&routes, ("Amphi", env!("CARGO_PKG_VERSION")));
    // Nobody has set it before.
    let _ = text.set(document.to_string().into());
    routes
}
