//! The bench `join`: somebody joins a world of 100,000 entities in which others play.
//!
//! Real room, sessions and snapshot codec in one process, without sockets, over ways of 25 ms that lose nothing and have no
//! limit of bandwidth. 1,000 entities move in each tick, everything is in everyone's interest, and eight players walk about.
//! Time is virtual, but for the ticks of the room: each takes as long as it takes here, and what it says leaves when it is
//! over. A tick is the step, all that it says, and the snapshots and parts of all players.
//!
//! `join_s` goes from the Welcome at the client until it holds a row of every entity that is exactly the row of the tick it
//! is of. Where an entity is follows from its number and the tick, so every row is checked; a pawn need only be there.
//! `bytes` is all that the joiner was sent in that time, `parts` those on the bulk lane. The ticks are those from the
//! Welcome on, `calm` ones before anybody joins. `play_gap_ms` is the longest time in which one of the eight got no snapshot.

mod plane;
mod player;
mod world;

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};
use plane::Plane;
use world::World;

const FLOOR_BYTES: usize = 1_100;
const TICK_HZ: u32 = 60;
const PLAYERS: usize = 8;
/// Ticks that are measured before the join.
const CALM_TICKS: usize = 300;

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let plane = Plane { entities: scale.pick(100_000, 1_000) as u32, moving: scale.pick(1_000, 50) as u32 };
    let calm_ticks = scale.pick(CALM_TICKS, 5);
    let ours = Contestant::new("ours", move || run(plane, calm_ticks));
    Bench::new("join", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

fn run(plane: Plane, calm_ticks: usize) -> anyhow::Result<Sample> {
    let mut world = World::new(plane)?;
    for _ in 0..PLAYERS {
        world.admit()?;
    }
    world.run_until(World::all_hold_everything)?;
    world.forget_ticks();
    (0..calm_ticks).try_for_each(|_| world.tick())?;
    let calm = world.forget_ticks();

    let joiner = world.admit()?;
    world.run_until(|world| world.player(joiner).holds_everything())?;
    let ticks = world.forget_ticks();
    let joined = world.player(joiner).joined().ok_or_else(|| anyhow::anyhow!("nobody has joined"))?;
    Ok(Sample::new()
        .with("entities", f64::from(plane.entities))
        .with("join_s", joined.seconds)
        .with("bytes", joined.bytes as f64)
        .with("parts", joined.parts as f64)
        .with("tick_worst_ms", ticks.worst_ms())
        .with("tick_p99_ms", ticks.at_ms(0.99))
        .with("play_gap_ms", ticks.gap_ms)
        .beside("part_bytes", joined.part_bytes as f64)
        .beside("ticks", ticks.len() as f64)
        .beside("tick_p50_ms", ticks.at_ms(0.5))
        .beside("calm_tick_worst_ms", calm.worst_ms())
        .beside("calm_tick_p99_ms", calm.at_ms(0.99))
        .beside("calm_tick_p50_ms", calm.at_ms(0.5))
        .beside("calm_play_gap_ms", calm.gap_ms))
}
