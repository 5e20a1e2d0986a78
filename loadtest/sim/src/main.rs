//! The whole system, each history in one thread under its seed: virtual time, injected faults, a model that knows what
//! must arrive.
//!
//! `cargo run -p amphi-loadtest-sim -- session --seeds 200`. The same seed gives the same history; a failure prints the
//! seed that repeats it, and the shortest history found that fails in the same way.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: its report is its output")]

mod faults;
mod net;
mod plan;
mod report;
mod room;
mod session;
mod shrink;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use amphi_shared_wire::{Code, Seed};
use clap::{Args, Parser};
use faults::{EVERY_FAULT, Faults};
use plan::Plan;
use report::{Report, Violation};

/// A run of so many histories in which a kind of fault never happened has failed: it does not prove what it should.
const EVERY_FAULT_WITHIN: u64 = 100;

#[derive(Parser)]
#[command(name = "amphi-loadtest-sim", about = "Runs parts of Amphi under injected faults and checks what must hold")]
enum Command {
    /// Clients and a node over pipes that stall, break at any byte, stay half open, and lose datagrams
    Session(Seeds),
    /// The same over QUIC itself
    Quic(Seeds),
    /// Two players in a room of the sample game, over the pipes of `session`
    Room(Seeds),
    /// Two players in a room who shoot at each other and predict what they shoot
    Shots(Seeds),
    /// Whole matches: 2 to 16 players who come, leave and break the rules; checked row by row
    Matches(Seeds),
    /// Sixteen players who push each other, with those near predicted: how often a prediction is corrected
    Crowd(Seeds),
    /// The same, with the own player alone predicted
    Strangers(Seeds),
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

/// A kind of history.
struct Scene {
    name: &'static str,
    run: fn(Seed) -> Result<Report, Violation>,
    /// Prints the shortest history that fails as this seed does.
    explain: fn(Seed),
    /// Faults that cannot happen here.
    without: &'static [&'static str],
}

const SESSION: Scene = Scene {
    name: "session",
    run: |seed| session::play(&session::plan(seed)),
    explain: |seed| explain(session::plan(seed), session::play),
    without: &["early data not taken"],
};

const QUIC: Scene = Scene {
    name: "quic",
    run: |seed| session::quic_play(&session::quic_plan(seed)),
    explain: |seed| explain(session::quic_plan(seed), session::quic_play),
    without: &["datagram never read", "early data replayed"],
};

const ROOM: Scene = Scene { name: "room", run: room::run, explain: |_| {}, without: WITHOUT_IN_ROOMS };

const SHOTS: Scene = Scene { name: "shots", run: room::run_shots, explain: |_| {}, without: WITHOUT_IN_ROOMS };

const MATCHES: Scene =
    Scene { name: "matches", run: room::run_match, explain: room::explain_match, without: WITHOUT_IN_ROOMS };

const CROWD: Scene = Scene { name: "crowd", run: room::run_crowd, explain: |_| {}, without: WITHOUT_IN_CROWDS };

const STRANGERS: Scene =
    Scene { name: "strangers", run: room::run_strangers, explain: |_| {}, without: WITHOUT_IN_CROWDS };

/// Faults that cannot happen in a room.
const WITHOUT_IN_ROOMS: &[&str] = &[
    "welcome lost",
    "first welcome lost",
    "reader paused",
    "slow reader closed",
    "dial refused",
    "client without memory",
    "resume in early data",
    "early data not taken",
    "early data replayed",
    "lane given up",
    "lane full",
    "max_datagram changed",
    "datagram too large",
    "datagram never read",
];

/// Faults that do not happen where only the crowd is to be looked at.
const WITHOUT_IN_CROWDS: &[&str] = EVERY_FAULT;

fn main() -> ExitCode {
    let (scene, seeds) = match Command::parse() {
        Command::Session(seeds) => (SESSION, seeds),
        Command::Quic(seeds) => (QUIC, seeds),
        Command::Room(seeds) => (ROOM, seeds),
        Command::Shots(seeds) => (SHOTS, seeds),
        Command::Matches(seeds) => (MATCHES, seeds),
        Command::Crowd(seeds) => (CROWD, seeds),
        Command::Strangers(seeds) => (STRANGERS, seeds),
    };
    let (first, last) = match (seeds.seed, seeds.seeds) {
        (Some(seed), _) => (seed, seed),
        (None, count) => (1, count.unwrap_or(1)),
    };
    match play_all(&scene, first, last) {
        Ok(total) => {
            print(&scene, &total, last - first + 1);
            let never = never(&scene, &total.faults);
            if !never.is_empty() && last - first + 1 >= EVERY_FAULT_WITHIN {
                eprintln!("error: these faults never happened, so nothing is proved about them: {}", never.join(", "));
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err((seed, violation)) => {
            eprintln!("error: seed {seed}, {violation}");
            eprintln!("  help: repeat it with `cargo run -p amphi-loadtest-sim -- {} --seed {seed}`", scene.name);
            (scene.explain)(Seed(seed));
            ExitCode::FAILURE
        }
    }
}

/// Plays histories on all cores, each in one thread. On failure: the lowest seed that was found to fail.
fn play_all(scene: &Scene, first: u64, last: u64) -> Result<Report, (u64, Violation)> {
    let next = AtomicU64::new(first);
    let play = || {
        let mut total = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return Ok(total);
            }
            match (scene.run)(Seed(seed)) {
                Ok(report) => total.add(&report),
                Err(violation) => {
                    next.store(last + 1, Ordering::Relaxed);
                    return Err((seed, violation));
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min((last - first + 1) as usize);
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut total = Report::default();
    let mut failed: Option<(u64, Violation)> = None;
    for result in results {
        match result {
            Ok(report) => total.add(&report),
            Err(failure) if failed.as_ref().is_none_or(|(seed, _)| failure.0 < *seed) => failed = Some(failure),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(total), Err)
}

/// Prints the shortest history found that fails as `plan` does.
fn explain(plan: Plan, play: fn(&Plan) -> Result<Report, Violation>) {
    eprintln!("  looking for a shorter history that fails in the same way …");
    let (plan, violation) = shrink::shortest(plan, play);
    for (who, client) in plan.clients.iter().enumerate() {
        eprintln!("  client {who} {client}");
    }
    for act in &plan.acts {
        eprintln!("  {act}");
    }
    eprintln!("  {:>9.3} s  the storm ends", plan.storm_ends.0 as f64 / 1e6);
    if let Some(violation) = violation {
        eprintln!("  {:>9.3} s  {}", violation.at.0 as f64 / 1e6, violation.what);
    }
}

/// Kinds of faults that should have happened and did not.
fn never(scene: &Scene, faults: &Faults) -> Vec<&'static str> {
    let rows = faults.rows().into_iter();
    rows.filter(|(name, count)| *count == 0 && !scene.without.contains(name)).map(|(name, _)| name).collect()
}

fn print(scene: &Scene, total: &Report, histories: u64) {
    println!("{:<24}{:>12}", "fault", "injected");
    let never = never(scene, &total.faults);
    for (name, count) in total.faults.rows().into_iter().filter(|(name, _)| !scene.without.contains(name)) {
        let mark = if never.contains(&name) { "  never" } else { "" };
        println!("{name:<24}{count:>12}{mark}");
    }
    println!();
    for (number, count) in &total.closes {
        let name = Code::from_number(*number).map_or("?", Code::name);
        println!("{:<24}{count:>12}", format!("closed {name}"));
    }
    println!("{:<24}{:>12}", "messages delivered", total.messages);
    println!("{:<24}{:>12}", "datagrams delivered", total.datagrams);
    println!("{:<24}{:>12}", "attaches", total.attaches);
    println!("{:<24}{:>12}", "corrected predictions", total.corrections);
    let counts = [
        ("predicted ticks", total.predicted_ticks),
        ("rows compared", total.rows),
        ("shown and compared", total.shown),
        ("events heard", total.events),
        ("effects shown", total.effects),
        ("requests taken", total.requests),
        ("hostile acts", total.attacks),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        println!("{name:<24}{count:>12}");
    }
    println!("{:<24}{:>10} s", "virtual time", total.virtual_time.as_millis() / 1_000);
    println!("{:<24}{:>12}", "histories that hold", histories);
    println!("{:<24}{:>12}", "their hash", format!("{:016x}", total.history));
}
