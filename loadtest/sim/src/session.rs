//! One client and one server session over faulty pipes, and a model of what must arrive.

mod load;
mod model;
mod world;

use amphi_shared_wire::Seed;
use world::World;

use crate::{Report, Violation};

/// Runs the history of a seed: faults for a while, then peace, then an orderly end.
pub(crate) fn run(seed: Seed) -> Result<Report, Violation> {
    World::new(seed).run()
}

#[cfg(test)]
mod tests;
