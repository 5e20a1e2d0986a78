//! The method of Fiedler's "Snapshot Compression", written anew as the peer: against the snapshot six frames ago, the
//! changed cubes by the gaps between their indices, positions and rotations as small or large differences.
//!
//! It has no packet header at all; ours is counted with its header.

use amphi_shared_wire::BitWriter;

use super::pose::{CubePose, HEIGHT_MAX, PART_MAX, PLANE_MAX};

/// Frames between a snapshot and what it builds on.
pub(super) const BASELINE_FRAMES: usize = 6;
const SMALL_BITS: u32 = 5;
const POSITION_LARGE_BITS: u32 = 9;
const ROTATION_LARGE_BITS: u32 = 8;
const PART_BITS: u32 = 9;

/// Bytes of a snapshot.
pub(super) fn bytes(now: &[CubePose], before: &[CubePose]) -> usize {
    let changed: Vec<usize> = (0..now.len()).filter(|cube| now[*cube] != before[*cube]).collect();
    let mut writer = BitWriter::new();
    let index_bits = changed.windows(2).map(|pair| gap_bits(pair[1] - pair[0])).sum::<u32>() as usize;
    // The count, the first index, the gaps; or one bit per cube.
    let by_index = changed.len() < 256 && 8 + 10 + index_bits < now.len();
    writer.bit(by_index);
    if by_index {
        writer.bits(changed.len() as u32, 8);
        let mut last = None;
        for cube in &changed {
            write_index(&mut writer, last, *cube);
            write_cube(&mut writer, &now[*cube], &before[*cube]);
            last = Some(*cube);
        }
    } else {
        for (now, before) in now.iter().zip(before) {
            writer.bit(now != before);
            if now != before {
                write_cube(&mut writer, now, before);
            }
        }
    }
    writer.finish().len()
}

fn gap_bits(gap: usize) -> u32 {
    match gap {
        ..=8 => 4,
        9..=40 => 7,
        _ => 12,
    }
}

/// A gap of 1 to 8 is a bit and 3 more, 9 to 40 two bits and 5 more, all others two bits and the index.
fn write_index(writer: &mut BitWriter, last: Option<usize>, cube: usize) {
    let Some(last) = last else { return writer.bits(cube as u32, 10) };
    match cube - last {
        gap @ ..=8 => {
            writer.bit(true);
            writer.bits(gap as u32 - 1, 3);
        }
        gap @ 9..=40 => {
            writer.bits(0b10, 2);
            writer.bits(gap as u32 - 9, 5);
        }
        _ => {
            writer.bits(0b00, 2);
            writer.bits(cube as u32, 10);
        }
    }
}

fn write_cube(writer: &mut BitWriter, CubePose(now): &CubePose, CubePose(before): &CubePose) {
    let differences = [now[0] - before[0], now[1] - before[1], now[2] - before[2]];
    if !write_differences(writer, differences, POSITION_LARGE_BITS) {
        writer.bits((now[0] + PLANE_MAX) as u32, 18);
        writer.bits(now[1].min(HEIGHT_MAX) as u32, 14);
        writer.bits((now[2] + PLANE_MAX) as u32, 18);
    }
    let differences = [now[4] - before[4], now[5] - before[5], now[6] - before[6]];
    let same_largest = now[3] == before[3];
    // Another largest part, or a difference that is too large: all of it.
    let differences = if same_largest { differences } else { [i32::MAX; 3] };
    if !write_differences(writer, differences, ROTATION_LARGE_BITS) {
        writer.bits(now[3] as u32, 2);
        now[4..].iter().for_each(|part| writer.bits((*part).min(PART_MAX) as u32, PART_BITS));
    }
}

/// A bit that says whether all three are near enough; then each with a bit for small or large. Large ones begin where
/// small ones end.
fn write_differences(writer: &mut BitWriter, differences: [i32; 3], large_bits: u32) -> bool {
    let small = |difference: i32| (-16..16).contains(&difference);
    let reach = 16 + (1 << (large_bits - 1));
    let near = differences.iter().all(|difference| (-reach..reach).contains(difference));
    writer.bit(near);
    if near {
        for difference in differences {
            writer.bit(small(difference));
            if small(difference) {
                writer.bits((difference + 16) as u32, SMALL_BITS);
            } else {
                let beyond = if difference < 0 { difference + 16 } else { difference - 16 };
                writer.bits((beyond + (1 << (large_bits - 1))) as u32, large_bits);
            }
        }
    }
    near
}
