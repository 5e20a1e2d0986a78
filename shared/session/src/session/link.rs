//! Link messages of an attached pipe, acks, and the end of a session.

use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{Code, LANE_CONTROL, Lane, Micros};
use bytes::Bytes;
use prost::Message;

use super::{End, Life, Role, Session, Unacked};
use crate::clock::round_trip;
use crate::handshake::{KIND_CONTROL, KIND_LINK, decode_positions, encode_link, encode_positions};
use crate::lane::resumable_lanes;
use crate::probe::pong;
use crate::{Event, Output};

impl Session {
    /// Ends the session in order. [`Event::Closed`] follows when the other side has read everything, or after
    /// `Config::close_linger`.
    pub fn close(&mut self, now: Micros, code: Code, message: &str) {
        self.close_later(now, code, message, 0);
    }

    /// As [`Self::close`], and says when the other side may come back, in ms; 0 says nothing about it.
    pub fn close_later(&mut self, now: Micros, code: Code, message: &str, retry_after_ms: u32) {
        if self.is_closed() {
            return;
        }
        if self.is_without_pipe() {
            return self.finish(code, message.to_owned());
        }
        // Without a pipe it is said to the Welcome that may still come.
        let sent = encode_positions(self.lanes.positions());
        self.say_close((code, message), retry_after_ms, sent);
        let until = now + self.config.close_linger;
        let end = End { code, message: message.to_owned(), retry_after_ms, until, sent: Vec::new() };
        self.life = Life::Closing(Box::new(end));
    }

    /// Takes a frame of lane 0.
    pub(super) fn take_control(&mut self, now: Micros, payload: Bytes) {
        match payload.first() {
            Some(&KIND_LINK) => match proto::Link::decode(payload.slice(1..)) {
                Ok(link) => self.take_link(now, link),
                Err(_) => self.fail(Code::MessageInvalid),
            },
            Some(&KIND_CONTROL) => self.take_message(now, LANE_CONTROL, payload.slice(1..)),
            Some(_) | None => self.fail(Code::MessageInvalid),
        }
    }

    fn take_link(&mut self, now: Micros, link: proto::Link) {
        match link.kind {
            Some(link::Kind::Ack(ack)) => self.take_ack(&ack),
            Some(link::Kind::Ping(ping)) => {
                self.rest();
                let tick0_us = match (&self.role, &self.tick) {
                    (Role::Server { .. }, Some(tick)) => tick.tick0.0,
                    (Role::Server { .. } | Role::Client(_), _) => 0,
                };
                self.write_attached(LANE_CONTROL, pong((now, now.max(self.read_at)), ping, tick0_us));
            }
            Some(link::Kind::Pong(pong)) => self.take_pong(now, &pong),
            Some(link::Kind::Close(close)) => self.take_close(now, close),
            Some(link::Kind::Hello(_) | link::Kind::Welcome(_) | link::Kind::Refused(_)) => {
                self.fail(Code::MessageInvalid);
            }
            // A kind that a newer peer knows.
            None => {}
        }
    }

    fn take_ack(&mut self, ack: &proto::Ack) {
        let Some(received) = decode_positions(&ack.received) else {
            return self.fail(Code::MessageInvalid);
        };
        for (lane, next) in received {
            if self.lanes.confirm(lane, next).is_err() {
                return self.fail(Code::MessageInvalid);
            }
        }
        self.report_writable();
    }

    fn take_pong(&mut self, now: Micros, pong: &proto::Pong) {
        let sent = Micros(pong.t0_us);
        if !self.probes.answer(sent) {
            return;
        }
        let peer = (Micros(pong.t1_us), Micros(pong.t2_us));
        if let Some(rtt) = round_trip(sent, peer, now) {
            self.stats.pongs_in += 1;
            self.rtt.sample(rtt);
            // A server needs no client's clock.
            if matches!(self.role, Role::Client(_)) {
                self.clock.answer(sent, peer, now, self.config.clock_drift_ppm);
                if let (Some(tick), 1..) = (&mut self.tick, pong.tick0_us) {
                    tick.tick0 = Micros(pong.tick0_us);
                }
            }
        }
    }

    fn take_close(&mut self, now: Micros, close: proto::Close) {
        let code = Code::from_number(close.code).unwrap_or(Code::Bye);
        let until = now + self.config.close_linger;
        let sent = decode_positions(&close.sent).unwrap_or_default();
        let end = End { code, message: close.message, retry_after_ms: close.retry_after_ms, until, sent };
        match self.life.clone() {
            Life::Open => {
                self.life = Life::Ending(Box::new(end));
                self.end_when_complete();
            }
            // Both sides said it: there is nothing to wait for.
            Life::Closing(ours) => self.finish(ours.code, ours.message),
            Life::Ending(..) | Life::Closed => {}
        }
    }

    /// Ends the session when everything the peer sent before its Close has arrived.
    pub(super) fn end_when_complete(&mut self) {
        let Life::Ending(end) = &self.life else {
            return;
        };
        if end.sent.iter().all(|(lane, next)| self.lanes.received(*lane).next >= *next) {
            let end = end.clone();
            self.finish(end.code, end.message);
        }
    }

    /// The server may have moved to this fresh pipe before it could read our Close on the older one.
    pub(super) fn repeat_close(&mut self) {
        if let Life::Closing(end) = self.life.clone() {
            let sent = encode_positions(self.lanes.positions());
            self.say_close((end.code, &end.message), end.retry_after_ms, sent);
        }
    }

    /// Ends a session that said Close when no pipe is left on which it could be answered.
    pub(super) fn finish_without_pipe(&mut self) {
        match self.life.clone() {
            Life::Closing(end) | Life::Ending(end) if self.is_without_pipe() => {
                self.finish(end.code, end.message);
            }
            Life::Open | Life::Closing(_) | Life::Ending(..) | Life::Closed => {}
        }
    }

    fn is_without_pipe(&self) -> bool {
        self.attached.is_none() && self.dialing.is_none() && self.early.is_empty()
    }

    /// True while a Hello or the Welcome of an early attach has told what arrived and must not be overtaken.
    pub(super) fn holds_acks(&self) -> bool {
        self.dialing.is_some() || !self.early.is_empty()
    }

    /// Tells the peer what has arrived.
    pub(super) fn send_ack(&mut self) {
        if self.attached.is_none() || self.holds_acks() {
            return;
        }
        self.unacked = Unacked::default();
        let changed: Vec<(Lane, u64)> = resumable_lanes()
            .map(|lane| (lane, self.lanes.received(lane)))
            .filter(|(_, received)| received.next > received.told)
            .map(|(lane, received)| (lane, received.next))
            .collect();
        self.lanes.used_mut().for_each(|(_, received)| received.told = received.next);
        let ack = proto::Ack { received: encode_positions(changed.into_iter()) };
        self.write_attached(LANE_CONTROL, encode_link(link::Kind::Ack(ack)));
    }

    /// A frame of the client on this pipe: it has read our Welcome, so it knows of every lost lane.
    pub(super) fn confirm_losses(&mut self) {
        if matches!(self.role, Role::Server { .. }) {
            self.lanes.used_mut().for_each(|(sent, _)| sent.lost = None);
        }
    }

    /// The peer broke the protocol: ends the session at once.
    pub(super) fn fail(&mut self, code: Code) {
        self.say_close((code, code.help()), 0, Vec::new());
        self.finish(code, code.help().to_owned());
    }

    /// Ends the session: closes its pipes and says so.
    pub(super) fn finish(&mut self, code: Code, message: String) {
        let attached = self.attached.take().map(|a| a.pipe.id);
        let dialing = self.dialing.take().map(|d| d.pipe.id);
        let early = std::mem::take(&mut self.early).into_iter().map(|e| e.pipe.id);
        for pipe in attached.into_iter().chain(dialing).chain(early) {
            self.outputs.push(Output::ClosePipe { pipe, code, message: message.clone() });
        }
        self.life = Life::Closed;
        self.event(Event::Closed { code, message });
    }

    fn say_close(&mut self, (code, message): (Code, &str), retry_after_ms: u32, sent: Vec<proto::LanePosition>) {
        let close = proto::Close { code: code.number(), message: message.to_owned(), retry_after_ms, sent };
        self.write_lane(LANE_CONTROL, encode_link(link::Kind::Close(close)));
    }
}
