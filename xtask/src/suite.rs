//! `cargo xtask test`: every test there is, one step after another, and one line that sums them up.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::house::House;
use crate::step::Count;
use crate::{page, setup, step, terminal};

/// Seeds of the simulator per run.
const SIMULATOR_SEEDS: &str = "200";

/// One step of the suite, done.
struct Done {
    name: &'static str,
    count: Count,
    took: Duration,
}

/// Sets up, then runs every step, also after one failed.
///
/// # Errors
/// When the set-up or a step fails.
pub(crate) fn run(house: &House) -> anyhow::Result<()> {
    setup::everything(house)?;
    page::build(house)?;
    let done: Vec<Done> = steps(house).into_iter().map(|(name, command)| step(name, command)).collect();
    for Done { name, count, took } in &done {
        let verb = if count.failed == 0 { "Passed" } else { "FAILED" };
        let tests = format!("{} passed, {} failed", count.passed, count.failed);
        terminal::say(verb, &format!("{name}: {tests} in {}", terminal::took(*took)));
    }
    let sum = done.iter().fold(Count::default(), |sum, step| sum.plus(step.count));
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.failed > 0 {
        bail!("{} tests failed", sum.failed);
    }
    Ok(())
}

/// The steps in order. All Rust builds select the whole workspace, so features are unified the same way each time.
fn steps(house: &House) -> Vec<(&'static str, Vec<Command>)> {
    let simulator = house.target().join("debug/amphi-loadtest-sim");
    let mut seeds = house.command(&simulator.to_string_lossy());
    seeds.args(["--seeds", SIMULATOR_SEEDS]);
    let own_game = ["test", "--locked", "--manifest-path", "examples/own-game/Cargo.toml"];
    vec![
        ("build", vec![house.cargo(&["nextest", "run", "--workspace", "--locked", "--no-run"])]),
        ("Rust tests and browser", vec![house.cargo(&["nextest", "run", "--workspace", "--locked"])]),
        ("documentation examples", vec![house.cargo(&["test", "--workspace", "--locked", "--doc"])]),
        ("page tests", vec![page::npm(house, &["test"])]),
        ("simulator", vec![house.cargo(&["build", "--workspace", "--locked", "--bin", "amphi-loadtest-sim"]), seeds]),
        ("a studio's own game", vec![house.cargo(&own_game)]),
    ]
}

/// Runs one step. A program that counts nothing is one test by itself, and so is one that fails uncounted.
fn step(name: &'static str, commands: Vec<Command>) -> Done {
    terminal::say("Testing", name);
    let start = Instant::now();
    let mut count = Count::default();
    let mut failed = false;
    for mut command in commands {
        match step::count(&mut command) {
            Ok(outcome) => {
                count = count.plus(outcome.count);
                failed |= !outcome.success;
            }
            Err(error) => {
                terminal::error(&error);
                failed = true;
            }
        }
        if failed {
            break;
        }
    }
    if failed && count.failed == 0 {
        count.failed = 1;
    } else if count == Count::default() {
        count.passed = 1;
    }
    Done { name, count, took: start.elapsed() }
}
