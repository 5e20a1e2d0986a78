//! The developer's one command: `cargo xtask --help`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: what it prints is its work")]

mod bench;
mod check;
mod dist;
mod house;
mod page;
mod setup;
mod step;
mod suite;
mod terminal;
mod tidy;
mod up;

use std::process::ExitCode;

use clap::Parser;
use house::House;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Sets up, checks, tests, runs and ships Amphi")]
enum Command {
    /// Installs what tests and builds need; where it may not, prints the command that does.
    Setup,
    /// Checks formatting, lints, licences and bans, layering and house rules.
    Check {
        /// Leaves out clippy, which needs a build.
        #[arg(long)]
        quick: bool,
    },
    /// Runs every test; sets up first.
    Test,
    /// Builds the page and the binary, then runs `amphi up`.
    Up {
        /// Builds with optimisation: slower to build, faster to run.
        #[arg(long)]
        release: bool,
        /// Arguments for `amphi up`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Writes `target/dist/`: the stripped binary with the page inside, a Dockerfile and checksums.
    Dist,
    /// Measures Amphi beside its peers; the last line is JSON.
    Bench {
        /// The bench, and its options.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let command = Command::parse();
    let run = House::find().and_then(|house| match command {
        Command::Setup => setup::everything(&house).map(|()| true),
        Command::Check { quick } => check::run(&house, quick).map(|()| true),
        Command::Test => suite::run(&house),
        Command::Up { release, args } => up::run(&house, release, &args).map(|()| true),
        Command::Dist => dist::run(&house).map(|()| true),
        Command::Bench { args } => bench::run(&house, &args).map(|()| true),
    });
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            terminal::error(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests;
