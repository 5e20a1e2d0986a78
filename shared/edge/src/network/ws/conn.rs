//! One WebSocket connection, from its upgrade to its end.

use std::io;
use std::sync::Arc;

use amphi_shared_session::{Refusal, answer_probe};
use amphi_shared_wire::limits::{
    FRAME_BYTES_MAX, HANDSHAKE_MS_MAX, HELLO_BYTES_MAX, IDLE_MS_MAX, SEND_QUEUE_AGE_MS_MAX, WS_PING_MS,
};
use amphi_shared_wire::{Code, LANE_CONTROL, LANE_DATAGRAM, LANE_TOPICS, Lane, Micros, decode_pipe_frame};
use bytes::Bytes;
use mio::event::Event;
use tokio::sync::OwnedSemaphorePermit;

use super::Greeting;
use super::codec::{Decoder, Message, Opcode, code_of_close, encode_close};
use super::queue::{Group, Queue, Written};
use super::socket::Socket;
use super::worker::Turn;
use crate::counters::{OpenConnection, Refused};
use crate::listener::{OVERLOADED_RETRY_MS, Place};
use crate::network::{Intake, Order, Outlet, Taken, code_of};
use crate::session::{Decision, First, From, Probes, Transport};

/// What waits gets this long to leave when a connection ends, and the client to hear it.
pub(super) const GRACE: Micros = Micros::from_secs(1);
const HANDSHAKE: Micros = Micros::from_millis(HANDSHAKE_MS_MAX);
const IDLE: Micros = Micros::from_millis(IDLE_MS_MAX);
const PING_AFTER: Micros = Micros::from_millis(WS_PING_MS);
const AGE_MAX: Micros = Micros::from_millis(SEND_QUEUE_AGE_MS_MAX);
/// Deadlines that need no precision are moved up to a multiple of this, so that connections share the wake-ups.
const COARSE: Micros = Micros::from_millis(500);
/// Reads of one connection before others get their turn.
const READS_MAX: usize = 4;

/// A connection and all that belongs to it.
pub(super) struct Conn {
    socket: Socket,
    outlet: Arc<Outlet>,
    decoder: Decoder,
    queue: Queue,
    stage: Stage,
    /// Messages are text, all of them on the lane of topics.
    text: bool,
    /// A read may find something.
    readable: bool,
    /// The client has written its last byte.
    read_closed: bool,
    /// The socket had no room at the last write.
    blocked: bool,
    /// Asked for a sign of life since something was heard.
    pinged: bool,
    /// Bytes that were read, and wait until they may be handled.
    backlog: Vec<u8>,
    heard: Micros,
    /// When the wheel will look at this connection; `u64::MAX` when it will not.
    pub(super) timer: Micros,
    /// It stands in the list of those to be written.
    pub(super) dirty: bool,
    /// It stands in the list of those to be read further.
    pub(super) again: bool,
}

enum Stage {
    /// Waits for the Hello.
    Greeting { until: Micros, from: Box<(From, Place)> },
    /// Waits for the node's decision.
    Deciding { until: Micros, transport: Transport, place: Place },
    /// Carries a session.
    Open(Box<Open>),
    /// Says its last, then waits for the client to hear it.
    Leaving { until: Micros, finished: bool },
    /// Has nothing left to do.
    Gone,
}

struct Open {
    intake: Intake,
    probes: Probes,
    _counted: OpenConnection,
    _place: OwnedSemaphorePermit,
}

/// Who a new connection is.
pub(super) struct Start {
    pub(super) from: From,
    pub(super) place: Place,
    pub(super) greeting: Greeting,
    /// Bytes that came with the upgrade.
    pub(super) early: Bytes,
}

impl Conn {
    pub(super) fn open(turn: &mut Turn<'_>, socket: Socket, outlet: Arc<Outlet>, start: Start) -> Self {
        let until = turn.now + HANDSHAKE;
        let Start { from, place, greeting, early } = start;
        let mut conn = Self {
            socket,
            outlet,
            decoder: Decoder::new(HELLO_BYTES_MAX + 1),
            queue: Queue::default(),
            stage: Stage::Gone,
            text: matches!(greeting, Greeting::Text(_)),
            readable: true,
            read_closed: false,
            blocked: false,
            pinged: false,
            backlog: early.into(),
            heard: turn.now,
            timer: Micros(u64::MAX),
            dirty: false,
            again: false,
        };
        match greeting {
            Greeting::Message => conn.stage = Stage::Greeting { until, from: Box::new((from, place)) },
            Greeting::Request(first) => conn.offer(turn, first, (from, place), until),
            Greeting::Text(hello) => {
                conn.decoder.set_bytes_max(FRAME_BYTES_MAX);
                conn.stage = Stage::Deciding { until, transport: from.transport, place };
                let first = First { hello: *hello, bytes: Bytes::new() };
                if let Err(refusal) = turn.shared.offer_first(first, from, Arc::clone(&conn.outlet)) {
                    conn.refuse(turn, refusal);
                }
            }
        }
        conn
    }

    /// Nothing more will happen: the socket can be closed.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// Its owner's mailbox was full.
    pub(super) fn is_held(&self) -> bool {
        matches!(&self.stage, Stage::Open(open) if open.intake.is_held())
    }

    /// There may be more to read, and it may be handled.
    pub(super) fn wants_read(&self) -> bool {
        (self.readable || !self.backlog.is_empty()) && self.takes_input()
    }

    /// There is something to write, and perhaps room for it.
    pub(super) fn wants_write(&self) -> bool {
        !self.blocked && (!self.queue.is_empty() || self.socket.wants_flush())
    }

    /// When [`Conn::handle_timeout`] has something to do.
    pub(super) fn deadline(&self) -> Micros {
        match &self.stage {
            Stage::Greeting { until, .. } | Stage::Deciding { until, .. } | Stage::Leaving { until, .. } => *until,
            Stage::Open(_) => {
                let silence = self.heard + if self.pinged { IDLE } else { PING_AFTER };
                let coarse = Micros(silence.0.next_multiple_of(COARSE.0));
                let oldest = if self.blocked { self.queue.oldest() } else { None };
                oldest.map_or(coarse, |oldest| coarse.min(oldest + AGE_MAX))
            }
            Stage::Gone => Micros(u64::MAX),
        }
    }

    /// The poll says that there is something to read, or room to write.
    pub(super) fn handle_ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_error();
        self.read_closed |= event.is_read_closed();
        self.blocked &= !event.is_writable();
    }

    pub(super) fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        match &self.stage {
            Stage::Greeting { until, .. } if *until <= now => {
                turn.shared.counters.count(Refused::HandshakeTimeout);
                self.refuse(turn, Code::HandshakeTimeout.into());
            }
            Stage::Deciding { until, .. } if *until <= now => self.refuse(turn, Code::Unavailable.into()),
            Stage::Leaving { until, .. } if *until <= now => self.stage = Stage::Gone,
            Stage::Open(_) => {
                if self.blocked && self.queue.oldest().is_some_and(|oldest| oldest + AGE_MAX <= now) {
                    turn.shared.counters.count(Refused::SlowReaderAge);
                    self.close(turn, Code::SlowReader, Code::SlowReader.help());
                } else if self.heard + IDLE <= now {
                    self.broken(turn, Code::Silent);
                } else if self.heard + PING_AFTER <= now && !self.pinged {
                    self.pinged = true;
                    self.queue.push_control(now, Opcode::Ping, Bytes::new());
                }
            }
            Stage::Greeting { .. } | Stage::Deciding { .. } | Stage::Leaving { .. } | Stage::Gone => {}
        }
    }

    pub(super) fn handle_order(&mut self, turn: &mut Turn<'_>, order: Order) {
        match order {
            Order::Frame(lane, payload) => self.send(turn.now, lane, payload),
            Order::Datagram(bytes) => {
                self.outlet.datagram_taken();
                let takes = matches!(self.stage, Stage::Open(_)) && !self.text;
                if takes && !self.queue.push_datagram(turn.now, bytes) {
                    turn.shared.counters.count(Refused::DatagramOut);
                }
            }
            Order::Close(code, message) => self.close(turn, code, &message),
            Order::Decide(decision) => self.decide(turn, decision),
        }
    }

    /// A message from the owner. On text there is nothing but topics.
    pub(super) fn send(&mut self, now: Micros, lane: Lane, payload: Bytes) {
        match &self.stage {
            Stage::Open(_) if !self.text => self.queue.push_frame(now, lane, payload),
            Stage::Open(_) if lane == LANE_TOPICS => self.queue.push_text(now, payload),
            Stage::Open(_) | Stage::Greeting { .. } | Stage::Deciding { .. } | Stage::Leaving { .. } | Stage::Gone => {
                self.outlet.frames_left(1, payload.len());
            }
        }
    }

    /// Messages for many connections. True: they have left, and nothing follows from it.
    pub(super) fn send_group(&mut self, now: Micros, group: &Group<'_>) -> bool {
        let is_clear = matches!(self.stage, Stage::Open(_)) && !self.blocked && self.queue.is_empty();
        if !is_clear || !self.socket.is_plain() {
            group.payloads().iter().for_each(|payload| self.send(now, group.lane(), payload.clone()));
            return false;
        }
        // What is not written, or cannot be, is found out by the next write.
        let written = group.write(&mut self.socket, &self.outlet).unwrap_or(0);
        if group.is_whole(written) {
            return true;
        }
        self.queue.push_rest(now, group, written, &self.outlet);
        false
    }

    /// Messages are text.
    pub(super) fn is_text(&self) -> bool {
        self.text
    }

    /// Reads what has arrived, as long as it may be handled and others need not wait for too long.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>, scratch: &mut [u8]) {
        self.retry(turn);
        if !self.backlog.is_empty() && self.takes_input() {
            let mut backlog = std::mem::take(&mut self.backlog);
            self.handle_input(turn, &mut backlog);
        }
        for _ in 0..READS_MAX {
            if !self.readable || !self.takes_input() || !self.backlog.is_empty() {
                return;
            }
            match self.socket.read(scratch) {
                Ok(0) => return self.lost(turn),
                Ok(bytes) => {
                    // The kernel tells again when more arrives (epoll(7), question 9), and so it does of the end.
                    self.readable = bytes == scratch.len() || !self.socket.reads_dry() || self.read_closed;
                    self.heard = turn.now;
                    self.pinged = false;
                    self.handle_input(turn, &mut scratch[..bytes]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => return self.lost(turn),
            }
        }
    }

    /// Writes what waits.
    pub(super) fn write(&mut self, turn: &mut Turn<'_>) {
        let waited = if self.blocked { self.queue.oldest() } else { None };
        match self.queue.write(&mut self.socket, &self.outlet) {
            Ok(Written::All) => {
                self.blocked = false;
                self.finish(turn.now);
            }
            Ok(Written::Blocked) => self.blocked = true,
            Err(_) => self.lost(turn),
        }
        if let Some(oldest) = waited.filter(|oldest| self.queue.oldest() != Some(*oldest)) {
            turn.waited(turn.now.since(oldest));
        }
    }

    /// Closes after what waits (at once with `SlowReader`). The first call counts.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>, code: Code, message: &str) {
        match self.stage {
            Stage::Greeting { .. } | Stage::Deciding { .. } => self.refuse(turn, Refusal::new(code, message)),
            Stage::Open(_) => {
                if code == Code::SlowReader {
                    self.queue.clear();
                }
                self.queue.push_control(turn.now, Opcode::Close, encode_close(code, message));
                self.leave(turn, Some(code));
            }
            Stage::Leaving { .. } | Stage::Gone => {}
        }
    }

    fn takes_input(&self) -> bool {
        match &self.stage {
            Stage::Greeting { .. } | Stage::Leaving { .. } => true,
            Stage::Open(open) => !open.intake.is_held(),
            Stage::Deciding { .. } | Stage::Gone => false,
        }
    }

    fn handle_input(&mut self, turn: &mut Turn<'_>, mut input: &mut [u8]) {
        while self.takes_input() && !matches!(self.stage, Stage::Leaving { .. }) {
            match self.decoder.next(&mut input) {
                Ok(Some(message)) => self.handle_message(turn, message),
                Ok(None) => return,
                Err(violation) => {
                    tracing::debug!(%violation, "a client broke the WebSocket protocol");
                    return self.broken(turn, violation.code());
                }
            }
        }
        // Who leaves has heard enough.
        if !matches!(self.stage, Stage::Leaving { .. } | Stage::Gone) {
            self.backlog = input.to_vec();
        }
    }

    fn handle_message(&mut self, turn: &mut Turn<'_>, message: Message) {
        match &message {
            Message::Close(code) => return self.closed_by_client(turn, *code),
            Message::Ping(payload) => self.queue.push_control(turn.now, Opcode::Pong, payload.clone()),
            Message::Text(_) | Message::Binary(_) | Message::Pong => {}
        }
        let result = match &mut self.stage {
            Stage::Greeting { .. } => return self.greet(turn, message),
            Stage::Open(open) => match message {
                Message::Binary(frame) if !self.text => match open.answer(turn.now, &frame) {
                    Some(answer) => {
                        self.outlet.hear(turn.now);
                        self.queue.push_answer(turn.now, answer);
                        open.intake.nothing(turn.now).map(|()| Taken::Yes)
                    }
                    None => take_frame(turn, &mut open.intake, frame),
                },
                Message::Text(payload) if self.text => open.intake.frame(turn.now, LANE_TOPICS, payload),
                Message::Binary(_) | Message::Text(_) => Err(Code::FrameInvalid),
                Message::Ping(_) | Message::Pong | Message::Close(_) => {
                    open.intake.nothing(turn.now).map(|()| Taken::Yes)
                }
            },
            Stage::Deciding { .. } | Stage::Leaving { .. } | Stage::Gone => return,
        };
        if let Err(code) = result {
            self.broken(turn, code);
        }
    }

    /// The first message, which must be a Hello on lane 0.
    fn greet(&mut self, turn: &mut Turn<'_>, message: Message) {
        let first = match message {
            Message::Binary(frame) => match decode_pipe_frame(frame) {
                Ok((LANE_CONTROL, first)) => first,
                Ok(_) | Err(_) => return self.broken(turn, Code::HandshakeInvalid),
            },
            Message::Text(_) => return self.broken(turn, Code::HandshakeInvalid),
            Message::Ping(_) | Message::Pong | Message::Close(_) => return,
        };
        let Stage::Greeting { until, from } = std::mem::replace(&mut self.stage, Stage::Gone) else {
            return;
        };
        self.offer(turn, Ok(first), *from, until.max(turn.now + HANDSHAKE));
    }

    /// Offers the Hello to the node, or says what is wrong with it.
    fn offer(&mut self, turn: &mut Turn<'_>, first: Result<Bytes, Code>, (from, place): (From, Place), until: Micros) {
        self.stage = Stage::Deciding { until, transport: from.transport, place };
        self.decoder.set_bytes_max(FRAME_BYTES_MAX + 1);
        let offered = match first {
            Ok(first) => turn.shared.offer(first, from, Arc::clone(&self.outlet)),
            Err(code) => return self.broken(turn, code),
        };
        if let Err(refusal) = offered {
            self.refuse(turn, refusal);
        }
    }

    fn decide(&mut self, turn: &mut Turn<'_>, decision: Decision) {
        let (pipe, mailbox, probes) = match decision {
            Decision::Accept { pipe, mailbox, probes } => (pipe, mailbox, probes),
            Decision::Refuse(refusal) => {
                if matches!(self.stage, Stage::Deciding { .. }) {
                    turn.shared.counters.count(Refused::ByNode);
                    self.refuse(turn, refusal);
                }
                return;
            }
        };
        let intake = Intake::accepted(pipe, mailbox, turn.shared.counters.clone());
        match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Deciding { transport, place, .. } => {
                let counted = turn.shared.counters.open_connection(transport);
                self.stage = Stage::Open(Box::new(Open { intake, probes, _counted: counted, _place: place.settle() }));
            }
            // The connection ended while the node decided.
            other @ (Stage::Greeting { .. } | Stage::Open(_) | Stage::Leaving { .. } | Stage::Gone) => {
                self.stage = other;
                turn.end(intake, None);
            }
        }
    }

    /// Hands over what the owner's mailbox had no room for.
    fn retry(&mut self, turn: &mut Turn<'_>) {
        if let Stage::Open(open) = &mut self.stage
            && let Err(code) = open.intake.retry()
        {
            self.broken(turn, code);
        }
    }

    /// There will be no session: says why.
    fn refuse(&mut self, turn: &mut Turn<'_>, mut refusal: Refusal) {
        if refusal.code == Code::Overloaded && refusal.retry_after_ms == 0 {
            refusal.retry_after_ms = OVERLOADED_RETRY_MS;
        }
        if !self.text {
            self.queue.push_refusal(turn.now, refusal.encode());
        }
        let words = if self.text { refusal.message.as_str() } else { refusal.code.name() };
        self.queue.push_control(turn.now, Opcode::Close, encode_close(refusal.code, words));
        self.leave(turn, Some(refusal.code));
    }

    /// The client broke a rule.
    fn broken(&mut self, turn: &mut Turn<'_>, code: Code) {
        turn.shared.counters.count(Refused::of(code));
        match &self.stage {
            Stage::Greeting { .. } | Stage::Deciding { .. } => self.refuse(turn, code.into()),
            Stage::Open(_) | Stage::Leaving { .. } | Stage::Gone => self.close(turn, code, code.name()),
        }
    }

    /// The client said that it leaves.
    fn closed_by_client(&mut self, turn: &mut Turn<'_>, code: Option<u16>) {
        if matches!(self.stage, Stage::Greeting { .. }) {
            turn.shared.counters.count(Refused::Handshake);
        }
        let answer = code.map_or_else(Bytes::new, |code| code.to_be_bytes().to_vec().into());
        self.queue.clear();
        self.queue.push_control(turn.now, Opcode::Close, answer);
        self.leave(turn, code.and_then(code_of_close));
    }

    /// The connection broke.
    fn lost(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.stage, Stage::Greeting { .. }) {
            turn.shared.counters.count(Refused::Handshake);
        }
        self.leave(turn, None);
        self.stage = Stage::Gone;
    }

    /// Gives the owner its last event; what is queued may still leave.
    fn leave(&mut self, turn: &mut Turn<'_>, code: Option<Code>) {
        self.outlet.gone();
        self.backlog = Vec::new();
        let leaving = Stage::Leaving { until: turn.now + GRACE, finished: false };
        match std::mem::replace(&mut self.stage, leaving) {
            Stage::Open(open) => {
                let Open { intake, probes: _, _counted, _place } = *open;
                // Whoever hears of the end finds it counted.
                drop((_counted, _place));
                turn.end(intake, code);
            }
            other @ (Stage::Leaving { .. } | Stage::Gone) => self.stage = other,
            Stage::Greeting { .. } | Stage::Deciding { .. } => {}
        }
    }

    /// Everything has left: the client closes when it has read that.
    fn finish(&mut self, now: Micros) {
        if let Stage::Leaving { finished: finished @ false, until } = &mut self.stage {
            *finished = true;
            *until = now + GRACE;
            // The rest of what it sends is read and dropped, or the kernel would drop what we said instead.
            if self.socket.finish().is_err() {
                self.stage = Stage::Gone;
            }
        }
    }
}

impl Open {
    /// The answer to a clock probe, when it is not for the owner.
    fn answer(&self, now: Micros, frame: &[u8]) -> Option<Bytes> {
        match (self.probes, frame) {
            (Probes::Thread, [LANE_CONTROL, message @ ..]) => answer_probe(now, message),
            (Probes::Thread | Probes::Owner, _) => None,
        }
    }
}

fn take_frame(turn: &Turn<'_>, intake: &mut Intake, frame: Bytes) -> Result<Taken, Code> {
    let (lane, payload) = decode_pipe_frame(frame).map_err(code_of)?;
    match lane {
        LANE_DATAGRAM => intake.datagram_in_order(turn.now, payload),
        _ => intake.frame(turn.now, lane, payload),
    }
}
