//! Modelled coding of components: predict, estimate the error, write the error in a prefix code trained for its size.
//!
//! Everything here is integer arithmetic on numbers below 2⁵³, so that a client in any language finds the same
//! predictions. `docs/decisions/0014-state-coding.md` says why it is built this way, `docs/wire.md` what is on the wire.

mod channel;
mod component;
mod estimate;
mod past;
mod prefix;
mod tables;
mod train;
mod turn;

pub use tables::{Tables, TablesError};
pub use train::Trainer;

pub(crate) use component::{read_component, write_component};
pub(crate) use past::{DEPTH_MAX, Past};

#[cfg(test)]
mod tests;
