//! What a connection hands to its owner, within its rates.

use std::sync::{Mutex, PoisonError};

use amphi_shared_session::{PipeId, RateLimit};
use amphi_shared_wire::limits::{BULK_CHUNK_BYTES_MAX, DATAGRAMS_PER_S_MAX, MESSAGES_PER_S_MAX};
use amphi_shared_wire::{Code, FrameError, LANE_BULK, Lane};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::clock::Clock;
use crate::counters::{Counters, OpenConnection, Refused};
use crate::session::{PipeEvent, PipeEventKind};

/// The receiving half of a connection.
pub(crate) struct Inbound {
    clock: Clock,
    counters: Counters,
    pipe: PipeId,
    mailbox: mpsc::Sender<PipeEvent>,
    /// None for a server that this process has dialled.
    rates: Option<Mutex<Rates>>,
    _counted: Option<(OpenConnection, OwnedSemaphorePermit)>,
}

struct Rates {
    messages: RateLimit,
    datagrams: RateLimit,
}

/// How a connection ended.
pub(crate) enum End {
    /// The client closed it, or it broke.
    ByPeer(Option<Code>),
    /// Its owner closed it.
    ByOwner(Code, String),
    /// The client broke a rule.
    Broken(Code),
}

impl Inbound {
    /// A connection that a client made: it keeps to the rates.
    pub(crate) fn accepted(
        (clock, counters): (Clock, Counters),
        (pipe, mailbox): (PipeId, mpsc::Sender<PipeEvent>),
        counted: (OpenConnection, OwnedSemaphorePermit),
    ) -> Self {
        let rates = Rates {
            messages: RateLimit::new(MESSAGES_PER_S_MAX, MESSAGES_PER_S_MAX),
            datagrams: RateLimit::new(DATAGRAMS_PER_S_MAX, DATAGRAMS_PER_S_MAX),
        };
        Self { clock, counters, pipe, mailbox, rates: Some(Mutex::new(rates)), _counted: Some(counted) }
    }

    /// A connection that this process made.
    pub(crate) fn dialled(
        (clock, counters): (Clock, Counters),
        (pipe, mailbox): (PipeId, mpsc::Sender<PipeEvent>),
    ) -> Self {
        Self { clock, counters, pipe, mailbox, rates: None, _counted: None }
    }

    /// A message of a reliable lane. Waits for room in the mailbox, and the client with it.
    pub(crate) async fn frame(&self, lane: Lane, payload: Bytes) -> Result<(), Code> {
        if lane == LANE_BULK && payload.len() > BULK_CHUNK_BYTES_MAX {
            return Err(Code::FrameTooLarge);
        }
        self.nothing()?;
        let event = self.event(PipeEventKind::Frame { lane, payload });
        // A mailbox without a reader belongs to a node that has ended.
        self.mailbox.send(event).await.map_err(|_| Code::Draining)
    }

    /// A message that says nothing (a ping), which costs as much as one that does.
    pub(crate) fn nothing(&self) -> Result<(), Code> {
        self.check(|rates| &mut rates.messages).map_err(|()| Code::RateLimited)
    }

    /// A datagram. Never waits: what is too much is dropped and counted.
    pub(crate) fn datagram(&self, bytes: Bytes) {
        if self.check(|rates| &mut rates.datagrams).is_err() {
            self.counters.count(Refused::Datagrams);
            return;
        }
        if self.mailbox.try_send(self.event(PipeEventKind::Datagram(bytes))).is_err() {
            self.counters.count(Refused::MailboxFull);
        }
    }

    /// The last event of the connection. No other may follow.
    pub(crate) async fn closed(&self, end: &End) {
        let code = match end {
            End::ByPeer(code) => *code,
            End::ByOwner(code, _) => Some(*code),
            End::Broken(code) => {
                self.counters.count(Refused::of(*code));
                tracing::debug!(pipe = self.pipe.0, %code, "a client broke a rule");
                Some(*code)
            }
        };
        // Without a reader nobody needs to know.
        let _ = self.mailbox.send(self.event(PipeEventKind::Closed(code))).await;
    }

    fn event(&self, kind: PipeEventKind) -> PipeEvent {
        PipeEvent { pipe: self.pipe, at: self.clock.now(), kind }
    }

    fn check(&self, rate: impl FnOnce(&mut Rates) -> &mut RateLimit) -> Result<(), ()> {
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        // Nothing panics while it holds the lock, so a poisoned one is still whole.
        let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
        rate(&mut rates).check(self.clock.now()).map_err(|_| ())
    }
}

/// The code that a client hears for bytes that are no frame.
pub(crate) fn code_of(error: FrameError) -> Code {
    match error {
        FrameError::TooLarge => Code::FrameTooLarge,
        FrameError::Header => Code::FrameInvalid,
        FrameError::Lane(_) => Code::LaneInvalid,
    }
}
