//! What a world is told about itself: how it is run, its match mode, its tick, its randomness.

use amphi_shared_wire::{Rng, Tick};
use bevy_ecs::prelude::{Res, Resource};
use serde::{Deserialize, Serialize};

use crate::Seat;

/// Who runs this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Resource)]
pub enum SimMode {
    /// A server: its world is the truth.
    Authority,
    /// A client that runs ahead: its own player and what stands still; everything else arrives as rows.
    Predict,
    /// The same world as a server's, from its journal.
    Replay,
}

/// Run condition: the whole world is simulated here (on a server, or in a replay of one).
///
/// Systems that spawn replicated entities, drive bots or keep score belong behind it.
pub fn authority(mode: Res<'_, SimMode>) -> bool {
    match *mode {
        SimMode::Authority | SimMode::Replay => true,
        SimMode::Predict => false,
    }
}

/// Run condition: a client predicts its own player here, and what that can touch.
pub fn predicting(mode: Res<'_, SimMode>) -> bool {
    match *mode {
        SimMode::Authority | SimMode::Replay => false,
        SimMode::Predict => true,
    }
}

/// The seat whose player is predicted here; `None` where the whole world is simulated. Of all other seats a client does not
/// know the inputs: the game may guess them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Resource)]
pub struct OwnSeat(pub Option<Seat>);

/// A mode that a game offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Name, as in the queue: `2v2`.
    pub name: &'static str,
    /// Number of teams, at least 1.
    pub teams: u8,
    /// Seats of each team, at least 1.
    pub team_size: u8,
    /// Length of a match, s.
    pub duration_s: u32,
}

impl Mode {
    /// This mode at a tick rate, 5 to 128 Hz.
    pub fn at(self, tick_hz: u32) -> MatchMode {
        MatchMode {
            name: self.name.to_owned(),
            teams: self.teams,
            team_size: self.team_size,
            duration_s: self.duration_s,
            tick_hz,
        }
    }
}

/// The mode of the running match.
#[derive(Clone, Debug, PartialEq, Eq, Resource, Serialize, Deserialize)]
pub struct MatchMode {
    /// Name, as in the queue: `2v2`.
    pub name: String,
    /// Number of teams, at least 1.
    pub teams: u8,
    /// Seats of each team, at least 1.
    pub team_size: u8,
    /// Length of the match, s.
    pub duration_s: u32,
    /// Ticks per second, 5 to 128.
    pub tick_hz: u32,
}

impl MatchMode {
    /// Number of seats.
    pub fn seats(&self) -> usize {
        usize::from(self.teams) * usize::from(self.team_size)
    }

    /// Length of the match in ticks.
    pub fn duration_ticks(&self) -> u32 {
        self.duration_s.saturating_mul(self.tick_hz)
    }
}

/// The tick that is being simulated. [`Begin`](crate::Begin) runs at tick 0, the first step is tick 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Resource)]
pub struct SimTick(pub Tick);

/// The randomness of the simulation. Saved and hashed; never draw from anything else.
#[derive(Clone, Debug, PartialEq, Eq, Resource)]
pub struct SimRng(pub Rng);
