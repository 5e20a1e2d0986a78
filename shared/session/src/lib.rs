//! Sans-IO session engine: handshake, resume, lanes, datagram acks, clock, limits.

#![forbid(unsafe_code)]
