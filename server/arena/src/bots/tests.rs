use proptest::prelude::*;

use super::*;

fn pose([x, z]: Ground) -> Pose {
    Pose { x: x / 8, y: 320, z: z / 8, ..Pose::default() }
}

fn player(seat: u8, team: u8, index: u8, [x, z]: Ground) -> (Seat, Player, PlayerBody) {
    let yaw = if team == 0 { 0 } else { 32_768 };
    // On the move: whoever stands shakes loose first.
    let body = PlayerBody { vx: 300, ..PlayerBody::at([x, 0, z], yaw) };
    (Seat(seat), Player::new(team, index), body)
}

fn duel(ball: Ground, me: Ground) -> View {
    View::new(7, [player(0, 0, 0, me), player(1, 1, 0, [20 * METRE, 9 * METRE])].into_iter(), &pose(ball))
}

#[test]
fn a_chaser_behind_the_ball_runs_at_it() {
    let view = duel([0, 0], [-8 * METRE, 0]);
    let input = brain(&view, Seat(0), &mut Seed(1).rng());
    assert!(input.move_y > 50 && input.move_x.abs() < 40, "{input:?}");
}

#[test]
fn a_chaser_on_the_wrong_side_runs_around_the_ball() {
    let view = duel([0, 0], [3 * METRE, METRE]);
    let input = brain(&view, Seat(0), &mut Seed(1).rng());
    // Towards the own goal, and towards its own side of the ball.
    let x = angle::cos(input.yaw) * i32::from(input.move_y) + angle::sin(input.yaw) * i32::from(input.move_x);
    assert!(x < 0, "{input:?}");
}

#[test]
fn a_keeper_stays_between_ball_and_goal() {
    let players = [player(0, 0, 0, [5 * METRE, 0]), player(1, 0, 1, [-10 * METRE, 0])];
    let view = View::new(7, players.into_iter(), &pose([18 * METRE, 0]));
    let me = view.players[1];
    assert!(matches!(role(&view, &me), Role::Keeper));
    let plan = keep(&view, &me, &mut Seed(1).rng());
    assert!(plan.go[0] < 0 && plan.go[0] > -HALF_LENGTH);
}

#[test]
fn the_view_turns_no_faster_than_a_hand() {
    let view = duel([-20 * METRE, 0], [0, 0]);
    let input = brain(&view, Seat(0), &mut Seed(1).rng());
    assert!(i32::from(input.yaw as i16).abs() <= TURN_MAX);
}

#[test]
fn a_low_block_is_jumped_and_a_high_one_avoided() {
    let mut rng = Seed(1).rng();
    let moving = |at: [i32; 3]| {
        let body = PlayerBody { vx: 400, ..PlayerBody::at(at, 0) };
        Seen { seat: Seat(0), player: Player::new(0, 0), body }
    };
    let low = course(0, &moving([6 * METRE, 0, 5 * METRE]), 0, &mut rng);
    assert!(low.jump && low.heading == 0);
    let high = course(0, &moving([10 * METRE, 0, 15 * METRE / 2]), 0, &mut rng);
    assert!(!high.jump && high.heading != 0);
}

#[test]
fn whoever_is_not_seen_does_nothing() {
    let view = duel([0, 0], [0, 0]);
    assert_eq!(brain(&view, Seat(9), &mut Seed(1).rng()), ArenaInput::default());
    assert_eq!(brain(&View::default(), Seat(0), &mut Seed(1).rng()), ArenaInput::default());
}

proptest! {
    #[test]
    fn nonsense_from_a_peer_is_survived(at: [i32; 3], v: [i32; 3], ball: [i32; 3], speed: [i16; 3], team: u8, index: u8, tick: u32) {
        let body = PlayerBody { vx: v[0], vy: v[1], vz: v[2], ..PlayerBody::at(at, 0) };
        let pose = Pose { x: ball[0], y: ball[1], z: ball[2], rotation: [0; 4], velocity: speed };
        let seen = [(Seat(0), Player::new(team, index), body), (Seat(1), Player::new(0, 0), PlayerBody::default())];
        let view = View::new(tick, seen.into_iter(), &pose);
        brain(&view, Seat(0), &mut Seed(1).rng());
        brain(&view, Seat(1), &mut Seed(1).rng());
    }
}
