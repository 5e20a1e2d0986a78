//! Peers of the benches. Each does the work its bench does, then prints one line of JSON: an object of figures; or it
//! serves, and prints its address first.

#![forbid(unsafe_code)]

mod axum;
mod naia;
mod renet;
mod replicon;

use clap::Parser;

#[derive(Parser)]
#[command(name = "amphi-loadtest-peers", about = "Peers that the benches run beside ours")]
enum Command {
    /// WebSockets of axum with its defaults, until standard input ends: the bench `idle`.
    Axum,
    /// A battle told to many clients: the bench `shooter`.
    Naia(naia::Work),
    /// Messages and datagrams through a pair of renet connections in memory: the bench `session`.
    Renet(renet::Work),
    /// A world of moving entities told to many clients: the bench `replication`.
    Replicon(replicon::Work),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Axum => axum::serve()?,
        Command::Naia(work) => println!("{}", serde_json::to_string(&naia::run(&work)?)?),
        Command::Replicon(work) => println!("{}", serde_json::to_string(&replicon::run(&work)?)?),
        Command::Renet(work) => println!("{}", serde_json::to_string(&renet::run(&work)?)?),
    }
    Ok(())
}
