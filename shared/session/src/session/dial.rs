//! The client's side of an attach.

use amphi_shared_wire::limits::{DATAGRAMS_BEFORE_WELCOME_MAX, FRAME_BYTES_MAX, HELLO_BYTES_MAX};
use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{
    Action, Code, LANE_CONTROL, Lane, Micros, ORDERED_LANES, PROTOCOL_MAX, PROTOCOL_MIN, SessionId, TickClock,
};
use bytes::Bytes;
use prost::Message;

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Identity, Life, Role, Session};
use crate::handshake::{
    KIND_LINK, agree, decode_lost, decode_positions, encode_link, encode_lost, encode_positions, encode_topics,
};
use crate::lane::{Loss, ReceiveLane, resumable_lanes};
use crate::{Config, ConnectRequest, Event, Output, PipeInfo, Refusal, TopicPosition};

/// Bytes of frames on other lanes that may arrive before the Welcome. Beyond: the pipe is closed with `Overloaded`.
const EARLY_BYTES_MAX: usize = 8 * FRAME_BYTES_MAX;
/// What such a frame costs beside its payload, bytes.
const EARLY_FRAME_COST: usize = 64;

/// Kind byte, tags and lengths around a Resume, bytes.
const RESUME_FRAMING: usize = 16;

/// A pipe on which our Hello waits for its answer.
#[derive(Debug)]
pub(super) struct Dialing {
    pub(super) pipe: PipeInfo,
    pub(super) since: Micros,
    generation: u32,
    /// Number of messages received per lane, as the Hello says.
    told: [u64; ORDERED_LANES],
    /// Frames of lanes that overtook the Welcome.
    early: Vec<(Lane, Bytes)>,
    early_bytes: usize,
    /// Datagrams that overtook it, the newest few.
    datagrams: VecDeque<Bytes>,
}

/// A Welcome with every field checked.
struct Greeting {
    identity: Identity,
    generation: u32,
    clock_id: u64,
    tick: Option<TickClock>,
    resumed: bool,
    received: Vec<(Lane, u64)>,
    lost: Vec<(Lane, Code)>,
    capabilities: Vec<String>,
    limits: proto::Limits,
}

impl Session {
    /// The client's side of a session, without a pipe.
    pub fn connect(config: impl Into<Arc<Config>>, request: ConnectRequest) -> Self {
        let saved = request.resume.clone();
        let mut session = Self::new(config.into(), Role::Client(Box::new(request)));
        if let Some(saved) = saved {
            session.identity = Some(Identity { session: saved.session, secret: saved.secret });
            session.generation = saved.generation;
            for lane in resumable_lanes() {
                session.lanes.start_anew(lane, Some(Loss { code: Code::LaneLost, told: None }));
            }
        }
        session
    }

    /// Client: uses a fresh pipe; the Hello is queued, with a resume when there is a session. May be called while
    /// another pipe carries the session: that one goes on until the Welcome arrives on the new one. An older dial
    /// that has no answer yet is given up.
    pub fn dial(&mut self, now: Micros, pipe: PipeInfo) {
        if let Some(old) = self.dialing.take() {
            self.close_pipe(old.pipe, Code::GenerationStale);
        }
        if self.life != Life::Open {
            return self.close_pipe(pipe, Code::Bye);
        }
        let Role::Client(request) = &self.role else {
            return self.close_pipe(pipe, Code::HandshakeInvalid);
        };
        let mut hello = hello(request);
        if let Some(identity) = self.identity {
            self.generation += 1;
            hello.resume = Some(self.resume(identity));
            let room = HELLO_BYTES_MAX.saturating_sub(hello.encoded_len() + RESUME_FRAMING);
            if let Some(resume) = &mut hello.resume {
                resume.topics = encode_topics(&request.topics, room);
            }
        }
        let (generation, told) = (self.generation, self.lanes.received_now());
        self.dialing = Some(Box::new(Dialing {
            pipe,
            since: now,
            generation,
            told,
            early: Vec::new(),
            early_bytes: 0,
            datagrams: VecDeque::new(),
        }));
        self.write_frame(pipe.id, LANE_CONTROL, encode_link(link::Kind::Hello(hello)));
    }

    /// Client of a home session: names the topics it reads, so that the next resume subscribes them. Those that do not
    /// fit into a Hello are for the owner to subscribe. The node answers each as if it had been asked.
    pub fn restore(&mut self, topics: Vec<TopicPosition>) {
        if let Role::Client(request) = &mut self.role {
            request.topics = topics;
        }
    }

    /// Client: the token that the next dial shows.
    pub fn set_token(&mut self, token: String) {
        if let Role::Client(request) = &mut self.role {
            request.token = token;
        }
    }

    fn resume(&self, identity: Identity) -> proto::Resume {
        let lost = resumable_lanes().filter_map(|lane| Some((lane, self.lanes.sent(lane).lost?.code)));
        proto::Resume {
            session: identity.session.to_string(),
            secret: identity.secret.to_vec().into(),
            generation: self.generation,
            received: encode_positions(self.lanes.received_positions()),
            welcomed: self.welcomed,
            lost: encode_lost(lost),
            topics: Vec::new(),
        }
    }

    /// Keeps a datagram of the pipe on which our Hello waits: what leaves behind the Welcome may arrive before it.
    pub(super) fn keep_datagram(&mut self, bytes: Bytes) {
        if let Some(dialing) = &mut self.dialing {
            if dialing.datagrams.len() == DATAGRAMS_BEFORE_WELCOME_MAX {
                dialing.datagrams.pop_front();
                self.stats.stale_in += 1;
            }
            dialing.datagrams.push_back(bytes);
        }
    }

    /// Takes a frame of the pipe on which our Hello waits.
    pub(super) fn handle_early(&mut self, now: Micros, lane: Lane, payload: Bytes) {
        let Some(dialing) = &mut self.dialing else {
            return;
        };
        if lane != LANE_CONTROL {
            dialing.early_bytes += payload.len() + EARLY_FRAME_COST;
            if dialing.early_bytes > EARLY_BYTES_MAX {
                return self.abort_dial(Code::Overloaded);
            }
            return dialing.early.push((lane, payload));
        }
        let link = (payload.first() == Some(&KIND_LINK)).then(|| proto::Link::decode(payload.slice(1..)));
        match link.and_then(Result::ok).and_then(|link| link.kind) {
            Some(link::Kind::Welcome(welcome)) => match self.check_welcome(welcome) {
                Some(greeting) => self.handle_welcome(now, greeting),
                None => self.abort_dial(Code::MessageInvalid),
            },
            Some(link::Kind::Refused(refused)) => self.handle_refused(refused),
            Some(link::Kind::Close(close)) => self.handle_refused(proto::Refused {
                code: close.code,
                message: close.message,
                retry_after_ms: close.retry_after_ms,
                ..proto::Refused::default()
            }),
            Some(link::Kind::Hello(_) | link::Kind::Ack(_) | link::Kind::Ping(_) | link::Kind::Pong(_)) | None => {
                self.abort_dial(Code::HandshakeInvalid);
            }
        }
    }

    /// Reads a Welcome; `None` when it cannot be an answer to our Hello.
    fn check_welcome(&self, welcome: proto::Welcome) -> Option<Greeting> {
        let dialing = self.dialing.as_ref()?;
        agree(welcome.protocol, welcome.protocol).ok()?;
        let identity = Identity {
            session: welcome.session.parse::<SessionId>().ok()?,
            secret: welcome.secret.as_ref().try_into().ok()?,
        };
        let goes_on = self.identity == Some(identity) && welcome.generation == dialing.generation;
        let received = decode_positions(&welcome.received)?;
        let fits = received.iter().all(|(lane, next)| {
            let sent = self.lanes.sent(*lane);
            *next <= sent.next_seq() && (sent.lost.is_none() || *next == 0)
        });
        let complete = resumable_lanes().all(|lane| {
            self.lanes.sent(lane).base() == 0
                || received.iter().any(|(l, n)| *l == lane && *n >= self.lanes.sent(lane).base())
        });
        if welcome.resumed && !(goes_on && fits && complete) {
            return None;
        }
        let tick_hz_fits = (1..=1_000).contains(&welcome.tick_hz);
        Some(Greeting {
            identity,
            generation: welcome.generation,
            clock_id: welcome.clock_id,
            tick: tick_hz_fits.then_some(TickClock { tick0: Micros(welcome.tick0_us), tick_hz: welcome.tick_hz }),
            resumed: welcome.resumed,
            received,
            lost: decode_lost(&welcome.lost)?,
            capabilities: welcome.capabilities,
            limits: welcome.limits.unwrap_or_default(),
        })
    }

    fn handle_welcome(&mut self, now: Micros, greeting: Greeting) {
        let Some(mut dialing) = self.dialing.take() else {
            return;
        };
        let keeps = |lane| self.lanes.sent(lane).lost.is_none();
        let remembers = self.welcomed > 0 && resumable_lanes().all(keeps);
        let lost = if greeting.resumed { self.go_on(&greeting, &dialing.told) } else { self.start_over() };
        self.drop_pipe(Code::GenerationStale);
        self.identity = Some(greeting.identity);
        self.generation = greeting.generation;
        self.capabilities = greeting.capabilities.into();
        self.tick = greeting.tick.map(Box::new);
        self.clock.follow(greeting.clock_id);
        if greeting.limits.datagram_bytes_max > 0 {
            dialing.pipe.max_datagram = dialing.pipe.max_datagram.min(greeting.limits.datagram_bytes_max as usize);
        }
        if greeting.limits.resume_window_ms > 0 {
            self.resume_window = Micros::from_millis(greeting.limits.resume_window_ms.into());
        }
        self.carry(now, dialing.pipe);
        self.ack_later(now);
        let Greeting { resumed, generation, .. } = greeting;
        let seamless = resumed && remembers && lost.is_empty();
        self.event(Event::Attached { resumed, seamless, generation, topics: Vec::new() });
        self.report_lost_lanes(lost);
        self.report_writable();
        self.replay(dialing.pipe.id, None);
        self.repeat_close();
        for (lane, payload) in dialing.early {
            if self.life != Life::Closed {
                self.take_frame(now, lane, payload);
            }
        }
        for bytes in dialing.datagrams {
            self.handle_datagram(now, dialing.pipe.id, bytes);
        }
    }

    /// The session goes on: brings both directions to what the Welcome says, and says which lanes were lost.
    fn go_on(&mut self, greeting: &Greeting, told: &[u64; ORDERED_LANES]) -> Vec<(Lane, Code)> {
        for lane in resumable_lanes() {
            let next = greeting.received.iter().find(|(l, _)| *l == lane).map_or(0, |(_, next)| *next);
            self.lanes.confirm(lane, next).unwrap_or_else(|_| unreachable!("positions were checked"));
        }
        self.lanes.count_received_from(told);
        for (lane, _) in &greeting.lost {
            *self.lanes.received_mut(*lane) = ReceiveLane::default();
        }
        self.lanes.used_mut().for_each(|(sent, _)| sent.lost = None);
        greeting.lost.clone()
    }

    /// The server knows no earlier session: everything counts from 0. Says which lanes lost messages.
    fn start_over(&mut self) -> Vec<(Lane, Code)> {
        let mut lost = Vec::new();
        for lane in resumable_lanes() {
            let kept = self.lanes.sent(lane).kept().next().is_some();
            if self.welcomed == 0 {
                // Nothing was ever sent, so nothing is lost.
                continue;
            }
            self.lanes.start_anew(lane, None);
            if kept {
                lost.push((lane, Code::LaneLost));
            }
        }
        self.lanes.used_mut().for_each(|(sent, _)| sent.lost = None);
        self.lanes.forget_received();
        self.lose_datagrams();
        self.datagrams = None;
        lost
    }

    fn handle_refused(&mut self, refused: proto::Refused) {
        let Some(dialing) = self.dialing.take() else {
            return;
        };
        // A code from a newer server: nothing is known about it but that it refuses.
        let code = Code::from_number(refused.code).unwrap_or(Code::HandshakeInvalid);
        let refusal = Refusal { code, message: refused.message, retry_after_ms: refused.retry_after_ms };
        self.close_pipe(dialing.pipe, code);
        self.event(Event::Refused(refusal.clone()));
        if self.is_closed() {
            self.finish_without_pipe();
        } else if code.action() == Action::Stop && self.attached.is_none() {
            self.finish(code, refusal.message);
        }
    }

    /// Gives up the pipe on which our Hello waits.
    pub(super) fn abort_dial(&mut self, code: Code) {
        if let Some(dialing) = self.dialing.take() {
            self.close_pipe(dialing.pipe, code);
        }
    }

    /// True when a pipe that ended with `code` ends a client's session too.
    pub(super) fn ends_session(&self, code: Code) -> bool {
        match self.role {
            Role::Server { .. } => false,
            // A newer dial of our own makes the older pipe stale.
            Role::Client(_) if code == Code::GenerationStale => {
                self.dialing.is_none() && self.generation == self.welcomed
            }
            Role::Client(_) => code.action() == Action::Stop,
        }
    }

    pub(super) fn close_pipe(&mut self, pipe: PipeInfo, code: Code) {
        self.outputs.push(Output::ClosePipe { pipe: pipe.id, code, message: code.help().to_owned() });
    }
}

fn hello(request: &ConnectRequest) -> proto::Hello {
    proto::Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        app: request.app.as_str().to_owned(),
        game: request.game.clone(),
        build: request.build.clone(),
        schema_hash: request.schema_hash,
        tables_known: request.tables_known.clone(),
        capabilities: request.capabilities.clone(),
        token: request.token.clone(),
        resume: None,
    }
}
