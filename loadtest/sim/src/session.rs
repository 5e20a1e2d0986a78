//! Clients and a node over a faulty network, and a model of what must arrive. The network is either a model of pipes,
//! of both kinds, or QUIC itself.

mod client;
mod flows;
mod node;
mod stamp;
mod world;

use amphi_shared_wire::Seed;
use world::World;

use crate::net::{Pipes, Quic};
use crate::plan::{Plan, Style};
use crate::{Report, Violation};

/// Pipes of both kinds.
const PIPES: Style = Style { ordered: true, early: true, sizes: (600, 1_300), clients_max: 3 };
/// QUIC allows no path below 1,200 bytes, which leaves less to a datagram.
const QUIC: Style = Style { ordered: false, early: true, sizes: (1_200, 1_452), clients_max: 2 };

/// The plan of a history over pipes.
pub(crate) fn plan(seed: Seed) -> Plan {
    Plan::new(seed, PIPES)
}

/// Plays a plan over pipes: faults for a while, then peace, then an orderly end.
pub(crate) fn play(plan: &Plan) -> Result<Report, Violation> {
    World::new(plan, Pipes::new(plan.seed, plan.clients.iter().map(|client| client.link))).run(plan)
}

/// The plan of a history over QUIC.
pub(crate) fn quic_plan(seed: Seed) -> Plan {
    Plan::new(seed, QUIC)
}

/// Plays a plan over QUIC.
pub(crate) fn quic_play(plan: &Plan) -> Result<Report, Violation> {
    World::new(plan, Quic::new(plan.seed, plan.clients.iter().map(|client| client.link))).run(plan)
}

#[cfg(test)]
mod tests;
