//! The session's datagrams.

use amphi_shared_wire::limits::DATAGRAM_HEADER_BYTES;
use amphi_shared_wire::{Datagram, LANE_CONTROL, Lane, LaneKind, Micros};
use bytes::Bytes;

use super::{Attached, Life, Session};
use crate::datagram::Fate;
use crate::{Event, Output, PipeId, PipeKind};

impl Session {
    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Micros, pipe: PipeId, bytes: Bytes) {
        if self.life == Life::Closed {
            return;
        }
        self.stats.datagrams_in += 1;
        self.stats.datagram_bytes_in += bytes.len() as u64;
        if !self.hear(now, pipe) {
            self.stats.stale_in += 1;
            return;
        }
        let Ok(datagram) = Datagram::decode(bytes) else {
            self.stats.datagrams_dropped += 1;
            return;
        };
        self.take_acks(now, &datagram);
        if datagram.lane == LANE_CONTROL {
            return;
        }
        let ack_at = now + self.config.datagram_ack_after;
        if self.datagrams.receive(datagram.header.seq, datagram.lane, ack_at) && !self.is_closing() {
            self.event(Event::Datagram { lane: datagram.lane, payload: datagram.payload });
        } else {
            self.stats.datagrams_dropped += 1;
        }
    }

    /// Sends a datagram on lane 16 to 32 and says its sequence number, for `Acked` or `Lost`. `None`: no pipe, not
    /// such a lane, or more bytes than [`Session::datagram_room`]. On an ordered pipe at most two are in flight and
    /// the newest of each lane waits.
    pub fn send_datagram(&mut self, now: Micros, lane: Lane, payload: Bytes) -> Option<u16> {
        let is_datagram = matches!(LaneKind::of(lane), Some(LaneKind::Latest | LaneKind::Unordered));
        if self.is_closed() || !is_datagram || payload.len() > self.datagram_room() {
            return None;
        }
        let pipe = self.attached?.pipe;
        let seq = self.datagrams.number();
        if self.datagrams.may_leave(pipe.kind) {
            let (bytes, pushed_out) = self.datagrams.leave(now, seq, lane, payload);
            self.write_datagram(pipe.id, bytes);
            self.report(pushed_out.map(Fate::Lost));
        } else if let Some(replaced) = self.datagrams.wait(seq, lane, payload) {
            self.stats.datagrams_replaced += 1;
            self.report([Fate::Lost(replaced)]);
        }
        Some(seq)
    }

    /// Payload bytes that fit into the next datagram; 0 = no pipe.
    pub fn datagram_room(&self) -> usize {
        self.attached.map_or(0, |a| a.pipe.max_datagram.saturating_sub(DATAGRAM_HEADER_BYTES + 1))
    }

    fn take_acks(&mut self, now: Micros, datagram: &Datagram) {
        let Some(Attached { pipe, .. }) = self.attached else {
            return;
        };
        let acks = self.datagrams.acknowledge(now, datagram.header, pipe.kind);
        self.stats.datagrams_late += acks.late;
        if let Some(rtt) = acks.rtt {
            self.sample_rtt(rtt);
        }
        self.report(acks.fates);
        if pipe.kind == PipeKind::Ordered {
            while let Some(bytes) = self.datagrams.next_waiting(now) {
                self.write_datagram(pipe.id, bytes);
            }
        }
    }

    pub(super) fn report(&mut self, fates: impl IntoIterator<Item = Fate>) {
        for fate in fates {
            match fate {
                Fate::Acked(seq) => {
                    self.stats.datagrams_acked += 1;
                    self.event(Event::Acked { seq });
                }
                Fate::Lost(seq) => {
                    self.stats.datagrams_lost += 1;
                    self.event(Event::Lost { seq });
                }
            }
        }
    }

    pub(super) fn write_datagram(&mut self, pipe: PipeId, bytes: Bytes) {
        self.stats.datagrams_out += 1;
        self.stats.datagram_bytes_out += bytes.len() as u64;
        self.outputs.push_back(Output::Datagram { pipe, bytes });
    }
}
