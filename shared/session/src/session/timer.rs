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
/// Probes whose answers are awaited. Beyond: the oldest answer is ignored.
const PROBES_MAX: usize = 4;
/// A path that stays silent is told again after this: the dial for a second one may have failed.
const PATH_SILENT_AGAIN: Micros = Micros::from_secs(1);
/// Shortest time after which a datagram may count as lost.
const LOST_AFTER_MIN: Micros = Micros::from_millis(40);

/// Our clock probes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probes {
    /// When each was sent, the oldest first; 0 = none.
    unanswered: [Micros; PROBES_MAX],
    next: Micros,
    /// Probes left in the burst after an attach.
    burst: u8,
}

impl Probes {
    pub(super) fn new(next: Micros, burst: u8) -> Self {
        Self { unanswered: Default::default(), next, burst }
    }

    /// Notes a probe that leaves at `now`.
    fn send(&mut self, now: Micros, every: Micros) {
        self.unanswered.rotate_left(1);
        self.unanswered[PROBES_MAX - 1] = now;
        self.burst = self.burst.saturating_sub(1);
        self.next = now + if self.burst > 0 { PROBE_BURST_EVERY } else { every };
    }

    /// True when a probe of this time waits for its answer; older ones wait no more.
    pub(super) fn answer(&mut self, sent: Micros) -> bool {
        let known = sent != Micros(0) && self.unanswered.contains(&sent);
        if known {
            self.unanswered.iter_mut().filter(|t0| **t0 <= sent).for_each(|t0| *t0 = Micros(0));
        }
        known
    }

    /// No answer comes any more.
    pub(super) fn forget(&mut self) {
        self.unanswered = Default::default();
    }
}

impl Session {
    /// When to call `handle_timeout`, and what for.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        let lingers = match &self.life {
            Life::Closed => return None,
            Life::Closing(end) | Life::Ending(end) => Some((end.until, "linger")),
            Life::Open => None,
        };
        let handshake = self.dialing.as_ref().map(|d| (d.since + self.config.handshake_timeout, "handshake"));
        let window = self.window_ends().map(|at| (at, "resume window"));
        let early = self.early.first().map(|e| (e.since + self.config.handshake_timeout, "early attach"));
        [lingers, handshake, window, early].into_iter().chain(self.pipe_timers()).flatten().min_by_key(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Micros) {
        match self.life.clone() {
            Life::Closed => return,
            Life::Closing(end) | Life::Ending(end) if end.until <= now => return self.finish(end.code, end.message),
            Life::Closing(_) | Life::Ending(..) | Life::Open => {}
        }
        if self.dialing.as_ref().is_some_and(|d| d.since + self.config.handshake_timeout <= now) {
            self.abort_dial(Code::HandshakeTimeout);
        }
        self.expire_early(now);
        if self.window_ends().is_some_and(|at| at <= now) {
            return self.finish(Code::SessionUnknown, "no connection within the resume window".to_owned());
        }
        let Some(attached) = self.attached else {
            return;
        };
        if attached.heard + self.config.silent_after <= now {
            return self.leave_pipe(now, Code::Silent);
        }
        if self.slow_reader_at(attached).is_some_and(|at| at <= now) {
            return self.leave_slow_reader(now);
        }
        self.handle_pipe_timers(now, attached);
    }

    /// Timers of the attached pipe.
    fn pipe_timers(&self) -> [Option<(Micros, &'static str)>; 7] {
        let Some(attached) = self.attached else {
            return [None; 7];
        };
        [
            Some((attached.heard + self.config.silent_after, "silence")),
            self.slow_reader_at(attached).map(|at| (at, "slow reader")),
            self.path_silent_at(attached).map(|at| (at, "path silence")),
            self.ack_due().map(|at| (at, "ack")),
            self.datagram_ack_due().map(|at| (at, "datagram ack")),
            self.datagram_lost_at(attached).map(|at| (at, "datagram loss")),
            Some((self.probe_at(attached), "probe")),
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
        if self.datagram_ack_due().is_some_and(|at| at <= now) {
            self.acknowledge_datagrams();
        }
        if self.datagram_lost_at(attached).is_some_and(|at| at <= now) {
            self.expire_datagrams(now - self.lost_after());
        }
        if self.probe_at(attached) <= now {
            self.probe(now);
        }
    }

    /// A client keeps reading the server's clock. A server has no use for the client's: it asks only one that has been
    /// silent when it should have asked twice itself.
    fn probe_at(&self, attached: Attached) -> Micros {
        let every = self.config.ping_every;
        match self.role {
            Role::Client(_) => self.probes.next,
            Role::Server { .. } => self.probes.next.max(attached.heard + Micros(2 * every.0)),
        }
    }

    fn probe(&mut self, now: Micros) {
        self.probes.send(now, self.config.ping_every);
        self.rest();
        self.write_attached(LANE_CONTROL, encode_link(link::Kind::Ping(proto::Ping { t0_us: now.0 })));
    }

    /// The attached pipe is of no use; the session waits for a resume.
    pub(super) fn leave_pipe(&mut self, now: Micros, code: Code) {
        if let Some(attached) = self.attached {
            self.close_pipe(attached.pipe, code);
        }
        match self.life.clone() {
            Life::Open => self.detach(now),
            Life::Closing(end) | Life::Ending(end) => {
                self.attached = None;
                self.finish(end.code, end.message);
            }
            Life::Closed => {}
        }
    }

    /// When the session ends for lack of a pipe. A client's dial may still save it.
    fn window_ends(&self) -> Option<Micros> {
        let ends = self.detached_since? + self.resume_window;
        match self.role {
            Role::Client(_) if self.dialing.is_some() => None,
            Role::Client(_) | Role::Server { .. } => Some(ends),
        }
    }

    fn path_silent_at(&self, attached: Attached) -> Option<Micros> {
        let least = self.config.path_silent_after?;
        let usual = Micros(3 * self.rtt.smoothed().0 + 4 * self.rtt.deviation().0);
        let wanted = self.dialing.is_none() && self.life == Life::Open;
        wanted.then(|| (attached.heard + least.max(usual)).max(attached.silence_again))
    }

    /// When the oldest message has waited too long on this pipe.
    fn slow_reader_at(&self, attached: Attached) -> Option<Micros> {
        Some(self.lanes.oldest()?.max(attached.since) + self.config.retained_age_max)
    }

    fn ack_due(&self) -> Option<Micros> {
        self.unacked.due.filter(|_| !self.holds_acks())
    }

    /// When the oldest unresolved datagram counts as lost. What is on an ordered pipe is not lost before the pipe is.
    fn datagram_lost_at(&self, attached: Attached) -> Option<Micros> {
        match attached.pipe.kind {
            PipeKind::Streams => Some(self.oldest_datagram()? + self.lost_after()),
            PipeKind::Ordered => None,
        }
    }

    fn lost_after(&self) -> Micros {
        LOST_AFTER_MIN.max(Micros(self.rtt.smoothed().0 + 4 * self.rtt.deviation().0))
    }
}
