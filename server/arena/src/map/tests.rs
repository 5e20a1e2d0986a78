use super::*;
use crate::movement::{HALF_WIDTH as BODY, HEIGHT};

fn overlaps(block: &Block, min: [i32; 3], max: [i32; 3]) -> bool {
    (0..3).all(|axis| min[axis] < block.max[axis] && max[axis] > block.min[axis])
}

#[test]
fn every_block_has_a_volume_and_a_twin() {
    let blocks = blocks();
    for block in &blocks {
        assert!((0..3).all(|axis| block.min[axis] < block.max[axis]), "{block:?}");
        assert!(blocks.contains(&mirror_x(*block)), "{block:?}");
        assert!(blocks.contains(&mirror_z(*block)), "{block:?}");
    }
}

#[test]
fn all_places_are_free() {
    let blocks = blocks();
    for team in 0..2 {
        for index in 0..TEAM_MAX {
            for ([x, y, z], _) in [kick_off(team, index), respawn(team, index)] {
                let (min, max) = ([x - BODY, y, z - BODY], [x + BODY, y + HEIGHT, z + BODY]);
                assert!(!blocks.iter().any(|b| overlaps(b, min, max)), "team {team} place {index} at {x} {y} {z}");
            }
        }
    }
    for centre in crate_homes() {
        let (min, max) = (centre.map(|c| c - CRATE_HALF), centre.map(|c| c + CRATE_HALF));
        assert!(!blocks.iter().any(|b| overlaps(b, min, max)), "crate at {centre:?}");
    }
}

#[test]
fn the_field_is_closed() {
    // A grid of cells just outside of the playable space: each lies in a block.
    let blocks = blocks();
    let solid = |point: [i32; 3]| blocks.iter().any(|b| (0..3).all(|a| b.min[a] <= point[a] && point[a] <= b.max[a]));
    let half = METRE / 2;
    for y in (half..CEILING).step_by(half as usize) {
        for x in (-HALF_LENGTH..=HALF_LENGTH).step_by(half as usize) {
            assert!(solid([x, y, HALF_WIDTH + 64]) && solid([x, y, -HALF_WIDTH - 64]), "side at {x} {y}");
        }
        for z in (-HALF_WIDTH..=HALF_WIDTH).step_by(half as usize) {
            let goal = z.abs() < GOAL_HALF_WIDTH && y < GOAL_HEIGHT;
            let x = if goal { HALF_LENGTH + GOAL_DEPTH } else { HALF_LENGTH } + 64;
            assert!(solid([x, y, z]) && solid([-x, y, z]), "end at {y} {z}");
        }
    }
}
