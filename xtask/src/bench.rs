//! `cargo xtask bench NAME`: builds the benches and their peers with optimisation, and runs one.

use crate::house::House;
use crate::{step, terminal};

/// Runs a bench; its last line is JSON.
///
/// # Errors
/// When a build or the bench fails.
pub(crate) fn run(house: &House, args: &[String]) -> anyhow::Result<()> {
    terminal::say("Building", "the benches (release profile)");
    step::run(&mut house.cargo(&["build", "--workspace", "--locked", "--release", "--bin", "amphi-loadtest-bench"]))?;
    let peers = "loadtest/peers/Cargo.toml";
    step::run(&mut house.cargo(&["build", "--locked", "--release", "--manifest-path", peers]))?;
    let program = house.target().join("release/amphi-loadtest-bench");
    step::run(house.command(&program.to_string_lossy()).arg("run").args(args))?;
    Ok(())
}
