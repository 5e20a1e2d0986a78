//! Where a component is shown between its samples, and for a moment beyond the newest one.
//!
//! All arithmetic is on IEEE 754 doubles with + − × ÷ and square roots, none of them fused: every language shows the same.

use crate::interest::parse_unit;
use crate::{ComponentSchema, Field, FieldKind, Lerp};

/// Ticks for which a component goes on beyond its newest sample.
const EXTRAPOLATED_TICKS_MAX: f64 = 3.0;
/// Over a longer gap than this, ticks, velocities at its ends say little about what was between.
const CURVED_TICKS_MAX: u32 = 12;
/// A component that went this many times as far as its velocities allow was put there, unless it had gone that way before.
const TELEPORT: f64 = 4.0;

/// The integers of a component at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// When.
    pub tick: u32,
    /// One integer per field.
    pub row: &'a [i32],
}

/// The samples of a component around the time to show: their ticks ascend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around<'a> {
    /// The last ones before [`from`](Self::from), newest first.
    pub before: [Option<Sample<'a>>; 2],
    /// The newest one that is not later than the time.
    pub from: Sample<'a>,
    /// The one after it, if it is known.
    pub to: Option<Sample<'a>>,
}

/// How a component is shown in time. Its numbers are steps, which need not be whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    parts: Vec<Part>,
}

// Its numbers come from units, which are finite.
impl Eq for Curve {}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Line(Line),
    Step,
    /// So many steps are a whole turn.
    Turn(f64),
    /// The first of the four of a rotation. The others are `Rotated`.
    Rotation,
    Rotated,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    velocity: Option<Velocity>,
    /// Without a velocity: it goes on as between its last samples. Counts do not.
    goes_on: bool,
    /// Differences wrap at 32 bits, as those of a `u32`.
    wraps: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Velocity {
    field: usize,
    /// Steps of the moved field per second, per step of the velocity.
    steps: f64,
    /// One step of the moved field, in its unit.
    unit: f64,
}

impl Curve {
    pub(crate) fn of(component: &ComponentSchema) -> Self {
        let fields = component.fields;
        let reckoned = component.reckon.iter().flat_map(crate::Reckoning::moves);
        let moves: Vec<(usize, usize)> = component.velocities.iter().copied().chain(reckoned).collect();
        let unit = |field: usize| fields.get(field).and_then(|field| parse_unit(field.unit));
        let velocity = |field: usize| {
            let (_, by) = moves.iter().find(|(moved, _)| *moved == field)?;
            let step = unit(field)?;
            Some(Velocity { field: *by, steps: unit(*by)? / step, unit: step })
        };
        let mut parts: Vec<Part> = Vec::with_capacity(fields.len());
        while let Some(field) = fields.get(parts.len()) {
            let i = parts.len();
            let is_measure = field.kind == FieldKind::F32 || field.unit != "1";
            let moves_another = moves.iter().any(|(_, by)| *by == i);
            let is_rotation = |four: &[Field]| four.iter().all(|field| field.lerp == Lerp::Quaternion);
            match field.lerp {
                Lerp::Quaternion if fields.get(i..i + 4).is_some_and(is_rotation) => {
                    parts.extend([Part::Rotation, Part::Rotated, Part::Rotated, Part::Rotated]);
                }
                Lerp::Angle => parts.push(Part::Turn(full_turn(field.kind, unit(i)))),
                Lerp::Linear if field.kind != FieldKind::Bool => parts.push(Part::Line(Line {
                    velocity: velocity(i),
                    goes_on: is_measure && !moves_another,
                    wraps: field.kind == FieldKind::U32,
                })),
                Lerp::Linear | Lerp::Step | Lerp::Quaternion | Lerp::SmallestThree => parts.push(Part::Step),
            }
        }
        Self { parts }
    }

    /// Appends the component as it is shown at `tick`: on the curve between two samples; beyond the newest one as it goes on, for
    /// at most 3 ticks.
    pub fn at(&self, around: &Around<'_>, tick: f64, tick_hz: u32, out: &mut Vec<f64>) {
        let past = tick - f64::from(around.from.tick);
        match around.to {
            Some(to) => self.between(around, to, (past, tick_hz), out),
            None => self.beyond(around, past.min(EXTRAPOLATED_TICKS_MAX), tick_hz, out),
        }
    }

    /// Appends the straight way from one row to another at the fraction `t`.
    pub fn line(&self, from: &[i32], to: &[i32], t: f64, out: &mut Vec<f64>) {
        let start = out.len();
        out.extend(from.iter().map(|step| f64::from(*step)));
        let Some(out) = out.get_mut(start..) else { return };
        for (i, part) in self.parts.iter().enumerate().take(from.len().min(to.len())) {
            match part {
                Part::Line(line) => out[i] += line.way(from[i], to[i]) * t,
                Part::Turn(full) => out[i] += shorter_way(f64::from(to[i]) - f64::from(from[i]), *full) * t,
                Part::Rotation => rotate(&mut out[i..], &way_round(&from[i..], &to[i..]).map(|way| way * t)),
                Part::Step | Part::Rotated => {}
            }
        }
    }

    /// Between two samples it did not move but was put somewhere else.
    pub fn is_teleport(&self, before: Option<Sample<'_>>, from: Sample<'_>, to: Sample<'_>, tick_hz: u32) -> bool {
        let ticks = to.tick - from.tick;
        if ticks > CURVED_TICKS_MAX {
            return false;
        }
        let seconds = f64::from(ticks) / f64::from(tick_hz);
        let (mut way, mut news, mut reach, mut slack) = (0.0, 0.0, 0.0, 0.0);
        for (i, line, velocity) in self.moved() {
            let moved = line.way(from.row[i], to.row[i]);
            // What is carried goes on as it went, without a velocity of its own.
            let carried = before.map_or(0.0, |before| {
                line.way(before.row[i], from.row[i]) * (f64::from(ticks) / f64::from(from.tick - before.tick))
            });
            way += moved.abs() * velocity.unit;
            news += (moved - carried).abs() * velocity.unit;
            let step = velocity.steps * velocity.unit * seconds;
            let speeds = [from, to].map(|sample| f64::from(sample.row[velocity.field]).abs());
            reach += speeds[0].max(speeds[1]) * step;
            slack += 2.0 * velocity.unit + step;
        }
        way > TELEPORT * reach + slack && news > way / 2.0
    }

    /// What to add to `now` to be at `shown`; nothing where a number goes in steps.
    pub fn error(&self, shown: &[f64], now: &[f64]) -> Vec<f64> {
        let mut error = vec![0.0; now.len()];
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Line(_) => error[i] = shown[i] - now[i],
                Part::Turn(full) => error[i] = shorter_way(shown[i] - now[i], *full),
                Part::Rotation => {
                    let sign = if dot(&shown[i..], &now[i..]) < 0.0 { -1.0 } else { 1.0 };
                    (i..i + 4).for_each(|part| error[part] = shown[part] * sign - now[part]);
                }
                Part::Step | Part::Rotated => {}
            }
        }
        error
    }

    /// Adds a share of an error to what is shown. `of`: what it was the error of.
    pub fn correct(&self, shown: &mut [f64], (error, of): (&[f64], &[f64]), share: f64) {
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Line(_) | Part::Turn(_) => shown[i] += error[i] * share,
                Part::Rotation => {
                    // The same rotation has two signs, and samples come with either.
                    let share = if dot(&shown[i..], &of[i..]) < 0.0 { -share } else { share };
                    rotate(&mut shown[i..], &core::array::from_fn(|part| error[i + part] * share));
                }
                Part::Step | Part::Rotated => {}
            }
        }
    }

    fn between(&self, around: &Around<'_>, to: Sample<'_>, (past, tick_hz): (f64, u32), out: &mut Vec<f64>) {
        let from = around.from;
        let ticks = to.tick - from.tick;
        let t = past / f64::from(ticks);
        let start = out.len();
        let jumps = self.is_teleport(around.before[0], from, to, tick_hz);
        self.line(from.row, if jumps { from.row } else { to.row }, t, out);
        let Some(out) = out.get_mut(start..).filter(|_| !jumps && ticks <= CURVED_TICKS_MAX) else { return };
        let seconds = f64::from(ticks) / f64::from(tick_hz);
        for (i, line, velocity) in self.moved() {
            let way = line.way(from.row[i], to.row[i]);
            let speed = |sample: Sample<'_>| f64::from(sample.row[velocity.field]) * velocity.steps * seconds;
            if let Some(ends) = tangents(speed(from), speed(to), way) {
                out[i] = f64::from(from.row[i]) + hermite(ends, way, t);
            }
        }
    }

    fn beyond(&self, around: &Around<'_>, past: f64, tick_hz: u32, out: &mut Vec<f64>) {
        let start = out.len();
        let row = around.from.row;
        out.extend(row.iter().map(|step| f64::from(*step)));
        let Some(out) = out.get_mut(start..).filter(|_| past > 0.0) else { return };
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Line(Line { velocity: Some(velocity), .. }) => {
                    out[i] += f64::from(row[velocity.field]) * velocity.steps * (past / f64::from(tick_hz));
                }
                Part::Line(line) if line.goes_on => {
                    out[i] += last_pace(around, |from, to| line.way(from[i], to[i])) * past;
                }
                Part::Turn(full) => {
                    let way = |from: &[i32], to: &[i32]| shorter_way(f64::from(to[i]) - f64::from(from[i]), *full);
                    out[i] += last_pace(around, way) * past;
                }
                Part::Rotation => {
                    let part =
                        |part: usize| last_pace(around, |from, to| -way_round(&to[i..], &from[i..])[part]) * past;
                    rotate(&mut out[i..], &core::array::from_fn(part));
                }
                Part::Line(_) | Part::Step | Part::Rotated => {}
            }
        }
    }

    /// Fields with a velocity.
    fn moved(&self) -> impl Iterator<Item = (usize, Line, Velocity)> {
        self.parts.iter().enumerate().filter_map(|(i, part)| match part {
            Part::Line(line) => line.velocity.map(|velocity| (i, *line, velocity)),
            Part::Step | Part::Turn(_) | Part::Rotation | Part::Rotated => None,
        })
    }
}

impl Line {
    fn way(self, from: i32, to: i32) -> f64 {
        if self.wraps { f64::from(to.wrapping_sub(from)) } else { f64::from(to) - f64::from(from) }
    }
}

/// Steps of a whole turn.
fn full_turn(kind: FieldKind, unit: Option<f64>) -> f64 {
    match kind {
        FieldKind::I8 | FieldKind::U8 | FieldKind::Bool => 256.0,
        FieldKind::I16 | FieldKind::U16 => 65_536.0,
        FieldKind::I32 | FieldKind::U32 => 4_294_967_296.0,
        FieldKind::F32 => core::f64::consts::TAU / unit.unwrap_or(1.0),
    }
}

fn shorter_way(way: f64, full: f64) -> f64 {
    way - (way / full + 0.5).floor() * full
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]
}

/// From one rotation to the nearer of the two signs of another.
fn way_round(from: &[i32], to: &[i32]) -> [f64; 4] {
    let [a, b]: [[f64; 4]; 2] = [from, to].map(|row| core::array::from_fn(|part| f64::from(row[part])));
    let sign = if dot(&a, &b) < 0.0 { -1.0 } else { 1.0 };
    core::array::from_fn(|part| b[part] * sign - a[part])
}

/// Moves a rotation this way, at its length.
fn rotate(rotation: &mut [f64], way: &[f64; 4]) {
    let wanted = dot(rotation, rotation).sqrt();
    let moved: [f64; 4] = core::array::from_fn(|part| rotation[part] + way[part]);
    let length = dot(&moved, &moved).sqrt();
    if length > 0.0 {
        rotation.iter_mut().zip(moved).for_each(|(part, moved)| *part = moved * wanted / length);
    }
}

/// What a number does per tick by its last samples: the lesser of its last two paces, and nothing when it turned back. So a jump
/// is not continued.
fn last_pace(around: &Around<'_>, way: impl Fn(&[i32], &[i32]) -> f64) -> f64 {
    let pace = |from: Sample<'_>, to: Sample<'_>| {
        let ticks = to.tick - from.tick;
        if ticks > CURVED_TICKS_MAX { 0.0 } else { way(from.row, to.row) / f64::from(ticks) }
    };
    let Some(before) = around.before[0] else { return 0.0 };
    let last = pace(before, around.from);
    let Some(earlier) = around.before[1] else { return last };
    let earlier = pace(earlier, before);
    if last * earlier <= 0.0 {
        0.0
    } else if last.abs() < earlier.abs() {
        last
    } else {
        earlier
    }
}

/// Slopes at both ends of a way, in the way's unit over its whole time, that do not lead far beyond it (after Fritsch and
/// Carlson, "Monotone Piecewise Cubic Interpolation", 1980, section 3: at most three times the straight line's). `None` when
/// they contradict the way.
fn tangents(start: f64, end: f64, way: f64) -> Option<(f64, f64)> {
    if start * end < 0.0 {
        // It turns in between. That leads beyond the ends by at most a quarter of what the velocities allow.
        return (way.abs() <= start.abs().max(end.abs())).then_some((start, end));
    }
    if (start + end) * way <= 0.0 {
        return None;
    }
    let limit = 3.0 * way.abs();
    Some((start.clamp(-limit, limit), end.clamp(-limit, limit)))
}

/// A cubic from 0 to `way` with these slopes at its ends, at the fraction `t`.
fn hermite((start, end): (f64, f64), way: f64, t: f64) -> f64 {
    let (squared, rest) = (t * t, 1.0 - t);
    start * (t * rest * rest) - end * (squared * rest) + way * (squared * (3.0 - 2.0 * t))
}

#[cfg(test)]
mod tests;
