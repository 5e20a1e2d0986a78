//! Tickets over HTTP: queue, ask (and wait for news), take back.

use std::time::Duration;

use amphi_matchmaker_core::{Latency, NewTicket, Player, Rating as Strength, TicketState, TicketView};
use amphi_shared_auth::{UserToken, random_bytes};
use amphi_shared_edge::http::{Problem, Request, Response};
use amphi_shared_store::{ClaimState, RatingKey, StoredTicket, TicketState as Stored};
use amphi_shared_wire::limits::LONG_POLL_MS_MAX;
use amphi_shared_wire::{Code, MatchId, Micros, Seed, TicketId, TraceId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::field;

use crate::desk::{Desk, SeatGrant};
use crate::results::strength;
use crate::task::{Admission, Event};

/// Regions a client may name.
const REGIONS_MAX: usize = 32;
/// Letters of a region's name.
const REGION_BYTES_MAX: usize = 32;

/// What somebody wants to play.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct QueueRequest {
    mode: String,
    /// Who waits together; empty means the caller.
    #[serde(default)]
    players: Vec<String>,
    /// Round trips the client measured, ms by region.
    #[serde(default)]
    latencies: std::collections::BTreeMap<String, u32>,
}

/// A ticket, as its owner sees it.
#[derive(JsonSchema, Serialize)]
pub(crate) struct TicketBody {
    ticket: String,
    /// `queued`, `claimed`, `matched`, `cancelled` or `failed`.
    state: &'static str,
    waited_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u64>,
    /// Why it waits or how it ended: at least one sentence.
    explain: Vec<String>,
    /// `A0404`, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "match")]
    found: Option<SeatGrant>,
}

/// `POST /api/v1/matchmaking/queue`: 201 with a new ticket, or 200 with the one the caller already has for this mode.
pub(crate) async fn post(desk: Desk, request: Request) -> Result<Response, Problem> {
    let caller = desk.caller(&request)?;
    let asked = parse(&desk, caller, &request)?;
    let (app, user, mode) = (desk.app.clone(), caller.user, asked.mode.clone());
    match desk.ask(|reply| Event::Admit { app, user, mode, reply }).await? {
        Admission::Free => {}
        Admission::Has(ticket, view) => return Ok(Response::json(&body(ticket, view, None))),
        Admission::WaitsElsewhere => return Err(Code::AlreadyQueued.into()),
        Admission::TooOften(left) => {
            let left_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
            return Err(Problem::from(Code::RateLimited).retry_after(left_ms));
        }
    }
    let now = desk.clock.now();
    let ticket = TicketId::generate(now, &mut Seed(u64::from_le_bytes(random_bytes())).rng());
    let caller_trace = request.header("traceparent").and_then(TraceId::from_traceparent);
    tracing::info!(trace_id = %TraceId::from(ticket), %ticket, caller_trace = caller_trace.map(field::display), "ticket");
    if let Some((hold, info)) = desk.playing(caller.user).await? {
        let back = (hold.match_id, info.mode);
        return rejoin(&desk, caller, ticket, back).await;
    }
    let new = new_ticket(&desk, caller, ticket, asked).await?;
    let view = desk.ask(|reply| Event::Queue { new: Box::new(new), reply }).await??;
    Ok(Response::created_json(&body(ticket, view, None)))
}

/// `GET /api/v1/matchmaking/queue/{ticket}?wait_ms=`: answers at once when the ticket has ended, else at the next news
/// or after `wait_ms`.
pub(crate) async fn show(desk: Desk, request: Request) -> Result<Response, Problem> {
    let caller = desk.caller(&request)?;
    let ticket = ticket_of(&request)?;
    let wait_ms: u64 = match request.query("wait_ms") {
        Some(text) => text.parse().map_err(|_| Problem::new(Code::RequestInvalid, "wait_ms: a number of ms"))?,
        None => 0,
    };
    let user = caller.user;
    let patience = Duration::from_millis(wait_ms.min(LONG_POLL_MS_MAX));
    let news = match patience {
        Duration::ZERO => None,
        patience => {
            let news = desk.ask(|reply| Event::Wait { ticket, user, reply });
            tokio::time::timeout(patience, news).await.ok()
        }
    };
    let view = match news {
        Some(view) => view?,
        None => desk.ask(|reply| Event::Show { ticket, user, reply }).await?,
    };
    match view {
        Ok(view) => answer(&desk, caller, ticket, view).await,
        Err(Code::TicketUnknown) => remembered(&desk, caller, ticket).await,
        Err(code) => Err(code.into()),
    }
}

/// `DELETE /api/v1/matchmaking/queue/{ticket}`
pub(crate) async fn cancel(desk: Desk, request: Request) -> Result<Response, Problem> {
    let caller = desk.caller(&request)?;
    let (ticket, user) = (ticket_of(&request)?, caller.user);
    desk.ask(|reply| Event::Cancel { ticket, user, reply }).await??;
    Ok(Response::empty())
}

/// What the caller asks for, within its bounds.
fn parse(desk: &Desk, caller: &UserToken, request: &Request) -> Result<QueueRequest, Problem> {
    let asked: QueueRequest = request.json()?;
    let alone = asked.players.iter().all(|player| *player == caller.user.to_string()) && asked.players.len() <= 1;
    if !alone {
        return Err(Problem::new(Code::RequestInvalid, "players: a ticket holds the caller only"));
    }
    if asked.latencies.len() > REGIONS_MAX || asked.latencies.keys().any(|name| name.len() > REGION_BYTES_MAX) {
        return Err(Problem::new(Code::RequestInvalid, "latencies: too many regions, or a name is too long"));
    }
    if !desk.modes.iter().any(|mode| mode.name == asked.mode) {
        return Err(Code::ModeUnknown.into());
    }
    Ok(asked)
}

async fn new_ticket(
    desk: &Desk,
    caller: &UserToken,
    ticket: TicketId,
    asked: QueueRequest,
) -> Result<NewTicket, Problem> {
    let key = RatingKey { app: desk.app.clone(), mode: asked.mode.clone(), user: caller.user };
    let rating = desk.store.rating(&key).await.map_err(Problem::internal)?;
    let rating = rating.map_or_else(Strength::default, strength);
    Ok(NewTicket {
        ticket,
        app: desk.app.clone(),
        mode: asked.mode,
        players: vec![Player { user: caller.user, name: caller.name.clone(), rating }],
        latencies: asked.latencies.into_iter().map(|(region, ms)| Latency { region, ms }).collect(),
        queued: desk.clock.now(),
    })
}

/// A ticket that leads back into the running match of the caller.
async fn rejoin(
    desk: &Desk,
    caller: &UserToken,
    ticket: TicketId,
    (match_id, mode): (MatchId, String),
) -> Result<Response, Problem> {
    let stored = StoredTicket {
        ticket,
        app: desk.app.clone(),
        mode,
        players: vec![amphi_shared_store::Player { user: caller.user, name: caller.name.clone() }],
        state: Stored::Matched,
        match_id: Some(match_id),
        code: 0,
        queued: desk.clock.now(),
    };
    desk.store.add_ticket(&stored).await.map_err(Problem::internal)?;
    let found = grant(desk, caller, ticket, match_id).await?;
    let view = TicketView {
        state: TicketState::Matched(match_id, 0),
        waited: Micros(0),
        estimate: Some(Micros(0)),
        explain: vec!["You are still in this match.".to_owned()],
    };
    Ok(Response::created_json(&body(ticket, view, Some(found))))
}

/// A ticket that the matchmaker has forgotten but the database has not: one of an earlier process, or ended long ago.
async fn remembered(desk: &Desk, caller: &UserToken, ticket: TicketId) -> Result<Response, Problem> {
    let stored = desk.store.ticket(ticket).await.map_err(Problem::internal)?;
    let stored = stored
        .filter(|stored| stored.app == desk.app && stored.players.iter().any(|player| player.user == caller.user));
    let stored = stored.ok_or(Code::TicketUnknown)?;
    let state = match (stored.state, stored.match_id) {
        (Stored::Matched, Some(match_id)) => TicketState::Matched(match_id, 0),
        (Stored::Cancelled, _) => TicketState::Cancelled(amphi_matchmaker_core::CancelReason::Owner),
        (Stored::Failed | Stored::Matched, _) => {
            TicketState::Failed(Code::from_number(stored.code).unwrap_or(Code::Internal))
        }
        (Stored::Queued | Stored::Claimed, _) => return Err(Code::TicketUnknown.into()),
    };
    let view = TicketView { state, waited: Micros(0), estimate: Some(Micros(0)), explain: vec![sentence(state)] };
    answer(desk, caller, ticket, view).await
}

async fn answer(desk: &Desk, caller: &UserToken, ticket: TicketId, view: TicketView) -> Result<Response, Problem> {
    let found = match view.state {
        TicketState::Matched(match_id, _) => Some(grant(desk, caller, ticket, match_id).await?),
        TicketState::Queued | TicketState::Claimed(..) | TicketState::Cancelled(_) | TicketState::Failed(_) => None,
    };
    Ok(Response::json(&body(ticket, view, found)))
}

/// The way into a match for a player of its claim, or for one who is held for it already.
async fn grant(desk: &Desk, caller: &UserToken, ticket: TicketId, match_id: MatchId) -> Result<SeatGrant, Problem> {
    let claim = desk.store.claim_of(match_id).await.map_err(Problem::internal)?.ok_or(Code::MatchEnded)?;
    let hold = claim.holds.iter().find(|hold| hold.player.user == caller.user);
    let (ClaimState::Allocated, Some(hold)) = (claim.state, hold) else { return Err(Code::MatchEnded.into()) };
    desk.grant(caller, (match_id, hold.team), &claim.allocation.endpoints, Some(ticket.into())).await
}

fn ticket_of(request: &Request) -> Result<TicketId, Problem> {
    request.param("ticket").parse().map_err(|_| Code::TicketUnknown.into())
}

fn body(ticket: TicketId, view: TicketView, found: Option<SeatGrant>) -> TicketBody {
    let (state, code) = match view.state {
        TicketState::Queued => ("queued", None),
        TicketState::Claimed(..) => ("claimed", None),
        TicketState::Matched(..) => ("matched", None),
        TicketState::Cancelled(_) => ("cancelled", None),
        TicketState::Failed(code) => ("failed", Some(format!("A{:04}", code.number()))),
    };
    TicketBody {
        ticket: ticket.to_string(),
        state,
        waited_ms: view.waited.as_millis(),
        estimate_ms: view.estimate.map(Micros::as_millis),
        explain: view.explain,
        code,
        found,
    }
}

fn sentence(state: TicketState) -> String {
    match state {
        TicketState::Matched(..) => "Your match is ready.".to_owned(),
        TicketState::Failed(code) => code.help().to_owned(),
        TicketState::Queued | TicketState::Claimed(..) | TicketState::Cancelled(_) => {
            "This ticket has ended.".to_owned()
        }
    }
}
