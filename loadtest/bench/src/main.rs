//! Benches beside peers, in one run.

#![forbid(unsafe_code)]

fn main() {}
