//! The operating system: clock, QUIC, WebTransport, WebSocket, HTTP base, certificates, telemetry, shutdown.

#![forbid(unsafe_code)]
