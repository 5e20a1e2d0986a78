//! One client and one server session over faulty pipes, and a model of what must arrive.

mod faults;
mod load;
mod model;
mod net;
mod world;

use amphi_shared_wire::{Micros, Seed};

pub(crate) use faults::Faults;
pub(crate) use model::Violation;
use world::World;

/// What a history was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// How often each kind of fault happened.
    pub(crate) faults: Faults,
    /// Messages delivered on reliable lanes.
    pub(crate) messages: u64,
    /// Datagrams delivered.
    pub(crate) datagrams: u64,
    /// Attaches of the client.
    pub(crate) attaches: u64,
    /// Length of the history.
    pub(crate) virtual_time: Micros,
    /// Hash of everything both sides saw, with its times.
    pub(crate) history: u64,
}

impl Report {
    /// Adds another history.
    pub(crate) fn add(&mut self, other: &Self) {
        self.faults.add(&other.faults);
        self.messages += other.messages;
        self.datagrams += other.datagrams;
        self.attaches += other.attaches;
        self.virtual_time += other.virtual_time;
        self.history ^= other.history;
    }
}

/// One side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Client,
    Server,
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Runs the history of a seed: faults for a while, then peace, then an orderly end.
pub(crate) fn run(seed: Seed) -> Result<Report, Violation> {
    World::new(seed).run()
}

#[cfg(test)]
mod tests;
