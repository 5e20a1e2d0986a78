//! Peers of the benches. Each does the work its bench does, then prints one line of JSON: an object of figures.

#![forbid(unsafe_code)]

mod renet;

use clap::Parser;

#[derive(Parser)]
#[command(name = "amphi-loadtest-peers", about = "Peers that the benches run beside ours")]
enum Command {
    /// Messages and datagrams through a pair of renet connections in memory: the bench `session`.
    Renet(renet::Work),
}

fn main() -> anyhow::Result<()> {
    let figures = match Command::parse() {
        Command::Renet(work) => renet::run(&work)?,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}
