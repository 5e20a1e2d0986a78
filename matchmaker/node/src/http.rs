//! The routes of the role.

use amphi_shared_auth::Scope;
use amphi_shared_edge::http::{Access, Problem, Request, Response, Routes};
use amphi_shared_store::Rating;
use serde::Serialize;
use serde_json::json;

use crate::desk::Desk;
use crate::{queue, results, seat};

#[derive(Serialize)]
struct ModeView<'a> {
    name: &'a str,
    teams: u8,
    team_size: u8,
    duration_s: u32,
}

#[derive(Serialize)]
struct RatingView {
    mode: String,
    rating: f64,
    uncertainty: f64,
    matches: u64,
}

pub(crate) fn routes(desk: &Desk) -> Routes {
    Routes::new()
        .post("/api/v1/matchmaking/queue", Access::User, with(desk, queue::post))
        .get("/api/v1/matchmaking/queue/{ticket}", Access::User, with(desk, queue::show))
        .delete("/api/v1/matchmaking/queue/{ticket}", Access::User, with(desk, queue::cancel))
        .post("/api/v1/matches/{id}/seat", Access::User, with(desk, seat::take))
        .get("/api/v1/modes", Access::Public, with(desk, modes))
        .get("/api/v1/ratings/me", Access::User, with(desk, ratings))
        .post("/internal/v1/results", Access::Service(Scope::MatchResults), with(desk, results::count))
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
    let modes: Vec<ModeView<'_>> = desk.modes.iter().map(mode_view).collect();
    Ok(Response::json(&json!({ "game": &*desk.game, "modes": modes })))
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
    let ratings: Vec<RatingView> = ratings.into_iter().map(view).collect();
    Ok(Response::json(&json!({ "ratings": ratings })))
}
