//! What an accepted connection hands to its owner, within its rates.

use std::sync::{Arc, Mutex, PoisonError};

use amphi_shared_session::{PipeId, RateLimit};
use amphi_shared_wire::limits::{BULK_CHUNK_BYTES_MAX, DATAGRAMS_PER_S_MAX, MESSAGES_PER_S_MAX};
use amphi_shared_wire::{Code, LANE_BULK, Lane};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::admission::{Shared, kind_of};
use crate::counters::{OpenConnection, Refused};
use crate::session::{PipeEvent, PipeEventKind};

/// The receiving half of an accepted connection.
pub(super) struct Inbound {
    shared: Arc<Shared>,
    pipe: PipeId,
    mailbox: mpsc::Sender<PipeEvent>,
    rates: Mutex<Rates>,
    _counted: (OpenConnection, OwnedSemaphorePermit),
}

struct Rates {
    messages: RateLimit,
    datagrams: RateLimit,
}

/// How a connection ended.
pub(super) enum End {
    /// The client closed it, or it broke.
    ByPeer(Option<Code>),
    /// Its owner closed it.
    ByOwner(Code, String),
    /// The client broke a rule.
    Broken(Code),
}

impl Inbound {
    pub(super) fn new(
        shared: Arc<Shared>,
        pipe: PipeId,
        mailbox: mpsc::Sender<PipeEvent>,
        counted: (OpenConnection, OwnedSemaphorePermit),
    ) -> Self {
        let rates = Rates {
            messages: RateLimit::new(MESSAGES_PER_S_MAX, MESSAGES_PER_S_MAX),
            datagrams: RateLimit::new(DATAGRAMS_PER_S_MAX, DATAGRAMS_PER_S_MAX),
        };
        Self { shared, pipe, mailbox, rates: Mutex::new(rates), _counted: counted }
    }

    /// A message of a reliable lane. Waits for room in the mailbox, and the client with it.
    pub(super) async fn frame(&self, lane: Lane, payload: Bytes) -> Result<(), Code> {
        if lane == LANE_BULK && payload.len() > BULK_CHUNK_BYTES_MAX {
            return Err(Code::FrameTooLarge);
        }
        self.nothing()?;
        let event = self.event(PipeEventKind::Frame { lane, payload });
        // A mailbox without a reader belongs to a node that has ended.
        self.mailbox.send(event).await.map_err(|_| Code::Draining)
    }

    /// A message that says nothing (a ping), which costs as much as one that does.
    pub(super) fn nothing(&self) -> Result<(), Code> {
        self.check(|rates| &mut rates.messages).map_err(|()| Code::RateLimited)
    }

    /// A datagram. Never waits: what is too much is dropped and counted.
    pub(super) fn datagram(&self, bytes: Bytes) {
        if self.check(|rates| &mut rates.datagrams).is_err() {
            self.shared.counters.count(Refused::Datagrams);
            return;
        }
        if self.mailbox.try_send(self.event(PipeEventKind::Datagram(bytes))).is_err() {
            self.shared.counters.count(Refused::MailboxFull);
        }
    }

    /// The last event of the connection. No other may follow.
    pub(super) async fn closed(&self, end: &End) {
        let code = match end {
            End::ByPeer(code) => *code,
            End::ByOwner(code, _) => Some(*code),
            End::Broken(code) => {
                self.shared.counters.count(kind_of(*code));
                tracing::debug!(pipe = self.pipe.0, %code, "a client broke a rule");
                Some(*code)
            }
        };
        // Without a reader nobody needs to know.
        let _ = self.mailbox.send(self.event(PipeEventKind::Closed(code))).await;
    }

    fn event(&self, kind: PipeEventKind) -> PipeEvent {
        PipeEvent { pipe: self.pipe, at: self.shared.clock.now(), kind }
    }

    fn check(&self, rate: impl FnOnce(&mut Rates) -> &mut RateLimit) -> Result<(), ()> {
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rate(&mut rates).check(self.shared.clock.now()).map_err(|_| ())
    }
}
