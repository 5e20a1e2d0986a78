//! Two players in a room of the sample game: they lose their connections, come back to their seats, and see the truth.

mod host;
mod player;
mod world;

use amphi_shared_wire::Seed;
use world::World;

use crate::{Report, Violation};

/// Runs the history of a seed: a join, faults for a while, then peace.
pub(crate) fn run(seed: Seed) -> Result<Report, Violation> {
    World::new(seed)?.run()
}

#[cfg(test)]
mod tests;
