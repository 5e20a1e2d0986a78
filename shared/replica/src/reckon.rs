//! Dead reckoning: where a component goes by itself, so that nobody need be told until it does not.

use amphi_shared_wire::limits::RECKONED_TICKS_MAX;

use crate::interest::parse_unit;
use crate::{ComponentSchema, Field, Lerp};

/// How a component goes on by itself: which fields move by which others.
///
/// A host tells it anew when what clients reckon leaves the tolerance of a moved field (`#[replica(tolerance = …)]`, in
/// steps), when any other field changes, or when the entity is told of something else. The fields that others move by are
/// not compared: clients may show an older velocity as long as the place is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reckon {
    moves: Vec<(&'static str, &'static str)>,
    turns: Vec<(&'static str, [&'static str; 3])>,
}

impl Reckon {
    /// Nothing moves yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `field` moves by `velocity`, which is in the unit of the first per second: m and m/s.
    #[must_use]
    pub fn moving(mut self, field: &'static str, velocity: &'static str) -> Self {
        self.moves.push((field, velocity));
        self
    }

    /// A rotation of four fields, of which `first` is the first (`rotation.0`), turns by `spin`: rad/s about the axes x, y, z
    /// of the world.
    #[must_use]
    pub fn turning(mut self, first: &'static str, spin: [&'static str; 3]) -> Self {
        self.turns.push((first, spin));
        self
    }
}

/// A [`Reckon`] for the rows of a component.
///
/// The arithmetic is that of IEEE 754 doubles with + − × ÷, square roots and `floor` alone, none of them fused: every language
/// gets the same integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reckoning {
    moves: Vec<Move>,
    turns: Vec<Turn>,
    /// Fields that are not compared.
    free: Vec<usize>,
}

// Its numbers come from units, which are finite.
impl Eq for Reckoning {}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Move {
    field: usize,
    velocity: usize,
    /// Steps of the field in a second, per step of the velocity.
    steps: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    field: usize,
    form: Form,
    spin: [usize; 3],
    /// One step of the spin, rad/s.
    unit: f64,
}

/// How a rotation lies in its four fields.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Parts x, y, z, w in this unit.
    Whole(f64),
    /// Smallest three, with so many steps.
    Smallest(f64),
}

/// For how many ticks a row is reckoned between two others.
pub(crate) fn reckoned_ticks(from: u32, to: u32) -> u32 {
    to.saturating_sub(from).min(RECKONED_TICKS_MAX)
}

/// √2, as a double.
const ROOT: f64 = std::f64::consts::SQRT_2;
/// A quarter turn, as a double.
const QUARTER: f64 = std::f64::consts::FRAC_PI_2;

impl Reckoning {
    /// The reckoning for a component of the schema, or what is wrong with it.
    pub(crate) fn new(reckon: &Reckon, schema: &ComponentSchema) -> Result<Self, String> {
        let wrong = |what: &str| format!("dead reckoning of `{}`: {what}", schema.name);
        let find = |name: &str| {
            let field = schema.fields.iter().position(|field| field.name == name);
            field.ok_or_else(|| wrong(&format!("it has no field `{name}`")))
        };
        let unit = |field: usize| parse_unit(schema.fields[field].unit).ok_or_else(|| wrong("a unit is no number"));
        let (mut moves, mut turns, mut free) = (Vec::new(), Vec::new(), Vec::new());
        for (field, velocity) in &reckon.moves {
            let (field, velocity) = (find(field)?, find(velocity)?);
            moves.push(Move { field, velocity, steps: unit(velocity)? / unit(field)? });
            free.push(velocity);
        }
        for (first, spin) in &reckon.turns {
            let field = find(first)?;
            let four = schema.fields.get(field..field + 4).unwrap_or(&[]);
            let lerp = four.first().map(|first| first.lerp).filter(|lerp| four.iter().all(|f| f.lerp == *lerp));
            let form = match lerp {
                Some(Lerp::Quaternion) => Form::Whole(unit(field)?),
                Some(Lerp::SmallestThree) => Form::Smallest(1.0 / unit(field)?),
                Some(Lerp::Linear | Lerp::Step | Lerp::Angle) | None => {
                    return Err(wrong(&format!("`{first}` is not the first of the four fields of a rotation")));
                }
            };
            let spin = [find(spin[0])?, find(spin[1])?, find(spin[2])?];
            let unit = unit(spin[0])?;
            if spin.iter().any(|field| schema.fields[*field].unit != schema.fields[spin[0]].unit) {
                return Err(wrong("the fields of a spin need the same unit"));
            }
            free.extend(spin);
            turns.push(Turn { field, form, spin, unit });
        }
        if moves.is_empty() && turns.is_empty() {
            return Err(wrong("nothing moves"));
        }
        Ok(Self { moves, turns, free })
    }

    /// Fields that move and those they move by.
    pub(crate) fn moves(&self) -> impl Iterator<Item = (usize, usize)> {
        self.moves.iter().map(|Move { field, velocity, .. }| (*field, *velocity))
    }

    /// First fields of rotations, and the fields of their spins.
    pub(crate) fn turns(&self) -> impl Iterator<Item = (usize, [usize; 3])> {
        self.turns.iter().map(|Turn { field, spin, .. }| (*field, *spin))
    }

    /// The row after so many ticks, if nothing happens.
    pub fn go_on(&self, row: &mut [i32], ticks: u32, tick_hz: u32) {
        if ticks == 0 {
            return;
        }
        let seconds = f64::from(ticks) / f64::from(tick_hz);
        for Move { field, velocity, steps } in &self.moves {
            let moved = f64::from(row[*velocity]) * *steps * seconds;
            row[*field] = nearest(f64::from(row[*field]) + moved);
        }
        for Turn { field, form, spin, unit } in &self.turns {
            let [x, y, z] = spin.map(|field| f64::from(row[field]) * *unit);
            let speed = (x * x + y * y + z * z).sqrt();
            let Some(rotation) = form.read(&row[*field..*field + 4]).filter(|_| speed > 0.0) else { continue };
            let (sine, cosine) = sine_cosine(speed * seconds / 2.0);
            let share = sine / speed;
            form.write(product([x * share, y * share, z * share, cosine], rotation), &mut row[*field..*field + 4]);
        }
    }

    /// What is reckoned is near enough to what is.
    pub(crate) fn holds(&self, fields: &[Field], reckoned: &[i32], actual: &[i32]) -> bool {
        let tolerance = |field: usize| fields[field].tolerance;
        let turned = |field: usize| self.turns.iter().any(|turn| (turn.field..turn.field + 4).contains(&field));
        let moved = |field: usize| self.moves.iter().any(|moved| moved.field == field);
        let near = |field: usize| {
            let allowed = if moved(field) { tolerance(field) } else { 0 };
            reckoned[field].abs_diff(actual[field]) <= allowed
        };
        let compared = |field: &usize| !turned(*field) && !self.free.contains(field);
        (0..fields.len()).filter(compared).all(near)
            && self.turns.iter().all(|Turn { field, form, .. }| {
                let (a, b) = (&reckoned[*field..*field + 4], &actual[*field..*field + 4]);
                a == b || form.differ(a, b).is_some_and(|most| most <= f64::from(tolerance(*field)))
            })
    }
}

impl Form {
    /// Parts x, y, z, w; `None` when the integers are no rotation.
    fn read(self, row: &[i32]) -> Option<[f64; 4]> {
        match self {
            Self::Whole(unit) => Some(core::array::from_fn(|part| f64::from(row[part]) * unit)),
            Self::Smallest(steps) => {
                let largest = usize::try_from(row[0]).ok().filter(|largest| *largest < 4)?;
                let mut parts = [0.0; 4];
                let mut squares = 0.0;
                for (value, part) in row[1..].iter().zip((0..4).filter(|part| *part != largest)) {
                    parts[part] = (f64::from(*value) / steps - 0.5) * ROOT;
                    squares += parts[part] * parts[part];
                }
                parts[largest] = if squares < 1.0 { (1.0 - squares).sqrt() } else { 0.0 };
                Some(parts)
            }
        }
    }

    fn write(self, parts: [f64; 4], row: &mut [i32]) {
        match self {
            Self::Whole(unit) => row.iter_mut().zip(parts).for_each(|(value, part)| *value = nearest(part / unit)),
            Self::Smallest(steps) => {
                let larger = |most: usize, part: usize| if parts[part].abs() > parts[most].abs() { part } else { most };
                let largest = (1..4).fold(0, larger);
                let sign = if parts[largest] < 0.0 { -1.0 } else { 1.0 };
                row[0] = largest as i32;
                for (value, part) in row[1..].iter_mut().zip((0..4).filter(|part| *part != largest)) {
                    *value = nearest((parts[part] * sign / ROOT + 0.5) * steps);
                }
            }
        }
    }

    /// The largest difference of two rotations in any of their parts, in steps.
    fn differ(self, a: &[i32], b: &[i32]) -> Option<f64> {
        let (a, b) = (self.read(a)?, self.read(b)?);
        let dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
        let sign = if dot < 0.0 { -1.0 } else { 1.0 };
        let step = match self {
            Self::Whole(unit) => unit,
            Self::Smallest(steps) => ROOT / steps,
        };
        let most = (0..4).fold(0.0, |most: f64, part| most.max((a[part] - b[part] * sign).abs()));
        Some(most / step)
    }
}

fn product([ax, ay, az, aw]: [f64; 4], [bx, by, bz, bw]: [f64; 4]) -> [f64; 4] {
    [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]
}

/// The nearest integer, a half upwards; the nearest bound when there is none.
fn nearest(value: f64) -> i32 {
    (value + 0.5).floor() as i32
}

/// Sine and cosine of an angle that is not negative: the series around the nearest quarter turn. Their last term is below
/// 10⁻¹¹.
fn sine_cosine(angle: f64) -> (f64, f64) {
    let quarters = (angle / QUARTER + 0.5).floor();
    let rest = angle - quarters * QUARTER;
    let square = rest * rest;
    let mut sine = 1.0;
    let mut cosine = 1.0;
    for n in [12.0, 10.0, 8.0, 6.0, 4.0, 2.0] {
        sine = 1.0 - square / (n * (n + 1.0)) * sine;
        cosine = 1.0 - square / (n * (n - 1.0)) * cosine;
    }
    sine *= rest;
    match (quarters % 4.0) as u8 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests;
