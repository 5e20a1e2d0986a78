//! The `amphi` program: the engine with its sample game.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use amphi_server_arena::Arena;

fn main() -> ExitCode {
    amphi::run(Arena)
}
