//! Real sockets on 127.0.0.1: what good clients get, and what hostile ones get.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod hostile;
mod http;
mod keys;
#[cfg(feature = "otlp")]
mod otlp;
mod quic;
mod relay;
mod server;
mod sessions;
mod tls;
mod websocket;
