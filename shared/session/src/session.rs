//! The engine.

use amphi_shared_wire::{Code, Lane, Micros, SessionId, TickClock};
use bytes::Bytes;

use crate::{
    ClientHello, Clock, Config, ConnectRequest, Output, PipeId, PipeInfo, Refusal, Saved, SendError, ServerParams,
    Stats,
};

/// One side of a session, over any number of pipes.
#[derive(Debug)]
pub struct Session {
    clock: Clock,
    stats: Stats,
}

impl Session {
    /// The server's side of a new session: attached to `pipe`, the Welcome is queued.
    pub fn accept(_now: Micros, config: Config, _params: ServerParams, _hello: &ClientHello, _pipe: PipeInfo) -> Self {
        Self { clock: Clock::new(config.clock_drift_ppm), stats: Stats::default() }
    }

    /// The client's side of a session, without a pipe.
    pub fn connect(config: Config, _request: ConnectRequest) -> Self {
        Self { clock: Clock::new(config.clock_drift_ppm), stats: Stats::default() }
    }

    /// Server: goes on with this session on a fresh pipe, after checking secret and generation. On success the
    /// Welcome is queued and the old pipe is closed with `GenerationStale`. On failure nothing changes.
    pub fn attach(&mut self, _now: Micros, _hello: &ClientHello, _pipe: PipeInfo) -> Result<(), Refusal> {
        Ok(())
    }

    /// Client: uses a fresh pipe; the Hello is queued, with a resume when there is a session. May be called while
    /// another pipe carries the session: that one goes on until the Welcome arrives on the new one.
    pub fn dial(&mut self, _now: Micros, _pipe: PipeInfo) {}

    /// Takes a message of a reliable lane.
    pub fn handle_frame(&mut self, _now: Micros, _pipe: PipeId, _lane: Lane, _payload: Bytes) {}

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, _now: Micros, _pipe: PipeId, _bytes: Bytes) {}

    /// Takes the end of a pipe, with the code the peer gave.
    pub fn handle_pipe_closed(&mut self, _now: Micros, _pipe: PipeId, _code: Option<Code>) {}

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Micros) {}

    /// Sends a message on a reliable lane (0 to 8) and says its number; on lane 0 the payload is a `Control` message.
    /// Without a pipe, messages of resumable lanes wait for the next attach; those of lane 1 are dropped.
    pub fn send(&mut self, _now: Micros, _lane: Lane, _payload: Bytes) -> Result<u64, SendError> {
        Ok(0)
    }

    /// Sends a datagram on lane 16 to 32 and says its sequence number, for `Acked` or `Lost`. `None`: no pipe, not
    /// such a lane, or more bytes than [`Session::datagram_room`]. On an ordered pipe at most two are in flight and
    /// the newest of each lane waits.
    pub fn send_datagram(&mut self, _now: Micros, _lane: Lane, _payload: Bytes) -> Option<u16> {
        None
    }

    /// Payload bytes that fit into the next datagram; 0 = no pipe.
    pub fn datagram_room(&self) -> usize {
        0
    }

    /// Drops what a resumable lane keeps while there is no pipe: the lane starts anew, and the peer hears
    /// [`Event::LaneLost`](crate::Event::LaneLost) with `code` at the next attach. False: attached or dialing, so
    /// nothing was done.
    pub fn give_up(&mut self, _lane: Lane, _code: Code) -> bool {
        false
    }

    /// Ends the session in order. [`Event::Closed`](crate::Event::Closed) follows when the other side has
    /// read everything, or after `Config::close_linger`.
    pub fn close(&mut self, _now: Micros, _code: Code, _message: &str) {}

    /// The next output; `None` when all are taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to call `handle_timeout`, and what for.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        None
    }

    /// The session's id; `None` on a client before its first Welcome.
    pub fn id(&self) -> Option<SessionId> {
        None
    }

    /// The session's secret; `None` on a client before its first Welcome.
    pub fn secret(&self) -> Option<[u8; 16]> {
        None
    }

    /// Number of the newest attach, or of the newest dial.
    pub fn generation(&self) -> u32 {
        0
    }

    /// True while a pipe carries the session.
    pub fn is_attached(&self) -> bool {
        false
    }

    /// Client: true while a Hello waits for its answer.
    pub fn is_dialing(&self) -> bool {
        false
    }

    /// True when the session has ended or is ending.
    pub fn is_closed(&self) -> bool {
        false
    }

    /// What both sides can do beyond the protocol.
    pub fn capabilities(&self) -> &[String] {
        &[]
    }

    /// Ticks of the match, as the Welcome says; `None` on a home session or before the Welcome.
    pub fn tick_clock(&self) -> Option<TickClock> {
        None
    }

    /// The peer's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Smoothed round-trip time; `None` before the first sample.
    pub fn rtt(&self) -> Option<Micros> {
        None
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What a client keeps to find this session after it lost its memory; `None` before the first Welcome.
    pub fn saved(&self) -> Option<Saved> {
        None
    }
}
