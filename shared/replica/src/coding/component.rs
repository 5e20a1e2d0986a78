//! A component against its past, there and back.

use amphi_shared_wire::limits::FIELDS_MAX;
use amphi_shared_wire::{BitReader, BitWriter, OutOfBits};

use super::channel::{Channel, Reading, Spot, Writing};
use super::past::{DEPTH_MAX, Motion, Past, floored};
use super::tables::{ComponentModel, NUMBERS, NumberModel, Tables, TurnModel};
use super::turn::{HalfTurn, Quaternion, extrapolated, turn, unpacked};

/// Writes `row` of a component against its past.
pub(crate) fn write_component(tables: &Tables, writer: &mut BitWriter, component: usize, past: &Past<'_>, row: &[i32]) {
    let mut copy = [0; FIELDS_MAX];
    let copy = &mut copy[..row.len()];
    copy.copy_from_slice(row);
    let mut channel = Writing { shapes: tables.shapes(), writer };
    // Writing does not fail.
    let _ = code(tables.component(component), past, copy, &mut channel);
}

/// Reads what [`write_component`] wrote into `row`, which has the component's width.
pub(crate) fn read_component(
    tables: &Tables,
    reader: &mut BitReader<'_>,
    component: usize,
    past: &Past<'_>,
    row: &mut [i32],
) -> Result<(), OutOfBits> {
    code(tables.component(component), past, row, &mut Reading { shapes: tables.shapes(), reader })
}

/// Codes a component: `row` holds what is written, and then what the bits say.
pub(super) fn code(
    model: &ComponentModel,
    past: &Past<'_>,
    row: &mut [i32],
    channel: &mut impl Channel,
) -> Result<(), OutOfBits> {
    let mut motion = Motion::new(past, model.numbers.iter().map(|number| usize::from(number.field)));
    let mut turns = [Turning::default(); FIELDS_MAX / 4];
    for (turning, model) in turns.iter_mut().zip(&model.turns) {
        *turning = Turning::of(model, past, &mut motion);
    }
    for number in &model.numbers {
        let (field, depth) = (usize::from(number.field), past.depth - 1);
        let predicted = predict(number, past, &motion);
        let clues = motion.clues(motion.first[field], motion.second[field]);
        let spot = Spot { shape: usize::from(number.shape), field, weights: &number.depths[depth].weights, clues };
        let error = row[field].wrapping_sub(predicted);
        // Codes of numbers have no escape.
        let error = channel.error(&spot, Some(error))?.ok_or(OutOfBits)?;
        row[field] = predicted.wrapping_add(error);
        motion.number_error(error);
    }
    for (model, turning) in model.turns.iter().zip(&turns) {
        code_turn(model, past, turning, row, &mut motion, channel)?;
    }
    Ok(())
}

/// What a number will be if it goes on like this.
#[inline(always)]
pub(super) fn predict(model: &NumberModel, past: &Past<'_>, motion: &Motion) -> i32 {
    let field = usize::from(model.field);
    let depth = &model.depths[past.depth - 1];
    let (age, step) = (i64::from(past.age), i64::from(past.step));
    let linear = i64::from(depth.linear) * i64::from(motion.first[field]) * age * 2 * step;
    let quadratic = i64::from(depth.quadratic) * i64::from(motion.second[field]) * age * (age + step);
    let scale = 512 * step * step;
    let mut change = floored(linear + quadratic + scale / 2, scale);
    if let Some(velocity) = model.velocity {
        let velocity = i64::from(past.bounded(usize::from(velocity)));
        change += (i64::from(depth.velocity) * velocity * age + (1 << 15)) >> 16;
    }
    past.rows[0][field].wrapping_add(change as i32)
}

/// A rotation in the newest baseline, and how it turns per step of baselines.
#[derive(Clone, Copy, Debug, Default)]
struct Turning {
    newest: Quaternion,
    half_turn: HalfTurn,
}

impl Turning {
    /// Finds it, and tells `motion` how fast and how unsteadily it turns.
    #[inline(always)]
    fn of(model: &TurnModel, past: &Past<'_>, motion: &mut Motion) -> Self {
        let at = |row: &[i32]| unpacked(&row[usize::from(model.field)..], model.grid);
        let [newest, older, oldest] = past.rows;
        let newest = at(newest);
        let (mut half_turn, mut change) = ([0; 3], [0; 3]);
        if past.depth >= 2 {
            let older = at(older);
            half_turn = turn(&older, &newest);
            if past.depth >= DEPTH_MAX {
                let before = turn(&at(oldest), &older);
                change = core::array::from_fn(|part| half_turn[part] - before[part]);
            }
        }
        let sum = |parts: [i64; 3]| parts.iter().map(|part| part.unsigned_abs() as u32).sum::<u32>() / 32;
        motion.turned(sum(half_turn), sum(change));
        Self { newest, half_turn }
    }
}

fn code_turn(
    model: &TurnModel,
    past: &Past<'_>,
    turning: &Turning,
    row: &mut [i32],
    motion: &mut Motion,
    channel: &mut impl Channel,
) -> Result<(), OutOfBits> {
    let (field, grid) = (usize::from(model.field), model.grid);
    let weights = &model.weights[past.depth - 1];
    let predicted = extrapolated(&turning.newest, turning.half_turn, past.age, past.step);
    let (mut largest, mut shape) = (predicted.largest(), usize::from(model.shape));
    let mut parts = predicted.parts(largest, grid);
    let mut start = 0;
    let as_predicted = row[field] == largest as i32;
    let first = as_predicted.then(|| row[field + 1].wrapping_sub(parts[0]));
    match channel.error(&Spot { shape, field, weights, clues: motion.clues(0, 0) }, first)? {
        Some(error) => {
            row[field + 1] = parts[0].wrapping_add(error);
            motion.turn_error(error);
            start = 1;
        }
        None => {
            let other = (row[field] as u32).wrapping_sub(largest as u32) & 3;
            let known = (0..4).contains(&row[field]);
            let other = channel.bits(if known { other } else { 0 }, 2)?;
            if other == 0 {
                // No rotation: four plain numbers.
                for value in &mut row[field..field + 4] {
                    *value = channel.bits(*value as u32, 32)? as i32;
                }
                return Ok(());
            }
            largest = (largest + other as usize) & 3;
            parts = predicted.parts(largest, grid);
            shape = NUMBERS;
        }
    }
    row[field] = largest as i32;
    for part in start..3 {
        let value = &mut row[field + 1 + part];
        let error = value.wrapping_sub(parts[part]);
        let spot = Spot { shape, field, weights, clues: motion.clues(0, 0) };
        let error = channel.error(&spot, Some(error))?.ok_or(OutOfBits)?;
        *value = parts[part].wrapping_add(error);
        motion.turn_error(error);
    }
    Ok(())
}
