//! Connections as the nodes see them: a Hello to decide on, events in a mailbox, a handle to answer through.

mod broadcast;
mod incoming;
mod pipe;

pub use amphi_shared_session::{ClientHello, PipeId, PipeKind, Refusal};
pub use broadcast::Broadcast;
pub(crate) use incoming::{Decision, First, From, Probes};
pub use incoming::{Incoming, PipeEvent, PipeEventKind, Transport};
pub use pipe::{Overflow, PipeHandle};
