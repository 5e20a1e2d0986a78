//! Benches beside peers, in one run: `cargo xtask bench NAME`.
//!
//! A bench is one file that builds a [`harness::Bench`]. The harness pins the load to core 1 and every server to core 0,
//! alternates the contestants, takes medians and ends with one line of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: its report is its output")]

mod codec;
mod fanout;
mod floor;
mod harness;
mod peers;
mod session;

use clap::{Parser, ValueEnum};
use harness::{Bench, Plan, Scale};

#[derive(Parser)]
#[command(name = "amphi-loadtest-bench", about = "Measures Amphi beside its peers, in one run")]
enum Command {
    /// Runs a bench and prints a table, then one line of JSON.
    Run {
        /// Which bench.
        name: Name,
        /// How often each contestant runs.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Little work and one round: shows that the bench runs, not how fast anything is.
        #[arg(long)]
        smoke: bool,
    },
    /// Serves one side of the bench `fanout`; started by it.
    #[command(hide = true)]
    ServeFanout {
        /// Which side.
        kind: fanout::Kind,
        #[command(flatten)]
        work: fanout::Work,
    },
}

/// Every bench there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Name {
    /// Bytes and time of a snapshot, over a match of bots.
    Codec,
    /// What a publication costs the live role per viewer.
    Fanout,
    /// What the machine itself costs: the floor against itself.
    Floor,
    /// Messages and datagrams through a pair of session engines.
    Session,
}

impl Name {
    /// Builds the bench.
    fn bench(self, scale: Scale) -> anyhow::Result<Bench> {
        match self {
            Self::Codec => codec::bench(scale),
            Self::Fanout => Ok(fanout::bench(scale)),
            Self::Floor => floor::bench(scale),
            Self::Session => Ok(session::bench(scale)),
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
        Command::ServeFanout { kind, work } => kind.serve(work, |ready| println!("{ready}"))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests;
