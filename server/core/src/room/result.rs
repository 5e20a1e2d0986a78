//! What a match comes to: scores, and who was there for how long.

use amphi_shared_replica::Seat;
use amphi_shared_wire::Micros;
use amphi_shared_wire::proto::{MatchResult, PlayerResult};

use super::{Departed, Player, Room};

impl Room {
    pub(super) fn result(&self, now: Micros, outcome: &str) -> MatchResult {
        let seats = self.world.sim.seats();
        let all = self.tick().0;
        // Results with the ticks they are for.
        let sitting = seats.iter().map(|(seat, state)| match &self.players[usize::from(seat.0)] {
            Some(player) => (self.player_result(seat.0, player), self.ticks_present(player)),
            None => (
                PlayerResult {
                    seat: u32::from(seat.0),
                    team: u32::from(state.team),
                    name: state.name.clone(),
                    bot: true,
                    score: self.score(seat.0),
                    ..PlayerResult::default()
                },
                all,
            ),
        });
        let mut players: Vec<(PlayerResult, u32)> = sitting.collect();
        for Departed { result, ticks } in &self.departed {
            // Who came back counts once, with all the time they were here.
            match players.iter_mut().find(|(player, _)| !player.bot && player.user == result.user) {
                Some((_, present)) => *present += ticks,
                None => players.push((result.clone(), *ticks)),
            }
        }
        let players = players.into_iter();
        let players = players.map(|(player, ticks)| PlayerResult { present_permille: self.permille(ticks), ..player });
        MatchResult {
            match_id: self.config.match_id.to_string(),
            version: 1,
            app: self.config.app.to_string(),
            mode: self.config.mode.name.clone(),
            team_scores: self.world.sim.board().team_scores.clone(),
            players: players.collect(),
            started_us: self.config.tick_clock.tick0.0,
            ended_us: now.0,
            outcome: outcome.to_owned(),
        }
    }

    pub(super) fn player_result(&self, seat: u8, player: &Player) -> PlayerResult {
        let team = self.world.sim.seats().get(Seat(seat)).map_or(0, |state| state.team);
        PlayerResult {
            seat: u32::from(seat),
            team: u32::from(team),
            user: player.user.clone(),
            name: player.name.clone(),
            bot: false,
            score: self.score(seat),
            ..PlayerResult::default()
        }
    }

    pub(super) fn ticks_present(&self, player: &Player) -> u32 {
        self.tick().plus(1).0.saturating_sub(player.joined.0)
    }

    /// A share of the ticks simulated so far.
    fn permille(&self, ticks: u32) -> u32 {
        (u64::from(ticks) * 1_000 / u64::from(self.tick().0.max(1))).min(1_000) as u32
    }

    fn score(&self, seat: u8) -> i32 {
        self.world.sim.board().player_scores.get(usize::from(seat)).copied().unwrap_or(0)
    }
}
