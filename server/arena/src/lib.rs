//! The sample game: two teams, a ball, crates and a pulse.

#![forbid(unsafe_code)]
