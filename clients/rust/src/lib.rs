//! The Rust client: sans-IO engine, prediction, interpolation and a QUIC driver.

#![forbid(unsafe_code)]
