use amphi_shared_wire::Seed;
use proptest::prelude::*;

use super::*;
use crate::Schema;

const HZ: u32 = 60;

/// A place, its velocity, an angle, a rotation and what has no velocity.
const SCHEMA: &str = r#"{"components":[{"name":"Body","predict":false,"interpolate":true,"fields":[
    {"name":"x","unit":"1/512","kind":"f32","lerp":"linear","velocity":"vx"},
    {"name":"vx","unit":"1/256","kind":"f32","lerp":"linear"},
    {"name":"yaw","unit":"1","kind":"u16","lerp":"angle"},
    {"name":"turn.0","unit":"1/4096","kind":"i16","lerp":"quaternion"},
    {"name":"turn.1","unit":"1/4096","kind":"i16","lerp":"quaternion"},
    {"name":"turn.2","unit":"1/4096","kind":"i16","lerp":"quaternion"},
    {"name":"turn.3","unit":"1/4096","kind":"i16","lerp":"quaternion"},
    {"name":"heat","unit":"1/10","kind":"f32","lerp":"linear"},
    {"name":"ammo","unit":"1","kind":"u32","lerp":"linear"},
    {"name":"alive","unit":"1","kind":"bool","lerp":"step"}]}]}"#;

type Row = [i32; 10];

const REST: Row = [0, 0, 0, 0, 0, 0, 4_096, 0, 0, 0];

fn curve() -> Curve {
    Schema::read(SCHEMA).unwrap().curves()[0].clone()
}

fn at(samples: &[(u32, Row)], newer: Option<&(u32, Row)>, tick: f64) -> Vec<f64> {
    let sample = |(tick, row): &'_ (u32, Row)| (*tick, *row);
    let rows: Vec<(u32, Row)> = samples.iter().rev().map(sample).collect();
    let told = |i: usize| rows.get(i).map(|(tick, row)| Sample { tick: *tick, row });
    let to = newer.map(|(tick, row)| Sample { tick: *tick, row });
    let around = Around { before: [told(1), told(2)], from: told(0).unwrap(), to };
    let mut out = Vec::new();
    curve().at(&around, tick, HZ, &mut out);
    out
}

#[test]
fn a_place_is_on_the_cubic_of_its_velocities() {
    // From rest at x = 0 to 3 m/s at 7.5 cm within three ticks: evenly accelerated.
    let (from, mut to) = (REST, REST);
    (to[0], to[1]) = (38, 768);
    let half = at(&[(10, from)], Some(&(13, to)), 11.5)[0];
    assert!((half - 9.5).abs() < 0.2, "a quarter of the way at half the time, not half of it: {half}");
    let x = |tick| at(&[(10, from)], Some(&(13, to)), tick)[0];
    assert!((x(10.0), x(13.0)) == (0.0, 38.0));
}

#[test]
fn velocities_that_contradict_the_way_are_not_followed() {
    let mut wall = REST;
    wall[1] = 2_560;
    assert_eq!(at(&[(10, wall)], Some(&(13, wall)), 11.0)[0], 0.0, "it runs against a wall and stays");
    let mut back = wall;
    back[0] = -30;
    assert_eq!(at(&[(10, wall)], Some(&(13, back)), 11.5)[0], -15.0, "it was pushed back: the straight line");
}

#[test]
fn beyond_its_newest_sample_a_place_goes_on_for_three_ticks() {
    let mut row = REST;
    row[1] = 256 * 6;
    let x = |tick| at(&[(10, row)], None, tick)[0] / 512.0;
    assert!((x(11.0) - 0.1).abs() < 1e-9 && (x(13.0) - 0.3).abs() < 1e-9);
    assert_eq!((x(9.0), x(14.0), x(99.0)), (0.0, x(13.0), x(13.0)));
}

#[test]
fn what_has_no_velocity_goes_on_as_it_went_and_counts_do_not() {
    let row = |heat, yaw, ammo| {
        let mut row = REST;
        (row[7], row[2], row[8]) = (heat, yaw, ammo);
        row
    };
    let shown = at(&[(4, row(0, 65_400, 9)), (7, row(30, 65_500, 8)), (10, row(90, 64, 7))], None, 12.0);
    assert_eq!(shown[7], 110.0, "by the lesser of its last two paces");
    assert!((shown[2] - (64.0 + 200.0 / 3.0)).abs() < 1e-9, "{}", shown[2]);
    assert_eq!((shown[8], shown[9]), (7.0, 0.0));
    let turned = at(&[(4, row(0, 0, 9)), (7, row(30, 0, 8)), (10, row(0, 0, 7))], None, 12.0);
    assert_eq!(turned[7], 0.0, "what turned back stays");
    let slow = at(&[(4, row(0, 0, 9)), (40, row(30, 0, 8))], None, 42.0);
    assert_eq!(slow[7], 30.0, "what came long ago says nothing");
}

#[test]
fn a_jump_is_a_jump() {
    let (from, mut to) = (REST, REST);
    to[0] = 5_120;
    let x = |tick| at(&[(10, from)], Some(&(13, to)), tick)[0];
    assert_eq!((x(12.9), x(13.0)), (0.0, 0.0), "held until the newer sample");
    // A lift: it goes without a velocity of its own, as it went before.
    let mut before = REST;
    before[0] = -5_120;
    assert_eq!(at(&[(7, before), (10, from)], Some(&(13, to)), 11.5)[0], 2_560.0);
    to[1] = 256 * 60;
    assert!(at(&[(10, from)], Some(&(13, to)), 12.0)[0] > 1_000.0, "its velocity allows it");
}

#[test]
fn rotations_keep_their_length_and_take_the_shorter_way() {
    let row = |turn: [i32; 4]| {
        let mut row = REST;
        row[3..7].copy_from_slice(&turn);
        row
    };
    let (from, to) = (row([0, 0, 0, 4_096]), row([0, 0, -1_065, -3_955]));
    let shown = at(&[(10, from)], Some(&(13, to)), 11.5);
    let length = shown[3..7].iter().map(|part| part * part).sum::<f64>().sqrt();
    assert!((length - 4_096.0).abs() < 1e-6 && shown[5] > 500.0 && shown[6] > 4_000.0, "{shown:?}");
    // Half a radian in three ticks, and on.
    let on = at(&[(10, from), (13, to)], None, 14.0);
    assert!(on[5] < -1_065.0 && on[6] < 0.0, "it turns on the way it turned, in the sign of the newest: {on:?}");
}

#[test]
fn an_error_is_what_leads_back() {
    let curve = curve();
    let now: Vec<f64> = REST.map(f64::from).to_vec();
    let mut shown = now.clone();
    (shown[0], shown[2]) = (70.0, 65_530.0);
    shown[3..7].copy_from_slice(&[0.0, 0.0, -1_065.0, -3_955.0]);
    let error = curve.error(&shown, &now);
    assert_eq!((error[0], error[2]), (70.0, -6.0));
    let mut corrected = now.clone();
    curve.correct(&mut corrected, (&error, &now), 1.0);
    assert!((corrected[5] - 1_065.0).abs() < 1.0 && (corrected[0], corrected[2]) == (70.0, -6.0), "{corrected:?}");
    curve.correct(&mut corrected, (&error, &now), 0.0);
    assert_eq!(corrected[0], 70.0);
}

proptest! {
    /// Between two samples a place leaves their range by no more than a quarter of what its velocities allow.
    #[test]
    fn a_curve_never_leads_far(start in -50_000.0..50_000.0_f64, end in -50_000.0..50_000.0_f64,
        way in -50_000.0..50_000.0_f64, t in 0.0..1.0_f64) {
        if let Some(ends) = tangents(start, end, way) {
            let value = hermite(ends, way, t);
            let slack = start.abs().max(end.abs()) / 4.0 * f64::from(start * end < 0.0) + 1e-6;
            prop_assert!(value >= way.min(0.0) - slack && value <= way.max(0.0) + slack, "{value} of {way}");
        }
    }

    #[test]
    fn rows_of_peers_give_finite_numbers(seed in any::<u64>(), tick in 0.0..100.0_f64) {
        let mut rng = Seed(seed).rng();
        let mut row = || core::array::from_fn(|_| rng.below(u64::from(u32::MAX)) as u32 as i32);
        let (samples, newer) = ([(3, row()), (5, row()), (90, row())], (100, row()));
        prop_assert!(at(&samples, None, tick).iter().all(|number| number.is_finite()));
        prop_assert!(at(&samples, Some(&newer), tick.max(90.0)).iter().all(|number| number.is_finite()));
    }
}
