//! The engine: one side of a session.

mod attach;
mod datagrams;
mod dial;
mod link;
mod timer;

use std::collections::VecDeque;

use amphi_shared_wire::limits::{BULK_CHUNK_BYTES_MAX, FRAME_BYTES_MAX};
use amphi_shared_wire::{Code, LANE_BULK, LANE_CONTROL, Lane, LaneKind, Micros, ORDERED_LANES, SessionId, TickClock};
use bytes::{BufMut, Bytes, BytesMut};

use crate::datagram::Datagrams;
use crate::handshake::KIND_CONTROL;
use crate::lane::{Loss, ReceiveLane, SendLanes, resumable_lanes};
use crate::rtt::Rtt;
use crate::{Clock, Config, ConnectRequest, Event, Output, PipeId, PipeInfo, Saved, SendError, ServerParams, Stats};
use dial::Dialing;

/// One side of a session, over any number of pipes.
///
/// Call one method that takes `now`, drain [`Session::poll_output`] to the end, and repeat; call
/// [`Session::handle_timeout`] when [`Session::poll_timeout`] says so. `now` never goes back.
#[derive(Debug)]
pub struct Session {
    config: Config,
    role: Role,
    identity: Option<Identity>,
    /// Newest attach (server) or dial (client).
    generation: u32,
    /// Generation of the attach in use.
    welcomed: u32,
    capabilities: Vec<String>,
    tick: Option<TickClock>,
    life: Life,
    attached: Option<Attached>,
    dialing: Option<Dialing>,
    detached_since: Option<Micros>,
    outbound: SendLanes,
    inbound: [ReceiveLane; ORDERED_LANES],
    unacked: Unacked,
    datagrams: Datagrams,
    rtt: Rtt,
    clock: Clock,
    probes: Probes,
    outputs: VecDeque<Output>,
    stats: Stats,
}

#[derive(Debug)]
enum Role {
    Server(ServerParams),
    Client(ConnectRequest),
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
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// We said Close and wait for the peer to close the pipe.
    Closing(End),
    /// The peer said Close and these messages are still on their way.
    Ending(End, Vec<(Lane, u64)>),
    Closed,
}

/// The pipe that carries the session.
#[derive(Clone, Copy, Debug)]
struct Attached {
    pipe: PipeInfo,
    heard: Micros,
    /// Its silence is told again from this moment on.
    silence_again: Micros,
}

/// Received messages that the peer does not know to be received.
#[derive(Clone, Copy, Debug, Default)]
struct Unacked {
    messages: u64,
    bytes: usize,
    due: Option<Micros>,
}

/// Our clock probes.
#[derive(Clone, Debug, Default)]
struct Probes {
    unanswered: VecDeque<Micros>,
    next: Micros,
    /// Probes left in the burst after an attach.
    burst: u8,
}

impl Session {
    fn new(config: Config, role: Role) -> Self {
        let clock = Clock::new(config.clock_drift_ppm);
        Self {
            config,
            role,
            identity: None,
            generation: 0,
            welcomed: 0,
            capabilities: Vec::new(),
            tick: None,
            life: Life::Open,
            attached: None,
            dialing: None,
            detached_since: None,
            outbound: SendLanes::default(),
            inbound: [ReceiveLane::default(); ORDERED_LANES],
            unacked: Unacked::default(),
            datagrams: Datagrams::new(),
            rtt: Rtt::default(),
            clock,
            probes: Probes::default(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
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
        } else {
            self.stats.stale_in += 1;
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
            Life::Ending(end, _) => {
                let end = end.clone();
                self.attached = None;
                self.finish(end.code, end.message);
            }
            Life::Closed => {}
        }
    }

    /// Sends a message on a reliable lane (0 to 8) and says its number; on lane 0 the payload is a `Control` message.
    /// Without a pipe, messages of resumable lanes wait for the next attach; those of lane 1 are dropped.
    pub fn send(&mut self, _now: Micros, lane: Lane, payload: Bytes) -> Result<u64, SendError> {
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
                let Some(seq) = self.outbound.push(&self.config, lane, payload.clone()) else {
                    self.stats.sends_full += 1;
                    return Err(SendError::Full);
                };
                self.count_retained();
                self.write_attached(lane, payload);
                Ok(seq)
            }
            LaneKind::Ordered => {
                if !self.write_attached(lane, payload) {
                    self.stats.topics_dropped += 1;
                }
                Ok(0)
            }
            LaneKind::Latest | LaneKind::Unordered => Err(SendError::Lane),
        }
    }

    /// Counts a message of lane 1 that goes to many sessions, and names the pipe to which the caller writes it, behind
    /// everything that [`Session::poll_output`] has said. `None`: nothing carries the session, and it is dropped.
    pub fn broadcast(&mut self, bytes: usize) -> Option<PipeId> {
        debug_assert!(self.outputs.is_empty(), "outputs are drained first");
        if self.is_closed() {
            return None;
        }
        let Some(attached) = self.attached else {
            self.stats.topics_dropped += 1;
            return None;
        };
        self.stats.frames_out += 1;
        self.stats.frame_bytes_out += bytes as u64;
        Some(attached.pipe.id)
    }

    /// Drops what a resumable lane keeps while there is no pipe: the lane starts anew, and the peer hears
    /// [`Event::LaneLost`] with `code` at the next attach. False: attached or dialing, so nothing was done.
    pub fn give_up(&mut self, lane: Lane, code: Code) -> bool {
        let idle = self.attached.is_none() && self.dialing.is_none() && self.life == Life::Open;
        if !idle || LaneKind::of(lane) != Some(LaneKind::Resumed) {
            return false;
        }
        self.outbound.start_anew(lane, Some(Loss { code, told: None }));
        self.stats.lanes_lost += 1;
        self.count_retained();
        self.report_writable();
        true
    }

    /// The next output; `None` when all are taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
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

    /// True while a pipe carries the session.
    pub fn is_attached(&self) -> bool {
        self.attached.is_some()
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
        self.tick
    }

    /// The peer's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Smoothed round-trip time; `None` before the first sample.
    pub fn rtt(&self) -> Option<Micros> {
        self.rtt.is_known().then(|| self.rtt.smoothed())
    }

    /// Counters.
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
        if !self.inbound[usize::from(lane)].take() {
            self.stats.messages_repeated += 1;
            return;
        }
        self.stats.messages_in += 1;
        self.unacked.messages += 1;
        self.unacked.bytes += payload.len();
        let due = now + self.config.ack_after;
        self.unacked.due = Some(self.unacked.due.map_or(due, |first| first.min(due)));
        self.event(Event::Message { lane, payload });
        let many = self.unacked.messages >= self.config.ack_after_messages;
        if many || self.unacked.bytes >= self.config.ack_after_bytes {
            self.send_ack();
        }
        self.end_when_complete();
    }

    fn sample_rtt(&mut self, rtt: Micros) {
        self.rtt.sample(rtt);
        self.stats.rtt_us = self.rtt.smoothed().0;
        self.stats.rtt_var_us = self.rtt.deviation().0;
    }

    /// The pipe is gone; the session waits for a resume.
    fn detach(&mut self, now: Micros) {
        self.attached = None;
        self.detached_since = Some(now);
        self.unacked.due = None;
        self.probes.unanswered.clear();
        self.stats.detaches += 1;
        let fates = self.datagrams.abandon();
        self.report(fates);
        self.event(Event::Detached);
    }

    /// Lane messages kept for the peer leave again, in lane order.
    fn replay(&mut self, pipe: PipeId) {
        for lane in resumable_lanes() {
            let kept: Vec<Bytes> = self.outbound.lane(lane).kept().cloned().collect();
            self.stats.messages_resent += kept.len() as u64;
            kept.into_iter().for_each(|payload| self.write_frame(pipe, lane, payload));
        }
    }

    fn report_writable(&mut self) {
        for lane in self.outbound.take_writable(&self.config) {
            self.event(Event::LaneWritable { lane });
        }
    }

    fn count_retained(&mut self) {
        self.stats.retained_messages = self.outbound.messages() as u64;
        self.stats.retained_bytes = self.outbound.bytes() as u64;
    }

    /// Writes a frame on the attached pipe; false without one.
    fn write_attached(&mut self, lane: Lane, payload: Bytes) -> bool {
        let Some(attached) = self.attached else {
            return false;
        };
        self.write_frame(attached.pipe.id, lane, payload);
        true
    }

    fn write_frame(&mut self, pipe: PipeId, lane: Lane, payload: Bytes) {
        self.stats.frames_out += 1;
        self.stats.frame_bytes_out += payload.len() as u64;
        self.outputs.push_back(Output::Frame { pipe, lane, payload });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
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
