//! Network threads: each owns sockets and every connection on them, without a task, timer or lock per connection.
//!
//! Whoever owns a session reaches its connection through an [`Outlet`], which puts orders into the thread's
//! [`Mailbox`]; what arrives goes through the connection's [`Intake`] into the mailbox of the owner. A thread sleeps in
//! `poll` until a socket, its mailbox or its [`Wheel`] has something for it.

mod intake;
mod mailbox;
mod outlet;
pub(crate) mod quic;
mod tls;
mod wheel;
pub(crate) mod ws;

pub(crate) use intake::{Intake, Taken};
pub(crate) use mailbox::{Broadcast, ConnId, Job, Mailbox, Order};
pub(crate) use outlet::Outlet;
pub(crate) use tls::TlsState;
pub(crate) use wheel::Wheel;

use amphi_shared_wire::{Code, FrameError};

/// The code that a client hears for bytes that are no frame.
pub(crate) fn code_of(error: FrameError) -> Code {
    match error {
        FrameError::TooLarge => Code::FrameTooLarge,
        FrameError::Header => Code::FrameInvalid,
        FrameError::Lane(_) => Code::LaneInvalid,
    }
}
