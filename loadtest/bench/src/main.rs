//! Benches beside peers, in one run: `cargo xtask bench NAME`.
//!
//! A bench is one file that builds a [`harness::Bench`]. The harness pins the load to core 1 and every server to core 0,
//! alternates the contestants, takes medians and ends with one line of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program: its report is its output")]

mod asteroids;
mod chain;
mod codec;
mod datagrams;
mod fanout;
mod faults;
mod floor;
mod harness;
mod idle;
mod join;
mod latency;
mod load;
mod messages;
mod node;
mod nodes;
mod owner;
mod peers;
mod presence;
mod redis;
mod relay;
mod replication;
mod resume;
mod rollback;
mod serve;
mod session;
mod shooter;
mod spectate;
mod storm;

use std::path::PathBuf;

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
        /// For `codec`: a recorded trace (`AMTR`) to code instead of a match of bots; `cubes` is a built-in scene. For
        /// `latency`: a recorded path, as Mahimahi's mm-link reads it.
        #[arg(long)]
        trace: Option<PathBuf>,
        /// For `fanout`: twice as many readers, and messages in bursts of five.
        #[arg(long)]
        hot: bool,
        /// For `storm`: the readers of a node that dies come to another one.
        #[arg(long)]
        topics: bool,
        /// How often each contestant runs; 5, or 3 where a round takes minutes.
        #[arg(long)]
        rounds: Option<usize>,
        /// Little work and one round: shows that the bench runs, not how fast anything is.
        #[arg(long)]
        smoke: bool,
    },
    /// Trains the code tables of the bench `codec --trace` on other seeds of its scene and writes them to a file.
    Train {
        /// The file.
        file: PathBuf,
    },
    /// Plays the cube scene of the bench `codec --trace` and writes it to a file.
    Trace {
        /// The file; its format is described in `codec/trace.rs`.
        file: PathBuf,
        /// Where the large cube goes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Frames, 60 per second.
        #[arg(long, default_value_t = 3_600)]
        frames: usize,
    },
    /// Serves what a bench asks for, in JSON; started by it.
    #[command(hide = true)]
    Serve { what: String },
}

/// Every bench there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Name {
    /// How often a steady tick of replication asks for memory.
    Allocations,
    /// Bytes for bodies that fly freely, and how wrongly a client shows them.
    Asteroids,
    /// Bytes and time of a snapshot, over a match of bots.
    Codec,
    /// What a datagram costs, at the rate of a match, beside quinn.
    Datagrams,
    /// What a publication costs the live role per reader, beside Bun, `ws` and Socket.IO.
    Fanout,
    /// Deliveries while nodes are killed, Redis restarts, networks lose and readers stop: missing, doubled, resets.
    Faults,
    /// What the machine itself costs: the floor against itself.
    Floor,
    /// What a connection costs that only waits, beside `ws`, Socket.IO and axum.
    Idle,
    /// Somebody joins a world of 100,000 entities in which others play.
    Join,
    /// How long an input waits at a host, and how many come late over a mobile path.
    Latency,
    /// Messages over connections that break: lost, doubled, reordered.
    Messages,
    /// How long a publication takes to readers at two nodes over Redis.
    Nodes,
    /// Who reads a topic: how soon a join and a crash are seen, and what a crowd costs a viewer.
    Presence,
    /// How much later a datagram comes back when a live node carries it.
    Relay,
    /// What it costs to tell many clients about many entities, beside bevy_replicon.
    Replication,
    /// Time from a cut to the first applied state, per transport.
    Resume,
    /// What it costs to go back in time and simulate again.
    Rollback,
    /// Messages and datagrams through a pair of session engines.
    Session,
    /// Bytes for 32 players, their projectiles and vehicles, beside naia.
    Shooter,
    /// Thousands watch one match.
    Spectate,
    /// Everyone loses the connection and comes back at once.
    Storm,
}

impl Name {
    /// Builds the bench.
    fn bench(self, scale: Scale) -> anyhow::Result<Bench> {
        match self {
            Self::Allocations => Ok(replication::allocations(scale)),
            Self::Asteroids => Ok(asteroids::bench(scale)),
            Self::Codec => codec::bench(scale),
            Self::Datagrams => Ok(datagrams::bench(scale)),
            Self::Fanout => Ok(fanout::bench(scale, false)),
            Self::Faults => Ok(faults::bench(scale)),
            Self::Floor => floor::bench(scale),
            Self::Idle => Ok(idle::bench(scale)),
            Self::Join => Ok(join::bench(scale)),
            Self::Latency => Ok(latency::bench(scale)),
            Self::Messages => Ok(messages::bench(scale)),
            Self::Nodes => Ok(nodes::bench(scale)),
            Self::Presence => Ok(presence::bench(scale)),
            Self::Relay => Ok(relay::bench(scale)),
            Self::Replication => Ok(replication::bench(scale)),
            Self::Resume => Ok(resume::bench(scale)),
            Self::Rollback => Ok(rollback::bench(scale)),
            Self::Session => Ok(session::bench(scale)),
            Self::Shooter => Ok(shooter::bench(scale)),
            Self::Spectate => Ok(spectate::bench(scale)),
            Self::Storm => Ok(storm::bench(scale)),
        }
    }
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run { name, trace, hot, topics, rounds, smoke } => {
            let scale = if smoke { Scale::Smoke } else { Scale::Full };
            let plan = if smoke { Plan::smoke() } else { Plan { rounds, ..Plan::default() } };
            let pinned = harness::pin_load();
            anyhow::ensure!(!hot || name == Name::Fanout, "only the bench fanout can be hot");
            anyhow::ensure!(!topics || name == Name::Storm, "only the bench storm is one of topics");
            let bench = match trace {
                None if hot => fanout::bench(scale, true),
                None if topics => storm::of_topics(scale),
                Some(file) if name == Name::Codec => codec::replay::bench(&file, scale)?,
                Some(file) if name == Name::Latency => latency::on_trace(&file, scale)?,
                Some(_) => anyhow::bail!("only the benches codec and latency take a trace"),
                None => name.bench(scale)?,
            };
            let report = bench.run(&plan, pinned)?;
            print!("{}", report.table());
            println!("{}", report.json()?);
        }
        Command::Train { file } => std::fs::write(file, codec::replay::train()?.to_bytes())?,
        Command::Trace { file, seed, frames } => codec::cubes::play(seed, frames).write(&file)?,
        Command::Serve { what } => {
            serde_json::from_str::<Serve>(&what)?.run(Stage::process(|line| println!("{line}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
