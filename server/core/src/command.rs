//! Everything that may enter a room.

use serde::{Deserialize, Serialize};

/// Everything that may enter a room, in the order in which it entered. Appended to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RoomCommand {
    /// A person takes a seat from its bot.
    Join {
        /// Number of the seat.
        seat: u8,
        /// User id as text.
        user: String,
        /// Display name: data, never markup.
        name: String,
    },
    /// A person gives a seat back to its bot.
    Leave {
        /// Number of the seat.
        seat: u8,
    },
    /// A person's connection came or went; the seat stays theirs.
    Presence {
        /// Number of the seat.
        seat: u8,
        /// Whether there is a connection.
        connected: bool,
    },
    /// What a person wants in the tick of the record.
    Input {
        /// Number of the seat.
        seat: u8,
        /// The input, sanitised, as the game writes it.
        bytes: Vec<u8>,
    },
    /// What a person asks of the game.
    Request {
        /// Number of the seat.
        seat: u8,
        /// The room's number for it.
        id: u32,
        /// Kind in the schema, from 1.
        kind: u32,
        /// Its body, checked.
        body: Vec<u8>,
    },
    /// The match is ended from outside.
    End {
        /// `drained`, for example.
        outcome: String,
    },
}
