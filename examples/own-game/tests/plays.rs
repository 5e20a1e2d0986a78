//! Bots play the game, without a socket.

#[allow(dead_code, reason = "the test needs the plugin, not `main`")]
#[path = "../src/main.rs"]
mod game;

use amphi::prelude::*;

#[test]
fn bots_catch_each_other_and_everyone_scores() {
    let game = Game::new("tag", game::tag);
    let mode = game.mode("tag").expect("the game has the mode").at(60);
    let mut sim = game.build(SimMode::Authority, mode.clone(), Seed(1)).expect("the game builds");
    for _ in 0..mode.duration_ticks() {
        sim.step().expect("every tick is simulated");
    }
    // Each was "it" for a while, and each was not.
    let scores = &sim.board().player_scores;
    assert!(scores.iter().all(|score| (5..60).contains(score)), "{scores:?}");
}
