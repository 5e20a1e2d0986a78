//! Players over real sockets: `amphi-loadtest-bots players --url http://127.0.0.1:7000 --count 16 --seconds 60`.
//!
//! Each player signs in as a guest, queues, connects over QUIC with the token it was given and plays until the time is
//! over, match after match. The last line on stdout is one JSON object.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod faults;
mod observed;
mod player;
mod report;
mod service;
mod shaper;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::sync::mpsc;

use crate::player::Played;
use crate::report::Report;

#[derive(Parser)]
#[command(about = "Load for a running Amphi, over real sockets", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Players of the sample game, over QUIC
    Players(Players),
    /// Plays through loss, jitter and a blackout; fails when anything of it reaches the players
    Faults(Faults),
    /// Stands in front of a host as a bad network; each line on standard input is its weather from then on
    Shape(Shape),
}

/// How many, where, how long.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Players {
    /// Where the service is
    #[arg(long, default_value = "http://127.0.0.1:7000")]
    pub(crate) url: String,
    /// Players at once, 1 to 1000
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    /// How long they play, 1 to 3600
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Mode to queue for
    #[arg(long, default_value = "8v8")]
    pub(crate) mode: String,
    /// Writes what each player saw of each match, one line of JSON each, into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) observe: Option<PathBuf>,
}

/// The proof that a bad network takes nothing away.
#[derive(clap::Args)]
pub(crate) struct Faults {
    /// The program under test, which is started as `amphi up`
    #[arg(long, value_name = "FILE")]
    pub(crate) amphi: PathBuf,
    /// Which packets are lost
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A network in front of one host.
#[derive(clap::Args)]
pub(crate) struct Shape {
    /// The host's address, for UDP and TCP
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) to: SocketAddr,
    /// Which packets are lost
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::Players(players) => play(&players).await,
        Command::Faults(faults) => faults::run(&faults).await,
        Command::Shape(shape) => shaper::serve(&shape).await,
    }
}

async fn play(players: &Players) -> Result<()> {
    let all = run(players).await;
    if let Some(file) = &players.observe {
        let lines = all.iter().flat_map(|played| &played.observed).map(serde_json::to_string);
        let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
        std::fs::write(file, lines.join("\n")).with_context(|| file.display().to_string())?;
    }
    let report = Report::new(&all, service::tick_times(&players.url, &all).await);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn run(players: &Players) -> Vec<Played> {
    let (results, mut inbox) = mpsc::channel(players.count as usize);
    for number in 0..players.count {
        let (players, results) = (players.clone(), results.clone());
        tokio::spawn(async move {
            let played = player::play(&players, number, None).await;
            // The receiver lives until every player is done.
            let _ = results.send(played).await;
        });
    }
    drop(results);
    let mut all: Vec<Played> = Vec::new();
    let mut progress = tokio::time::interval(Duration::from_secs(5));
    let started = std::time::Instant::now();
    loop {
        tokio::select! {
            played = inbox.recv() => match played {
                Some(played) => all.push(played),
                None => break,
            },
            _ = progress.tick() => {
                eprintln!("{:>12} {} players, {} of {} s", "Playing", players.count, started.elapsed().as_secs(), players.seconds);
            }
        }
    }
    for problem in all.iter().filter_map(|played| played.problem.as_ref()) {
        eprintln!("error: {problem}");
    }
    all
}
