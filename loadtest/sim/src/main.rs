//! The whole system in one thread under a seed: virtual time, injected faults, a model that knows what must arrive.
//!
//! `cargo run -p amphi-loadtest-sim -- session --seeds 200`. The same seed gives the same history; a failure prints the
//! seed that repeats it.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: its report is its output")]

mod faults;
mod net;
mod report;
mod room;
mod session;

use std::process::ExitCode;

use amphi_shared_wire::Seed;
use clap::{Args, Parser};
use faults::Faults;
use report::{Report, Violation};

#[derive(Parser)]
#[command(name = "amphi-loadtest-sim", about = "Runs parts of Amphi under injected faults and checks what must hold")]
enum Command {
    /// A client and a server session over pipes that stall, break and lie
    Session(Seeds),
    /// Two players in a room of the sample game, over the same pipes
    Room(Seeds),
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Seeds {
    /// Runs one history
    #[arg(long)]
    seed: Option<u64>,
    /// Runs the histories of seeds 1 to N
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Session(seeds) => run("session", session::run, &seeds),
        Command::Room(seeds) => run("room", room::run, &seeds),
    }
}

fn run(name: &str, history: fn(Seed) -> Result<Report, Violation>, seeds: &Seeds) -> ExitCode {
    let range = match (seeds.seed, seeds.seeds) {
        (Some(seed), _) => seed..=seed,
        (None, count) => 1..=count.unwrap_or(1),
    };
    let mut total = Report::default();
    for seed in range.clone() {
        match history(Seed(seed)) {
            Ok(report) => total.add(&report),
            Err(violation) => {
                eprintln!("error: {violation}");
                eprintln!("  help: repeat it with `cargo run -p amphi-loadtest-sim -- {name} --seed {seed}`");
                return ExitCode::FAILURE;
            }
        }
    }
    print_faults(&total.faults);
    println!();
    println!("{:<24}{:>12}", "messages delivered", total.messages);
    println!("{:<24}{:>12}", "datagrams delivered", total.datagrams);
    println!("{:<24}{:>12}", "attaches", total.attaches);
    println!("{:<24}{:>10} s", "virtual time", total.virtual_time.as_millis() / 1_000);
    println!("{:<24}{:>12}", "histories that hold", range.count());
    println!("{:<24}{:>12}", "their hash", format!("{:016x}", total.history));
    ExitCode::SUCCESS
}

/// One line per kind of fault; one that never happened stands out.
fn print_faults(faults: &Faults) {
    println!("{:<24}{:>12}", "fault", "injected");
    for (name, count) in faults.rows() {
        let mark = if count == 0 { "  never" } else { "" };
        println!("{name:<24}{count:>12}{mark}");
    }
}
