//! The live role: home sessions, broker, hub and HTTP.

#![forbid(unsafe_code)]
