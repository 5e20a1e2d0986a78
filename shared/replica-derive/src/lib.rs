//! The derive macros of amphi-shared-replica.

#![forbid(unsafe_code)]
