//! Two bots play the game, without a socket.

#[allow(dead_code, reason = "the test needs the plugin, not `main`")]
#[path = "../src/main.rs"]
mod game;

use amphi::prelude::*;

#[test]
fn two_bots_catch_each_other() {
    let game = Game::new("tag", game::tag);
    let mode = game.mode("tag").expect("the game has the mode").at(60);
    let mut sim = game.build(SimMode::Authority, mode.clone(), Seed(1)).expect("the game builds");
    for _ in 0..mode.duration_ticks() {
        sim.step().expect("every tick is simulated");
    }
    // Each was the catcher for a while, so each scored.
    let scores = &sim.board().team_scores;
    assert!(scores.iter().all(|score| *score > 5), "{scores:?}");
}
