//! `cargo xtask test`: every test there is, one step after another, and one line that sums them up.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::house::House;
use crate::step::{Count, Runner};
use crate::{page, setup, step, terminal};

/// Histories of session engines over pipes per run.
const SESSION_SEEDS: &str = "200";
/// The same over QUIC, whose cryptography takes most of the time.
const QUIC_SEEDS: &str = "24";
/// Histories of a whole room, which take over a second each.
const ROOM_SEEDS: &str = "24";
/// Whole matches, each of which takes as long as several of those.
const MATCH_SEEDS: &str = "4";

/// What a step counts for in the sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weight {
    /// Nothing, unless it fails: a build.
    None,
    /// One test, by its exit code.
    One,
    /// What its test runner says.
    Tests(Runner),
}

/// One step of the suite: programs that run one after another.
struct Step {
    name: &'static str,
    weight: Weight,
    commands: Vec<Command>,
}

/// One step, done.
struct Done {
    name: &'static str,
    success: bool,
    count: Count,
    took: Duration,
}

/// Sets up, then runs every step, also after one failed; says whether all passed.
///
/// # Errors
/// When the set-up fails.
pub(crate) fn run(house: &House) -> anyhow::Result<bool> {
    setup::everything(house)?;
    let mut done = vec![page_build(house)];
    done.extend(steps(house).into_iter().map(Step::run));
    for Done { name, success, count, took } in &done {
        let verb = if *success { "Passed" } else { "FAILED" };
        let tests = format!("{} passed, {} failed", count.passed, count.failed);
        terminal::say(verb, &format!("{name}: {tests} in {}", terminal::took(*took)));
    }
    let sum = done.iter().fold(Count::default(), |sum, step| sum.plus(step.count));
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(done.iter().all(|step| step.success))
}

/// Builds the page, which the browser's tests open.
fn page_build(house: &House) -> Done {
    let start = Instant::now();
    let built = page::build(house);
    if let Err(error) = &built {
        terminal::error(error);
    }
    let count = Count { passed: 0, failed: u64::from(built.is_err()) };
    Done { name: "build of the page", success: built.is_ok(), count, took: start.elapsed() }
}

/// The steps in order. All Rust builds select the whole workspace, so features are unified the same way each time.
fn steps(house: &House) -> Vec<Step> {
    let simulator = house.target().join("debug/amphi-loadtest-sim");
    let seeds = |world: &str, seeds: &str| {
        let mut command = house.command(&simulator.to_string_lossy());
        command.args([world, "--seeds", seeds]);
        command
    };
    let bots = house.target().join("debug/amphi-loadtest-bots");
    let mut faults = house.command(&bots.to_string_lossy());
    faults.arg("faults").arg("--amphi").arg(house.target().join("debug/amphi"));
    // The browser's story stands a bad network of the bots in front of a host.
    let programs = ["build", "--workspace", "--locked", "--bin", "amphi", "--bin", "amphi-loadtest-bots"];
    let build_simulator = house.cargo(&["build", "--workspace", "--locked", "--bin", "amphi-loadtest-sim"]);
    let own_game = ["test", "--locked", "--manifest-path", "examples/own-game/Cargo.toml"];
    let own_game_build = ["build", "--locked", "--manifest-path", "examples/own-game/Cargo.toml"];
    let bevy_client = ["test", "--locked", "--manifest-path", "examples/bevy-window/Cargo.toml"];
    let step = |name, weight, commands| Step { name, weight, commands };
    let cargo = |args: &[&str]| vec![house.cargo(args)];
    vec![
        step(
            "build of the tests",
            Weight::None,
            vec![house.cargo(&["nextest", "run", "--workspace", "--locked", "--no-run"]), house.cargo(&programs)],
        ),
        step("Rust and browser", Weight::Tests(Runner::Nextest), cargo(&["nextest", "run", "--workspace", "--locked"])),
        step(
            "examples in the docs",
            Weight::Tests(Runner::Libtest),
            cargo(&["test", "--workspace", "--locked", "--doc"]),
        ),
        step("page", Weight::Tests(Runner::Vitest), vec![page::npm(house, &["test"])]),
        step(
            "simulator",
            Weight::One,
            vec![
                build_simulator,
                seeds("session", SESSION_SEEDS),
                seeds("quic", QUIC_SEEDS),
                seeds("room", ROOM_SEEDS),
                seeds("shots", ROOM_SEEDS),
                seeds("matches", MATCH_SEEDS),
            ],
        ),
        step("players on a bad network", Weight::One, vec![faults]),
        step("a studio's own game", Weight::Tests(Runner::Libtest), cargo(&own_game)),
        // It starts the game as a studio does, and plays it on the page, which knows nothing of it but its schema.
        step(
            "a studio's own game in the browser",
            Weight::Tests(Runner::Vitest),
            vec![house.cargo(&own_game_build), page::npm(house, &["run", "e2e:own-game"])],
        ),
        step("a client in Bevy", Weight::Tests(Runner::Libtest), cargo(&bevy_client)),
    ]
}

impl Step {
    /// Runs the programs up to the first that fails. A failure that no runner counted is one failed test.
    fn run(self) -> Done {
        terminal::say("Testing", self.name);
        let start = Instant::now();
        let mut counted = Count::default();
        let weight = self.weight;
        let success = self.commands.into_iter().all(|command| match weight.run(command) {
            Ok((success, count)) => {
                counted = counted.plus(count);
                success
            }
            Err(error) => {
                terminal::error(&error);
                false
            }
        });
        if !success {
            counted.failed = counted.failed.max(1);
        } else if weight == Weight::One {
            counted.passed = 1;
        }
        Done { name: self.name, success, count: counted, took: start.elapsed() }
    }
}

impl Weight {
    /// Runs one program; whether it succeeded, and what it counted.
    fn run(self, mut command: Command) -> anyhow::Result<(bool, Count)> {
        match self {
            Self::None | Self::One => step::run(&mut command).map(|_| (true, Count::default())),
            Self::Tests(runner) => step::count(runner, &mut command).map(|outcome| (outcome.success, outcome.count)),
        }
    }
}

#[cfg(test)]
mod tests;
