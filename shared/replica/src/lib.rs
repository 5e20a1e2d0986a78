//! What a client and a server must both know of a world: registration, schema, quantised mirror, delta coding, inputs, state hash.
//!
//! A game is a Bevy [`Plugin`](bevy_app::Plugin) that says through [`ReplicaApp`] what of its world is sent, saved
//! and predicted, and adds systems to [`Begin`] and [`Simulate`]. [`Game`] builds it into a [`Sim`]: a world of its
//! own that steps tick by tick, the same way on a server, in a client's prediction and in a replay.

#![forbid(unsafe_code)]

// The derive macro names this crate by its path.
extern crate self as amphi_shared_replica;

pub mod blend;
mod board;
mod code_table;
mod coding;
mod curve;
mod event;
mod fit;
mod game;
mod history;
mod input;
mod interest;
mod message;
mod mirror;
mod mode;
mod nearby;
mod port;
mod reckon;
mod register;
mod replicate;
mod request;
mod row;
mod row_writer;
mod schema;
mod seat;
mod selection;
mod sim;
mod snapshot;
mod spawned;
mod state_hash;
mod touching;

pub use amphi_shared_replica_derive::{Input, Replicate};
pub use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};
pub use board::MatchBoard;
pub use coding::{Tables, TablesError, Trainer};
pub use curve::{Around, Curve, Sample};
pub use event::{GameEvent, GameEvents};
pub use fit::{Misfit, SchemaFit};
pub use game::{Game, GameError};
pub use history::History;
pub use input::{Input, InputError, InputField, InputPort, Inputs, Late, encode_inputs, encode_inputs_with};
pub use interest::Interest;
pub use message::{MessageError, decode_message, encode_message};
pub use mirror::Mirror;
pub use mode::{MatchMode, Mode, OwnSeat, SimMode, SimRng, SimTick, authority, predicting};
pub use nearby::Nearby;
pub use reckon::{Reckon, Reckoning};
pub use register::{Begin, ReplicaApp, Simulate};
pub use replicate::{Field, FieldKind, Lerp, Replicate};
pub use request::{Asked, Done, Request, RequestPort, Requests};
pub use row::Row;
pub use row_writer::RowWriter;
pub use schema::{ComponentSchema, EventSchema, InputSchema, RequestSchema, Schema, SchemaError};
pub use seat::{NetId, Seat, SeatState, Seats};
pub use selection::{Importance, Reach, SeenBy, VisibleTo};
pub use sim::Sim;
pub use snapshot::{
    Measured, Recipient, Snapshot, SnapshotDecoder, SnapshotEncoder, SnapshotError, SnapshotHeader, TRAINED_SET,
    ViewDecoder, ViewEncoder,
};
pub use spawned::{SpawnFor, SpawnedFor};
pub use state_hash::StateHasher;
pub use touching::Touching;
