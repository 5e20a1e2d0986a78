//! Server: attaches that came in early data (0-RTT).
//!
//! Early data may be a replay: a copy of a Hello that someone else sends. So it is answered at once, and everything the
//! session says goes to its pipe too, but it takes nothing away: until the handshake of its pipe is confirmed, the older
//! pipe carries the session, and the early one may end without a trace.

use amphi_shared_wire::limits::EARLY_ATTACHES_MAX;
use amphi_shared_wire::{Code, LANE_CONTROL, Micros, ORDERED_LANES};

use super::{Life, Session};
use crate::lane::resumable_lanes;
use crate::{ClientHello, Event, PipeId, PipeInfo, ResumeRequest, TopicPosition};

/// An attach that is not binding yet.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) pipe: PipeInfo,
    pub(super) since: Micros,
    hello: ClientHello,
    /// Number of messages received per lane, as its Welcome says. `None`: the answer would take back something that was
    /// promised on another pipe, so it waits for the confirmation.
    told: Option<[u64; ORDERED_LANES]>,
    /// The owner was told that this pipe carries the session.
    announced: bool,
}

impl Early {
    pub(super) fn generation(&self) -> u32 {
        self.hello.resume.as_ref().map_or(0, |resume| resume.generation)
    }

    fn topics(&self) -> Vec<TopicPosition> {
        self.hello.resume.as_ref().map_or_else(Vec::new, |resume| resume.topics.clone())
    }

    pub(super) fn is_answered(&self) -> bool {
        self.told.is_some()
    }

    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }
}

impl Session {
    /// Server: the handshake of a pipe with [`PipeInfo::early`] is confirmed, so its Hello was no replay and becomes
    /// binding: the older pipe is closed with `GenerationStale`. To be called before anything else that arrived on the
    /// pipe is handed in.
    pub fn handle_pipe_confirmed(&mut self, now: Micros, pipe: PipeId) {
        let Some(at) = self.early.iter().position(|early| early.pipe.id == pipe) else {
            return;
        };
        let mut early = self.early.remove(at);
        early.pipe.early = false;
        match early.told {
            Some(told) => self.bind(now, early, &told),
            None => {
                if let Err(refusal) = self.attach(now, &early.hello, early.pipe) {
                    self.write_frame(early.pipe.id, LANE_CONTROL, refusal.encode());
                    self.close_pipe(early.pipe, refusal.code);
                }
            }
        }
    }

    /// Answers an early Hello that passed every check.
    pub(super) fn attach_early(&mut self, now: Micros, hello: &ClientHello, resume: &ResumeRequest, pipe: PipeInfo) {
        if self.early.len() == EARLY_ATTACHES_MAX {
            self.leave_early(0, Some(Code::Overloaded));
        }
        let told = self.takes_nothing_back(resume).then(|| self.lanes.received_now());
        self.early.push(Early { pipe, since: now, hello: hello.clone(), told, announced: false });
        if told.is_some() {
            self.welcome_peer(hello, pipe, resume.generation);
            self.replay(pipe.id, Some(resume));
            self.announce_early();
        }
    }

    /// Gives up an early pipe; with a code when it is still there.
    pub(super) fn leave_early(&mut self, at: usize, code: Option<Code>) {
        let early = self.early.remove(at);
        if let Some(code) = code {
            self.close_pipe(early.pipe, code);
        }
        if early.announced {
            self.lose_datagrams();
            self.event(Event::Detached);
            self.announce_early();
        }
    }

    /// Gives up every early pipe: another one carries the session.
    pub(super) fn drop_early(&mut self, code: Code) {
        for early in std::mem::take(&mut self.early) {
            self.close_pipe(early.pipe, code);
        }
    }

    /// Without another pipe, the newest early one carries what the session says.
    pub(super) fn announce_early(&mut self) {
        let unheard = self.attached.is_none() && self.life == Life::Open && !self.early.iter().any(|e| e.announced);
        if let Some(early) = self.early.iter_mut().rfind(|early| unheard && early.is_answered()) {
            early.announced = true;
            let (generation, topics) = (early.generation(), early.topics());
            // An answer that takes something back waits for the confirmation.
            self.event(Event::Attached { resumed: true, seamless: true, generation, topics });
        }
    }

    /// Early attaches that have waited too long for their confirmation.
    pub(super) fn expire_early(&mut self, now: Micros) {
        while let Some(at) = self.early.iter().position(|early| early.since + self.config.handshake_timeout <= now) {
            self.leave_early(at, Some(Code::HandshakeTimeout));
        }
    }

    /// An answered early attach becomes the one in use.
    fn bind(&mut self, now: Micros, early: Early, told: &[u64; ORDERED_LANES]) {
        let Early { pipe, hello, announced, .. } = early;
        let Some(resume) = &hello.resume else {
            return;
        };
        self.generation = resume.generation;
        for (lane, received) in &resume.received {
            self.lanes.confirm(*lane, *received).unwrap_or_else(|_| unreachable!("positions were checked"));
        }
        self.lanes.used_mut().for_each(|(sent, _)| sent.lost = None);
        // What arrived on the older pipe since the Welcome comes again on this one.
        self.lanes.count_received_from(told);
        self.drop_pipe(Code::GenerationStale);
        self.drop_early(Code::GenerationStale);
        self.carry(now, pipe);
        self.ack_later(now);
        self.share_capabilities(&hello);
        if !announced {
            let topics = resume.topics.clone();
            self.event(Event::Attached { resumed: true, seamless: true, generation: self.generation, topics });
        }
        self.report_writable();
    }

    /// True when the answer to this resume loses no lane and no datagram number.
    fn takes_nothing_back(&self, resume: &ResumeRequest) -> bool {
        let keeps = |lane| self.lanes.sent(lane).lost.is_none_or(|loss| loss.is_known(resume));
        resume.welcomed > 0 && resume.lost.is_empty() && resumable_lanes().all(keeps)
    }
}
