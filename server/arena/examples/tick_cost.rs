//! What one tick of a full 8v8 match of bots costs: `cargo run --release -p amphi-server-arena --example tick_cost`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures, and prints what it measured"
)]

use std::time::{Duration, Instant};

use amphi_server_arena::{Arena, MODES, TICK_HZ};
use amphi_shared_replica::{Game, GameError, SimMode};
use amphi_shared_wire::Seed;

fn main() -> Result<(), GameError> {
    let game = Game::new("arena", Arena);
    for mode in MODES.iter().filter(|mode| mode.duration_s > 60) {
        let mut sim = game.build(SimMode::Authority, mode.at(TICK_HZ), Seed(1))?;
        let (mut steps, mut hashes) = (Vec::new(), Vec::new());
        while !sim.board().finished {
            let start = Instant::now();
            sim.step()?;
            let stepped = Instant::now();
            sim.state_hash();
            steps.push(stepped - start);
            hashes.push(stepped.elapsed());
            sim.take_events();
        }
        println!("{}: step {} · state hash {}", mode.name, line(&mut steps), line(&mut hashes));
    }
    Ok(())
}

fn line(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let us = |permille: usize| times[(times.len() - 1) * permille / 1_000].as_micros();
    format!("p50 {} µs, p99 {} µs, max {} µs", us(500), us(990), us(1_000))
}
