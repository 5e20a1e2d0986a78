//! The routes of the role.

use amphi_shared_auth::Scope;
use amphi_shared_edge::http::{Access, Method, Operation, Problem, Request, Response, Routes};
use amphi_shared_store::Rating;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::desk::{Desk, SeatGrant};
use crate::queue::{QueueRequest, TicketBody};
use crate::seat::SeatRequest;
use crate::{queue, results, seat};

/// What can be played.
#[derive(JsonSchema, Serialize)]
struct Modes<'a> {
    game: &'a str,
    modes: Vec<ModeView<'a>>,
}

/// A mode of the game.
#[derive(JsonSchema, Serialize)]
struct ModeView<'a> {
    name: &'a str,
    teams: u8,
    team_size: u8,
    duration_s: u32,
}

/// How strong the caller is, by mode.
#[derive(JsonSchema, Serialize)]
struct Ratings {
    ratings: Vec<RatingView>,
}

/// A rating after Weng and Lin: a newcomer has 25, and an uncertainty of 25/3.
#[derive(JsonSchema, Serialize)]
struct RatingView {
    mode: String,
    rating: f64,
    uncertainty: f64,
    matches: u64,
}

const QUEUE: &str = "/api/v1/matchmaking/queue";
const TICKET: &str = "/api/v1/matchmaking/queue/{ticket}";
const SEAT: &str = "/api/v1/matches/{id}/seat";
const MODES: &str = "/api/v1/modes";
const RATINGS: &str = "/api/v1/ratings/me";

pub(crate) fn routes(desk: &Desk) -> Routes {
    let public = Routes::new()
        .post(QUEUE, Access::User, with(desk, queue::post))
        .get(TICKET, Access::User, with(desk, queue::show))
        .delete(TICKET, Access::User, with(desk, queue::cancel))
        .post(SEAT, Access::User, with(desk, seat::take))
        .get(MODES, Access::Public, with(desk, modes))
        .get(RATINGS, Access::User, with(desk, ratings));
    describe(public).post("/internal/v1/results", Access::Service(Scope::MatchResults), with(desk, results::count))
}

/// Says what the public routes of the role do, wherever they are served.
///
/// # Panics
/// One of them is missing.
pub fn describe(routes: Routes) -> Routes {
    let new = |summary| Operation::new("matchmaking", summary);
    routes
        .describe(
            Method::Post,
            QUEUE,
            new("Queue for a match")
                .detail("201 with a new ticket, or 200 with the one that the caller has for this mode already.")
                .body::<QueueRequest>(json!({ "mode": "2v2" }))
                .answer_with::<TicketBody>(201),
        )
        .describe(
            Method::Get,
            TICKET,
            new("Ask about a ticket, or wait for news")
                .detail("A ticket that nobody asks about for 30 s is taken back.")
                .path("ticket", "The ticket, tkt_….")
                .query("wait_ms", "Wait so long for news, up to 25,000 ms.")
                .answer::<TicketBody>(),
        )
        .describe(Method::Delete, TICKET, new("Take a ticket back").path("ticket", "The ticket, tkt_…."))
        .describe(
            Method::Post,
            SEAT,
            new("Take a seat in a match that runs")
                .detail("A person takes the place of a bot.")
                .path("id", "The match, mch_….")
                .body::<SeatRequest>(json!({ "team": 0 }))
                .answer::<SeatGrant>(),
        )
        .describe(Method::Get, MODES, new("What can be played").answer::<Modes<'_>>())
        .describe(Method::Get, RATINGS, new("How strong the caller is").answer::<Ratings>())
}

fn with<F>(
    desk: &Desk,
    handler: impl Fn(Desk, Request) -> F + Clone + Send + Sync + 'static,
) -> impl Fn(Request) -> F + Clone + Send + Sync + 'static
where
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let desk = desk.clone();
    move |request| handler(desk.clone(), request)
}

/// `GET /api/v1/modes`
async fn modes(desk: Desk, _: Request) -> Result<Response, Problem> {
    Ok(Response::json(&Modes { game: &desk.game, modes: desk.modes.iter().map(mode_view).collect() }))
}

fn mode_view(mode: &crate::Mode) -> ModeView<'_> {
    ModeView { name: &mode.name, teams: mode.teams, team_size: mode.team_size, duration_s: mode.duration_s }
}

/// `GET /api/v1/ratings/me`
async fn ratings(desk: Desk, request: Request) -> Result<Response, Problem> {
    let caller = desk.caller(&request)?;
    let ratings = desk.store.ratings_of(&desk.app, caller.user).await.map_err(Problem::internal)?;
    let view = |(mode, rating): (String, Rating)| RatingView {
        mode,
        rating: rating.rating,
        uncertainty: rating.uncertainty,
        matches: rating.matches,
    };
    Ok(Response::json(&Ratings { ratings: ratings.into_iter().map(view).collect() }))
}
