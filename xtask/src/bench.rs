//! `cargo xtask bench NAME`: builds the benches and their peers with optimisation, and runs one.

use crate::house::House;
use crate::{setup, step, terminal};

/// The benches that run peers on Node and Bun.
const NODE_BENCHES: [&str; 2] = ["idle", "fanout"];

/// Runs a bench; its last line is JSON.
///
/// # Errors
/// When a build or the bench fails.
pub(crate) fn run(house: &House, args: &[String]) -> anyhow::Result<()> {
    terminal::say("Building", "the benches (release profile)");
    step::run(&mut house.cargo(&["build", "--workspace", "--locked", "--release", "--bin", "amphi-loadtest-bench"]))?;
    let peers = "loadtest/peers/Cargo.toml";
    // bevy_replicon asks for a newer compiler than it needs.
    let ignore = "--ignore-rust-version";
    step::run(&mut house.cargo(&["build", "--locked", "--release", ignore, "--manifest-path", peers]))?;
    if args.iter().any(|arg| NODE_BENCHES.contains(&arg.as_str())) {
        setup::node_packages(house, "the peers on Node and Bun", &house.root().join("loadtest/peers/node"))?;
    }
    let program = house.target().join("release/amphi-loadtest-bench");
    step::run(house.command(&program.to_string_lossy()).arg("run").args(args))?;
    Ok(())
}
