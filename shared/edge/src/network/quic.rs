//! The QUIC network thread: one UDP socket, and every QUIC and WebTransport connection on it.
//!
//! A round reads what has arrived (bounded), takes all orders out of the mailbox, fires timers, and then drives each
//! connection that something has happened to exactly once ([`Connection::drive`](connection::Connection::drive)). So
//! the snapshots of a tick, acknowledgements and answers leave together.

mod certificates;
mod config;
mod connection;
mod dial;
mod http3;
mod lanes;
mod pace;
mod socket;
mod thread;
mod tls;

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use quinn_proto::ServerConfig;
use tokio::sync::oneshot;

pub(crate) use certificates::Certificates;
pub(crate) use config::{ALPN_H3, client as client_config, server as server_config};
pub(crate) use dial::Dial;

use super::{Job, Mailbox};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::listener::Shared;
use thread::Thread;

/// Which end of its connections a thread is.
pub(crate) enum Side {
    /// A listener's.
    Server(Arc<Shared>, ServerConfig),
    /// A dialler's.
    Client(Counters),
}

/// The way to a QUIC network thread. Dropping it ends the thread.
pub(crate) struct QuicThread {
    mailbox: Arc<Mailbox>,
    /// Resolves when the thread has ended.
    ended: oneshot::Receiver<()>,
}

impl QuicThread {
    /// Starts a thread on a bound socket.
    pub(crate) fn start(clock: Clock, socket: UdpSocket, side: Side) -> io::Result<Self> {
        let (thread, mailbox) = Thread::new(clock, socket, side)?;
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("quic".to_owned()).spawn(move || {
            thread.run();
            drop(end);
        })?;
        Ok(Self { mailbox, ended })
    }

    /// Makes a connection.
    pub(crate) fn dial(&self, dial: Dial) {
        self.mailbox.push(Job::Dial(Box::new(dial)));
    }

    /// Closes every connection with `Draining`; the thread ends when they are gone, or two seconds later.
    pub(crate) fn shutdown(&self) {
        self.mailbox.push(Job::Shutdown);
    }

    /// Returns when the thread has ended.
    pub(crate) async fn ended(&mut self) {
        // The sender is never used: it is dropped at the end.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for QuicThread {
    fn drop(&mut self) {
        self.shutdown();
    }
}
