//! The live role over real sockets on 127.0.0.1.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod brokers;
mod client;
mod drain;
mod hostile;
mod house;
mod nodes;
mod people;
mod redis;
mod relay;
mod stock;
mod tokens;
mod topics;
