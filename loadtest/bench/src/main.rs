//! Benches beside peers, in one run: `cargo xtask bench NAME`.
//!
//! A bench is one file that builds a [`harness::Bench`]. The harness pins the load to core 1 and every server to core 0,
//! alternates the contestants, takes medians and ends with one line of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: its report is its output")]

mod codec;
mod datagrams;
mod fanout;
mod floor;
mod harness;
mod idle;
mod load;
mod messages;
mod node;
mod owner;
mod peers;
mod resume;
mod serve;
mod session;
mod storm;

use clap::{Parser, ValueEnum};
use harness::{Bench, Plan, Scale, Stage};
use serve::Serve;

#[derive(Parser)]
#[command(name = "amphi-loadtest-bench", about = "Measures Amphi beside its peers, in one run")]
enum Command {
    /// Runs a bench and prints a table, then one line of JSON.
    Run {
        /// Which bench.
        name: Name,
        /// How often each contestant runs; 5, or 3 where a round takes minutes.
        #[arg(long)]
        rounds: Option<usize>,
        /// Little work and one round: shows that the bench runs, not how fast anything is.
        #[arg(long)]
        smoke: bool,
    },
    /// Serves what a bench asks for, in JSON; started by it.
    #[command(hide = true)]
    Serve { what: String },
}

/// Every bench there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Name {
    /// Bytes and time of a snapshot, over a match of bots.
    Codec,
    /// What a datagram costs, at the rate of a match, beside quinn.
    Datagrams,
    /// What a publication costs the live role per viewer.
    Fanout,
    /// What the machine itself costs: the floor against itself.
    Floor,
    /// What a connection costs that only waits, beside `ws`, Socket.IO and axum.
    Idle,
    /// Messages over connections that break: lost, doubled, reordered.
    Messages,
    /// Time from a cut to the first applied state, per transport.
    Resume,
    /// Messages and datagrams through a pair of session engines.
    Session,
    /// Everyone loses the connection and comes back at once.
    Storm,
}

impl Name {
    /// Builds the bench.
    fn bench(self, scale: Scale) -> anyhow::Result<Bench> {
        match self {
            Self::Codec => codec::bench(scale),
            Self::Datagrams => Ok(datagrams::bench(scale)),
            Self::Fanout => Ok(fanout::bench(scale)),
            Self::Floor => floor::bench(scale),
            Self::Idle => Ok(idle::bench(scale)),
            Self::Messages => Ok(messages::bench(scale)),
            Self::Resume => Ok(resume::bench(scale)),
            Self::Session => Ok(session::bench(scale)),
            Self::Storm => Ok(storm::bench(scale)),
        }
    }
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run { name, rounds, smoke } => {
            let scale = if smoke { Scale::Smoke } else { Scale::Full };
            let plan = if smoke { Plan::smoke() } else { Plan { rounds, ..Plan::default() } };
            let pinned = harness::pin_load();
            let report = name.bench(scale)?.run(&plan, pinned)?;
            print!("{}", report.table());
            println!("{}", report.json()?);
        }
        Command::Serve { what } => {
            serde_json::from_str::<Serve>(&what)?.run(Stage::process(|line| println!("{line}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
