//! The trait of what is sent: a row of integers there and back.

use crate::{SeenBy, blend};

/// A component, event, request or answer: a struct that travels as a row of `i32`. Derive it.
pub trait Replicate: Sized {
    /// Name in the schema: letters, digits and `_`.
    const NAME: &'static str;

    /// Who is told of a component.
    const SEEN_BY: SeenBy = SeenBy::All;

    /// Index of the integer that says which seat caused an event.
    const BY: Option<usize> = None;

    /// Numbers that move by others: the index of one in the row, and that of its velocity, which is in the unit of the first
    /// per second.
    const VELOCITIES: &'static [(usize, usize)] = &[];

    /// The integers of a row, in order; at most [`FIELDS_MAX`](amphi_shared_wire::limits::FIELDS_MAX).
    fn fields() -> &'static [Field];

    /// Quantises into `row`, which has one integer per field.
    fn write(&self, row: &mut [i32]);

    /// The value of a row. Any integers give some value: rows come from peers.
    fn read(row: &[i32]) -> Self;

    /// The value of numbers that lie between those of rows. Whole numbers take the nearest.
    fn read_between(steps: &[f64]) -> Self {
        let row: Vec<i32> = steps.iter().map(|step| blend::whole(*step) as i32).collect();
        Self::read(&row)
    }
}

/// One integer of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name within its component: `x`, or `velocity.0` for a part of an array.
    pub name: &'static str,
    /// What one step means: a positive number or a fraction, `0.01` or `1/4096`.
    pub unit: &'static str,
    /// Type of the number in the component.
    pub kind: FieldKind,
    /// How a value between two samples is found.
    pub lerp: Lerp,
    /// Steps by which a prediction may differ without being simulated again.
    pub tolerance: u32,
}

/// Type of a number before it became an `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// 0 or 1.
    Bool,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits; the `i32` of the row has the same bits.
    U32,
    /// A whole number of units.
    F32,
}

impl FieldKind {
    /// Lower-case word, as in the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::F32 => "f32",
        }
    }
}

/// How a value between two samples is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lerp {
    /// On the straight line.
    Linear,
    /// The older value until the newer one's time.
    Step,
    /// The shorter way round; an integer wraps at its own width, an `f32` at 2π.
    Angle,
    /// One of the four parts x, y, z, w of a rotation: normalised straight line, the shorter way round.
    Quaternion,
    /// One of the four integers of a rotation as smallest three: which part x, y, z, w is the largest and positive, then
    /// the other three in order, from 0 for −√½ to `n` for √½ where `1/n` is the unit.
    SmallestThree,
}

impl Lerp {
    /// Lower-case word, as in the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Step => "step",
            Self::Angle => "angle",
            Self::Quaternion => "quaternion",
            Self::SmallestThree => "smallest_three",
        }
    }
}
