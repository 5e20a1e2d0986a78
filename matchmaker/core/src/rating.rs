//! How good a player is, and what a match says about it: Bayesian approximation after Weng and Lin (JMLR 12, 2011).

use skillratings::MultiTeamOutcome;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};

/// Doubt that each match adds, in points, so that nobody's rating ever stands still.
const DRIFT: f64 = 0.1;

/// A player's strength: the mean of what is believed, and its standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The mean, in points. A newcomer has 25.
    pub mean: f64,
    /// The standard deviation, in points. A newcomer has 25/3.
    pub uncertainty: f64,
}

impl Rating {
    /// A bot: a known quantity below an average player. It is never updated.
    pub const BOT: Self = Self { mean: 20.0, uncertainty: 2.0 };
}

impl Default for Rating {
    fn default() -> Self {
        let new = WengLinRating::new();
        Self { mean: new.rating, uncertainty: new.uncertainty }
    }
}

/// One team of a finished match.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamOutcome {
    /// Its members' ratings before the match, bots included.
    pub members: Vec<Rating>,
    /// Its score: more is better, equal is a draw.
    pub score: u32,
}

/// The ratings after a match, in the order given. A match without an opponent changes nothing.
pub fn rate(teams: &[TeamOutcome]) -> Vec<Vec<Rating>> {
    let unchanged = || teams.iter().map(|team| team.members.clone()).collect();
    if teams.len() < 2 || teams.iter().any(|team| team.members.is_empty()) {
        return unchanged();
    }
    let before: Vec<Vec<WengLinRating>> =
        teams.iter().map(|team| team.members.iter().map(|member| drifted(*member)).collect()).collect();
    let rank = |score: u32| 1 + teams.iter().filter(|other| other.score > score).count();
    let ranked: Vec<(&[WengLinRating], MultiTeamOutcome)> = before
        .iter()
        .zip(teams)
        .map(|(members, team)| (members.as_slice(), MultiTeamOutcome::new(rank(team.score))))
        .collect();
    let after = weng_lin_multi_team(&ranked, &WengLinConfig::new());
    let read = |new: &WengLinRating| Rating { mean: new.rating, uncertainty: new.uncertainty };
    let after: Vec<Vec<Rating>> = after.iter().map(|team| team.iter().map(read).collect()).collect();
    let sound = |rating: &Rating| rating.mean.is_finite() && rating.uncertainty.is_finite();
    if after.iter().flatten().all(sound) { after } else { unchanged() }
}

fn drifted(rating: Rating) -> WengLinRating {
    let uncertainty = (rating.uncertainty * rating.uncertainty + DRIFT * DRIFT).sqrt();
    WengLinRating { rating: rating.mean, uncertainty }
}

#[cfg(test)]
mod tests;
