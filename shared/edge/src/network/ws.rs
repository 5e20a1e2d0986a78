//! WebSocket: one thread owns the upgraded sockets of a listener, with their TLS state.
//!
//! hyper answers the upgrade; then the socket leaves it and comes here. An idle connection is one [`conn::Conn`]: it has
//! no buffer, no timer of its own and no task. Reads go through one buffer of the thread; what is written leaves once per
//! turn, all messages of a connection in one vectored write, with the payloads by reference.

mod codec;
mod conn;
mod queue;
mod slots;
mod socket;
mod worker;

use std::io;
use std::sync::Arc;

use amphi_shared_session::ClientHello;
use amphi_shared_wire::Code;
use bytes::Bytes;
use mio::{Poll, Token};
use tokio::sync::oneshot;

use super::{Job, Mailbox, TlsState};
use crate::listener::{Place, Shared};
use crate::session::From;
pub use codec::fuzz;
use worker::Worker;

/// The mailbox's token; connections have the numbers of their slots.
const WAKER: Token = Token(usize::MAX);

/// A connection that HTTP has answered with 101.
pub(crate) struct Upgraded {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) tls: Option<Box<TlsState>>,
    /// Bytes that HTTP has read behind the request.
    pub(crate) early: Bytes,
    pub(crate) from: From,
    pub(crate) place: Place,
    pub(crate) greeting: Greeting,
}

/// Where the Hello of a connection is.
pub(crate) enum Greeting {
    /// It comes as the first message.
    Message,
    /// The request held it: the payload of lane 0, or what is wrong with it.
    Request(Result<Bytes, Code>),
    /// A client of text messages says none; this is what its request said in place of it.
    Text(Box<ClientHello>),
}

/// The way to the thread. Dropping it ends the thread.
pub(crate) struct WsThread {
    mailbox: Arc<Mailbox>,
    /// Resolves when the thread has ended.
    ended: oneshot::Receiver<()>,
}

impl WsThread {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(poll.registry(), WAKER)?);
        let worker = Worker::new(poll, Arc::clone(&mailbox), shared);
        let (end, ended) = oneshot::channel::<()>();
        let run = move || {
            if let Err(error) = worker.run() {
                tracing::error!(%error, "the WebSocket thread has ended");
            }
            drop(end);
        };
        std::thread::Builder::new().name("websocket".to_owned()).spawn(run)?;
        Ok(Self { mailbox, ended })
    }

    /// The thread's mailbox, for those who upgrade connections.
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }

    /// Closes every connection with `Draining`; the thread ends when the clients have heard it, or a second later.
    pub(crate) fn shutdown(&self) {
        self.mailbox.push(Job::Shutdown);
    }

    /// Returns when the thread has ended.
    pub(crate) async fn ended(&mut self) {
        // The sender is never used: it is dropped at the end.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for WsThread {
    fn drop(&mut self) {
        self.shutdown();
    }
}
