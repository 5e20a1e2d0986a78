//! Players and viewers over real sockets.

#![forbid(unsafe_code)]

fn main() {}
