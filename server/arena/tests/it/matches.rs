//! Whole matches: the same every time, with goals, and nobody leaves the field.

use amphi_server_arena::movement::PlayerBody;
use amphi_server_arena::physics::Physics;
use amphi_server_arena::{Arena, ArenaInput, MODES, Player, Pose, Scoreboard, TICK_HZ, Thing, Touch, map, rules};
use amphi_shared_replica::{Game, GameEvent, Input as _, MatchBoard, MatchMode, Seat, Sim, SimMode, SimRng};
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

/// Plays a whole match of bots and says its goals.
fn play(name: &str, seed: u64) -> [u16; 2] {
    let mut sim = start(name, seed);
    let end = mode(name).duration_ticks();
    while !sim.board().finished {
        assert!(sim.tick().0 < end, "the match does not end");
        sim.step().unwrap();
        if sim.tick().0.is_multiple_of(20) {
            all_inside(&mut sim);
        }
    }
    let goals = goals(&mut sim);
    assert_eq!(sim.board().team_scores, goals.map(u32::from));
    goals
}

#[test]
fn its_tables_fit_its_schema() {
    let tables = Game::new("arena", Arena).tables().map(|tables| tables.is_some());
    assert_eq!(tables, Ok(true), "`amphi tables train --out server/arena/arena.tables` makes them anew");
}

#[test]
fn matches_of_bots_end_with_goals_mostly_on_both_sides() {
    let results: Vec<_> = (0..6).map(|seed| play("2v2", seed)).chain((0..2).map(|seed| play("4v4", seed))).collect();
    let lively = results.iter().filter(|[a, b]| *a > 0 && *b > 0).count();
    assert!(lively * 2 > results.len(), "{results:?}");
}

#[test]
fn every_mode_starts_and_the_short_one_ends() {
    for mode in MODES {
        let mut sim = start(mode.name, 1);
        for _ in 0..200 {
            sim.step().unwrap();
        }
        assert_eq!(sim.seats().0.len(), mode.at(TICK_HZ).seats());
        all_inside(&mut sim);
    }
    play("blitz", 1);
}

#[test]
fn the_same_seed_gives_the_same_match() {
    let (mut one, mut two, mut other) = (start("2v2", 7), start("2v2", 7), start("2v2", 8));
    let mut differs = false;
    for tick in 0..180 * TICK_HZ {
        for sim in [&mut one, &mut two, &mut other] {
            sim.step().unwrap();
        }
        if tick % 10 == 0 {
            assert_eq!(one.state_hash(), two.state_hash(), "at tick {tick}");
            differs |= one.state_hash() != other.state_hash();
        }
        assert_eq!(one.take_events(), two.take_events());
    }
    assert!(differs);
}

/// Copies everything that the game says is state.
fn restore(from: &mut Sim, to: &mut Sim) {
    let tick = from.tick();
    to.set_tick(tick);
    let (from, to) = (from.world_mut(), to.world_mut());
    to.insert_resource(from.resource::<Physics>().clone());
    to.insert_resource(from.resource::<Touch>().clone());
    to.insert_resource(from.resource::<SimRng>().clone());
    to.insert_resource(from.resource::<MatchBoard>().clone());
    let players: Vec<_> =
        from.query::<(&Seat, &Player, &PlayerBody)>().iter(from).map(|(s, p, b)| (*s, *p, *b)).collect();
    for (seat, mut player, mut body) in to.query::<(&Seat, &mut Player, &mut PlayerBody)>().iter_mut(to) {
        let (_, saved, moved) = players.iter().find(|(other, ..)| other == seat).unwrap();
        (*player, *body) = (*saved, *moved);
    }
    let poses: Vec<_> = from.query::<(&Thing, &Pose)>().iter(from).map(|(thing, pose)| (*thing, *pose)).collect();
    for (thing, mut pose) in to.query::<(&Thing, &mut Pose)>().iter_mut(to) {
        *pose = poses.iter().find(|(other, _)| other == thing).unwrap().1;
    }
    let score = *from.query::<&Scoreboard>().single(from).unwrap();
    *to.query::<&mut Scoreboard>().single_mut(to).unwrap() = score;
}

#[test]
fn a_restored_match_goes_on_like_the_original() {
    let (mut original, mut copy) = (start("2v2", 3), start("2v2", 99));
    for _ in 0..1_500 {
        original.step().unwrap();
    }
    restore(&mut original, &mut copy);
    for tick in 0..600 {
        original.step().unwrap();
        copy.step().unwrap();
        assert_eq!(original.state_hash(), copy.state_hash(), "{tick} ticks after");
    }
}

#[test]
fn hostile_hands_break_nothing() {
    for seed in 0..4 {
        let mut sim = start("4v4", seed);
        let mut rng = Seed(seed).split("hands").rng();
        for seat in &mut sim.seats_mut().0 {
            seat.bot = false;
        }
        for _ in 0..1_200 {
            for seat in 0..8 {
                if rng.chance(400) {
                    sim.set_input(Seat(seat), wild(&mut rng));
                }
            }
            sim.step().unwrap();
            all_inside(&mut sim);
            assert!(
                sim.take_events().iter().all(|said| matches!(said, GameEvent::Event { kind: 1..=4, to: None, .. }))
            );
        }
    }
}

/// What the engine lets through: absurd, but sanitised.
fn wild(rng: &mut Rng) -> ArenaInput {
    let wild = ArenaInput {
        buttons: rng.next_u64() as u8,
        move_x: rng.next_u64() as i8,
        move_y: rng.next_u64() as i8,
        yaw: rng.next_u64() as u16,
        pitch: rng.next_u64() as i16,
    };
    wild.sanitise()
}

#[test]
fn a_client_predicts_its_own_player_exactly() {
    let mut server = start("1v1", 5);
    for seat in &mut server.seats_mut().0 {
        seat.bot = false;
    }
    for _ in 0..100 {
        server.step().unwrap();
    }
    let mut client = Game::new("arena", Arena).build(SimMode::Predict, mode("1v1"), Seed(0)).unwrap();
    let own = server.entity_of_seat(Seat(0)).unwrap();
    client.apply_row(own, &server.row_of(own).unwrap()).unwrap();
    let mut rng = Seed(5).split("hands").rng();
    for _ in 0..120 {
        let input =
            ArenaInput { buttons: 1, move_y: 100, yaw: 20_000 + rng.below(2_000) as u16, ..ArenaInput::default() };
        for sim in [&mut server, &mut client] {
            sim.set_input(Seat(0), input);
            sim.step().unwrap();
        }
        assert_eq!(server.row_of(own), client.row_of(own));
    }
    let body = client.world().get::<PlayerBody>(client.entity_of(own).unwrap()).unwrap();
    assert!(body.z < -map::METRE);
}

#[test]
fn a_pulse_kills_and_the_dead_come_back() {
    let mut sim = start("1v1", 1);
    for seat in &mut sim.seats_mut().0 {
        seat.bot = false;
    }
    // From the place at kick-off straight at the opponent, over the ball.
    sim.set_input(Seat(0), ArenaInput::default().with_buttons(false, false, true));
    let mut kinds = Vec::new();
    for _ in 0..500 {
        sim.step().unwrap();
        kinds.extend(sim.take_events().iter().filter_map(|said| match said {
            GameEvent::Event { kind, .. } => sim.schema().event(*kind).map(|event| event.name),
            GameEvent::Answer { .. } => None,
        }));
    }
    assert!(kinds.contains(&"Pulse") && kinds.contains(&"Death"));
    assert_eq!(sim.board().player_scores[0], i32::from(rules::KILL_POINTS));
    sim.set_input(Seat(0), ArenaInput::default());
    for _ in 0..rules::RESPAWN_TICKS {
        sim.step().unwrap();
    }
    let world = sim.world_mut();
    assert!(world.query::<&Player>().iter(world).all(Player::alive));
}
