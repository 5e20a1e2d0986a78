//! Where things are: the cells by which entities come into a client's interest.

use crate::ComponentSchema;

/// Reaches beside the ordinary one.
pub(crate) const LEVELS: u8 = 4;
/// Longest distance that is told apart, steps: squares of it stay far below 2⁶³.
const DISTANCE_MAX: i64 = 1 << 29;

/// How far a client sees: entities are in its interest when they are near the entity of its seat.
#[derive(Clone, Debug, PartialEq)]
pub struct Interest {
    axes: Vec<&'static str>,
    radius: f64,
    hysteresis: f64,
    cells: u32,
}

impl Interest {
    /// Interest within `radius`, in the unit that the fields count in (m for a field with `unit = "1/512"` m). `axes` are
    /// one to three fields of the component: `x`, or `place.0` for a part of an array.
    pub fn new(axes: &[&'static str], radius: f64) -> Self {
        Self { axes: axes.to_vec(), radius, hysteresis: 0.15, cells: 4 }
    }

    /// How much farther away an entity must be to leave the interest than to enter it, a share of the radius from 0 to 1;
    /// 0.15 by default.
    #[must_use]
    pub fn hysteresis(self, share: f64) -> Self {
        Self { hysteresis: share, ..self }
    }

    /// Cells per radius, 1 to 8; 4 by default. More cells fit the radius better and cost more when a client moves.
    #[must_use]
    pub fn cells(self, cells: u32) -> Self {
        Self { cells, ..self }
    }
}

/// An interest in steps of the component's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Number of the component.
    pub(crate) component: usize,
    axes: [usize; 3],
    dimensions: usize,
    scales: [Scale; LEVELS as usize],
}

/// The distances of one reach, steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scale {
    cell: i64,
    /// How far an entity may be outside of its cell.
    margin: i64,
    enter: i64,
    leave: i64,
}

/// A place, or the number of a cell per axis; unused axes are 0.
pub(crate) type Place = [i32; 3];

impl Space {
    /// The interest for a component of the schema, or what is wrong with it.
    pub(crate) fn new(interest: &Interest, component: usize, schema: &ComponentSchema) -> Result<Self, String> {
        let Interest { axes: names, radius, hysteresis, cells } = interest;
        let wrong = |what: &str| format!("interest by `{}`: {what}", schema.name);
        let found: Option<Vec<usize>> =
            names.iter().map(|name| schema.fields.iter().position(|field| field.name == *name)).collect();
        let found = found.ok_or_else(|| wrong("it has no such field"))?;
        let Some(unit) = found.first().map(|at| schema.fields[*at].unit).filter(|_| found.len() <= 3) else {
            return Err(wrong("it takes one to three fields"));
        };
        if found.iter().any(|at| schema.fields[*at].unit != unit) {
            return Err(wrong("all fields need the same unit"));
        }
        let step = parse_unit(unit).ok_or_else(|| wrong("the unit is no number"))?;
        if !(*radius > 0.0 && (0.0..=1.0).contains(hysteresis) && (1..=8).contains(cells)) {
            return Err(wrong("a radius is positive, a hysteresis from 0 to 1, and it has 1 to 8 cells"));
        }
        let mut axes = [0; 3];
        axes[..found.len()].copy_from_slice(&found);
        let scales = core::array::from_fn(|level| {
            let steps = |length: f64| (length.min(DISTANCE_MAX as f64) as i64).max(1);
            let radius = radius / step * f64::from(1_u32 << (2 * level));
            let cell = steps(radius / f64::from(*cells));
            let slack = cell / 4;
            let enter = steps(radius) + slack;
            Scale { cell, margin: cell / 8, enter, leave: enter + steps(radius * hysteresis) }
        });
        Ok(Self { component, axes, dimensions: found.len(), scales })
    }

    /// The place that a row of the component tells.
    pub(crate) fn place(&self, row: &[i32]) -> Place {
        core::array::from_fn(|axis| if axis < self.dimensions { row[self.axes[axis]] } else { 0 })
    }

    /// The cell of a place.
    pub(crate) fn cell(&self, level: u8, place: Place) -> Place {
        let size = self.scale(level).cell;
        self.each(|axis| i64::from(place[axis]).div_euclid(size) as i32)
    }

    /// A place is in a cell, or so close to it that its entity stays there.
    pub(crate) fn keeps(&self, level: u8, cell: Place, place: Place) -> bool {
        self.outside(level, cell, place).iter().all(|steps| *steps == 0)
    }

    /// An observer has moved so far that it must look again.
    pub(crate) fn has_moved(&self, level: u8, from: Place, to: Place) -> bool {
        let slack = self.scale(level).cell / 4;
        (0..self.dimensions).any(|axis| (i64::from(from[axis]) - i64::from(to[axis])).abs() > slack)
    }

    /// The cells of the box that holds all that does not leave, in ascending order.
    pub(crate) fn around(&self, level: u8, place: Place) -> impl Iterator<Item = Place> + use<> {
        let Scale { cell, margin, leave, .. } = *self.scale(level);
        let reach = leave + margin;
        let at = |axis: usize, distance: i64| {
            (i64::from(place[axis]) + distance).div_euclid(cell).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
        };
        let (first, last) = (self.each(|axis| at(axis, -reach)), self.each(|axis| at(axis, reach)));
        let [xs, ys, zs] = core::array::from_fn(|axis| first[axis]..=last[axis]);
        xs.flat_map(move |x| {
            let zs = zs.clone();
            ys.clone().flat_map(move |y| zs.clone().map(move |z| [x, y, z]))
        })
    }

    /// An observer at a place enters this cell, or when it is there already does not leave it.
    pub(crate) fn is_near(&self, level: u8, cell: Place, place: Place, there: bool) -> bool {
        let Scale { enter, leave, .. } = *self.scale(level);
        let distance = if there { leave } else { enter };
        let squares = self.outside(level, cell, place).map(|steps| steps * steps);
        squares.iter().sum::<i64>() <= distance * distance
    }

    /// How near two places are, from 256 for the same one; half of it at a quarter of the radius.
    pub(crate) fn nearness(&self, level: u8, a: Place, b: Place) -> u32 {
        let steps = |axis: usize| (i64::from(a[axis]) - i64::from(b[axis])).abs().min(DISTANCE_MAX);
        let distance = (0..self.dimensions).map(|axis| steps(axis) * steps(axis)).sum::<i64>().isqrt();
        let half = (self.scale(level).enter / 4).max(1);
        (256 * half / (half + distance)).max(1) as u32
    }

    /// Steps from a place to the cell and its margin, per axis.
    fn outside(&self, level: u8, cell: Place, place: Place) -> [i64; 3] {
        let Scale { cell: size, margin, .. } = *self.scale(level);
        core::array::from_fn(|axis| {
            if axis >= self.dimensions {
                return 0;
            }
            let (place, first) = (i64::from(place[axis]), i64::from(cell[axis]) * size);
            (first - margin - place).max(place - (first + size - 1 + margin)).clamp(0, DISTANCE_MAX * 2)
        })
    }

    fn each(&self, cell: impl Fn(usize) -> i32) -> Place {
        core::array::from_fn(|axis| if axis < self.dimensions { cell(axis) } else { 0 })
    }

    fn scale(&self, level: u8) -> &Scale {
        &self.scales[usize::from(level.min(LEVELS - 1))]
    }
}

/// The number that a unit stands for, positive.
pub(crate) fn parse_unit(text: &str) -> Option<f64> {
    let value = match text.split_once('/') {
        Some((above, below)) => above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?,
        None => text.trim().parse().ok()?,
    };
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests;
