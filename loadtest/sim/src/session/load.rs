//! What both sides say, and which faults strike when.

use amphi_shared_session::{PipeKind, SendError};
use amphi_shared_wire::{Code, LANE_BULK, LANE_TOPICS, Lane, Micros};
use bytes::{BufMut, Bytes, BytesMut};

use super::world::World;
use crate::net::End;

/// Time between two things that one side says.
const SAY_EVERY_US: u64 = 40_000;
/// Time between two faults.
const FAULT_EVERY_US: u64 = 2_500_000;

impl World {
    /// One side says something.
    pub(crate) fn say(&mut self, end: End) -> Result<Micros, String> {
        let rng = &mut self.load_rng;
        match rng.below(10) {
            0..4 => {
                let lane = self.load_rng.below(9) as Lane;
                let bytes = self.load_rng.below(600) as usize;
                self.send(end, lane, bytes)?;
            }
            4 if self.load_rng.chance(60) => {
                let lane = 2 + self.load_rng.below(7) as Lane;
                let bytes = if lane == LANE_BULK { 16 * 1024 } else { 60_000 };
                for _ in 0..20 {
                    self.send(end, lane, bytes)?;
                }
            }
            _ => {
                let lane = [16, 17, 32][self.load_rng.below(3) as usize];
                self.send_datagram(end, lane)?;
            }
        }
        Ok(Micros(self.load_rng.below(2 * SAY_EVERY_US)))
    }

    /// Sends a message of at least 8 bytes that carries its number.
    pub(crate) fn send(&mut self, end: End, lane: Lane, bytes: usize) -> Result<(), String> {
        let (to, now) = (end.other(), self.now);
        let number = self.model.next_message(to, lane);
        let Some(session) = self.session(end) else {
            return Ok(());
        };
        let payload = payload(number, bytes.max(8));
        match session.send(now, lane, payload) {
            Ok(_) => self.model.sent(to, lane),
            Err(SendError::Full) => {
                self.faults.full += 1;
                self.model.full(to, lane);
            }
            Err(SendError::Closed) if self.model.closed_with(end).is_some() => {}
            Err(error) => return Err(format!("lane {lane} from the {end:?}: {error}")),
        }
        self.drain()
    }

    fn send_datagram(&mut self, end: End, lane: Lane) -> Result<(), String> {
        let (to, now) = (end.other(), self.now);
        let number = self.model.next_datagram(to);
        let Some(session) = self.session(end) else {
            return Ok(());
        };
        if let Some(seq) = session.send_datagram(now, lane, payload(number, 8)) {
            self.model.datagram_sent(to, seq)?;
        }
        self.drain()
    }

    /// One fault strikes.
    pub(crate) fn strike(&mut self) -> Result<Micros, String> {
        let pause = Micros(FAULT_EVERY_US / 4 + self.fault_rng.below(FAULT_EVERY_US));
        match self.fault_rng.below(12) {
            0..3 => self.break_pipe(),
            3..5 => {
                self.faults.stalls += 1;
                let until = self.now + Micros(50_000 + self.fault_rng.below(3_000_000));
                self.pipes.iter_mut().for_each(|pipe| pipe.stall(until));
            }
            5..7 => self.half_open(),
            7..9 => self.switch()?,
            9 => {
                self.break_pipe();
                self.gives_up = Some(if self.fault_rng.chance(500) { End::Client } else { End::Server });
            }
            10 if self.forgetful => self.forget()?,
            _ => {}
        }
        Ok(pause)
    }

    fn break_pipe(&mut self) {
        let now = self.now;
        if let Some(pipe) = self.pipes.last_mut() {
            pipe.break_up(now, &mut self.fault_rng);
            self.faults.breaks += 1;
        }
    }

    fn half_open(&mut self) {
        let Some(pipe) = self.pipes.last_mut() else {
            return;
        };
        self.faults.half_open += 1;
        let which = self.fault_rng.below(3);
        if which != 0 {
            pipe.go_dark(End::Client);
        }
        if which != 1 {
            pipe.go_dark(End::Server);
        }
    }

    /// The client dials over the other transport while the old pipe still works.
    fn switch(&mut self) -> Result<(), String> {
        if !self.client.is_attached() || self.client.is_dialing() {
            return Ok(());
        }
        self.kind = match self.kind {
            PipeKind::Streams => PipeKind::Ordered,
            PipeKind::Ordered => PipeKind::Streams,
        };
        self.faults.switches += 1;
        self.dial()
    }

    /// A side without a pipe drops what it keeps on a lane.
    pub(crate) fn give_up(&mut self, end: End) {
        let lane = [0, 2, 3, 5, 8][self.fault_rng.below(5) as usize];
        if self.session(end).is_some_and(|session| session.give_up(lane, Code::LaneLost)) {
            self.faults.give_ups += 1;
            self.model.allow_gap(end.other(), lane);
        }
    }
}

/// Bytes that start with a number.
fn payload(number: u64, bytes: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes);
    out.put_u64_le(number);
    out.resize(bytes, 0);
    out.freeze()
}

/// Every lane whose messages must all arrive.
pub(crate) fn kept_lanes() -> impl Iterator<Item = Lane> {
    (0..=LANE_BULK).filter(|lane| *lane != LANE_TOPICS)
}
