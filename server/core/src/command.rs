//! Everything that enters a room.

use amphi_shared_wire::limits::{INPUT_BYTES_MAX, NAME_CHARS_MAX};
use serde::{Deserialize, Serialize};

/// A change to a room. The list is closed: what is not here cannot change a world, and the journal holds it all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomCommand {
    /// A person takes the seat of a bot.
    Join {
        /// Number of the seat.
        seat: u8,
        /// User id as text.
        user: String,
        /// Display name.
        name: String,
    },
    /// A person leaves for good; a bot plays on.
    Leave {
        /// Number of the seat.
        seat: u8,
    },
    /// The session of a seated person attached (again), or lost its connection.
    Presence {
        /// Number of the seat.
        seat: u8,
        /// It attached.
        connected: bool,
    },
    /// What a seat wants in a tick; the bytes are the game's own.
    Input {
        /// Number of the seat.
        seat: u8,
        /// The tick to play it in.
        tick: u32,
        /// The encoded input.
        bytes: Vec<u8>,
    },
}

impl RoomCommand {
    /// The seat it is about.
    pub fn seat(&self) -> u8 {
        match self {
            Self::Join { seat, .. } | Self::Leave { seat } | Self::Presence { seat, .. } | Self::Input { seat, .. } => {
                *seat
            }
        }
    }

    /// Its parts are within their limits.
    pub(crate) fn is_bounded(&self) -> bool {
        match self {
            Self::Join { user, name, .. } => user.len() <= 64 && name.chars().count() <= NAME_CHARS_MAX,
            Self::Input { bytes, .. } => bytes.len() <= INPUT_BYTES_MAX,
            Self::Leave { .. } | Self::Presence { .. } => true,
        }
    }
}
