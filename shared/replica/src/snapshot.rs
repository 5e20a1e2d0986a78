//! Snapshots and views: the rows of a mirror as bits, there and back. `docs/wire.md` describes the layout.

mod bodies;
mod body;
mod cells;
mod decoder;
mod encoder;
mod entities;
mod header;
mod history;
mod ids;
mod measured;
mod recipient;
mod scope;
mod view;

pub(crate) use body::expected;
pub use decoder::{Snapshot, SnapshotDecoder, SnapshotError};
pub use encoder::{SnapshotEncoder, TRAINED_SET};
pub use header::SnapshotHeader;
pub(crate) use history::{History, Rows};
pub use measured::Measured;
pub use recipient::Recipient;
pub use view::{ViewDecoder, ViewEncoder};

#[cfg(test)]
mod tests;
