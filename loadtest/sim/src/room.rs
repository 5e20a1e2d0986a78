//! Two players in a room: they lose their connections, come back to their seats, and see the truth.

mod host;
mod player;
mod runners;
mod shots;
mod world;

use amphi_shared_wire::Seed;
use runners::Runners;
use shots::Shots;
use world::World;

use crate::{Report, Violation};

/// Runs the history of a seed: a join, faults for a while, then peace.
pub(crate) fn run(seed: Seed) -> Result<Report, Violation> {
    World::<Runners>::new(seed)?.run()
}

/// The same with players who shoot.
pub(crate) fn run_shots(seed: Seed) -> Result<Report, Violation> {
    World::<Shots<true, true>>::new(seed)?.run()
}

#[cfg(test)]
mod tests;
