//! Connections as the nodes see them: a Hello to decide on, events in a mailbox, a handle to answer through.

mod incoming;
mod outbox;

pub use amphi_shared_session::{ClientHello, PipeId, PipeKind, Refusal};
pub(crate) use incoming::{Decision, From, Offer};
pub use incoming::{Incoming, PipeEvent, PipeEventKind, Transport};
pub(crate) use outbox::{Next, Outbox};
pub use outbox::{Overflow, PipeHandle};
