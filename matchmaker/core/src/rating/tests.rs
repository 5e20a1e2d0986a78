use super::*;

fn team(members: &[Rating], score: u32) -> TeamOutcome {
    TeamOutcome { members: members.to_vec(), score }
}

#[test]
fn winners_rise_losers_fall_and_doubt_shrinks() {
    let new = Rating::default();
    let after = rate(&[team(&[new, new], 3), team(&[new, new], 1)]);
    for (winner, loser) in after[0].iter().zip(&after[1]) {
        assert!(winner.mean > new.mean && loser.mean < new.mean);
        assert!(winner.uncertainty < new.uncertainty && loser.uncertainty < new.uncertainty);
    }
}

#[test]
fn a_draw_moves_the_stronger_team_down() {
    let (strong, weak) = (Rating { mean: 30.0, uncertainty: 4.0 }, Rating { mean: 20.0, uncertainty: 4.0 });
    let after = rate(&[team(&[strong], 2), team(&[weak], 2)]);
    assert!(after[0][0].mean < strong.mean && after[1][0].mean > weak.mean);
}

#[test]
fn beating_bots_is_worth_less_and_less() {
    let mut player = Rating::default();
    let mut gain = f64::INFINITY;
    for _ in 0..50 {
        let after = rate(&[team(&[player], 1), team(&[Rating::BOT], 0)])[0][0];
        assert!(after.mean > player.mean && after.mean - player.mean < gain);
        gain = after.mean - player.mean;
        player = after;
    }
    assert!(gain < 0.2, "{gain}");
}

#[test]
fn three_teams_are_ranked_by_score() {
    let new = Rating::default();
    let after = rate(&[team(&[new], 1), team(&[new], 5), team(&[new], 3)]);
    assert!(after[1][0].mean > after[2][0].mean && after[2][0].mean > after[0][0].mean);
}

#[test]
fn a_match_without_opponents_says_nothing() {
    let new = Rating::default();
    assert_eq!(rate(&[team(&[new], 9)]), [vec![new]]);
    assert_eq!(rate(&[team(&[new], 9), team(&[], 0)]), [vec![new], vec![]]);
    assert!(rate(&[]).is_empty());
    let broken = Rating { mean: f64::NAN, uncertainty: 1.0 };
    assert!(rate(&[team(&[broken], 1), team(&[new], 0)])[1][0] == new, "a broken rating does not spread");
}
