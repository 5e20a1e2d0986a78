use super::*;
use crate::{Field, FieldKind, Lerp, SeenBy};

const fn field(name: &'static str, unit: &'static str) -> Field {
    Field { name, unit, kind: FieldKind::I32, lerp: Lerp::Linear, tolerance: 0 }
}

const FIELDS: [Field; 4] = [field("x", "1/4"), field("y", "1/4"), field("z", "1/4"), field("spin", "1")];

fn space(interest: &Interest) -> Result<Space, String> {
    let schema = ComponentSchema {
        name: "Pose",
        predict: false,
        interpolate: false,
        seen_by: SeenBy::All,
        fields: &FIELDS,
        reckon: None,
        velocities: Vec::new(),
    };
    Space::new(interest, 1, &schema)
}

#[test]
fn lengths_are_in_the_unit_of_the_fields() {
    let space = space(&Interest::new(&["x", "z"], 100.0).hysteresis(0.5)).unwrap();
    assert_eq!(space.place(&[1, 2, 3, 4]), [1, 3, 0]);
    // 100 m are 400 steps, a cell 100, its margin 12; an observer may be 25 steps off.
    assert_eq!([0, 99, 100, -1].map(|x| space.cell(0, [x, 0, 0])[0]), [0, 0, 1, -1]);
    assert_eq!([-13, -12, 111, 112].map(|x| space.keeps(0, [0, 0, 0], [x, 50, 0])), [false, true, true, false]);
    assert_eq!(space.cell(1, [399, 400, 0]), [0, 1, 0]);
    let near = |x: i32, there: bool| space.is_near(0, [10, 0, 0], [x, 50, 0], there);
    let (enter, leave) = (1_000 - 12 - 425, 1_000 - 12 - 625);
    assert_eq!([near(enter, false), near(enter - 1, false), near(enter - 1, true)], [true, false, true]);
    assert_eq!([near(leave, true), near(leave - 1, true)], [true, false]);
    assert_eq!(space.nearness(0, [0, 0, 0], [0, 0, 0]), 256);
    assert!(space.nearness(0, [0, 0, 0], [60, 80, 0]).abs_diff(128) < 5);
}

#[test]
fn all_that_is_near_is_around() {
    let space = space(&Interest::new(&["x", "y", "z"], 30.0).cells(3)).unwrap();
    for place in [[0, 0, 0], [17, -93, 1_000_003], [i32::MAX, i32::MIN, 5]] {
        let around: Vec<Place> = space.around(0, place).collect();
        assert!(around.is_sorted() && around.contains(&space.cell(0, place)));
        let edge = |cell: &Place| (0..3).any(|axis| around.iter().all(|other| other[axis] >= cell[axis]));
        assert!(around.iter().filter(|cell| edge(cell)).count() > 0);
        for cell in &around {
            for axis in 0..3 {
                let mut beyond = *cell;
                beyond[axis] = around[0][axis].saturating_sub(1);
                assert!(beyond[axis] == i32::MIN || !space.is_near(0, beyond, place, true));
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    let wrong = [
        Interest::new(&["w"], 1.0),
        Interest::new(&[], 1.0),
        Interest::new(&["x", "spin"], 1.0),
        Interest::new(&["x", "y", "z", "x"], 1.0),
        Interest::new(&["x"], 0.0),
        Interest::new(&["x"], f64::NAN),
        Interest::new(&["x"], 1.0).hysteresis(2.0),
        Interest::new(&["x"], 1.0).cells(0),
    ];
    for interest in wrong {
        assert!(space(&interest).is_err_and(|error| error.contains("Pose")), "{interest:?}");
    }
}
