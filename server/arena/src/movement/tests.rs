use proptest::prelude::*;

use super::*;
use crate::map::{self, BlockKind};

fn field() -> Statics {
    Statics { blocks: map::blocks(), ledges: Vec::new() }
}

fn run(body: PlayerBody, ticks: u32, input: ArenaInput) -> PlayerBody {
    let field = field();
    (0..ticks).fold(body, |body, _| step(body, &input, &field))
}

fn ahead(yaw: u16) -> ArenaInput {
    ArenaInput { move_y: 127, yaw, ..ArenaInput::default() }
}

fn jumping(input: ArenaInput) -> ArenaInput {
    input.with_buttons(true, false, false)
}

#[test]
fn a_runner_reaches_the_running_speed_and_stops() {
    let start = PlayerBody::at([0, 0, 0], 0);
    let running = run(start, 30, ahead(0));
    assert_eq!((running.vx, running.vz, running.air), (RUN_SPEED, 0, 0));
    let stopped = run(running, 30, ArenaInput::default());
    assert_eq!((stopped.vx, stopped.vy, stopped.vz), (0, 0, 0));
    assert!(stopped.x > running.x);
}

#[test]
fn the_direction_follows_the_yaw() {
    let start = PlayerBody::at([0, 0, 0], 0);
    let turned = run(start, 30, ahead(16_384));
    assert_eq!((turned.x, turned.vz), (0, -RUN_SPEED));
    let aside = run(start, 30, ArenaInput { move_x: 127, ..ArenaInput::default() });
    assert_eq!((aside.x, aside.vz), (0, RUN_SPEED));
}

#[test]
fn a_diagonal_is_not_faster() {
    let both = ArenaInput { move_x: 127, move_y: 127, ..ArenaInput::default() };
    let body = run(PlayerBody::at([0, 0, 0], 0), 30, both);
    let speed = (body.vx * body.vx + body.vz * body.vz).isqrt();
    assert!((RUN_SPEED - 8..=RUN_SPEED + 8).contains(&speed), "{speed}");
}

#[test]
fn a_jump_reaches_one_and_a_half_metres_and_ends() {
    let start = PlayerBody::at([0, 0, 0], 0);
    let mut top = 0;
    let mut body = run(start, 1, jumping(ArenaInput::default()));
    for _ in 0..120 {
        body = run(body, 1, ArenaInput::default());
        top = top.max(body.y);
    }
    assert!((3 * METRE / 2..2 * METRE).contains(&top), "{top}");
    assert_eq!((body.y, body.air), (0, 0));
}

#[test]
fn stairs_are_walked_up_and_down_without_leaving_the_ground() {
    let field = field();
    let mut body = PlayerBody::at([9 * METRE, 0, 12 * METRE], 32_768);
    for _ in 0..200 {
        body = step(body, &ahead(32_768), &field);
        assert_eq!(body.air, 0, "at {body:?}");
    }
    assert_eq!(body.y, 0);
    let up = run(PlayerBody::at([9 * METRE, 0, 12 * METRE], 32_768), 70, ahead(32_768));
    assert_eq!(up.y, 3 * METRE / 2);
}

#[test]
fn the_perch_needs_two_jumps() {
    let on_box = run(PlayerBody::at([13 * METRE, 0, 13 * METRE], 0), 50, jumping(ahead(0)));
    let end = run(on_box, 120, jumping(ahead(0)));
    assert!(end.x > 16 * METRE, "{end:?}");
    let walked = run(PlayerBody::at([13 * METRE, 0, 13 * METRE], 0), 170, ahead(0));
    assert_eq!((walked.x, walked.y), (14 * METRE - HALF_WIDTH, 0));
}

#[test]
fn a_coyote_may_jump_a_little_after_the_edge() {
    let edge = PlayerBody { air: COYOTE_TICKS, ..PlayerBody::at([0, 5 * METRE, 0], 0) };
    assert!(run(edge, 1, jumping(ArenaInput::default())).vy > 0);
    let late = PlayerBody { air: COYOTE_TICKS + 1, ..edge };
    assert!(run(late, 1, jumping(ArenaInput::default())).vy < 0);
}

#[test]
fn a_ledge_carries_from_above_only() {
    let mut field = field();
    field.ledges.push(([-2_048, 0, -2_048], [2_048, 4_096, 2_048]));
    let mut body = PlayerBody::at([0, 2 * METRE, 0], 0);
    for _ in 0..60 {
        body = step(body, &ArenaInput::default(), &field);
    }
    assert_eq!((body.y, body.air), (METRE, 0));
    let mut body = PlayerBody::at([-3 * METRE, 0, 0], 0);
    for _ in 0..120 {
        body = step(body, &ahead(0), &field);
    }
    assert!(body.x > 3 * METRE);
    assert_eq!(body.y, 0);
}

#[test]
fn the_held_look_and_the_dead_stay() {
    let start = PlayerBody { hold: HOLD_STILL, ..PlayerBody::at([0, METRE, 0], 0) };
    let held = run(start, 60, jumping(ahead(777)));
    assert_eq!((held.x, held.y, held.z, held.yaw), (0, 0, 0, 777));
    let dead = PlayerBody { hold: HOLD_DEAD, vx: 90, ..PlayerBody::at([0, METRE, 0], 0) };
    let still = run(dead, 60, jumping(ahead(778)));
    assert_eq!((still.x, still.y, still.vx, still.yaw), (0, METRE, 0, 778));
}

#[test]
fn a_thrown_body_slides_and_a_wall_stops_it() {
    let mut body = PlayerBody::at([0, 0, 2 * METRE], 0);
    body.push([SPEED_MAX, 0, 0]);
    let end = run(body, 300, ArenaInput::default());
    assert!(end.x > 20 * METRE && end.x <= 27 * METRE, "{end:?}");
    assert_eq!(end.vx, 0);
}

fn overlap(body: &PlayerBody, statics: &Statics) -> bool {
    let low = [body.x - HALF_WIDTH, body.y, body.z - HALF_WIDTH];
    let high = [body.x + HALF_WIDTH, body.y + HEIGHT, body.z + HALF_WIDTH];
    statics.blocks.iter().any(|b| (0..3).all(|axis| low[axis] < b.max[axis] && high[axis] > b.min[axis]))
}

prop_compose! {
    fn any_input()(buttons in 0_u8..8, move_x: i8, move_y: i8, yaw: u16, pitch: i16) -> ArenaInput {
        ArenaInput { buttons, move_x, move_y, yaw, pitch }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_ever_enters_a_block(inputs in prop::collection::vec((any_input(), 1_u32..40), 1..60), v: [i32; 3]) {
        let field = field();
        let mut body = PlayerBody { vx: v[0], vy: v[1], vz: v[2], ..PlayerBody::at([0, 0, 0], 0) };
        for (input, ticks) in inputs {
            for _ in 0..ticks {
                body = step(body, &input, &field);
                prop_assert!(!overlap(&body, &field), "{body:?}");
                prop_assert!(body.x.abs() < 28 * METRE && body.z.abs() < 14 * METRE && body.y >= 0, "{body:?}");
            }
        }
    }

    #[test]
    fn any_state_is_survived(at: [i32; 3], v: [i32; 3], air: u8, hold: u8, input in any_input()) {
        let body = PlayerBody { vx: v[0], vy: v[1], vz: v[2], air, hold, ..PlayerBody::at(at, 0) };
        step(body, &input, &Statics { blocks: vec![Block { kind: BlockKind::Floor, min: [-9; 3], max: [9; 3] }], ledges: vec![] });
    }
}
