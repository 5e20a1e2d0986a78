//! The server's side of an attach.

use amphi_shared_wire::limits::FRAME_BYTES_MAX;
use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{Code, LANE_CONTROL, Lane, Micros};

use super::{Attached, Identity, Life, Probes, Role, Session, Unacked};
use crate::datagram::Datagrams;
use crate::handshake::{encode_link, encode_lost, encode_positions};
use crate::lane::{Loss, resumable_lanes};
use crate::{ClientHello, Config, Event, Output, PipeInfo, Refusal, ResumeRequest, ServerParams};

impl Session {
    /// The server's side of a new session: attached to `pipe`, the Welcome is queued.
    pub fn accept(now: Micros, config: Config, params: ServerParams, hello: &ClientHello, pipe: PipeInfo) -> Self {
        let identity = Identity { session: params.session, secret: params.secret };
        let tick = params.tick;
        let mut session = Self::new(config, Role::Server(params));
        session.identity = Some(identity);
        session.tick = tick;
        session.generation = 1;
        session.carry(now, pipe);
        session.welcome_peer(hello, pipe, false);
        session.event(Event::Attached { resumed: false, generation: 1 });
        session
    }

    /// Server: goes on with this session on a fresh pipe, after checking secret and generation. On success the
    /// Welcome is queued and the old pipe is closed with `GenerationStale`. On failure nothing changes.
    pub fn attach(&mut self, now: Micros, hello: &ClientHello, pipe: PipeInfo) -> Result<(), Refusal> {
        let resume = self.check_resume(hello)?;
        let lost = self.settle_lanes(resume);
        self.generation = resume.generation;
        for lane in resumable_lanes() {
            if let Some(loss) = &mut self.outbound.lane_mut(lane).lost {
                loss.told.get_or_insert(resume.generation);
            }
        }
        self.drop_pipe(Code::GenerationStale);
        if resume.welcomed == 0 {
            // A client without memory counts its datagrams from 1.
            self.datagrams = Datagrams::new();
        }
        self.carry(now, pipe);
        self.welcome_peer(hello, pipe, true);
        self.event(Event::Attached { resumed: true, generation: resume.generation });
        self.report_lost_lanes(lost);
        self.count_retained();
        self.report_writable();
        self.replay(pipe.id);
        Ok(())
    }

    /// Checks everything that can refuse a resume.
    fn check_resume<'a>(&self, hello: &'a ClientHello) -> Result<&'a ResumeRequest, Refusal> {
        let (Some(resume), Some(identity), Life::Open, Role::Server(_)) =
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
        if resume.generation <= self.generation {
            return Err(Code::GenerationStale.into());
        }
        for lane in resumable_lanes() {
            self.check_position(resume, lane)?;
        }
        Ok(resume)
    }

    fn check_position(&self, resume: &ResumeRequest, lane: Lane) -> Result<(), Refusal> {
        let sent = self.outbound.lane(lane);
        let received = position(resume, lane);
        if sent.lost.is_some_and(|loss| !was_told(loss, resume)) {
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
            let sent = self.outbound.lane_mut(lane);
            sent.lost = sent.lost.filter(|loss| !was_told(*loss, resume));
            let received = position(resume, lane);
            if sent.lost.is_none() && received < sent.base() {
                self.outbound.start_anew(lane, Some(Loss { code: Code::LaneLost, told: None }));
                lost.push((lane, Code::LaneLost));
            } else if sent.lost.is_none() {
                self.outbound.confirm(lane, received).unwrap_or_else(|_| unreachable!("positions were checked"));
            }
            if let Some((_, code)) = resume.lost.iter().find(|(l, _)| *l == lane) {
                if self.inbound[usize::from(lane)].next > 0 && !lost.iter().any(|(l, _)| *l == lane) {
                    lost.push((lane, *code));
                }
                self.inbound[usize::from(lane)].next = 0;
            }
        }
        lost
    }

    /// `pipe` carries the session from here on.
    pub(super) fn carry(&mut self, now: Micros, pipe: PipeInfo) {
        self.attached = Some(Attached { pipe, heard: now, silence_again: now });
        self.detached_since = None;
        self.unacked = Unacked::default();
        let burst = match self.role {
            Role::Client(_) => super::timer::PROBE_BURST,
            Role::Server(_) => 0,
        };
        let next = if burst > 0 { now } else { now + self.config.ping_every };
        self.probes = Probes { next, burst, ..Probes::default() };
        self.welcomed = self.generation;
        self.stats.attaches += 1;
    }

    /// The pipe in use, if any, carries the session no more.
    pub(super) fn drop_pipe(&mut self, code: Code) {
        let Some(old) = self.attached.take() else {
            return;
        };
        let fates = self.datagrams.abandon();
        self.report(fates);
        self.outputs.push_back(Output::ClosePipe { pipe: old.pipe.id, code, message: code.help().to_owned() });
    }

    pub(super) fn report_lost_lanes(&mut self, lost: Vec<(Lane, Code)>) {
        for (lane, code) in lost {
            self.stats.lanes_lost += 1;
            self.event(Event::LaneLost { lane, code });
        }
    }

    fn welcome_peer(&mut self, hello: &ClientHello, pipe: PipeInfo, resumed: bool) {
        let (Role::Server(params), Some(identity)) = (&self.role, self.identity) else {
            unreachable!("only a server welcomes");
        };
        let capabilities: Vec<String> =
            params.capabilities.iter().filter(|c| hello.capabilities.contains(c)).cloned().collect();
        let lost = resumable_lanes().filter_map(|lane| Some((lane, self.outbound.lane(lane).lost?.code)));
        let received = resumable_lanes().map(|lane| (lane, self.inbound[usize::from(lane)].next));
        let welcome = proto::Welcome {
            protocol: hello.protocol,
            capabilities: capabilities.clone(),
            session: identity.session.to_string(),
            secret: identity.secret.to_vec().into(),
            generation: self.generation,
            clock_id: params.clock_id,
            limits: Some(proto::Limits {
                frame_bytes_max: FRAME_BYTES_MAX as u32,
                datagram_bytes_max: pipe.max_datagram as u32,
                resume_window_ms: self.config.resume_window.as_millis() as u32,
            }),
            tick0_us: params.tick.map_or(0, |t| t.tick0.0),
            tick_hz: params.tick.map_or(0, |t| t.tick_hz),
            resumed,
            received: encode_positions(received),
            lost: encode_lost(lost),
        };
        self.capabilities = capabilities;
        self.inbound.iter_mut().for_each(|lane| lane.told = lane.next);
        self.write_frame(pipe.id, LANE_CONTROL, encode_link(link::Kind::Welcome(welcome)));
    }
}

/// Where the client stands on `lane`.
fn position(resume: &ResumeRequest, lane: Lane) -> u64 {
    resume.received.iter().find(|(l, _)| *l == lane).map_or(0, |(_, next)| *next)
}

/// True when the client has read a Welcome that told this loss.
fn was_told(loss: Loss, resume: &ResumeRequest) -> bool {
    loss.told.is_some_and(|told| resume.welcomed >= told)
}
