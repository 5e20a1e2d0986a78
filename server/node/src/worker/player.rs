//! One person in a room: a session, the connections that carry it, and a seat.

use std::collections::BTreeMap;

use amphi_shared_edge::session::{Incoming, PipeEvent, PipeEventKind, PipeHandle, PipeId};
use amphi_shared_session::{Config, Event, Output, PipeInfo, Refusal, SendError, ServerParams, Session};
use amphi_shared_wire::{Code, LANE_BULK, Lane, Micros, TickClock, UserId};
use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::Span;

/// A session with its connections.
pub(super) struct Player {
    session: Session,
    pub(super) user: UserId,
    /// The seat it plays; none when someone else has taken over.
    pub(super) seat: Option<u8>,
    pipes: BTreeMap<PipeId, PipeHandle>,
    /// From the join to the end, in the trace that led here.
    pub(super) span: Span,
    /// Connections closed since the last count because their reader was too slow.
    slow_readers: u64,
}

impl Player {
    /// Accepts a connection as a new session.
    pub(super) fn accept(
        now: Micros,
        params: ServerParams,
        incoming: Incoming,
        (pipe, mailbox): (PipeId, &mpsc::Sender<PipeEvent>),
        (user, seat, span): (UserId, u8, Span),
    ) -> Self {
        let session = Session::accept(now, Config::default(), params, &incoming.hello, info(&incoming, pipe));
        let pipes = BTreeMap::from([(pipe, incoming.accept(pipe, mailbox.clone()))]);
        Self { session, user, seat: Some(seat), pipes, span, slow_readers: 0 }
    }

    /// Goes on over another connection, or refuses it.
    pub(super) fn resume(
        &mut self,
        now: Micros,
        incoming: Incoming,
        (pipe, mailbox): (PipeId, &mpsc::Sender<PipeEvent>),
    ) -> Result<(), Refusal> {
        match self.session.attach(now, &incoming.hello, info(&incoming, pipe)) {
            Ok(()) => {
                self.pipes.insert(pipe, incoming.accept(pipe, mailbox.clone()));
                Ok(())
            }
            Err(refusal) => {
                incoming.refuse(refusal.clone());
                Err(refusal)
            }
        }
    }

    /// What arrived, at the moment it arrived; it is read `now`.
    pub(super) fn handle_event(&mut self, now: Micros, event: PipeEvent) {
        let PipeEvent { pipe, at, kind } = event;
        self.session.handle_reading(now);
        match kind {
            PipeEventKind::Frame { lane, payload } => self.session.handle_frame(at, pipe, lane, payload),
            PipeEventKind::Datagram(bytes) => self.session.handle_datagram(at, pipe, bytes),
            PipeEventKind::Confirmed => self.session.handle_pipe_confirmed(at, pipe),
            PipeEventKind::Closed(code) => {
                self.pipes.remove(&pipe);
                self.session.handle_pipe_closed(at, pipe, code);
            }
        }
    }

    /// The room's ticks start at other moments.
    pub(super) fn set_tick_clock(&mut self, tick: TickClock) {
        self.session.set_tick_clock(tick);
    }

    pub(super) fn handle_timeout(&mut self, now: Micros) {
        if self.session.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.session.handle_timeout(now);
        }
    }

    /// Sends a part of the world; false when the lane is full for now.
    pub(super) fn send_part(&mut self, now: Micros, payload: Bytes) -> bool {
        self.session.send(now, LANE_BULK, payload).is_ok()
    }

    /// A message on a reliable lane. A client that acknowledges too little loses its connection and what waits on the
    /// lane, never its seat: the next attach begins with everything it must know.
    pub(super) fn send(&mut self, now: Micros, lane: Lane, payload: Bytes) {
        let mut sent = self.session.send(now, lane, payload.clone());
        if sent == Err(SendError::Full) {
            self.session.leave_slow_reader(now);
            self.session.give_up(lane, Code::SlowReader);
            sent = self.session.send(now, lane, payload);
        }
        match sent {
            Ok(_) | Err(SendError::Closed) => {}
            // Only while another path is being tried, or when other lanes hold it all.
            Err(SendError::Full) => self.session.close(now, Code::SlowReader, "too much was not acknowledged"),
            Err(error @ (SendError::Lane | SendError::TooLarge)) => {
                tracing::error!(%error, lane, "a room sent what cannot be sent");
            }
        }
    }

    /// A datagram on a lane; its number, when it left.
    pub(super) fn send_datagram(&mut self, now: Micros, lane: Lane, payload: Bytes) -> Option<u16> {
        self.session.send_datagram(now, lane, payload)
    }

    /// Bytes of payload that the next datagram may have, as of now. 0 when nobody is there to read it, or when an
    /// earlier one still waits for congestion control: what would only wait behind it is not encoded, the next tick
    /// knows better.
    pub(super) fn datagram_room(&mut self) -> usize {
        let Some(pipe) = self.session.pipe().map(|pipe| pipe.id) else { return 0 };
        let Some(handle) = self.pipes.get(&pipe).filter(|handle| !handle.is_congested()) else { return 0 };
        self.session.handle_datagram_size(pipe, handle.max_datagram());
        self.session.datagram_room()
    }

    /// True once the client has read its Welcome.
    pub(super) fn is_heard(&self) -> bool {
        self.session.is_heard()
    }

    pub(super) fn take_slow_readers(&mut self) -> u64 {
        std::mem::take(&mut self.slow_readers)
    }

    pub(super) fn close(&mut self, now: Micros, code: Code, message: &str) {
        self.session.close(now, code, message);
    }

    /// Hands bytes to the connections; gives back the events for the room.
    pub(super) fn flush(&mut self, now: Micros) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Frame { pipe, lane, payload } => self.write(now, pipe, lane, payload),
                Output::Datagram { pipe, bytes } => {
                    if let Some(handle) = self.pipes.get(&pipe) {
                        handle.datagram(bytes);
                    }
                }
                Output::ClosePipe { pipe, code, message } => {
                    self.slow_readers += u64::from(code == Code::SlowReader);
                    if let Some(handle) = self.pipes.remove(&pipe) {
                        handle.close(code, &message);
                    }
                }
                Output::Event(event) => events.push(event),
            }
        }
        events
    }

    fn write(&mut self, now: Micros, pipe: PipeId, lane: Lane, payload: Bytes) {
        let overflow = self.pipes.get(&pipe).is_some_and(|handle| handle.frame(lane, payload).is_err());
        if overflow && let Some(handle) = self.pipes.remove(&pipe) {
            handle.close(Code::SlowReader, Code::SlowReader.help());
            self.slow_readers += 1;
            self.session.handle_pipe_closed(now, pipe, Some(Code::SlowReader));
        }
    }
}

fn info(incoming: &Incoming, pipe: PipeId) -> PipeInfo {
    PipeInfo { id: pipe, kind: incoming.kind, max_datagram: incoming.max_datagram, early: incoming.early }
}
