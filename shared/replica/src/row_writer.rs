//! Rows onto the entities of any Bevy world: what a client's own app draws.

use std::sync::Arc;

use amphi_shared_wire::limits::FIELDS_MAX;
use bevy_ecs::prelude::Component;
use bevy_ecs::world::EntityWorldMut;

use crate::{Game, Replicate, Row, Schema};

/// A sent component behind functions that put it on an entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShowPort {
    show: fn(&mut EntityWorldMut<'_>, &[i32], Option<&[f64]>),
    remove: fn(&mut EntityWorldMut<'_>),
}

impl ShowPort {
    pub(crate) fn of<C: Component + Replicate>() -> Self {
        Self {
            show: show::<C>,
            remove: |entity| {
                entity.remove::<C>();
            },
        }
    }
}

/// Puts the components of rows on entities. It knows the types of the components; who calls it does not have to.
#[derive(Clone, Debug)]
pub struct RowWriter {
    schema: Arc<Schema>,
    /// By number of the component.
    ports: Arc<[ShowPort]>,
}

impl RowWriter {
    /// A writer of the game's rows.
    pub fn new(game: &Game) -> Self {
        Self { schema: Arc::clone(game.schema()), ports: Arc::clone(game.show_ports()) }
    }

    /// Shows an entity as a row has it, or where `steps` says that its numbers are, one for each of the row's; and takes off what
    /// it had `before` and has no more. Answers with the components it has now, for the next call.
    ///
    /// A component that rests and is there already is not touched, so that Bevy's `Changed` stays quiet.
    pub fn show(&self, entity: &mut EntityWorldMut<'_>, before: u64, (row, steps): (&Row, Option<&[f64]>)) -> u64 {
        let mut start = 0;
        for (i, component) in self.schema.in_mask(row.mask) {
            let end = start + component.fields.len();
            if let (Some(port), Some(whole)) = (self.ports.get(i), row.values.get(start..end)) {
                (port.show)(entity, whole, steps.and_then(|steps| steps.get(start..end)));
            }
            start = end;
        }
        for (component, _) in self.schema.in_mask(before & !row.mask) {
            if let Some(port) = self.ports.get(component) {
                (port.remove)(entity);
            }
        }
        row.mask
    }
}

fn show<C: Component + Replicate>(entity: &mut EntityWorldMut<'_>, row: &[i32], steps: Option<&[f64]>) {
    let is_there = |steps: &&[f64]| row.iter().zip(*steps).all(|(whole, step)| f64::from(*whole) == *step);
    if let Some(steps) = steps.filter(|steps| !is_there(steps)) {
        entity.insert(C::read_between(steps));
        return;
    }
    let mut there = [0; FIELDS_MAX];
    let there = &mut there[..row.len().min(FIELDS_MAX)];
    let rests = entity.get::<C>().is_some_and(|component| {
        component.write(there);
        there == row
    });
    if !rests {
        entity.insert(C::read(row));
    }
}

#[cfg(test)]
mod tests;
