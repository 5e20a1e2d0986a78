//! Players in a room: they lose their connections, come back to their seats, and see the truth.
//!
//! What must hold, all the time:
//! * Each row that a client comes to hold is the host's quantised row of that tick: the part that this seat may see, no less
//!   and no more (`world`, `ledger`). Nothing that a seat may not see is in its world: not the private parts of another team,
//!   nothing that is hidden from it, nothing beyond its interest. What it may not see any more goes with the next snapshot
//!   that it reads.
//! * What rests and is told is shown within its tolerance, and what clients reckon is within it at every tick (`squads`).
//! * Requests are answered once, events come once and in order, effects are shown once.
//! * Who breaks the rules is counted or closed with a code, and the sessions of others do not notice (`hostile`).
//!
//! And in the end, after some peace: who stayed is on their seat and holds the whole of their part of the world; who is gone
//! for good has no seat.

mod cast;
mod crowd;
mod host;
mod hostile;
mod ledger;
mod player;
mod runners;
mod shots;
mod squads;
mod world;

use amphi_shared_wire::{Micros, Seed};
use cast::{Cast, Size};
use crowd::Crowd;
use runners::Runners;
use shots::Shots;
use squads::Squads;
use world::{Play, World};

use crate::shrink;
use crate::{Report, Violation};

/// How long faults strike two players.
const STORM: Micros = Micros::from_secs(12);
/// Whole matches of the command line.
const LONG: Size = Size { players: (2, 16), storm: Micros::from_secs(20) };

/// Runs the history of a seed: a join, faults for a while, then peace.
pub(crate) fn run(seed: Seed) -> Result<Report, Violation> {
    play::<Runners>(&Cast::of_two(seed, STORM, true))
}

/// The same with players who shoot.
pub(crate) fn run_shots(seed: Seed) -> Result<Report, Violation> {
    play::<Shots<true, true>>(&Cast::of_two(seed, STORM, true))
}

/// A whole match of squads.
pub(crate) fn run_match(seed: Seed) -> Result<Report, Violation> {
    play::<Squads>(&Cast::of_match(seed, LONG))
}

/// Sixteen players who push each other, with those near predicted.
pub(crate) fn run_crowd(seed: Seed) -> Result<Report, Violation> {
    play::<Crowd<true>>(&Cast::of_many(seed, 16, STORM))
}

/// The same, with the own player alone predicted.
pub(crate) fn run_strangers(seed: Seed) -> Result<Report, Violation> {
    play::<Crowd<false>>(&Cast::of_many(seed, 16, STORM))
}

/// Prints the shortest match found that fails as this seed does.
pub(crate) fn explain_match(seed: Seed) {
    explain::<Squads>(Cast::of_match(seed, LONG));
}

fn play<P: Play>(cast: &Cast) -> Result<Report, Violation> {
    World::<P>::new(cast).and_then(World::run)
}

fn explain<P: Play>(cast: Cast) {
    eprintln!("  looking for a shorter history that fails in the same way …");
    let (acts, violation) =
        shrink::shortest_acts(cast.acts.clone(), |acts| play::<P>(&Cast { acts: acts.to_vec(), ..cast.clone() }).err());
    acts.iter().for_each(|act| eprintln!("  {act}"));
    if let Some(violation) = violation {
        eprintln!("  {:>9.3} s  {}", violation.at.0 as f64 / 1e6, violation.what);
    }
}

#[cfg(test)]
mod tests;
