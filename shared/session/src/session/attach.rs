//! The server's side of an attach.

use std::sync::Arc;

use amphi_shared_wire::limits::FRAME_BYTES_MAX;
use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{Code, LANE_CONTROL, Lane, Micros};

use super::early::Early;
use super::timer::{PROBE_BURST, Probes};
use super::{Attached, Identity, Life, Role, Session, Unacked};
use crate::handshake::{encode_link, encode_lost, encode_positions};
use crate::lane::{Loss, resumable_lanes};
use crate::{ClientHello, Config, Event, PipeInfo, Refusal, ResumeRequest, ServerParams};

impl Session {
    /// The server's side of a new session: attached to `pipe`, the Welcome is queued. Sessions share a `config`. A Hello
    /// that would resume a session which is not known here may get a new one too.
    pub fn accept(
        now: Micros,
        config: impl Into<Arc<Config>>,
        params: ServerParams,
        hello: &ClientHello,
        pipe: PipeInfo,
    ) -> Self {
        let ServerParams { session, secret, clock_id, tick, capabilities } = params;
        let mut this = Self::new(config.into(), Role::Server { clock_id, capabilities: capabilities.into() });
        this.identity = Some(Identity { session, secret });
        this.tick = tick.map(Box::new);
        this.generation = 1;
        this.carry(now, pipe);
        this.share_capabilities(hello);
        this.welcome_peer(hello, pipe, 1);
        let topics = hello.resume.as_ref().map_or_else(Vec::new, |resume| resume.topics.clone());
        this.event(Event::Attached { resumed: false, seamless: false, generation: 1, topics });
        this
    }

    /// Server: goes on with this session on a fresh pipe, after checking secret and generation. On success the
    /// Welcome is queued and the old pipe is closed with `GenerationStale`. On failure nothing changes.
    ///
    /// With [`PipeInfo::early`] the Welcome is queued too, but the old pipe stays in use until
    /// [`Session::handle_pipe_confirmed`].
    pub fn attach(&mut self, now: Micros, hello: &ClientHello, pipe: PipeInfo) -> Result<(), Refusal> {
        let resume = self.check_resume(hello)?;
        if pipe.early {
            self.attach_early(now, hello, resume, pipe);
            return Ok(());
        }
        let lost = self.settle_lanes(resume);
        self.generation = resume.generation;
        for (sent, _) in self.lanes.used_mut() {
            if let Some(loss) = &mut sent.lost {
                loss.told.get_or_insert(resume.generation);
            }
        }
        let starts_anew = resumable_lanes().any(|lane| self.lanes.sent(lane).lost.is_some());
        let seamless = resume.welcomed > 0 && resume.lost.is_empty() && !starts_anew;
        self.drop_pipe(Code::GenerationStale);
        self.drop_early(Code::GenerationStale);
        if resume.welcomed == 0 {
            // A client without memory counts its datagrams from 1.
            self.datagrams = None;
        }
        self.carry(now, pipe);
        self.share_capabilities(hello);
        self.welcome_peer(hello, pipe, resume.generation);
        let topics = resume.topics.clone();
        self.event(Event::Attached { resumed: true, seamless, generation: resume.generation, topics });
        self.report_lost_lanes(lost);
        self.report_writable();
        self.replay(pipe.id, None);
        Ok(())
    }

    /// Checks everything that can refuse a resume.
    fn check_resume<'a>(&self, hello: &'a ClientHello) -> Result<&'a ResumeRequest, Refusal> {
        let (Some(resume), Some(identity), Life::Open, Role::Server { .. }) =
            (&hello.resume, self.identity, &self.life, &self.role)
        else {
            return Err(Code::SessionUnknown.into());
        };
        if resume.session != identity.session {
            return Err(Code::SessionUnknown.into());
        }
        // Every byte is compared, so the time says nothing about the secret.
        if resume.secret.iter().zip(identity.secret).fold(0, |differ, (a, b)| differ | (a ^ b)) != 0 {
            return Err(Code::SessionSecret.into());
        }
        let overtaken = |early: &Early| early.generation() > resume.generation;
        if resume.generation <= self.generation || self.early.iter().any(overtaken) {
            return Err(Code::GenerationStale.into());
        }
        for lane in resumable_lanes() {
            self.check_position(resume, lane)?;
        }
        Ok(resume)
    }

    fn check_position(&self, resume: &ResumeRequest, lane: Lane) -> Result<(), Refusal> {
        let sent = self.lanes.sent(lane);
        let received = resume.position(lane);
        if sent.lost.is_some_and(|loss| !loss.is_known(resume)) {
            return Ok(());
        }
        if received > sent.next_seq() {
            return Err(Refusal::new(Code::MessageInvalid, "`received` names more than was sent"));
        }
        if received < sent.base() && resume.welcomed > 0 {
            // Confirmed more than this Hello knows of: it was overtaken.
            return Err(Code::GenerationStale.into());
        }
        Ok(())
    }

    /// Brings both directions to what the client has; says which lanes lost messages now.
    fn settle_lanes(&mut self, resume: &ResumeRequest) -> Vec<(Lane, Code)> {
        let mut lost = Vec::new();
        for lane in resumable_lanes() {
            let loss = self.lanes.sent(lane).lost.filter(|loss| !loss.is_known(resume));
            if loss.is_none() && self.lanes.sent(lane).lost.is_some() {
                self.lanes.sent_mut(lane).lost = None;
            }
            let received = resume.position(lane);
            if loss.is_none() && received < self.lanes.sent(lane).base() {
                self.lanes.start_anew(lane, Some(Loss { code: Code::LaneLost, told: None }));
                lost.push((lane, Code::LaneLost));
            } else if loss.is_none() {
                self.lanes.confirm(lane, received).unwrap_or_else(|_| unreachable!("positions were checked"));
            }
            if let Some((_, code)) = resume.lost.iter().find(|(l, _)| *l == lane)
                && self.lanes.received(lane).next > 0
            {
                if !lost.iter().any(|(l, _)| *l == lane) {
                    lost.push((lane, *code));
                }
                self.lanes.received_mut(lane).next = 0;
            }
        }
        lost
    }

    /// `pipe` carries the session from here on.
    pub(super) fn carry(&mut self, now: Micros, pipe: PipeInfo) {
        self.attached = Some(Attached { pipe, since: now, heard: now, silence_again: now });
        self.detached_since = None;
        self.unacked = Unacked::default();
        self.probes = match self.role {
            Role::Client(_) => Probes::new(now, PROBE_BURST),
            Role::Server { .. } => Probes::new(now + self.config.ping_every, 0),
        };
        self.welcomed = self.generation;
        self.stats.attaches += 1;
    }

    /// The pipe in use, if any, carries the session no more.
    pub(super) fn drop_pipe(&mut self, code: Code) {
        if let Some(old) = self.attached.take() {
            self.lose_datagrams();
            self.close_pipe(old.pipe, code);
        }
    }

    pub(super) fn report_lost_lanes(&mut self, lost: Vec<(Lane, Code)>) {
        for (lane, code) in lost {
            self.stats.lanes_lost += 1;
            self.event(Event::LaneLost { lane, code });
        }
    }

    /// What both sides can do beyond the protocol.
    pub(super) fn share_capabilities(&mut self, hello: &ClientHello) {
        self.capabilities = self.shared_capabilities(hello).into();
    }

    fn shared_capabilities(&self, hello: &ClientHello) -> Vec<String> {
        let Role::Server { capabilities, .. } = &self.role else {
            return Vec::new();
        };
        capabilities.iter().filter(|c| hello.capabilities.contains(c)).cloned().collect()
    }

    /// Queues the Welcome of an attach. On an early pipe it promises nothing, so what this side has told stays.
    pub(super) fn welcome_peer(&mut self, hello: &ClientHello, pipe: PipeInfo, generation: u32) {
        let (&Role::Server { clock_id, .. }, Some(identity)) = (&self.role, self.identity) else {
            unreachable!("only a server welcomes");
        };
        let lost = resumable_lanes().filter_map(|lane| Some((lane, self.lanes.sent(lane).lost?.code)));
        let lost = if pipe.early { Vec::new() } else { encode_lost(lost) };
        let welcome = proto::Welcome {
            protocol: hello.protocol,
            capabilities: self.shared_capabilities(hello),
            session: identity.session.to_string(),
            secret: identity.secret.to_vec().into(),
            generation,
            clock_id,
            limits: Some(proto::Limits {
                frame_bytes_max: FRAME_BYTES_MAX as u32,
                datagram_bytes_max: pipe.max_datagram as u32,
                resume_window_ms: self.resume_window.as_millis() as u32,
            }),
            tick0_us: self.tick.as_ref().map_or(0, |t| t.tick0.0),
            tick_hz: self.tick.as_ref().map_or(0, |t| t.tick_hz),
            resumed: generation > 1,
            received: encode_positions(self.lanes.received_positions()),
            lost,
        };
        if !pipe.early {
            // Nothing comes again here, whatever an older pipe still had to repeat.
            let received = self.lanes.received_now();
            self.lanes.count_received_from(&received);
        }
        self.write_frame(pipe.id, LANE_CONTROL, encode_link(link::Kind::Welcome(welcome)));
    }
}

impl ResumeRequest {
    /// Where the client stands on `lane`.
    pub(crate) fn position(&self, lane: Lane) -> u64 {
        self.received.iter().find(|(l, _)| *l == lane).map_or(0, |(_, next)| *next)
    }
}

impl Loss {
    /// True when the client has read a Welcome that told this loss.
    pub(super) fn is_known(&self, resume: &ResumeRequest) -> bool {
        self.told.is_some_and(|told| resume.welcomed >= told)
    }
}
