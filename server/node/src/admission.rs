//! From a Hello to a worker: tokens, matches, sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_shared_auth::{ConnectToken, Verifier};
use amphi_shared_replica::Game;
use amphi_shared_session::{ClientHello, Refusal, ResumeRequest};
use amphi_shared_wire::limits::{MATCHES_MAX, ROOMS_PER_HOST_MAX, SEATS_MAX};
use amphi_shared_wire::{AppId, Code, MatchId, Micros, SessionId, TokenId};

/// Used tokens that are remembered, many times what all seats of a host need. Beyond: refuse with `Overloaded`.
const TOKENS_MAX: usize = ROOMS_PER_HOST_MAX * SEATS_MAX * 16;
/// Ended matches that are remembered, so that a late client hears `MatchEnded`. Beyond: drop the oldest.
const ENDED_MAX: usize = MATCHES_MAX / 10;

/// Decides where a Hello goes. Knows every match, session and used token of the host; has no IO.
#[derive(Debug)]
pub(crate) struct Admission {
    app: AppId,
    game: Game,
    verifier: Verifier,
    /// Worker of each match that runs.
    matches: BTreeMap<MatchId, usize>,
    ended: VecDeque<MatchId>,
    sessions: BTreeMap<SessionId, (usize, MatchId)>,
    used: BTreeMap<TokenId, Used>,
    used_by_expiry: BTreeSet<(Micros, TokenId)>,
}

/// A token that opens no second session …
#[derive(Clone, Copy, Debug)]
struct Used {
    expires: Micros,
    /// … unless its client never read the Welcome of this one.
    session: Option<SessionId>,
}

/// Where a Hello goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A new session for the person with this token. With `replaces` the token has opened that session before: it
    /// counts only if nothing was ever heard on it.
    Join { worker: usize, token: ConnectToken, replaces: Option<SessionId> },
    /// A session that goes on.
    Resume { worker: usize, match_id: MatchId, session: SessionId },
}

impl Admission {
    pub(crate) fn new(app: AppId, game: Game, verifier: Verifier) -> Self {
        Self {
            app,
            game,
            verifier,
            matches: BTreeMap::new(),
            ended: VecDeque::new(),
            sessions: BTreeMap::new(),
            used: BTreeMap::new(),
            used_by_expiry: BTreeSet::new(),
        }
    }

    /// Checks a Hello. A connect token that passes counts as used from here on.
    pub(crate) fn route(&mut self, now: Micros, hello: &ClientHello) -> Result<Route, Refusal> {
        self.check_build(hello)?;
        match &hello.resume {
            Some(resume) => self.resume(resume),
            None => self.join(now, hello),
        }
    }

    pub(crate) fn match_opened(&mut self, match_id: MatchId, worker: usize) {
        self.matches.insert(match_id, worker);
    }

    pub(crate) fn match_ended(&mut self, match_id: MatchId) {
        if self.matches.remove(&match_id).is_some() {
            self.ended.push_back(match_id);
            if self.ended.len() > ENDED_MAX {
                self.ended.pop_front();
            }
        }
    }

    /// A token opens this session at a worker.
    pub(crate) fn session_opened(&mut self, session: SessionId, worker: usize, token: &ConnectToken) {
        self.sessions.insert(session, (worker, token.match_id));
        if let Some(used) = self.used.get_mut(&token.id) {
            used.session = Some(session);
        }
    }

    pub(crate) fn session_ended(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// A token found no seat, so it may be tried again.
    pub(crate) fn token_unused(&mut self, token: TokenId) {
        if let Some(Used { expires, .. }) = self.used.remove(&token) {
            self.used_by_expiry.remove(&(expires, token));
        }
    }

    pub(crate) fn has_ended(&self, match_id: MatchId) -> bool {
        self.ended.contains(&match_id)
    }

    pub(crate) fn matches(&self) -> usize {
        self.matches.len()
    }

    /// The worker with the fewest matches.
    pub(crate) fn least_busy(&self, workers: usize) -> usize {
        let load = |worker: &usize| self.matches.values().filter(|w| *w == worker).count();
        (0..workers).min_by_key(load).unwrap_or(0)
    }

    /// A client must mean the same game; no name says that it plays any. Whether the builds fit is for the client to say: it is
    /// sent this one's schema, and knows what it can do without.
    fn check_build(&self, hello: &ClientHello) -> Result<(), Refusal> {
        if !hello.game.is_empty() && hello.game != self.game.name() {
            let (theirs, ours) = (&hello.game, self.game.name());
            let message = format!("the client plays `{theirs}`, this host runs `{ours}`");
            return Err(Refusal::new(Code::SchemaUnsupported, message));
        }
        Ok(())
    }

    /// The session's secret is its proof; the worker that owns it checks it.
    fn resume(&self, resume: &ResumeRequest) -> Result<Route, Refusal> {
        let (worker, match_id) = self.sessions.get(&resume.session).copied().ok_or(Code::SessionUnknown)?;
        Ok(Route::Resume { worker, match_id, session: resume.session })
    }

    fn join(&mut self, now: Micros, hello: &ClientHello) -> Result<Route, Refusal> {
        if hello.token.is_empty() {
            return Err(Code::TokenMissing.into());
        }
        let token = self.verifier.connect(now, &hello.token)?;
        if token.app != self.app || hello.app != self.app {
            return Err(Code::TokenWrongApp.into());
        }
        let Some(worker) = self.matches.get(&token.match_id).copied() else {
            let ended = self.has_ended(token.match_id);
            return Err(if ended { Code::MatchEnded } else { Code::TokenWrongMatch }.into());
        };
        self.forget_expired(now);
        if let Some(used) = self.used.get(&token.id) {
            let replaces = used.session.filter(|session| self.sessions.contains_key(session));
            return match replaces {
                Some(_) => Ok(Route::Join { worker, token, replaces }),
                None => Err(Code::TokenUsed.into()),
            };
        }
        if self.used.len() >= TOKENS_MAX {
            return Err(Code::Overloaded.into());
        }
        self.used.insert(token.id, Used { expires: token.expires, session: None });
        self.used_by_expiry.insert((token.expires, token.id));
        Ok(Route::Join { worker, token, replaces: None })
    }

    /// An expired token is refused as such, whether it was used or not.
    fn forget_expired(&mut self, now: Micros) {
        while let Some((expires, token)) = self.used_by_expiry.first().copied()
            && expires <= now
        {
            self.used_by_expiry.pop_first();
            self.used.remove(&token);
        }
    }
}

#[cfg(test)]
mod tests;
