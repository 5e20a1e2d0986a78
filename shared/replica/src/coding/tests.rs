use std::sync::OnceLock;

use amphi_shared_wire::{BitReader, BitWriter, Rng, Seed};
use proptest::prelude::*;

use super::past::DEPTH_MAX;
use super::prefix::{ESCAPE, PrefixCode, SYMBOLS};
use super::tables::ComponentModel;
use super::turn::{Grid, HALF_ROOT, extrapolated, root, turn, unpacked};
use super::*;
use crate::{ComponentSchema, Field, FieldKind, Lerp, Schema, SeenBy};

const fn field(name: &'static str, unit: &'static str, lerp: Lerp) -> Field {
    Field { name, unit, kind: FieldKind::I32, lerp, tolerance: 0 }
}

const STEPS: i32 = 511;
const GRID: Grid = Grid::new(511);
const PLACE: [Field; 8] = [
    field("x", "1/512", Lerp::Linear),
    field("turn.0", "1/511", Lerp::SmallestThree),
    field("turn.1", "1/511", Lerp::SmallestThree),
    field("turn.2", "1/511", Lerp::SmallestThree),
    field("turn.3", "1/511", Lerp::SmallestThree),
    field("y", "1/512", Lerp::Linear),
    field("vx", "1/512", Lerp::Linear),
    field("team", "1", Lerp::Step),
];

fn schema() -> Schema {
    let component = |name, fields| ComponentSchema {
        name,
        predict: false,
        interpolate: true,
        seen_by: SeenBy::All,
        fields,
        reckon: None,
        velocities: Vec::new(),
    };
    Schema::new(vec![component("Place", &PLACE), component("Mark", &[])])
}

const TABLES: u64 = 4;

/// Tables with arbitrary numbers in them.
fn tables(seed: u64) -> &'static Tables {
    static MADE: OnceLock<Vec<Tables>> = OnceLock::new();
    &MADE.get_or_init(|| (0..TABLES).map(make_tables).collect())[seed as usize]
}

fn make_tables(seed: u64) -> Tables {
    let mut rng = Seed(seed).rng();
    let mut models: Vec<ComponentModel> =
        schema().components().iter().map(|c| ComponentModel::blank(c.fields)).collect();
    let any = |rng: &mut Rng| rng.below(400) as i16 - 200;
    for number in &mut models[0].numbers {
        number.velocity = rng.chance(500).then_some(6);
        for depth in &mut number.depths {
            (depth.linear, depth.quadratic) = (any(&mut rng) * 5, any(&mut rng) * 5);
            depth.velocity = i32::from(any(&mut rng)) * 1_000;
            depth.weights.iter_mut().for_each(|weight| *weight = any(&mut rng));
        }
    }
    for weights in &mut models[0].turns[0].weights {
        weights.iter_mut().for_each(|weight| *weight = any(&mut rng));
    }
    let shape = |rng: &mut Rng, escape: bool| {
        let bucket = |_| {
            let mut counts: [u64; SYMBOLS] = core::array::from_fn(|_| 1 << rng.below(20));
            if !escape {
                counts[ESCAPE] = 0;
            }
            tables::Bucket { shift: rng.below(21) as u32, code: PrefixCode::from_counts(counts) }
        };
        tables::Shape { buckets: (0..estimate::BUCKETS).map(bucket).collect() }
    };
    let shapes = [false, true, false].map(|escape| shape(&mut rng, escape));
    Tables::new(&schema(), shapes.into(), models)
}

/// Rows of all kinds: real rotations, numbers that are near each other, and anything.
fn row() -> impl Strategy<Value = [i32; 8]> {
    let rotation = (0..4, 0..=STEPS, 0..=STEPS, 0..=STEPS);
    let near = (-3_000..3_000, rotation, -3_000..3_000, -100..100, 0..9);
    let near = near.prop_map(|(x, (l, a, b, c), y, v, team)| [x, l, a, b, c, y, v, team]);
    prop_oneof![4 => near, 1 => any::<[i32; 8]>()]
}

proptest! {
    #[test]
    fn components_survive(
        seed in 0..TABLES,
        rows in prop::array::uniform4(row()),
        depth in 1..=DEPTH_MAX,
        age in 0_u32..256,
        step in 1_u32..256,
    ) {
        let tables = tables(seed);
        let past = Past { rows: [&rows[1], &rows[2], &rows[3]], depth, age, step };
        let mut writer = BitWriter::new();
        write_component(tables, &mut writer, 0, &past, &rows[0]);
        let bits = writer.len_bits();
        let bytes = writer.finish();
        let (mut reader, mut read) = (BitReader::new(&bytes), [7; 8]);
        read_component(tables, &mut reader, 0, &past, &mut read).unwrap();
        prop_assert_eq!((read, reader.position()), (rows[0], bits));
    }

    #[test]
    fn any_bits_give_a_row_or_an_end(seed in 0..TABLES, rows in prop::array::uniform3(row()), bytes: [u8; 24]) {
        let past = Past { rows: [&rows[0], &rows[1], &rows[2]], depth: 3, age: 9, step: 8 };
        let _ = read_component(tables(seed), &mut BitReader::new(&bytes), 0, &past, &mut [0; 8]);
    }

    #[test]
    fn tables_survive_and_damage_is_seen(seed in 0..TABLES, at: prop::sample::Index, bit in 0_u8..8) {
        let tables = tables(seed);
        let mut bytes = tables.to_bytes().to_vec();
        let again = Tables::from_bytes(&bytes, &schema());
        prop_assert_eq!(again.as_ref(), Ok(tables));
        prop_assert_eq!(Tables::from_bytes(&bytes[..at.index(bytes.len())], &schema()), Err(TablesError::Format));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(damaged) = Tables::from_bytes(&bytes, &schema()) {
            prop_assert_ne!(damaged.hash(), tables.hash());
            let past = Past { rows: [&[9; 8]; 3], depth: 3, age: 255, step: 1 };
            let _ = read_component(&damaged, &mut BitReader::new(&bytes), 0, &past, &mut [0; 8]);
        }
    }

    #[test]
    fn a_code_reads_what_it_wrote(counts: [u32; 32], symbols in prop::collection::vec(0..SYMBOLS, 0..60)) {
        let code = PrefixCode::from_counts(core::array::from_fn(|n| (1 + u64::from(counts[n % 32])) << (n % 13)));
        let mut writer = BitWriter::new();
        symbols.iter().for_each(|symbol| code.write(&mut writer, *symbol));
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        for symbol in symbols {
            let (read, length) = code.symbol(reader.peek_long());
            prop_assert_eq!((read, reader.skip(length)), (symbol, Ok(())));
        }
    }
}

/// `shared/vectors/coding`: components against their past, for the ports to other languages.
///
/// `AMPHI_WRITE_VECTORS=1 cargo test -p amphi-shared-replica vectors` writes the file; without it it is checked.
#[test]
#[expect(clippy::disallowed_methods, reason = "golden files")]
fn vectors() {
    let mut rng = Seed(77).rng();
    let set = |seed| {
        let cases: Vec<String> = (0..150).map(|n| case(tables(seed), &mut rng, n)).collect();
        format!("{{\"tables\":\"{}\",\n\"cases\":[\n{}\n]}}", hex(tables(seed).to_bytes()), cases.join(",\n"))
    };
    let sets: Vec<String> = (0..TABLES).map(set).collect();
    let about = "Component 0 of each case against its past, newest row first; the tables hold arbitrary numbers.";
    let (schema, sets) = (schema().to_json().to_owned(), sets.join(",\n"));
    let text = format!("{{\"about\":\"{about}\",\n\"schema\":{schema},\n\"sets\":[\n{sets}\n]}}\n");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/coding/components.json");
    if std::env::var_os("AMPHI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs from the code; AMPHI_WRITE_VECTORS=1 writes it again", path.display());
}

/// A component and its past: most often real rotations and numbers that are near each other, now and then anything.
fn case(tables: &Tables, rng: &mut Rng, number: usize) -> String {
    let largest = rng.below(4) as i32;
    let rows: [[i32; 8]; DEPTH_MAX + 1] = core::array::from_fn(|_| {
        let mut below = |end: i32| rng.below(end as u64) as i32;
        if number % 10 == 9 {
            return core::array::from_fn(|_| rng.next_u64() as i32);
        }
        let largest = if below(9) == 0 { below(4) } else { largest };
        let [a, b, c] = core::array::from_fn(|_| below(STEPS + 1));
        [below(6_000) - 3_000, largest, a, b, c, below(200_000) - 100_000, below(200) - 100, below(9)]
    });
    let (depth, age, step) = (1 + number % DEPTH_MAX, 1 + rng.below(255) as u32, 1 + rng.below(255) as u32);
    let past = Past { rows: [&rows[1], &rows[2], &rows[3]], depth, age, step };
    let mut writer = BitWriter::new();
    write_component(tables, &mut writer, 0, &past, &rows[0]);
    let (bits, row, past) = (writer.len_bits(), rows[0], &rows[1..=depth]);
    let hex = hex(&writer.finish());
    format!("{{\"past\":{past:?},\"age\":{age},\"step\":{step},\"row\":{row:?},\"bits\":{bits},\"hex\":\"{hex}\"}}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn lengths_that_make_no_code_are_refused() {
    let mut lengths = *PrefixCode::from_counts([1; SYMBOLS]).lengths();
    lengths[3] += 1;
    assert_eq!(PrefixCode::new(lengths), None);
    assert_eq!(PrefixCode::new([0; SYMBOLS]), None);
    assert_eq!(PrefixCode::new([1; SYMBOLS]), None);
}

#[test]
fn logarithms_are_rounded_by_eighths() {
    let rounded = |magnitude: u32| {
        let number = magnitude.saturating_add(1);
        let octave = number.ilog2();
        8 * octave as i32 + [0, 1, 3, 4, 5, 6, 6, 7][((u64::from(number) * 8) >> octave & 7) as usize]
    };
    let borders =
        (0..32).flat_map(|bit| [1_u32 << bit, (1 << bit) - 1, u32::MAX >> bit, (u32::MAX >> bit) - (1 << 7 >> bit)]);
    for magnitude in (0..5_000).chain(borders) {
        assert_eq!(estimate::log8(magnitude), rounded(magnitude), "{magnitude}");
    }
}

#[test]
fn parts_are_unpacked_as_by_a_division() {
    for steps in (1..600).chain([1_023, 2_047, 4_093, 4_094, 4_095]) {
        for value in (0..=steps).chain([i32::MIN, i32::MAX]) {
            let centred = 2 * i64::from(value.clamp(0, steps)) - i64::from(steps);
            let wanted = (centred * HALF_ROOT).div_euclid(i64::from(steps) << 16);
            assert_eq!(Grid::new(steps as u16).unpacked(value), wanted, "{value} of {steps}");
        }
    }
}

#[test]
fn roots_are_whole_and_exact() {
    for whole in 0..=1_i64 << 14 {
        let square = whole * whole;
        assert_eq!(
            [square - 1, square, square + 1].map(root),
            [square - 1, square, square + 1].map(|s| s.max(0).isqrt())
        );
    }
}

#[test]
fn a_steady_turn_goes_on() {
    // About the y axis, 0.15 rad of half angle per step: w = cos, y = sin.
    let rotation = |half_angle: f64| {
        let part = |value: f64| ((value * 2_f64.sqrt() + 1.0) / 2.0 * f64::from(STEPS)).round() as i32;
        let square = half_angle * half_angle;
        let sine = half_angle * (1.0 - square / 6.0 * (1.0 - square / 20.0));
        [3, part(0.0), part(sine), part(0.0)]
    };
    let (before, newest) = (unpacked(&rotation(0.10), GRID), unpacked(&rotation(0.25), GRID));
    let predicted = extrapolated(&newest, turn(&before, &newest), 12, 8);
    assert_eq!(predicted.largest(), 3);
    let parts = predicted.parts(3, GRID);
    let wanted = rotation(0.25 + 0.15 * 1.5);
    for (part, wanted) in parts.iter().zip(&wanted[1..]) {
        assert!((part - wanted).abs() <= 2, "{parts:?} is not {wanted:?}");
    }
    // Seen with another part as the largest, it is the same rotation.
    assert!(predicted.parts(1, GRID)[2] > STEPS / 2);
}
