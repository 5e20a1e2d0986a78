//! Finds the tables of a schema from recorded matches.

use std::sync::Arc;

use amphi_shared_wire::limits::{FIELDS_MAX, KEYFRAME_TICKS};
use amphi_shared_wire::{OutOfBits, Tick};

use super::channel::{Channel, Split, Spot};
use super::component::{code, predict};
use super::estimate::{BUCKETS, CLUES, Weights, bucket, log8};
use super::past::{DEPTH_MAX, Motion, Past};
use super::prefix::{ESCAPE, LITERALS, PrefixCode, SYMBOLS};
use super::tables::{Bucket, COEFFICIENT_MAX, ComponentModel, ROTATIONS, SHAPES, STEPS, Shape, Tables, VELOCITY_MAX};
use crate::code_table::zigzag;
use crate::snapshot::{History, Rows, expected};
use crate::{Mirror, Schema};

/// Round trips that are played while samples are taken, ticks.
const LAGS: [u32; 3] = [4, 6, 10];
/// Samples of one component; more are not taken.
const SAMPLES_MAX: usize = 400_000;
/// Samples that coefficients are fitted to.
const FITTED_MAX: usize = 40_000;
const FIT_ROUNDS: usize = 8;
/// A count of a symbol weighs this much against a symbol that was never seen.
const SEEN: u64 = 64;
const SHIFTS: usize = 14;

/// Takes samples from matches, tick by tick, and makes tables of them.
#[derive(Debug)]
pub struct Trainer {
    schema: Arc<Schema>,
    history: History,
    samples: Vec<Samples>,
}

/// Rows of one component that were coded, with their baselines: four rows after each other.
#[derive(Clone, Debug, Default)]
struct Samples {
    width: usize,
    ages: Vec<u32>,
    rows: Vec<i32>,
}

impl Trainer {
    /// A trainer that has seen nothing.
    pub fn new(schema: Arc<Schema>) -> Self {
        let samples = schema.components().iter().map(|c| Samples { width: c.fields.len(), ..Samples::default() });
        Self { samples: samples.collect(), schema, history: History::default() }
    }

    /// Starts another match: what follows has nothing to do with what was before.
    pub fn start_match(&mut self) {
        self.history = History::default();
    }

    /// Takes samples from the next tick of a match.
    pub fn note(&mut self, mirror: &Mirror) {
        let tick = mirror.tick();
        let lag = LAGS[tick.0 as usize % LAGS.len()];
        if let Some(past) = baselines(&self.history, tick, lag) {
            for slot in mirror.order().iter().copied().filter(|slot| mirror.changed(*slot) == tick) {
                take(&mut self.samples, mirror, slot, past);
            }
        }
        self.history.note(mirror);
    }

    /// Components that samples were taken from, and how many.
    pub fn samples(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.schema.components().iter().zip(&self.samples).map(|(c, samples)| (c.name, samples.ages.len()))
    }

    /// The tables for what was seen.
    pub fn finish(&self) -> Tables {
        let mut models: Vec<ComponentModel> =
            self.schema.components().iter().map(|c| ComponentModel::blank(c.fields)).collect();
        for (model, samples) in models.iter_mut().zip(&self.samples) {
            fit_predictions(model, samples);
            fit_weights(model, samples);
        }
        let mut counting = Counting::new();
        for (model, samples) in models.iter().zip(&self.samples) {
            samples.each(|past, row| walk(model, &past, row, &mut counting));
        }
        Tables::new(&self.schema, counting.shapes(), models)
    }
}

fn baselines(history: &History, tick: Tick, lag: u32) -> Option<[&Rows; DEPTH_MAX]> {
    let mut past = history.before(tick).filter(|rows| rows.tick() + lag <= tick.0);
    Some([past.next()?, past.next()?, past.next()?])
}

fn take(samples: &mut [Samples], mirror: &Mirror, slot: u32, past: [&Rows; DEPTH_MAX]) {
    let (id, mask) = (mirror.id(slot).0, mirror.mask(slot));
    if mask == 0 || !past.iter().all(|rows| rows.holds(slot, id, u64::MAX, mask)) {
        return;
    }
    let mut buffer = [0; FIELDS_MAX];
    for (component, _) in mirror.schema().in_mask(mask) {
        let row = mirror.component_row(slot, component);
        let samples = &mut samples[component];
        let schema = (component, &mirror.schema().components()[component]);
        let expected = expected(mirror, slot, schema, past[0], &mut buffer);
        if row != expected && samples.ages.len() < SAMPLES_MAX {
            samples.ages.push(mirror.tick().0 - past[0].tick());
            samples.rows.extend_from_slice(row);
            if schema.1.reckon.is_some() {
                (0..DEPTH_MAX).for_each(|_| samples.rows.extend_from_slice(expected));
            } else {
                past.iter().for_each(|rows| samples.rows.extend_from_slice(rows.component_row(slot, component)));
            }
        }
    }
}

impl Samples {
    /// Every sample, with one, two and three baselines.
    fn each(&self, mut take: impl FnMut(Past<'_>, &[i32])) {
        for depth in 1..=DEPTH_MAX {
            self.with_depth(depth, 1, &mut take);
        }
    }

    fn with_depth(&self, depth: usize, every: usize, take: &mut impl FnMut(Past<'_>, &[i32])) {
        let width = self.width;
        if width == 0 {
            return;
        }
        for (rows, age) in self.rows.chunks_exact(4 * width).zip(&self.ages).step_by(every) {
            let row = |n: usize| &rows[n * width..(n + 1) * width];
            let past = Past { rows: [row(1), row(2), row(3)], depth, age: *age, step: KEYFRAME_TICKS };
            take(past, row(0));
        }
    }
}

/// Codes a row into a channel that never fails.
fn walk(model: &ComponentModel, past: &Past<'_>, row: &[i32], channel: &mut impl Channel) {
    let mut copy = [0; FIELDS_MAX];
    let copy = &mut copy[..row.len()];
    copy.copy_from_slice(row);
    let _ = code(model, past, copy, channel);
}

/// Finds how numbers go on: from their own differences, and from a field that tells their velocity if there is one.
fn fit_predictions(model: &mut ComponentModel, samples: &Samples) {
    let fields: Vec<u8> = model.numbers.iter().filter(|n| usize::from(n.shape) != STEPS).map(|n| n.field).collect();
    for at in 0..model.numbers.len() {
        if !fields.contains(&model.numbers[at].field) {
            continue;
        }
        fit_number(model, at, samples);
        let mut best = (cost(model, at, samples), model.numbers[at].clone());
        for velocity in &fields {
            model.numbers[at].velocity = Some(*velocity);
            fit_number(model, at, samples);
            let cost = cost(model, at, samples);
            // A tenth better, or it is chance.
            if cost < best.0 - best.0 / 10 {
                best = (cost, model.numbers[at].clone());
            }
        }
        model.numbers[at] = best.1;
    }
}

/// The size of a number's errors, summed as logarithms.
fn cost(model: &ComponentModel, at: usize, samples: &Samples) -> u64 {
    let (number, mut sum) = (&model.numbers[at], 0);
    samples.with_depth(DEPTH_MAX, samples.every(), &mut |past, row| {
        let motion = Motion::new(&past, model.numbers.iter().map(|n| usize::from(n.field)));
        let error = row[usize::from(number.field)].wrapping_sub(predict(number, &past, &motion));
        sum += log8(error.unsigned_abs()) as u64;
    });
    sum
}

impl Samples {
    fn every(&self) -> usize {
        self.ages.len() / FITTED_MAX + 1
    }
}

/// Least absolute errors, as least squares with weights that follow the errors.
fn fit_number(model: &mut ComponentModel, at: usize, samples: &Samples) {
    for depth in 1..=DEPTH_MAX {
        let number = &model.numbers[at];
        let field = usize::from(number.field);
        let mut coefficients = [0.0; 3];
        for _ in 0..FIT_ROUNDS {
            let mut squares = Squares::<3>::new();
            samples.with_depth(depth, samples.every(), &mut |past, row| {
                let (age, step) = (f64::from(past.age), f64::from(past.step));
                let velocity = number.velocity.map_or(0, |field| past.bounded(usize::from(field)));
                let causes = [
                    f64::from(past.first(field)) * age / step,
                    f64::from(past.second(field)) * age * (age + step) / (2.0 * step * step),
                    f64::from(velocity) * age,
                ];
                let change = f64::from(row[field].wrapping_sub(past.rows[0][field]));
                let left = change - causes.iter().zip(coefficients).map(|(cause, c)| cause * c).sum::<f64>();
                squares.add(&causes, change, 1.0 / (2.0 + left.abs()));
            });
            coefficients = squares.solve();
        }
        let bounded = |value: f64, bound: i32| (value.round() as i32).clamp(-bound, bound);
        let fitted = &mut model.numbers[at].depths[depth - 1];
        fitted.linear = bounded(coefficients[0] * 256.0, COEFFICIENT_MAX.into()) as i16;
        fitted.quadratic = bounded(coefficients[1] * 256.0, COEFFICIENT_MAX.into()) as i16;
        fitted.velocity = bounded(coefficients[2] * 65_536.0, VELOCITY_MAX);
    }
}

/// Finds how the sizes of errors follow from the clues.
fn fit_weights(model: &mut ComponentModel, samples: &Samples) {
    for depth in 1..=DEPTH_MAX {
        let mut regression = Regression { fields: (0..FIELDS_MAX).map(|_| Squares::new()).collect() };
        samples.with_depth(depth, samples.every(), &mut |past, row| walk(model, &past, row, &mut regression));
        let weights = |field: u8| -> Weights {
            let solved = regression.fields[usize::from(field)].solve();
            solved.map(|weight| (weight * 64.0).round() as i16)
        };
        for number in &mut model.numbers {
            number.depths[depth - 1].weights = weights(number.field);
        }
        for turn in &mut model.turns {
            turn.weights[depth - 1] = weights(turn.field);
        }
    }
}

struct Regression {
    fields: Vec<Squares<{ CLUES + 1 }>>,
}

impl Channel for Regression {
    fn error(&mut self, spot: &Spot<'_>, error: Option<i32>) -> Result<Option<i32>, OutOfBits> {
        if let Some(error) = error {
            let causes: [f64; CLUES + 1] =
                core::array::from_fn(|n| spot.clues.get(n).map_or(8.0, |clue| f64::from(*clue)));
            self.fields[spot.field].add(&causes, f64::from(log8(error.unsigned_abs())), 1.0);
        }
        Ok(error)
    }

    fn bits(&mut self, value: u32, _: u32) -> Result<u32, OutOfBits> {
        Ok(value)
    }
}

/// Weighted least squares with `N` unknowns.
struct Squares<const N: usize> {
    matrix: [[f64; N]; N],
    right: [f64; N],
}

impl<const N: usize> Squares<N> {
    fn new() -> Self {
        // A little on the diagonal: unknowns that nothing tells about become 0.
        let matrix =
            core::array::from_fn(|row| core::array::from_fn(|column| f64::from(u8::from(row == column)) * 0.1));
        Self { matrix, right: [0.0; N] }
    }

    fn add(&mut self, causes: &[f64; N], effect: f64, weight: f64) {
        for (row, cause) in causes.iter().enumerate() {
            for (sum, other) in self.matrix[row].iter_mut().zip(causes) {
                *sum += weight * cause * other;
            }
            self.right[row] += weight * cause * effect;
        }
    }

    /// Gaussian elimination; the matrix is positive definite.
    fn solve(&self) -> [f64; N] {
        let (mut matrix, mut right) = (self.matrix, self.right);
        for pivot in 0..N {
            for row in pivot + 1..N {
                let factor = matrix[row][pivot] / matrix[pivot][pivot];
                let above = matrix[pivot];
                for (value, above) in matrix[row].iter_mut().zip(above).skip(pivot) {
                    *value -= factor * above;
                }
                right[row] -= factor * right[pivot];
            }
        }
        let mut solved = [0.0; N];
        for row in (0..N).rev() {
            let known: f64 = (row + 1..N).map(|column| matrix[row][column] * solved[column]).sum();
            solved[row] = (right[row] - known) / matrix[row][row];
        }
        solved
    }
}

/// Counts symbols by shape, bucket and shift.
struct Counting {
    counts: Vec<[[[u64; SYMBOLS]; SHIFTS]; BUCKETS]>,
}

impl Channel for Counting {
    fn error(&mut self, spot: &Spot<'_>, error: Option<i32>) -> Result<Option<i32>, OutOfBits> {
        let counts = &mut self.counts[spot.shape][bucket(spot.weights, &spot.clues)];
        for (shift, counts) in counts.iter_mut().enumerate() {
            let symbol = error.map_or(ESCAPE, |error| Split::of(zigzag(error), shift as u32).symbol);
            counts[symbol] += 1;
        }
        Ok(error)
    }

    fn bits(&mut self, value: u32, _: u32) -> Result<u32, OutOfBits> {
        Ok(value)
    }
}

impl Counting {
    fn new() -> Self {
        Self { counts: vec![[[[0; SYMBOLS]; SHIFTS]; BUCKETS]; SHAPES] }
    }

    fn shapes(&self) -> Vec<Shape> {
        let shape = |number: usize, buckets: &[[[u64; SYMBOLS]; SHIFTS]; BUCKETS]| Shape {
            buckets: buckets.iter().map(|counts| best_bucket(counts, number == ROTATIONS)).collect(),
        };
        self.counts.iter().enumerate().map(|(number, buckets)| shape(number, buckets)).collect()
    }
}

/// The shift and code that need the fewest bits.
fn best_bucket(counts: &[[u64; SYMBOLS]; SHIFTS], escape: bool) -> Bucket {
    let candidates = counts.iter().enumerate().map(|(shift, counts)| {
        let mut weighed = counts.map(|count| count * SEEN);
        for (symbol, weight) in weighed.iter_mut().enumerate() {
            *weight += unseen(symbol);
        }
        if !escape {
            weighed[ESCAPE] = 0;
        }
        let code = PrefixCode::from_counts(weighed);
        let bits = |symbol: usize| {
            let rest = if symbol == ESCAPE { 2 } else { Split::class(symbol).1 as u64 + shift as u64 };
            u64::from(code.lengths()[symbol]) + rest
        };
        let cost: u64 = weighed.iter().enumerate().map(|(symbol, weight)| weight * bits(symbol)).sum();
        (cost, Bucket { shift: shift as u32, code })
    });
    let best = candidates.min_by_key(|(cost, _)| *cost);
    best.map_or_else(|| unreachable!("there is a shift"), |(_, bucket)| bucket)
}

/// Weight of a symbol that no sample had: likelier when it stands for fewer and smaller numbers.
fn unseen(symbol: usize) -> u64 {
    match symbol.checked_sub(LITERALS) {
        None => 16,
        Some(class) => 16 >> class.min(4),
    }
}
