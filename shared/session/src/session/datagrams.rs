//! The session's datagrams.

use amphi_shared_wire::limits::DATAGRAM_HEADER_BYTES;
use amphi_shared_wire::{Code, Datagram, LANE_CONTROL, Lane, LaneKind, Micros};
use bytes::Bytes;

use super::{Attached, Life, Session};
use crate::datagram::{Datagrams, Fate};
use crate::{DatagramStats, Event, Output, PipeId, PipeKind};

impl Session {
    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Micros, pipe: PipeId, bytes: Bytes) {
        if self.life == Life::Closed {
            return;
        }
        if self.dialing.as_ref().is_some_and(|dialing| dialing.pipe.id == pipe) {
            return self.keep_datagram(bytes);
        }
        if !self.hear(now, pipe) {
            self.stats.stale_in += 1;
            return;
        }
        let stats = &mut self.datagrams().stats;
        stats.received += 1;
        stats.bytes_in += bytes.len() as u64;
        let Ok(datagram) = Datagram::decode(bytes) else {
            stats.dropped += 1;
            return;
        };
        let datagrams = self.datagrams();
        if !datagrams.may_acknowledge(datagram.header) {
            datagrams.stats.acks_unsent += 1;
            return self.fail(Code::AckInvalid);
        }
        self.take_acks(now, &datagram);
        if datagram.lane == LANE_CONTROL {
            return;
        }
        let (ack_at, closing) = (now + self.config.datagram_ack_after, self.is_closing());
        let datagrams = self.datagrams();
        // What is not delivered any more is not acknowledged either.
        if !closing && datagrams.receive(datagram.header.seq, datagram.lane, ack_at) {
            self.event(Event::Datagram { lane: datagram.lane, payload: datagram.payload });
        } else {
            datagrams.stats.dropped += 1;
        }
    }

    /// Sends a datagram on lane 16 to 32 and says its sequence number, for `Acked` or `Lost`. `None`: no pipe, not
    /// such a lane, or more bytes than [`Session::datagram_room`]. On an ordered pipe at most two are in flight; of
    /// the others the newest of each latest lane waits, and the newest few of the unordered one.
    pub fn send_datagram(&mut self, now: Micros, lane: Lane, payload: Bytes) -> Option<u16> {
        let is_datagram = matches!(LaneKind::of(lane), Some(LaneKind::Latest | LaneKind::Unordered));
        if self.is_closed() || !is_datagram || payload.len() > self.datagram_room() {
            return None;
        }
        let pipe = self.pipe()?;
        let datagrams = self.datagrams();
        let seq = datagrams.number();
        if datagrams.may_leave(pipe.kind) {
            let (bytes, pushed_out) = datagrams.leave(now, seq, lane, payload);
            self.write_datagram(bytes);
            self.report(pushed_out.map(Fate::Lost));
        } else if let Some(dropped) = datagrams.wait(seq, lane, payload) {
            self.report([Fate::Lost(dropped)]);
        }
        Some(seq)
    }

    /// Payload bytes that fit into the next datagram; 0 = no pipe.
    pub fn datagram_room(&self) -> usize {
        let early = self.early.iter().filter(|early| early.is_answered()).map(|early| early.pipe.max_datagram);
        let attached = self.attached.map(|a| a.pipe.max_datagram);
        let max_datagram = attached.into_iter().chain(early).min().unwrap_or(0);
        max_datagram.saturating_sub(DATAGRAM_HEADER_BYTES + 1)
    }

    /// The path of a pipe takes larger or smaller datagrams from now on.
    pub fn handle_datagram_size(&mut self, pipe: PipeId, max_datagram: usize) {
        let attached = self.attached.as_mut().map(|attached| &mut attached.pipe);
        let pipes = attached.into_iter().chain(self.early.iter_mut().map(|early| &mut early.pipe));
        for known in pipes.filter(|known| known.id == pipe) {
            known.max_datagram = max_datagram;
        }
    }

    /// Counters of datagrams.
    pub fn datagram_stats(&self) -> DatagramStats {
        self.datagrams.as_ref().map_or_else(DatagramStats::default, |datagrams| datagrams.stats)
    }

    fn datagrams(&mut self) -> &mut Datagrams {
        self.datagrams.get_or_insert_with(|| Box::new(Datagrams::new()))
    }

    fn take_acks(&mut self, now: Micros, datagram: &Datagram) {
        let Some(Attached { pipe, .. }) = self.attached else {
            return;
        };
        let acks = self.datagrams().acknowledge(now, datagram.header, pipe.kind);
        if let Some(rtt) = acks.rtt {
            self.rtt.sample(rtt);
        }
        self.report(acks.fates);
        if pipe.kind == PipeKind::Ordered {
            while let Some(bytes) = self.datagrams().next_waiting(now) {
                self.write_datagram(bytes);
            }
        }
    }

    /// When received datagrams are to be acknowledged.
    pub(super) fn datagram_ack_due(&self) -> Option<Micros> {
        self.datagrams.as_ref()?.ack_due
    }

    pub(super) fn acknowledge_datagrams(&mut self) {
        let bytes = self.datagrams().ack_only();
        self.write_datagram(bytes);
    }

    /// When the oldest datagram was sent whose fate is open.
    pub(super) fn oldest_datagram(&self) -> Option<Micros> {
        self.datagrams.as_ref()?.oldest()
    }

    /// Gives up what was sent before `deadline`.
    pub(super) fn expire_datagrams(&mut self, deadline: Micros) {
        let fates = self.datagrams().expire(deadline);
        self.report(fates);
    }

    /// The pipe is gone, and what was on it.
    pub(super) fn lose_datagrams(&mut self) {
        let fates = self.datagrams.as_mut().map_or_else(Vec::new, |datagrams| datagrams.abandon());
        self.report(fates);
    }

    pub(super) fn report(&mut self, fates: impl IntoIterator<Item = Fate>) {
        for fate in fates {
            self.event(match fate {
                Fate::Acked(seq) => Event::Acked { seq },
                Fate::Lost(seq) => Event::Lost { seq },
            });
        }
    }

    /// Writes a datagram on every pipe that may carry the session.
    pub(super) fn write_datagram(&mut self, bytes: Bytes) {
        let attached = self.attached.map(|a| a.pipe.id);
        let early = self.early.iter().filter(|early| early.is_answered()).map(|early| early.pipe.id);
        let pipes = attached.into_iter().chain(early);
        let (mut copies, mut length) = (0, 0);
        for pipe in pipes {
            (copies, length) = (copies + 1, bytes.len() as u64);
            self.outputs.push(Output::Datagram { pipe, bytes: bytes.clone() });
        }
        let stats = &mut self.datagrams().stats;
        stats.out += copies;
        stats.bytes_out += copies * length;
    }
}
