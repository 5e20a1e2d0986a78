//! Who plays: seats of a match, and the ids that tie entities to seats and to the wire.

use bevy_ecs::prelude::{Component, Resource};
use serde::{Deserialize, Serialize};

use crate::Replicate;

/// The entity a seat controls. The engine maps inputs and ownership by it.
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Replicate)]
pub struct Seat(#[replica(lerp = "step")] pub u8);

/// Number of an entity on the wire. The engine assigns it in the tick that spawns the entity; it is never used twice.
///
/// What a client predicts of its own spawns has a number of the client until the server has named it, see
/// [`is_provisional`](Self::is_provisional).
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetId(pub u32);

impl NetId {
    /// The bit that no number of a server has.
    const PROVISIONAL: u32 = 1 << 31;

    /// A number of the client's own, of the 31 lower bits of `number`.
    pub fn provisional(number: u32) -> Self {
        Self(Self::PROVISIONAL | number)
    }

    /// A client gave this number to what it predicts; it means nothing to the server.
    pub fn is_provisional(self) -> bool {
        self.0 & Self::PROVISIONAL != 0
    }
}

/// Who sits on a seat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatState {
    /// Team, from 0.
    pub team: u8,
    /// A bot plays: a system of the game writes its inputs.
    pub bot: bool,
    /// A person plays and is connected.
    pub connected: bool,
    /// Display name.
    pub name: String,
    /// User id as text; empty for a bot.
    pub user: String,
}

/// The seats of the match, by number. The engine writes it between ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Resource, Serialize, Deserialize)]
pub struct Seats(pub Vec<SeatState>);

impl Seats {
    /// The seat with this number, if there is one.
    pub fn get(&self, seat: Seat) -> Option<&SeatState> {
        self.0.get(usize::from(seat.0))
    }

    /// Seats with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Seat, &SeatState)> {
        self.0.iter().enumerate().map(|(i, state)| (Seat(i as u8), state))
    }
}
