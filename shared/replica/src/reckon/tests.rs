use amphi_shared_wire::Rng;
use amphi_shared_wire::Seed;
use proptest::prelude::*;

use super::*;
use crate::{FieldKind, SeenBy};

const fn field(name: &'static str, unit: &'static str, lerp: Lerp, tolerance: u32) -> Field {
    Field { name, unit, kind: FieldKind::I32, lerp, tolerance }
}

const FIELDS: [Field; 13] = [
    field("x", "1/512", Lerp::Linear, 4),
    field("vx", "1/1024", Lerp::Linear, 0),
    field("whole.0", "1/4096", Lerp::Quaternion, 2),
    field("whole.1", "1/4096", Lerp::Quaternion, 2),
    field("whole.2", "1/4096", Lerp::Quaternion, 2),
    field("whole.3", "1/4096", Lerp::Quaternion, 2),
    field("small.0", "1/8191", Lerp::SmallestThree, 4),
    field("small.1", "1/8191", Lerp::SmallestThree, 4),
    field("small.2", "1/8191", Lerp::SmallestThree, 4),
    field("small.3", "1/8191", Lerp::SmallestThree, 4),
    field("wx", "1/4096", Lerp::Linear, 0),
    field("wy", "1/4096", Lerp::Linear, 0),
    field("wz", "1/4096", Lerp::Linear, 0),
];

fn schema() -> ComponentSchema {
    let (predict, interpolate, reckon, velocities) = (false, true, None, Vec::new());
    ComponentSchema { name: "Body", predict, interpolate, seen_by: SeenBy::All, fields: &FIELDS, reckon, velocities }
}

fn reckoning() -> Reckoning {
    let spin = ["wx", "wy", "wz"];
    let reckon = Reckon::new().moving("x", "vx").turning("whole.0", spin).turning("small.0", spin);
    Reckoning::new(&reckon, &schema()).unwrap()
}

/// Identity, moving at 1 m/s and turning by this much.
fn row(spin: [i32; 3]) -> [i32; 13] {
    let none = 8191 / 2;
    [0, 1024, 0, 0, 0, 4096, 3, none, none, none, spin[0], spin[1], spin[2]]
}

#[test]
fn a_second_is_a_second_at_every_rate() {
    for tick_hz in [1, 30, 60, 128] {
        let mut row = row([0; 3]);
        reckoning().go_on(&mut row, tick_hz, tick_hz);
        assert_eq!(row[0], 512, "{tick_hz}");
        assert_eq!(row[2..6], [0, 0, 0, 4096]);
    }
}

#[test]
fn a_quarter_turn_about_an_axis_is_one() {
    let quarter = (QUARTER * 4096.0).round() as i32;
    for axis in 0..3 {
        let mut spin = [0; 3];
        spin[axis] = quarter;
        let mut row = row(spin);
        reckoning().go_on(&mut row, 60, 60);
        let half = (4096.0 / ROOT).round() as i32;
        let mut wanted = [0, 0, 0, half];
        wanted[axis] = half;
        assert!(row[2..6].iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1), "{row:?}");
        // Both forms turn alike.
        let (whole, small) = (Form::Whole(1.0 / 4096.0), Form::Smallest(8191.0));
        let (a, b) = (whole.read(&row[2..6]).unwrap(), small.read(&row[6..10]).unwrap());
        assert!((0..4).all(|part| (a[part] - b[part]).abs() < 1e-3), "{a:?} {b:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what the series are compared with")]
fn the_series_are_sine_and_cosine() {
    for n in 0..20_000 {
        let angle = f64::from(n) * 0.013;
        let (sine, cosine) = sine_cosine(angle);
        assert!((sine - angle.sin()).abs() < 1e-10 && (cosine - angle.cos()).abs() < 1e-10, "{angle}");
    }
}

#[test]
fn what_holds_is_within_the_tolerance() {
    let (reckoning, before) = (reckoning(), row([100, 0, 0]));
    let holds = |field: usize, by: i32| {
        let mut now = before;
        now[field] += by;
        reckoning.holds(&FIELDS, &before, &now)
    };
    assert!(holds(0, 4) && holds(0, -4) && !holds(0, 5));
    assert!(holds(1, 1_000) && holds(10, 1_000), "what it moves by is not compared");
    assert!(holds(7, 4) && !holds(7, 5) && !holds(2, 3));
}

#[test]
fn a_wrong_course_is_an_error_in_words() {
    let error = |reckon: Reckon| Reckoning::new(&reckon, &schema()).unwrap_err();
    assert_eq!(error(Reckon::new()), "dead reckoning of `Body`: nothing moves");
    assert_eq!(error(Reckon::new().moving("x", "v")), "dead reckoning of `Body`: it has no field `v`");
    let spin = ["wx", "wy", "wz"];
    for first in ["x", "whole.1", "wz"] {
        let wanted = format!("dead reckoning of `Body`: `{first}` is not the first of the four fields of a rotation");
        assert_eq!(error(Reckon::new().turning(first, spin)), wanted);
    }
}

proptest! {
    #[test]
    fn any_row_goes_on(seed: u64, ticks: u32, tick_hz in 1_u32..129) {
        let mut rng: Rng = Seed(seed).rng();
        let mut row: [i32; 13] = core::array::from_fn(|_| rng.next_u64() as i32);
        reckoning().go_on(&mut row, ticks, tick_hz);
        let other: [i32; 13] = core::array::from_fn(|_| rng.next_u64() as i32);
        reckoning().holds(&FIELDS, &row, &other);
    }
}
