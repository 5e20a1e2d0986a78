//! The operating system, as the nodes see it: clock, sessions over QUIC, WebTransport and WebSocket, HTTP, certificates,
//! calls between services, telemetry and shutdown.
//!
//! No type of quinn, hyper or axum leaves this crate, so what carries the bytes can change without its users.
//! A node binds one [`Listener`] and gets: HTTP answered from its [`http::Routes`], and an `incoming` channel of
//! connections whose Hello is already read, bounded and parsed ([`session::Incoming`]). Frames arrive as
//! [`session::PipeEvent`]s in a mailbox the node drains at its own pace; it answers through a
//! [`session::PipeHandle`] that never blocks.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod clock;
mod counters;
pub mod dial;
pub mod endpoint;
pub mod host;
pub mod http;
pub mod keys;
mod listener;
mod network;
pub mod relay;
pub mod service;
pub mod session;
pub mod shutdown;
pub mod telemetry;

pub use counters::{Counters, Refused};
pub use listener::{BindError, ListenConfig, Listener, Listening, Origins, Sessions, TlsError, TlsFiles};
#[doc(hidden)]
pub use network::ws::fuzz as fuzz_websocket;
