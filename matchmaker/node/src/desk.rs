//! What every request needs: the database, the fleet, the keyring, and the way to the role's task.

use std::sync::Arc;

use amphi_shared_auth::{ConnectToken, Keyring, UserToken, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::http::{Problem, Request};
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_store::{ClaimState, Hold, MatchStore, Player};
use amphi_shared_wire::proto::{self, MatchInfo, MatchQuery};
use amphi_shared_wire::{AppId, Code, MatchId, Micros, TokenId, TraceId, UserId};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::Mode;
use crate::metrics::Metrics;
use crate::task::Event;

/// What every request needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) app: AppId,
    pub(crate) game: Arc<str>,
    pub(crate) modes: Arc<Vec<Mode>>,
    pub(crate) store: MatchStore,
    pub(crate) fleet: ServiceClient,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) connect_token_life: Micros,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) metrics: Metrics,
}

/// Everything a client needs to take its seat.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq, Serialize)]
pub(crate) struct SeatGrant {
    match_id: String,
    team: u8,
    /// In the order they should be tried.
    endpoints: Vec<Endpoint>,
    /// A connect token: works once, for this match, for a minute or so.
    token: String,
}

impl Desk {
    /// The person who calls, if of this app.
    pub(crate) fn caller<'a>(&self, request: &'a Request) -> Result<&'a UserToken, Problem> {
        let caller = request.user()?;
        if caller.app == self.app { Ok(caller) } else { Err(Code::TokenWrongApp.into()) }
    }

    /// Puts a question to the role's task and waits for its answer.
    pub(crate) async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let gone = || Problem::new(Code::Draining, "the match role is going away");
        self.events.send(event(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// What the fleet knows about a match; `None` when it knows nothing.
    pub(crate) async fn match_info(&self, match_id: MatchId) -> Result<Option<MatchInfo>, Problem> {
        let query = MatchQuery { match_id: match_id.to_string() };
        match self.fleet.call::<_, MatchInfo>("/internal/v1/fleet/match", &query).await {
            Ok(info) => Ok(Some(info)),
            Err(ServiceFailure::Refused { code: Code::MatchUnknown, .. }) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The match that the person is in, if any. A hold whose match is over, or whose seat nobody came for and nobody
    /// can come for any more, is given up here.
    ///
    /// # Errors
    /// `AlreadyQueued` while the match of the person still gets its host; or the fleet or the database failed.
    pub(crate) async fn playing(&self, user: UserId) -> Result<Option<(Hold, MatchInfo)>, Problem> {
        let Some(hold) = self.store.hold(&self.app, user).await.map_err(Problem::internal)? else { return Ok(None) };
        let claim = self.store.claim_of(hold.match_id).await.map_err(Problem::internal)?;
        if claim.is_some_and(|claim| claim.state == ClaimState::Claimed) {
            return Err(Code::AlreadyQueued.into());
        }
        let info = self.match_info(hold.match_id).await?;
        let running = info.filter(is_running);
        let seated = |info: &MatchInfo| self.clock.now() < hold.held_until || is_seated(info, user);
        match running.filter(seated) {
            Some(info) => Ok(Some((hold, info))),
            None => {
                self.store.release_hold(&self.app, user, hold.match_id).await.map_err(Problem::internal)?;
                Ok(None)
            }
        }
    }

    /// Holds the person for the match and mints the token for it. `trace` is what led here; without one a new one begins.
    pub(crate) async fn grant(
        &self,
        caller: &UserToken,
        (match_id, team): (MatchId, u8),
        endpoints: &[proto::Endpoint],
        trace: Option<TraceId>,
    ) -> Result<SeatGrant, Problem> {
        let now = self.clock.now();
        let expires = now + self.connect_token_life;
        let hold = Hold {
            player: Player { user: caller.user, name: caller.name.clone() },
            app: self.app.clone(),
            match_id,
            team,
            held_until: expires,
        };
        if self.store.put_hold(&hold).await.map_err(Problem::internal)?.is_err() {
            return Err(elsewhere());
        }
        let id = TokenId::from_bits(u128::from_le_bytes(random_bytes()));
        let trace = trace.unwrap_or_else(|| id.into());
        tracing::info!(trace_id = %trace, %match_id, user = %caller.user, team, "seat granted");
        let token = ConnectToken {
            id,
            match_id,
            user: caller.user,
            app: self.app.clone(),
            name: caller.name.clone(),
            team: Some(team),
            trace,
            expires,
        };
        self.metrics.connect_tokens.increment(1);
        Ok(SeatGrant {
            match_id: match_id.to_string(),
            team,
            endpoints: endpoints.iter().map(Endpoint::from).collect(),
            token: self.keyring.mint_connect(now, &token),
        })
    }
}

/// The refusal of a second match.
pub(crate) fn elsewhere() -> Problem {
    Problem::new(Code::AlreadyQueued, "You are still in another running match; it has to end first.")
}

pub(crate) fn is_running(info: &MatchInfo) -> bool {
    matches!(info.state.as_str(), "starting" | "running")
}

fn is_seated(info: &MatchInfo, user: UserId) -> bool {
    let user = user.to_string();
    info.room.iter().flat_map(|room| &room.roster).any(|seat| !seat.bot && seat.user == user)
}
