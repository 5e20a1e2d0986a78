//! A `CreateRoom` as the host understands it.

use amphi_server_core::SeatPlan;
use amphi_shared_edge::http::Problem;
use amphi_shared_replica::{Game, MatchMode};
use amphi_shared_wire::limits::SEATS_MAX;
use amphi_shared_wire::proto::CreateRoom;
use amphi_shared_wire::{AppId, Code, MatchId, Seed};

/// A room that can be built.
#[derive(Clone, Debug)]
pub(crate) struct RoomRequest {
    pub(crate) match_id: MatchId,
    pub(crate) app: AppId,
    pub(crate) mode: MatchMode,
    pub(crate) seats: Vec<SeatPlan>,
    pub(crate) seed: Seed,
}

impl RoomRequest {
    pub(crate) fn parse(request: &CreateRoom, game: &Game, tick_hz: u32) -> Result<Self, Problem> {
        let invalid = |message: String| Problem::new(Code::RequestInvalid, message);
        let match_id = request.match_id.parse().map_err(|e| invalid(format!("match_id: {e}")))?;
        let app = request.app.parse().map_err(|e| invalid(format!("app: {e}")))?;
        let mode = game.mode(&request.mode).ok_or(Code::ModeUnknown)?.at(tick_hz);
        if (u32::from(mode.teams), u32::from(mode.team_size)) != (request.teams, request.team_size) {
            let (teams, size) = (mode.teams, mode.team_size);
            return Err(invalid(format!("teams: the mode `{}` has {teams} teams of {size}", mode.name)));
        }
        if request.seats.len() > SEATS_MAX {
            return Err(invalid(format!("seats: at most {SEATS_MAX}")));
        }
        let seats = request.seats.iter().map(|seat| {
            let team = u8::try_from(seat.team).ok().filter(|team| *team < mode.teams);
            let team = team.ok_or_else(|| invalid(format!("seats: there is no team {}", seat.team)))?;
            Ok(SeatPlan { team, user: seat.user.clone(), name: seat.name.clone() })
        });
        let seats = seats.collect::<Result<_, Problem>>()?;
        Ok(Self { match_id, app, mode, seats, seed: Seed(request.seed) })
    }
}
