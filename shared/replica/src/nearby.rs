//! What a client predicts beside its own entity: what that can touch.

use std::cmp::Reverse;

use amphi_shared_wire::limits::PREDICTED_MAX;

use crate::interest::parse_unit;
use crate::{ComponentSchema, NetId, Row, Schema};

/// Whether an entity that has a component is in the predicted world.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearby {
    axes: Vec<&'static str>,
    radius: f64,
}

impl Nearby {
    /// While it is within `radius` of the own entity, in the unit that the fields count in (m for a field with
    /// `unit = "1/512"` m). `axes` are one to three fields of the component: `x`, or `place.0` for a part of an array. The own
    /// entity is where the first component registered with a radius says it is.
    pub fn within(axes: &[&'static str], radius: f64) -> Self {
        Self { axes: axes.to_vec(), radius }
    }

    /// Always, wherever it is: the state of the match, a door that everyone sees.
    pub fn always() -> Self {
        Self { axes: Vec::new(), radius: f64::INFINITY }
    }
}

/// What a game says of entities beside the own one, with the fields found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reaching {
    component: usize,
    axes: Vec<usize>,
    /// Length of a step of each field.
    step: f64,
    radius: f64,
}

impl Reaching {
    pub(crate) fn new(nearby: &Nearby, component: usize, schema: &ComponentSchema) -> Result<Self, String> {
        let wrong = |what: &str| format!("nearby by `{}`: {what}", schema.name);
        let field = |name: &&str| schema.fields.iter().position(|field| field.name == *name);
        let axes: Option<Vec<usize>> = nearby.axes.iter().map(field).collect();
        let axes = axes.ok_or_else(|| wrong("it has no such field"))?;
        let units: Vec<&str> = axes.iter().map(|at| schema.fields[*at].unit).collect();
        if axes.len() > 3
            || units.iter().any(|unit| *unit != units[0])
            || nearby.radius.is_nan()
            || nearby.radius <= 0.0
        {
            return Err(wrong("it takes at most three fields of one unit and a positive radius"));
        }
        let step = match units.first() {
            Some(unit) => parse_unit(unit).ok_or_else(|| wrong("the unit is no number"))?,
            None => 1.0,
        };
        Ok(Self { component, axes, step, radius: nearby.radius })
    }

    fn place(&self, schema: &Schema, row: &Row) -> Option<[f64; 3]> {
        let values = row.component(schema, self.component)?;
        let mut place = [0.0; 3];
        for (place, axis) in place.iter_mut().zip(&self.axes) {
            *place = f64::from(*values.get(*axis)?) * self.step;
        }
        Some(place)
    }
}

/// Chooses what is near: `rows` are all entities but the own one. Of too many the nearest are taken; the answer is by
/// ascending id. `was_near` says what was near so far: that leaves only beyond 1.25 of the radius, so that nothing on the
/// border comes and goes.
pub(crate) fn choose<'a>(
    reaching: &[Reaching],
    schema: &Schema,
    own: &Row,
    was_near: &[NetId],
    rows: impl Iterator<Item = (NetId, &'a Row)>,
) -> Vec<NetId> {
    let origin = reaching.iter().filter(|r| !r.axes.is_empty()).find_map(|r| r.place(schema, own));
    let mut near: Vec<(u64, NetId)> = Vec::new();
    for (id, row) in rows {
        let slack = if was_near.binary_search(&id).is_ok() { 1.25 } else { 1.0 };
        let distance = |reaching: &Reaching| {
            let place = reaching.place(schema, row)?;
            if reaching.axes.is_empty() {
                return Some(0.0);
            }
            let origin = origin?;
            let square: f64 = place.iter().zip(&origin).map(|(a, b)| (a - b) * (a - b)).sum();
            let reach = reaching.radius * slack;
            (square <= reach * reach).then_some(square)
        };
        if let Some(square) = reaching.iter().filter_map(distance).min_by(f64::total_cmp) {
            near.push((square.to_bits(), id));
        }
    }
    if near.len() > PREDICTED_MAX {
        // Squares are not negative: their bits are in their order.
        near.sort_unstable_by_key(|(square, id)| Reverse((*square, *id)));
        near.drain(..near.len() - PREDICTED_MAX);
    }
    let mut near: Vec<NetId> = near.into_iter().map(|(_, id)| id).collect();
    near.sort_unstable();
    near
}

#[cfg(test)]
mod tests;
