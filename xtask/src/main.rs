//! The developer's one command.

#![forbid(unsafe_code)]

fn main() {}
