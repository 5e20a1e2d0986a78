//! Results: each counted once, and what it says about its players.

use std::collections::BTreeMap;

use amphi_matchmaker_core::{Rating as Strength, TeamOutcome, rate};
use amphi_shared_edge::http::{Problem, Request, Response};
use amphi_shared_store::{Rating, RatingKey};
use amphi_shared_wire::limits::SEATS_MAX;
use amphi_shared_wire::proto::{MatchResult, PlayerResult, ResultsReply};
use amphi_shared_wire::{Code, MatchId, Micros};

use crate::desk::Desk;

/// Who was there for less than this share of the match is not rated, in 1/1000.
const PRESENT_PERMILLE_MIN: u32 = 100;

/// `POST /internal/v1/results`
pub(crate) async fn count(desk: Desk, request: Request) -> Result<Response, Problem> {
    let result: MatchResult = request.proto()?;
    let match_id: MatchId =
        result.match_id.parse().map_err(|error| Problem::new(Code::RequestInvalid, format!("match_id: {error}")))?;
    if result.app.parse().ok() != Some(desk.app.clone()) {
        return Err(Code::TokenWrongApp.into());
    }
    if result.players.len() > SEATS_MAX || result.team_scores.len() > SEATS_MAX {
        return Err(Problem::new(Code::RequestInvalid, "players, team_scores: too many"));
    }
    let now = desk.clock.now();
    let rated = Rated::of(&result, &desk);
    let keys: Vec<RatingKey> = rated.people.keys().cloned().collect();
    let rate = |old: &[Option<Rating>]| rated.new_ratings(&result, old, now);
    let counted = desk.store.count_result(&result, &keys, now, rate).await.map_err(Problem::internal)?;
    let metric = if counted { &desk.metrics.results_counted } else { &desk.metrics.results_repeated };
    metric.increment(1);
    tracing::info!(%match_id, outcome = result.outcome, counted, rated = keys.len(), "result");
    Ok(Response::proto(&ResultsReply { counted }))
}

/// The people of a result who are rated: whose rating, and their place in the list of players.
struct Rated {
    people: BTreeMap<RatingKey, usize>,
}

impl Rated {
    fn of(result: &MatchResult, desk: &Desk) -> Self {
        if result.outcome != "finished" {
            return Self { people: BTreeMap::new() };
        }
        let there = |player: &PlayerResult| !player.bot && player.present_permille >= PRESENT_PERMILLE_MIN;
        let key = |player: &PlayerResult| {
            let user = player.user.parse().ok()?;
            Some(RatingKey { app: desk.app.clone(), mode: result.mode.clone(), user })
        };
        let people = result.players.iter().enumerate().filter(|(_, player)| there(player));
        Self { people: people.filter_map(|(place, player)| Some((key(player)?, place))).collect() }
    }

    /// The new ratings in the order of `people`, from the old ones in the same order.
    fn new_ratings(&self, result: &MatchResult, old: &[Option<Rating>], now: Micros) -> Vec<Rating> {
        let places: Vec<usize> = self.people.values().copied().collect();
        let mut strengths = vec![Strength::BOT; result.players.len()];
        for (place, old) in places.iter().zip(old) {
            strengths[*place] = old.map_or_else(Strength::default, strength);
        }
        // Where each player stands: team, and place within it.
        let mut teams: Vec<TeamOutcome> =
            result.team_scores.iter().map(|score| TeamOutcome { members: Vec::new(), score: *score }).collect();
        let mut stands = vec![None; result.players.len()];
        for (place, player) in result.players.iter().enumerate() {
            if let Some(team) = teams.get_mut(player.team as usize) {
                stands[place] = Some((player.team as usize, team.members.len()));
                team.members.push(strengths[place]);
            }
        }
        let new = rate(&teams);
        let row = |(place, old): (&usize, &Option<Rating>)| {
            let new = stands[*place].map_or(strengths[*place], |(team, member)| new[team][member]);
            let matches = old.map_or(0, |old| old.matches) + 1;
            Rating { rating: new.mean, uncertainty: new.uncertainty, matches, updated: now }
        };
        places.iter().zip(old).map(row).collect()
    }
}

pub(crate) fn strength(rating: Rating) -> Strength {
    Strength { mean: rating.rating, uncertainty: rating.uncertainty }
}
