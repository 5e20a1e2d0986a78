//! Whole matches: the same every time, with goals, and nobody leaves the field.

use amphi_server_arena::movement::PlayerBody;
use amphi_server_arena::{Arena, ArenaInput, MODES, Player, Pose, Scoreboard, TICK_HZ, map};
use amphi_shared_replica::{Game, MatchMode, Seat, Sim, SimMode};
use amphi_shared_wire::{Rng, Seed};

fn mode(name: &str) -> MatchMode {
    MODES.iter().find(|mode| mode.name == name).unwrap().at(TICK_HZ)
}

fn start(name: &str, seed: u64) -> Sim {
    Game::new("arena", Arena).build(SimMode::Authority, mode(name), Seed(seed)).unwrap()
}

fn goals(sim: &mut Sim) -> [u16; 2] {
    let world = sim.world_mut();
    world.query::<&Scoreboard>().single(world).unwrap().goals
}

fn all_inside(sim: &mut Sim) {
    let tick = sim.tick();
    let world = sim.world_mut();
    for (seat, body) in world.query::<(&Seat, &PlayerBody)>().iter(world) {
        let (x, y, z) = (body.x.abs(), body.y, body.z.abs());
        let inside = x < map::HALF_LENGTH + map::GOAL_DEPTH && (0..map::CEILING).contains(&y) && z < map::HALF_WIDTH;
        assert!(inside, "{tick:?}: {seat:?} is at {body:?}");
    }
    for pose in world.query::<&Pose>().iter(world) {
        let (x, y, z) = (pose.x.abs() * 8, pose.y * 8, pose.z.abs() * 8);
        let inside = x <= map::HALF_LENGTH + map::GOAL_DEPTH && (0..=map::CEILING).contains(&y) && z <= map::HALF_WIDTH;
        assert!(inside, "{tick:?}: {pose:?}");
    }
}

#[test]
fn a_match_of_bots_ends_with_goals_on_both_sides() {
    let mut lively = 0;
    for seed in 0..3 {
        let mut sim = start("2v2", seed);
        while !sim.board().finished {
            sim.step().unwrap();
            sim.take_events();
            if sim.tick().0 % 60 == 0 {
                all_inside(&mut sim);
            }
        }
        assert_eq!(sim.tick().0, 180 * TICK_HZ);
        let goals = goals(&mut sim);
        println!("seed {seed}: {goals:?} {:?}", sim.board());
        lively += u32::from(goals[0] > 0 && goals[1] > 0);
    }
    assert!(lively >= 2, "{lively} of 3 matches had goals on both sides");
}
