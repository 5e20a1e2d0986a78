//! Routes of the role: allocations and reports for services, the list of matches for everyone.

use amphi_shared_auth::Scope;
use amphi_shared_edge::http::{Access, Method, Operation, Problem, Request, Response, Routes};
use amphi_shared_wire::proto::{AllocateRequest, HostReport, MatchInfo, MatchQuery, Seat};
use amphi_shared_wire::{Code, MatchId};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::role::Event;

/// Matches in one answer of the list.
const LISTED_MAX: usize = 100;

const MATCHES: &str = "/api/v1/matches";
const MATCH: &str = "/api/v1/matches/{id}";

/// Matches, the newest first.
#[derive(JsonSchema, Serialize)]
struct MatchList {
    matches: Vec<MatchView>,
}

/// A match, as everyone may see it.
#[derive(JsonSchema, Serialize)]
struct MatchView {
    id: String,
    mode: String,
    /// `starting`, `running`, `ended` or `lost`.
    state: String,
    /// Score by team.
    score: Vec<u32>,
    roster: Vec<SeatView>,
    /// People in seats.
    people: usize,
    ends_in_ms: u32,
    created_us: u64,
    tick: u32,
    tick_hz: u32,
    tick_us_p50: u32,
    tick_us_p99: u32,
}

#[derive(JsonSchema, Serialize)]
struct SeatView {
    seat: u32,
    team: u32,
    name: String,
    bot: bool,
    connected: bool,
}

pub(crate) fn routes(events: &mpsc::Sender<Event>) -> Routes {
    let with = |handler: fn(mpsc::Sender<Event>, Request) -> Answer| {
        let events = events.clone();
        move |request: Request| handler(events.clone(), request)
    };
    let public = Routes::new().get(MATCHES, Access::Public, with(list)).get(MATCH, Access::Public, with(show));
    describe(public)
        .post("/internal/v1/fleet/allocate", Access::Service(Scope::FleetAllocate), with(allocate))
        .post("/internal/v1/fleet/match", Access::Service(Scope::FleetRead), with(query))
        .post("/internal/v1/fleet/report", Access::Service(Scope::FleetReport), with(report))
}

/// Says what the public routes of the role do, wherever they are served.
///
/// # Panics
/// One of them is missing.
pub fn describe(routes: Routes) -> Routes {
    let new = |summary| Operation::new("matches", summary);
    routes.describe(Method::Get, MATCHES, new("The newest matches").answer::<MatchList>()).describe(
        Method::Get,
        MATCH,
        new("One match").path("id", "The match, mch_….").answer::<MatchView>(),
    )
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

fn allocate(events: mpsc::Sender<Event>, request: Request) -> Answer {
    Box::pin(async move {
        let body: AllocateRequest = request.proto()?;
        let match_id = parse(&body.match_id)?;
        let reply = ask(&events, |reply| Event::Allocate { match_id, request: body, reply }).await??;
        Ok(Response::proto(&reply))
    })
}

fn query(events: mpsc::Sender<Event>, request: Request) -> Answer {
    Box::pin(async move {
        let match_id = parse(&request.proto::<MatchQuery>()?.match_id)?;
        let info = ask(&events, |reply| Event::Match { match_id, reply }).await?;
        Ok(Response::proto(&info.ok_or(Code::MatchUnknown)?))
    })
}

fn report(events: mpsc::Sender<Event>, request: Request) -> Answer {
    Box::pin(async move {
        let report: HostReport = request.proto()?;
        let reply = ask(&events, |reply| Event::Report { report: Box::new(report), reply }).await??;
        Ok(Response::proto(&reply))
    })
}

fn list(events: mpsc::Sender<Event>, _: Request) -> Answer {
    Box::pin(async move {
        let matches = ask(&events, |reply| Event::Matches { limit: LISTED_MAX, reply }).await?;
        Ok(Response::json(&MatchList { matches: matches.into_iter().map(view).collect() }))
    })
}

fn show(events: mpsc::Sender<Event>, request: Request) -> Answer {
    Box::pin(async move {
        let match_id = request.param("id").parse().map_err(|_| Problem::from(Code::MatchUnknown))?;
        let info = ask(&events, |reply| Event::Match { match_id, reply }).await?;
        Ok(Response::json(&view(info.ok_or(Code::MatchUnknown)?)))
    })
}

/// Puts a question to the role's task and waits for its answer.
pub(crate) async fn ask<T>(
    events: &mpsc::Sender<Event>,
    event: impl FnOnce(oneshot::Sender<T>) -> Event,
) -> Result<T, Code> {
    let (reply, answer) = oneshot::channel();
    events.send(event(reply)).await.map_err(|_| Code::Draining)?;
    answer.await.map_err(|_| Code::Draining)
}

fn parse(id: &str) -> Result<MatchId, Problem> {
    id.parse().map_err(|error| Problem::new(Code::RequestInvalid, format!("match_id: {error}")))
}

fn view(info: MatchInfo) -> MatchView {
    let room = info.room.unwrap_or_default();
    MatchView {
        id: info.match_id,
        mode: info.mode,
        state: info.state,
        score: room.team_scores,
        people: room.roster.iter().filter(|seat| !seat.bot).count(),
        roster: room.roster.into_iter().map(seat_view).collect(),
        ends_in_ms: room.ends_in_ms,
        created_us: info.created_us,
        tick: room.tick,
        tick_hz: room.tick_hz,
        tick_us_p50: room.tick_us_p50,
        tick_us_p99: room.tick_us_p99,
    }
}

fn seat_view(seat: Seat) -> SeatView {
    SeatView { seat: seat.seat, team: seat.team, name: seat.name, bot: seat.bot, connected: seat.connected }
}
