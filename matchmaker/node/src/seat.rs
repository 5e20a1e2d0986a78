//! Taking a seat in a match that runs: a person replaces a bot.

use std::collections::BTreeMap;

use amphi_shared_edge::http::{Problem, Request, Response};
use amphi_shared_wire::proto::MatchInfo;
use amphi_shared_wire::{Code, MatchId, TraceId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::desk::{Desk, elsewhere, is_running};
use crate::task::Event;

/// When to ask again for a seat in a match that has no host yet, ms.
const STARTING_RETRY_MS: u32 = 500;

/// Which seat somebody wants.
#[derive(Default, Deserialize, JsonSchema)]
pub(crate) struct SeatRequest {
    /// The team whose seat is wanted; absent means the one with the fewest people.
    #[serde(default)]
    team: Option<u8>,
}

/// `POST /api/v1/matches/{id}/seat`
pub(crate) async fn take(desk: Desk, request: Request) -> Result<Response, Problem> {
    let caller = desk.caller(&request)?;
    let match_id: MatchId = request.param("id").parse().map_err(|_| Problem::from(Code::MatchUnknown))?;
    let wanted: SeatRequest = if request.body.is_empty() { SeatRequest::default() } else { request.json()? };
    let info = desk.match_info(match_id).await?.filter(|info| info.app == desk.app.as_str());
    let info = info.ok_or(Code::MatchUnknown)?;
    if !is_running(&info) {
        return Err(Code::MatchEnded.into());
    }
    if info.endpoints.is_empty() {
        let wait = Problem::new(Code::Unavailable, "the match is still getting its host");
        return Err(wait.retry_after(STARTING_RETRY_MS));
    }
    let team = match desk.playing(caller.user).await? {
        Some((hold, _)) if hold.match_id == match_id => hold.team,
        Some(_) => return Err(elsewhere()),
        None => free_team(&desk, &info, wanted.team)?,
    };
    // Whoever takes a seat no longer waits for another one.
    let (app, user) = (desk.app.clone(), caller.user);
    desk.ask(|reply| Event::Leave { app, user, reply }).await?;
    let trace = request.header("traceparent").and_then(TraceId::from_traceparent);
    let grant = desk.grant(caller, (match_id, team), &info.endpoints, trace).await?;
    Ok(Response::json(&grant))
}

/// A team with a bot's seat: the wanted one, else the one with the fewest people.
fn free_team(desk: &Desk, info: &MatchInfo, wanted: Option<u8>) -> Result<u8, Problem> {
    let mode = desk.modes.iter().find(|mode| mode.name == info.mode);
    let teams = mode.map_or(1, |mode| mode.teams);
    if wanted.is_some_and(|team| team >= teams) {
        return Err(Problem::new(Code::RequestInvalid, format!("team: 0 to {}", teams.saturating_sub(1))));
    }
    let roster = info.room.iter().flat_map(|room| &room.roster);
    // A room that has not reported yet is all bots.
    let mut people: BTreeMap<u8, (usize, usize)> = (0..teams).map(|team| (team, (0, 0))).collect();
    for seat in roster.clone() {
        let team = u8::try_from(seat.team).ok().and_then(|team| people.get_mut(&team));
        if let Some((persons, bots)) = team {
            *(if seat.bot { bots } else { persons }) += 1;
        }
    }
    let reported = roster.count() > 0;
    let free = people
        .iter()
        .filter(|(team, (_, bots))| (!reported || *bots > 0) && wanted.is_none_or(|wanted| wanted == **team));
    free.min_by_key(|(_, (persons, _))| *persons).map(|(team, _)| *team).ok_or_else(|| Code::MatchFull.into())
}
