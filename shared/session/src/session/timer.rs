//! What is due when.

use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{Code, LANE_CONTROL, Micros};

use super::{Attached, Life, Role, Session};
use crate::handshake::encode_link;
use crate::{Event, PipeKind};

/// Clock probes that a client sends after an attach …
pub(super) const PROBE_BURST: u8 = 5;
/// … at this interval.
const PROBE_BURST_EVERY: Micros = Micros::from_millis(100);
/// Probes whose answers are awaited.
const PROBES_MAX: usize = 8;
/// A path that stays silent is told again after this: the dial for a second one may have failed.
const PATH_SILENT_AGAIN: Micros = Micros::from_secs(1);
/// Shortest time after which a datagram may count as lost.
const LOST_AFTER_MIN: Micros = Micros::from_millis(40);

impl Session {
    /// When to call `handle_timeout`, and what for.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        let lingers = match &self.life {
            Life::Closed => return None,
            Life::Closing(end) | Life::Ending(end, _) => Some((end.until, "linger")),
            Life::Open => None,
        };
        let handshake = self.dialing.as_ref().map(|d| (d.since + self.config.handshake_timeout, "handshake"));
        let window = self.window_ends().map(|at| (at, "resume window"));
        [lingers, handshake, window].into_iter().chain(self.pipe_timers()).flatten().min_by_key(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Micros) {
        match self.life.clone() {
            Life::Closed => return,
            Life::Closing(end) | Life::Ending(end, _) if end.until <= now => return self.finish(end.code, end.message),
            Life::Closing(_) | Life::Ending(..) | Life::Open => {}
        }
        if self.dialing.as_ref().is_some_and(|d| d.since + self.config.handshake_timeout <= now) {
            self.abort_dial(Code::HandshakeTimeout);
        }
        if self.window_ends().is_some_and(|at| at <= now) {
            return self.finish(Code::SessionUnknown, "no connection within the resume window".to_owned());
        }
        let Some(attached) = self.attached else {
            return;
        };
        if attached.heard + self.config.silent_after <= now {
            return self.leave_silent_pipe(now);
        }
        self.handle_pipe_timers(now, attached);
    }

    /// Timers of the attached pipe.
    fn pipe_timers(&self) -> [Option<(Micros, &'static str)>; 6] {
        let Some(attached) = self.attached else {
            return [None; 6];
        };
        [
            Some((attached.heard + self.config.silent_after, "silence")),
            self.path_silent_at(attached).map(|at| (at, "path silence")),
            self.ack_due().map(|at| (at, "ack")),
            self.datagrams.ack_due.map(|at| (at, "datagram ack")),
            self.datagram_lost_at(attached).map(|at| (at, "datagram loss")),
            Some((self.probes.next, "probe")),
        ]
    }

    fn handle_pipe_timers(&mut self, now: Micros, attached: Attached) {
        if self.path_silent_at(attached).is_some_and(|at| at <= now) {
            if let Some(attached) = &mut self.attached {
                attached.silence_again = now + PATH_SILENT_AGAIN;
            }
            self.event(Event::PathSilent);
        }
        if self.ack_due().is_some_and(|at| at <= now) {
            self.send_ack();
        }
        if self.datagrams.ack_due.is_some_and(|at| at <= now) {
            let bytes = self.datagrams.ack_only();
            self.write_datagram(attached.pipe.id, bytes);
        }
        if self.datagram_lost_at(attached).is_some_and(|at| at <= now) {
            let fates = self.datagrams.expire(now - self.lost_after());
            self.report(fates);
        }
        if self.probes.next <= now {
            self.probe(now);
        }
    }

    fn probe(&mut self, now: Micros) {
        if self.probes.unanswered.len() == PROBES_MAX {
            self.probes.unanswered.pop_front();
        }
        self.probes.unanswered.push_back(now);
        self.probes.burst = self.probes.burst.saturating_sub(1);
        self.probes.next = now + if self.probes.burst > 0 { PROBE_BURST_EVERY } else { self.config.ping_every };
        self.write_attached(LANE_CONTROL, encode_link(link::Kind::Ping(proto::Ping { t0_us: now.0 })));
    }

    /// The attached pipe is dead; the session waits for a resume.
    fn leave_silent_pipe(&mut self, now: Micros) {
        if let Some(attached) = self.attached {
            self.close_pipe(attached.pipe, Code::Silent);
        }
        match self.life.clone() {
            Life::Open => self.detach(now),
            Life::Closing(end) | Life::Ending(end, _) => {
                self.attached = None;
                self.finish(end.code, end.message);
            }
            Life::Closed => {}
        }
    }

    /// When the session ends for lack of a pipe. A client's dial may still save it.
    fn window_ends(&self) -> Option<Micros> {
        let ends = self.detached_since? + self.config.resume_window;
        match self.role {
            Role::Client(_) if self.dialing.is_some() => None,
            Role::Client(_) | Role::Server(_) => Some(ends),
        }
    }

    fn path_silent_at(&self, attached: Attached) -> Option<Micros> {
        let least = self.config.path_silent_after?;
        let usual = Micros(3 * self.rtt.smoothed().0 + 4 * self.rtt.deviation().0);
        let wanted = self.dialing.is_none() && self.life == Life::Open;
        wanted.then(|| (attached.heard + least.max(usual)).max(attached.silence_again))
    }

    fn ack_due(&self) -> Option<Micros> {
        self.unacked.due.filter(|_| self.dialing.is_none())
    }

    /// When the oldest unresolved datagram counts as lost. What is on an ordered pipe is not lost before the pipe is.
    fn datagram_lost_at(&self, attached: Attached) -> Option<Micros> {
        match attached.pipe.kind {
            PipeKind::Streams => Some(self.datagrams.oldest()? + self.lost_after()),
            PipeKind::Ordered => None,
        }
    }

    fn lost_after(&self) -> Micros {
        LOST_AFTER_MIN.max(Micros(self.rtt.smoothed().0 + 4 * self.rtt.deviation().0))
    }
}
