//! What a connection of a network thread hands to the owner of its session, within its rates.

use amphi_shared_session::{PipeId, RateLimit};
use amphi_shared_wire::limits::{BULK_CHUNK_BYTES_MAX, DATAGRAMS_PER_S_MAX, MESSAGES_BURST_MAX, MESSAGES_PER_S_MAX};
use amphi_shared_wire::{Code, LANE_BULK, Lane, Micros};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::counters::{Counters, Refused};
use crate::session::{PipeEvent, PipeEventKind};

/// The receiving half of an accepted connection; the network thread owns it.
pub(crate) struct Intake {
    pipe: PipeId,
    mailbox: mpsc::Sender<PipeEvent>,
    counters: Counters,
    /// None for a server that this process has dialled.
    rates: Option<Rates>,
    /// An event that found no room. While there is one, nothing is read from the connection.
    held: Option<PipeEvent>,
}

struct Rates {
    messages: RateLimit,
    datagrams: RateLimit,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The owner has it.
    Yes,
    /// The owner's mailbox is full: read no more, and call [`Intake::retry`] soon.
    Held,
}

impl Intake {
    /// A connection that a client made: it keeps to the rates.
    pub(crate) fn accepted(pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>, counters: Counters) -> Self {
        let rates = Rates {
            messages: RateLimit::new(MESSAGES_PER_S_MAX, MESSAGES_BURST_MAX),
            datagrams: RateLimit::new(DATAGRAMS_PER_S_MAX, DATAGRAMS_PER_S_MAX),
        };
        Self { pipe, mailbox, counters, rates: Some(rates), held: None }
    }

    /// A connection that this process made.
    pub(crate) fn dialled(pipe: PipeId, mailbox: mpsc::Sender<PipeEvent>, counters: Counters) -> Self {
        Self { pipe, mailbox, counters, rates: None, held: None }
    }

    /// A message of a reliable lane, only while nothing is held. An error is what the connection is closed with.
    pub(crate) fn frame(&mut self, now: Micros, lane: Lane, payload: Bytes) -> Result<Taken, Code> {
        debug_assert!(self.held.is_none(), "nothing is read while an event waits");
        if lane == LANE_BULK && payload.len() > BULK_CHUNK_BYTES_MAX {
            return Err(Code::FrameTooLarge);
        }
        self.nothing(now)?;
        self.held = Some(PipeEvent { pipe: self.pipe, at: now, kind: PipeEventKind::Frame { lane, payload } });
        self.retry()
    }

    /// The handshake of a connection that began with early data is over; only while nothing is held.
    pub(crate) fn confirmed(&mut self, now: Micros) -> Result<Taken, Code> {
        debug_assert!(self.held.is_none(), "nothing is read while an event waits");
        self.held = Some(PipeEvent { pipe: self.pipe, at: now, kind: PipeEventKind::Confirmed });
        self.retry()
    }

    /// A message that says nothing (a ping), which costs as much as one that does.
    pub(crate) fn nothing(&mut self, now: Micros) -> Result<(), Code> {
        let Some(rates) = &mut self.rates else {
            return Ok(());
        };
        rates.messages.check(now).map_err(|_| Code::RateLimited)
    }

    /// A datagram. What is too much is dropped and counted.
    pub(crate) fn datagram(&mut self, now: Micros, bytes: Bytes) {
        if self.is_too_much(now) {
            return;
        }
        let event = PipeEvent { pipe: self.pipe, at: now, kind: PipeEventKind::Datagram(bytes) };
        if self.mailbox.try_send(event).is_err() {
            self.counters.count(Refused::MailboxFull);
        }
    }

    /// A datagram on an ordered pipe, only while nothing is held. What is too much is dropped and counted; otherwise it
    /// waits for room as a message does: on such a pipe nothing but the rate loses one.
    pub(crate) fn datagram_in_order(&mut self, now: Micros, bytes: Bytes) -> Result<Taken, Code> {
        debug_assert!(self.held.is_none(), "nothing is read while an event waits");
        if self.is_too_much(now) {
            return Ok(Taken::Yes);
        }
        self.held = Some(PipeEvent { pipe: self.pipe, at: now, kind: PipeEventKind::Datagram(bytes) });
        self.retry()
    }

    /// Hands over what is held. An error: the node has ended.
    pub(crate) fn retry(&mut self) -> Result<Taken, Code> {
        let Some(event) = self.held.take() else {
            return Ok(Taken::Yes);
        };
        match self.mailbox.try_send(event) {
            Ok(()) => Ok(Taken::Yes),
            Err(TrySendError::Full(event)) => {
                self.held = Some(event);
                Ok(Taken::Held)
            }
            Err(TrySendError::Closed(_)) => Err(Code::Draining),
        }
    }

    /// Whether one more datagram is beyond the rate; counted when it is.
    fn is_too_much(&mut self, now: Micros) -> bool {
        let is_too_much = self.rates.as_mut().is_some_and(|rates| rates.datagrams.check(now).is_err());
        if is_too_much {
            self.counters.count(Refused::Datagrams);
        }
        is_too_much
    }

    /// Whether the owner's mailbox was full.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Puts the last event of the connection behind what is held; hand it over with [`Intake::retry`] until it is
    /// taken. What was held before is dropped: a resume brings it again.
    pub(crate) fn close(&mut self, now: Micros, code: Option<Code>) {
        self.held = Some(PipeEvent { pipe: self.pipe, at: now, kind: PipeEventKind::Closed(code) });
    }
}
