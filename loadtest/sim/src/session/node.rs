//! The node: what edge and admission do with connections. A pipe is nobody's until its Hello has named a session.

use std::collections::BTreeMap;

use amphi_shared_session::{ClientHello, Config, PipeId, PipeInfo, RateLimit, Refusal, ServerParams, Session};
use amphi_shared_wire::limits::{MESSAGES_BURST_MAX, MESSAGES_PER_S_MAX};
use amphi_shared_wire::{Code, Micros, Rng, SessionId};

use super::client::bearer;
use super::flows::Flows;
use crate::plan::Skew;

/// A session at the node.
pub(super) struct Held {
    pub(super) session: Session,
    pub(super) who: usize,
    /// Number of the session, for stamps.
    pub(super) life: u32,
    /// Towards the client.
    pub(super) down: Flows,
    pub(super) timer: Option<Micros>,
    pub(super) closed: Option<Code>,
}

pub(super) struct Node {
    pub(super) clock: Skew,
    pub(super) sessions: BTreeMap<SessionId, Held>,
    /// Which session a pipe belongs to, once its Hello was taken.
    pub(super) pipes: BTreeMap<PipeId, SessionId>,
    /// What each pipe may still say, as at `edge`.
    rates: BTreeMap<PipeId, RateLimit>,
    rng: Rng,
}

impl Node {
    pub(super) fn new(clock: Skew, rng: Rng) -> Self {
        Self { clock, sessions: BTreeMap::new(), pipes: BTreeMap::new(), rates: BTreeMap::new(), rng }
    }

    /// Counts a reliable message of a pipe; false when it has said too much, so that `edge` closes it.
    pub(super) fn admit(&mut self, now: Micros, pipe: PipeId) -> bool {
        let rate = || RateLimit::new(MESSAGES_PER_S_MAX, MESSAGES_BURST_MAX);
        self.rates.entry(pipe).or_insert_with(rate).check(now).is_ok()
    }

    /// Takes a Hello: a resume goes to the session it names, everyone else gets a new one.
    pub(super) fn greet(&mut self, now: Micros, hello: &ClientHello, pipe: PipeInfo) -> Result<SessionId, Refusal> {
        let now = self.clock.shows(now);
        let who = bearer(&hello.token).ok_or(Code::TokenInvalid)?;
        let Some(resume) = &hello.resume else {
            let id = SessionId::generate(now, &mut self.rng);
            let secret = std::array::from_fn(|_| self.rng.below(256) as u8);
            let params = ServerParams { session: id, secret, clock_id: 1, tick: None, capabilities: Vec::new() };
            let session = Session::accept(now, Config::default(), params, hello, pipe);
            let life = self.sessions.len() as u32 + 1;
            let held = Held { session, who, life, down: Flows::default(), timer: None, closed: None };
            self.sessions.insert(id, held);
            self.pipes.insert(pipe.id, id);
            return Ok(id);
        };
        let held = self.sessions.get_mut(&resume.session).filter(|held| held.closed.is_none());
        let held = held.ok_or(Code::SessionUnknown)?;
        held.session.attach(now, hello, pipe)?;
        self.pipes.insert(pipe.id, resume.session);
        Ok(resume.session)
    }

    /// The newest session of a client that has not ended.
    pub(super) fn newest_of(&self, who: usize) -> Option<SessionId> {
        let open = self.sessions.iter().filter(|(_, held)| held.who == who && held.closed.is_none());
        open.max_by_key(|(_, held)| held.life).map(|(id, _)| *id)
    }

    pub(super) fn next(&self) -> Option<Micros> {
        self.sessions.values().filter_map(|held| held.timer).min()
    }
}
