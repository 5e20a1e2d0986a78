//! What a schema's numbers look like: coefficients, weights and prefix codes, trained once and then frozen.
//!
//! ```text
//! tables    = "AMTB", u8 format = 1, u64 hash of the schema
//!             u8 shapes, then each: 32 × code
//!             u8 components, then each: u8 numbers, u8 rotations, then each
//! code      = u8 shift, 43 lengths of 4 bits, the first in the low half of its byte, 4 zero bits
//! number    = u8 field, u8 shape, u8 field of its velocity or 255, 3 × (i16 linear, i16 quadratic, i32 velocity, weights)
//! rotation  = u8 field, u8 shape, u16 steps, 3 × weights
//! weights   = 10 × i16                                        little-endian; the three are for 1, 2 and 3 baselines
//! ```

use amphi_shared_wire::limits::{COMPONENTS_MAX, FIELDS_MAX};
use thiserror::Error;

use super::estimate::{BUCKETS, CLUES, Weights};
use super::past::DEPTH_MAX;
use super::prefix::{ESCAPE, PrefixCode, SYMBOLS};
use super::turn::Grid;
use crate::{Lerp, Schema, StateHasher};

const MAGIC: &[u8; 4] = b"AMTB";
const FORMAT: u8 = 1;
const NONE: u8 = u8::MAX;
/// Greatest `shift` of a bucket.
pub(super) const SHIFT_MAX: u32 = 20;
/// Bounds of `linear` and `quadratic`, of `velocity`, and of a rotation's steps; they keep products below 2⁵³.
pub(super) const COEFFICIENT_MAX: i16 = 1_023;
pub(super) const VELOCITY_MAX: i32 = 1 << 20;
const STEPS_MAX: u16 = 4_095;

/// The shapes there are, by number: what moves, what is a rotation, what jumps.
pub(super) const NUMBERS: usize = 0;
pub(super) const ROTATIONS: usize = 1;
pub(super) const STEPS: usize = 2;
pub(super) const SHAPES: usize = 3;

/// Why bytes are not tables for a schema.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TablesError {
    /// Not tables, or of a format that this build does not know.
    #[error("these are no tables that this build can read")]
    Format,
    /// For another schema.
    #[error("the tables belong to another schema")]
    Schema,
    /// A number out of bounds, a code that is not complete, a field that is not there.
    #[error("the tables hold what cannot be")]
    Invalid,
}

/// Trained tables of one schema. They never change: other numbers are other tables, with another hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    bytes: Vec<u8>,
    hash: u64,
    shapes: Vec<Shape>,
    components: Vec<ComponentModel>,
}

/// Codes for errors of one kind, by expected size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Low bits that are written plainly.
    pub(super) shift: u32,
    pub(super) code: PrefixCode,
}

/// How a component's fields are coded: its numbers in order, then its rotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ComponentModel {
    pub(super) numbers: Vec<NumberModel>,
    pub(super) turns: Vec<TurnModel>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumberModel {
    pub(super) field: u8,
    pub(super) shape: u8,
    /// A field of the same component that says how fast this one changes.
    pub(super) velocity: Option<u8>,
    pub(super) depths: [DepthModel; DEPTH_MAX],
}

/// With one, two or three baselines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DepthModel {
    /// Of the first difference, 1/256.
    pub(super) linear: i16,
    /// Of the second difference, 1/256.
    pub(super) quadratic: i16,
    /// Of the velocity, 1/65536 per tick.
    pub(super) velocity: i32,
    pub(super) weights: Weights,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TurnModel {
    /// The first of four.
    pub(super) field: u8,
    pub(super) shape: u8,
    pub(super) grid: Grid,
    pub(super) weights: [Weights; DEPTH_MAX],
}

impl Tables {
    /// Reads tables for a schema; every field of it is coded exactly once.
    ///
    /// # Errors
    /// When the bytes are not tables, or not for this schema.
    pub fn from_bytes(bytes: &[u8], schema: &Schema) -> Result<Self, TablesError> {
        let mut input = Input(bytes);
        if input.array::<4>()? != *MAGIC || input.u8()? != FORMAT {
            return Err(TablesError::Format);
        }
        if u64::from_le_bytes(input.array()?) != schema.hash() {
            return Err(TablesError::Schema);
        }
        let shapes = (0..input.u8()?).map(|_| input.shape()).collect::<Result<Vec<_>, _>>()?;
        let count = usize::from(input.u8()?);
        if count > COMPONENTS_MAX || count != schema.components().len() || shapes.len() != SHAPES {
            return Err(TablesError::Invalid);
        }
        let components = (0..count).map(|_| input.component()).collect::<Result<Vec<_>, _>>()?;
        let fits = components.iter().zip(schema.components()).all(|(model, c)| model.fits(c.fields.len()));
        if !fits || !input.0.is_empty() || !shapes.iter().enumerate().all(|(n, shape)| shape.fits(n == ROTATIONS)) {
            return Err(TablesError::Invalid);
        }
        Ok(Self { bytes: bytes.to_vec(), hash: StateHasher::of(bytes), shapes, components })
    }

    /// The tables of trained parts.
    pub(super) fn new(schema: &Schema, shapes: Vec<Shape>, components: Vec<ComponentModel>) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&schema.hash().to_le_bytes());
        bytes.push(shapes.len() as u8);
        for bucket in shapes.iter().flat_map(|shape| &shape.buckets) {
            bucket.write(&mut bytes);
        }
        bytes.push(components.len() as u8);
        for component in &components {
            component.write(&mut bytes);
        }
        Self { hash: StateHasher::of(&bytes), bytes, shapes, components }
    }

    /// The tables as [`from_bytes`](Self::from_bytes) reads them.
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hash of the bytes: what names these tables in a Hello.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    pub(super) fn component(&self, component: usize) -> &ComponentModel {
        &self.components[component]
    }
}

impl ComponentModel {
    /// A model that knows nothing: what a schema's fields are, and zeros.
    pub(super) fn blank(fields: &[crate::Field]) -> Self {
        let mut model = Self::default();
        let mut field = 0;
        while field < fields.len() {
            let lerp = fields[field].lerp;
            let rotation =
                fields.get(field..field + 4).filter(|four| four.iter().all(|f| f.lerp == Lerp::SmallestThree));
            match rotation.and_then(|four| steps_of(four[1].unit)) {
                Some(steps) => {
                    let weights = [[0; CLUES + 1]; DEPTH_MAX];
                    let (shape, grid) = (ROTATIONS as u8, Grid::new(steps));
                    model.turns.push(TurnModel { field: field as u8, shape, grid, weights });
                    field += 4;
                }
                None => {
                    let shape = if lerp == Lerp::Step { STEPS } else { NUMBERS } as u8;
                    let depths = [DepthModel::default(); DEPTH_MAX];
                    model.numbers.push(NumberModel { field: field as u8, shape, velocity: None, depths });
                    field += 1;
                }
            }
        }
        model
    }

    /// Every field of a component of this width is coded once, with numbers in their bounds.
    fn fits(&self, width: usize) -> bool {
        let mut seen = [false; FIELDS_MAX];
        let Some(seen) = seen.get_mut(..width) else { return false };
        let numbers = self.numbers.iter().map(|n| (n.field, 1));
        for (field, count) in numbers.chain(self.turns.iter().map(|t| (t.field, 4))) {
            let Some(fields) = seen.get_mut(usize::from(field)..usize::from(field) + count) else { return false };
            if fields.contains(&true) {
                return false;
            }
            fields.fill(true);
        }
        let all = seen.iter().filter(|seen| **seen).count() == width;
        let numbers = self.numbers.iter().all(|n| {
            let shape = usize::from(n.shape) < SHAPES && usize::from(n.shape) != ROTATIONS;
            shape && n.velocity.is_none_or(|v| usize::from(v) < width) && n.depths.iter().all(DepthModel::fits)
        });
        let turns = self.turns.iter().all(|t| usize::from(t.shape) == ROTATIONS);
        all && numbers && turns
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.numbers.len() as u8, self.turns.len() as u8]);
        for number in &self.numbers {
            bytes.extend([number.field, number.shape, number.velocity.unwrap_or(NONE)]);
            for depth in &number.depths {
                bytes.extend_from_slice(&depth.linear.to_le_bytes());
                bytes.extend_from_slice(&depth.quadratic.to_le_bytes());
                bytes.extend_from_slice(&depth.velocity.to_le_bytes());
                depth.weights.iter().for_each(|weight| bytes.extend_from_slice(&weight.to_le_bytes()));
            }
        }
        for turn in &self.turns {
            bytes.extend([turn.field, turn.shape]);
            bytes.extend_from_slice(&turn.grid.steps().to_le_bytes());
            turn.weights.iter().flatten().for_each(|weight| bytes.extend_from_slice(&weight.to_le_bytes()));
        }
    }
}

impl DepthModel {
    fn fits(&self) -> bool {
        let small = |coefficient: i16| (-COEFFICIENT_MAX..=COEFFICIENT_MAX).contains(&coefficient);
        small(self.linear) && small(self.quadratic) && (-VELOCITY_MAX..=VELOCITY_MAX).contains(&self.velocity)
    }
}

impl Shape {
    /// All symbols have a word; the escape only where rotations are written.
    fn fits(&self, rotations: bool) -> bool {
        self.buckets.iter().all(|bucket| {
            let lengths = bucket.code.lengths();
            lengths[..ESCAPE].iter().all(|length| *length > 0) && (lengths[ESCAPE] > 0) == rotations
        })
    }
}

impl Bucket {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.shift as u8);
        bytes.extend(self.code.lengths().chunks(2).map(|pair| pair[0] | pair.get(1).map_or(0, |high| high << 4)));
    }
}

/// `steps` of the unit `1/steps`.
fn steps_of(unit: &str) -> Option<u16> {
    unit.strip_prefix("1/")?.parse().ok().filter(|steps| (1..=STEPS_MAX).contains(steps))
}

/// Bytes not yet read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TablesError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(TablesError::Format)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Result<u8, TablesError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, TablesError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn i16(&mut self) -> Result<i16, TablesError> {
        Ok(i16::from_le_bytes(self.array()?))
    }

    fn weights(&mut self) -> Result<Weights, TablesError> {
        let mut weights = [0; CLUES + 1];
        for weight in &mut weights {
            *weight = self.i16()?;
        }
        Ok(weights)
    }

    fn shape(&mut self) -> Result<Shape, TablesError> {
        let buckets = (0..BUCKETS).map(|_| self.bucket()).collect::<Result<_, _>>()?;
        Ok(Shape { buckets })
    }

    fn bucket(&mut self) -> Result<Bucket, TablesError> {
        let shift = u32::from(self.u8()?);
        let halves = self.array::<{ SYMBOLS.div_ceil(2) }>()?;
        let lengths = core::array::from_fn(|symbol| halves[symbol / 2] >> (4 * (symbol % 2)) & 15);
        let spare = halves[SYMBOLS / 2] >> 4;
        let code = PrefixCode::new(lengths).filter(|_| shift <= SHIFT_MAX && spare == 0);
        Ok(Bucket { shift, code: code.ok_or(TablesError::Invalid)? })
    }

    fn component(&mut self) -> Result<ComponentModel, TablesError> {
        let (numbers, turns) = (self.u8()?, self.u8()?);
        let numbers = (0..numbers).map(|_| self.number()).collect::<Result<_, _>>()?;
        let turns = (0..turns).map(|_| self.turn()).collect::<Result<_, _>>()?;
        Ok(ComponentModel { numbers, turns })
    }

    fn number(&mut self) -> Result<NumberModel, TablesError> {
        let (field, shape, velocity) = (self.u8()?, self.u8()?, self.u8()?);
        let mut depths = [DepthModel::default(); DEPTH_MAX];
        for depth in &mut depths {
            *depth = DepthModel {
                linear: self.i16()?,
                quadratic: self.i16()?,
                velocity: i32::from_le_bytes(self.array()?),
                weights: self.weights()?,
            };
        }
        Ok(NumberModel { field, shape, velocity: Some(velocity).filter(|field| *field != NONE), depths })
    }

    fn turn(&mut self) -> Result<TurnModel, TablesError> {
        let (field, shape, steps) = (self.u8()?, self.u8()?, self.u16()?);
        let mut weights = [[0; CLUES + 1]; DEPTH_MAX];
        for weights in &mut weights {
            *weights = self.weights()?;
        }
        if !(1..=STEPS_MAX).contains(&steps) {
            return Err(TablesError::Invalid);
        }
        Ok(TurnModel { field, shape, grid: Grid::new(steps), weights })
    }
}
