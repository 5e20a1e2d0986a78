//! HTTP as the nodes see it: routes with a stated access rule, plain requests and responses, numbered problems.
//!
//! A handler is an async function from [`Request`] to `Result<`[`Response`]`, `[`Problem`]`>`. By the time it runs, the
//! body is read and bounded and the caller's token is verified against the route's [`Access`].

mod access;
mod asset;
mod cors;
mod events;
mod openapi;
mod problem;
mod request;
mod response;
mod router;
mod routes;

pub use access::Access;
pub use asset::asset;
pub use events::{Event, Events, EventsError};
pub use openapi::{Operation, openapi};
pub use problem::Problem;
pub use request::{Method, Request};
pub use response::Response;
pub(crate) use router::{Context, Peer, build};
pub use routes::{Routes, probes};
