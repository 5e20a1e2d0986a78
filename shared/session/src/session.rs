//! The engine: one side of a session.

mod attach;
mod datagrams;
mod dial;
mod early;
mod link;
mod timer;

use std::sync::Arc;

use amphi_shared_wire::limits::{BULK_CHUNK_BYTES_MAX, FRAME_BYTES_MAX};
use amphi_shared_wire::{Code, LANE_BULK, LANE_CONTROL, Lane, LaneKind, Micros, SessionId, TickClock};
use bytes::{BufMut, Bytes, BytesMut};

use crate::datagram::Datagrams;
use crate::handshake::KIND_CONTROL;
use crate::lane::{Lanes, Loss, resumable_lanes};
use crate::output::Outputs;
use crate::rtt::Rtt;
use crate::{Clock, Config, ConnectRequest, Event, Output, PipeId, PipeInfo, ResumeRequest, Saved, SendError, Stats};
use dial::Dialing;
use early::Early;
use timer::Probes;

/// One side of a session, over any number of pipes.
///
/// Call one method that takes `now`, drain [`Session::poll_output`] to the end, and repeat; call
/// [`Session::handle_timeout`] when [`Session::poll_timeout`] says so. `now` never goes back.
///
/// Most sessions of a node are home sessions at rest: what only a match session, a client or a moment needs is
/// allocated when it is needed, and `tests/it/memory.rs` holds the sum.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    role: Role,
    identity: Option<Identity>,
    /// Newest attach (server) or dial (client).
    generation: u32,
    /// Generation of the attach in use.
    welcomed: u32,
    capabilities: Box<[String]>,
    /// Match sessions.
    tick: Option<Box<TickClock>>,
    resume_window: Micros,
    life: Life,
    attached: Option<Attached>,
    dialing: Option<Box<Dialing>>,
    /// Server: attaches that become binding when their pipe is confirmed.
    early: Vec<Early>,
    detached_since: Option<Micros>,
    lanes: Lanes,
    unacked: Unacked,
    /// From the first datagram on.
    datagrams: Option<Box<Datagrams>>,
    rtt: Rtt,
    clock: Clock,
    probes: Probes,
    /// When its owner last came to read: at or after what has arrived until then.
    read_at: Micros,
    outputs: Outputs,
    stats: Stats,
}

#[derive(Debug)]
enum Role {
    Server { clock_id: u64, capabilities: Box<[String]> },
    Client(Box<ConnectRequest>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    session: SessionId,
    secret: [u8; 16],
}

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    code: Code,
    message: String,
    /// When the other side may come back, ms; 0 says nothing about it.
    retry_after_ms: u32,
    /// When the pipe is closed whatever happens.
    until: Micros,
    /// Of a Close that the peer said: what it has sent per lane.
    sent: Vec<(Lane, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// We said Close and wait for the peer to close the pipe.
    Closing(Box<End>),
    /// The peer said Close and its last messages are still on their way.
    Ending(Box<End>),
    Closed,
}

/// The pipe that carries the session.
#[derive(Clone, Copy, Debug)]
struct Attached {
    pipe: PipeInfo,
    since: Micros,
    heard: Micros,
    /// Its silence is told again from this moment on.
    silence_again: Micros,
}

/// Received messages that the peer does not know to be received.
#[derive(Clone, Copy, Debug, Default)]
struct Unacked {
    messages: u32,
    bytes: u32,
    due: Option<Micros>,
}

impl Session {
    fn new(config: Arc<Config>, role: Role) -> Self {
        Self {
            resume_window: config.resume_window,
            config,
            role,
            identity: None,
            generation: 0,
            welcomed: 0,
            capabilities: Box::default(),
            tick: None,
            life: Life::Open,
            attached: None,
            dialing: None,
            early: Vec::new(),
            detached_since: None,
            lanes: Lanes::default(),
            unacked: Unacked::default(),
            datagrams: None,
            rtt: Rtt::default(),
            clock: Clock::default(),
            probes: Probes::default(),
            read_at: Micros(0),
            outputs: Outputs::default(),
            stats: Stats::default(),
        }
    }

    /// Says that what is taken from here on is read at `now`, for owners that read later than things arrive: a clock
    /// probe is answered with both moments, so that the time between them counts as nobody's way.
    pub fn handle_reading(&mut self, now: Micros) {
        self.read_at = now;
    }

    /// Takes a message of a reliable lane.
    pub fn handle_frame(&mut self, now: Micros, pipe: PipeId, lane: Lane, payload: Bytes) {
        if self.life == Life::Closed {
            return;
        }
        self.stats.frames_in += 1;
        self.stats.frame_bytes_in += payload.len() as u64;
        if self.dialing.as_ref().is_some_and(|d| d.pipe.id == pipe) {
            self.handle_early(now, lane, payload);
        } else if self.hear(now, pipe) {
            self.confirm_losses();
            self.take_frame(now, lane, payload);
        } else if let Some(at) = self.early.iter().position(|early| early.pipe.id == pipe) {
            // Only a Hello may come in early data.
            self.leave_early(at, Some(Code::HandshakeInvalid));
        } else {
            self.stats.stale_in += 1;
        }
    }

    /// The peer was heard on this pipe at `heard`, which may lie back, and what it said needed nothing of the session: a
    /// clock probe that was answered without it ([`answer_probe`](crate::answer_probe)).
    pub fn handle_heard(&mut self, heard: Micros, pipe: PipeId) {
        if self.attached.is_some_and(|attached| attached.heard < heard) {
            self.hear(heard, pipe);
        }
    }

    /// Takes the end of a pipe, with the code the peer gave.
    ///
    /// On a client, a code that says `stop` ends the session.
    pub fn handle_pipe_closed(&mut self, now: Micros, pipe: PipeId, code: Option<Code>) {
        if self.dialing.as_ref().is_some_and(|d| d.pipe.id == pipe) {
            self.dialing = None;
            return self.finish_without_pipe();
        }
        if let Some(at) = self.early.iter().position(|early| early.pipe.id == pipe) {
            return self.leave_early(at, None);
        }
        if self.attached.is_none_or(|a| a.pipe.id != pipe) {
            return;
        }
        match &self.life {
            Life::Open => {
                let ended = code.filter(|code| self.ends_session(*code));
                self.detach(now);
                if let Some(code) = ended {
                    self.finish(code, code.help().to_owned());
                }
            }
            Life::Closing(_) => {
                self.attached = None;
                self.finish_without_pipe();
            }
            Life::Ending(end) => {
                let end = end.clone();
                self.attached = None;
                self.finish(end.code, end.message);
            }
            Life::Closed => {}
        }
    }

    /// Sends a message on a reliable lane (0 to 8) and says its number; on lane 0 the payload is a `Control` message.
    /// Without a pipe, messages of resumable lanes wait for the next attach; those of lane 1 are dropped.
    pub fn send(&mut self, now: Micros, lane: Lane, payload: Bytes) -> Result<u64, SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        let kind = LaneKind::of(lane).ok_or(SendError::Lane)?;
        let payload = if lane == LANE_CONTROL { control(&payload) } else { payload };
        if payload.len() > frame_bytes_max(lane) {
            return Err(SendError::TooLarge);
        }
        match kind {
            LaneKind::Resumed => {
                let Some(seq) = self.lanes.push(now, &self.config, lane, payload.clone()) else {
                    self.stats.sends_full += 1;
                    return Err(SendError::Full);
                };
                self.write_lane(lane, payload);
                Ok(seq)
            }
            LaneKind::Ordered => {
                if !self.write_topic(lane, payload) {
                    self.stats.topics_dropped += 1;
                }
                Ok(0)
            }
            LaneKind::Latest | LaneKind::Unordered => Err(SendError::Lane),
        }
    }

    /// Counts a message of lane 1 that goes to many sessions, and names the pipe to which the caller writes it, behind
    /// everything that [`Session::poll_output`] has said. `None`: nothing carries the session, and it is dropped.
    pub fn broadcast(&mut self, messages: usize, bytes: usize) -> Option<PipeId> {
        debug_assert!(self.outputs.is_empty(), "outputs are drained first");
        if self.is_closed() {
            return None;
        }
        let Some(pipe) = self.topics_pipe() else {
            self.stats.topics_dropped += messages as u64;
            return None;
        };
        self.stats.frames_out += messages as u64;
        self.stats.frame_bytes_out += bytes as u64;
        Some(pipe)
    }

    /// Drops what a resumable lane keeps while there is no pipe: the lane starts anew, and the peer hears
    /// [`Event::LaneLost`] with `code` at the next attach. False: attached or dialing, so nothing was done.
    pub fn give_up(&mut self, lane: Lane, code: Code) -> bool {
        let idle = self.attached.is_none() && self.dialing.is_none() && self.early.is_empty();
        if !idle || self.life != Life::Open || LaneKind::of(lane) != Some(LaneKind::Resumed) {
            return false;
        }
        self.lanes.start_anew(lane, Some(Loss { code, told: None }));
        self.stats.lanes_lost += 1;
        self.report_writable();
        true
    }

    /// Leaves a pipe whose reader is too slow: it is closed with `SlowReader`, and the session waits for a resume.
    pub fn leave_slow_reader(&mut self, now: Micros) {
        if self.attached.is_some() {
            self.stats.slow_readers += 1;
            self.leave_pipe(now, Code::SlowReader);
        }
    }

    /// The next output; `None` when all are taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// Gives back the memory that a busy moment took, once outputs are drained. For an owner on whose sessions mostly
    /// nothing happens; otherwise clock probes do it.
    pub fn rest(&mut self) {
        self.outputs.rest();
        self.lanes.rest();
    }

    /// The session's id; `None` on a client before its first Welcome.
    pub fn id(&self) -> Option<SessionId> {
        self.identity.map(|i| i.session)
    }

    /// The session's secret; `None` on a client before its first Welcome.
    pub fn secret(&self) -> Option<[u8; 16]> {
        self.identity.map(|i| i.secret)
    }

    /// Number of the newest attach, or of the newest dial.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// True while a pipe carries the session, if only an early one.
    pub fn is_attached(&self) -> bool {
        self.pipe().is_some()
    }

    /// The pipe that carries the session: the one in use, else the early one that the owner was told of.
    pub fn pipe(&self) -> Option<PipeInfo> {
        let early = self.early.iter().find(|early| early.is_announced()).map(|early| early.pipe);
        self.attached.map(|attached| attached.pipe).or(early)
    }

    /// Server: true once the client has shown that it read a Welcome. Until then it does not know its session.
    pub fn is_heard(&self) -> bool {
        self.stats.frames_in > 0 || self.stats.attaches > 1 || self.datagram_stats().received > 0
    }

    /// Client: true while a Hello waits for its answer.
    pub fn is_dialing(&self) -> bool {
        self.dialing.is_some()
    }

    /// True when the session has ended or is ending.
    pub fn is_closed(&self) -> bool {
        self.life != Life::Open
    }

    /// What both sides can do beyond the protocol.
    pub fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    /// Ticks of the match, as the Welcome says; `None` on a home session or before the Welcome.
    pub fn tick_clock(&self) -> Option<TickClock> {
        self.tick.as_deref().copied()
    }

    /// Server: the room has skipped moments, so its ticks start later from now on. The client hears it with the answer to
    /// its next ping, or in its next Welcome.
    pub fn set_tick_clock(&mut self, tick: TickClock) {
        self.tick = Some(Box::new(tick));
    }

    /// The peer's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Smoothed round-trip time; `None` before the first sample.
    pub fn rtt(&self) -> Option<Micros> {
        self.rtt.is_known().then(|| self.rtt.smoothed())
    }

    /// Number of messages that are kept until the peer has confirmed them.
    pub fn retained_messages(&self) -> usize {
        self.lanes.messages()
    }

    /// Their bytes.
    pub fn retained_bytes(&self) -> usize {
        self.lanes.bytes()
    }

    /// How long the oldest of them has waited; 0 without one.
    pub fn retained_age(&self, now: Micros) -> Micros {
        self.lanes.oldest().map_or(Micros(0), |sent| now.since(sent))
    }

    /// Counters; those of datagrams are [`Session::datagram_stats`].
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What a client keeps to find this session after it lost its memory; `None` before the first Welcome. It changes
    /// with every dial.
    pub fn saved(&self) -> Option<Saved> {
        let Identity { session, secret } = self.identity?;
        Some(Saved { session, secret, generation: self.generation })
    }

    /// True while messages of the peer are not delivered any more.
    fn is_closing(&self) -> bool {
        matches!(self.life, Life::Closing(_) | Life::Closed)
    }

    /// Notes that the attached pipe is alive; false when `pipe` is another one.
    fn hear(&mut self, now: Micros, pipe: PipeId) -> bool {
        let Some(attached) = self.attached.as_mut().filter(|a| a.pipe.id == pipe) else {
            return false;
        };
        attached.heard = now;
        attached.silence_again = now;
        true
    }

    /// Takes a frame of the attached pipe.
    fn take_frame(&mut self, now: Micros, lane: Lane, payload: Bytes) {
        if payload.len() > frame_bytes_max(lane) {
            return self.fail(Code::FrameTooLarge);
        }
        match LaneKind::of(lane) {
            Some(LaneKind::Resumed) if lane == LANE_CONTROL => self.take_control(now, payload),
            Some(LaneKind::Resumed) => self.take_message(now, lane, payload),
            Some(LaneKind::Ordered) => {
                if !self.is_closing() {
                    self.event(Event::Message { lane, payload });
                }
            }
            Some(LaneKind::Latest | LaneKind::Unordered) | None => self.fail(Code::LaneInvalid),
        }
    }

    /// Takes a message of a resumable lane: delivers it once.
    fn take_message(&mut self, now: Micros, lane: Lane, payload: Bytes) {
        if self.is_closing() {
            return;
        }
        if !self.lanes.received_mut(lane).take() {
            self.stats.messages_repeated += 1;
            return;
        }
        self.stats.messages_in += 1;
        self.unacked.messages += 1;
        self.unacked.bytes = self.unacked.bytes.saturating_add(payload.len() as u32);
        let due = now + self.config.ack_after;
        self.unacked.due = Some(self.unacked.due.map_or(due, |first| first.min(due)));
        self.event(Event::Message { lane, payload });
        let many = u64::from(self.unacked.messages) >= self.config.ack_after_messages;
        if many || self.unacked.bytes as usize >= self.config.ack_after_bytes {
            self.send_ack();
        }
        self.end_when_complete();
    }

    /// What arrived since an attach told it is acknowledged in time.
    fn ack_later(&mut self, now: Micros) {
        if self.lanes.used_mut().any(|(_, received)| received.next > received.told) {
            self.unacked.due = Some(now + self.config.ack_after);
        }
    }

    /// The pipe is gone; the session waits for a resume.
    fn detach(&mut self, now: Micros) {
        self.attached = None;
        self.detached_since = Some(now);
        self.unacked.due = None;
        self.probes.forget();
        self.stats.detaches += 1;
        self.lose_datagrams();
        self.event(Event::Detached);
        self.announce_early();
    }

    /// Lane messages kept for the peer leave again, in lane order: all, or those that `resume` does not have.
    fn replay(&mut self, pipe: PipeId, resume: Option<&ResumeRequest>) {
        for lane in resumable_lanes() {
            let sent = self.lanes.sent(lane);
            let known = resume.map_or(0, |resume| resume.position(lane).saturating_sub(sent.base()) as usize);
            let kept: Vec<Bytes> = sent.kept().skip(known).cloned().collect();
            self.stats.messages_resent += kept.len() as u64;
            kept.into_iter().for_each(|payload| self.write_frame(pipe, lane, payload));
        }
    }

    fn report_writable(&mut self) {
        for lane in self.lanes.take_writable(&self.config) {
            self.event(Event::LaneWritable { lane });
        }
    }

    /// Writes a frame on the pipe in use; false without one.
    fn write_attached(&mut self, lane: Lane, payload: Bytes) -> bool {
        let Some(attached) = self.attached else {
            return false;
        };
        self.write_frame(attached.pipe.id, lane, payload);
        true
    }

    /// Writes a frame on every pipe that carries the session or may do so soon.
    fn write_lane(&mut self, lane: Lane, payload: Bytes) {
        for at in 0..self.early.len() {
            if self.early[at].is_answered() {
                self.write_frame(self.early[at].pipe.id, lane, payload.clone());
            }
        }
        self.write_attached(lane, payload);
    }

    /// Writes a frame that is not kept: on the pipe that the owner knows of, since it says what that pipe needs when it
    /// hears of it. False without one.
    fn write_topic(&mut self, lane: Lane, payload: Bytes) -> bool {
        let Some(pipe) = self.topics_pipe() else {
            return false;
        };
        self.write_frame(pipe, lane, payload);
        true
    }

    /// The pipe that carries lane 1: the attached one, else an early one whose owner knows of it.
    fn topics_pipe(&self) -> Option<PipeId> {
        let early = self.early.iter().find(|early| early.is_announced()).map(|early| early.pipe.id);
        self.attached.map(|attached| attached.pipe.id).or(early)
    }

    fn write_frame(&mut self, pipe: PipeId, lane: Lane, payload: Bytes) {
        self.stats.frames_out += 1;
        self.stats.frame_bytes_out += payload.len() as u64;
        self.outputs.push(Output::Frame { pipe, lane, payload });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push(Output::Event(event));
    }
}

/// Largest payload of a frame on `lane`, bytes.
fn frame_bytes_max(lane: Lane) -> usize {
    if lane == LANE_BULK { BULK_CHUNK_BYTES_MAX } else { FRAME_BYTES_MAX }
}

/// A `Control` message as payload of lane 0.
fn control(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + 1);
    out.put_u8(KIND_CONTROL);
    out.put_slice(message);
    out.freeze()
}

#[cfg(test)]
mod tests;
