//! The program of `loadtest/peers`, which has a workspace of its own.

use std::path::PathBuf;

/// The peers' program when it was built beside this one, as `cargo xtask bench` does. Without it a bench runs alone.
pub(crate) fn program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name("amphi-loadtest-peers");
    program.is_file().then_some(program)
}
