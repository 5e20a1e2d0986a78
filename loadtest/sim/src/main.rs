//! The whole system in one thread under a seed.

#![forbid(unsafe_code)]

fn main() {}
