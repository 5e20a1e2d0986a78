//! Rows onto the entities of any Bevy world: what a client's own app draws.

use std::sync::Arc;

use amphi_shared_wire::limits::FIELDS_MAX;
use bevy_ecs::prelude::Component;
use bevy_ecs::world::EntityWorldMut;

use crate::{Game, Replicate, Row, Schema};

/// A sent component behind functions that put it on an entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShowPort {
    show: fn(&mut EntityWorldMut<'_>, &[i32], &[i32], f32),
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

    /// Shows an entity at the fraction `t` of the way between two of its rows, and takes off what it had `before` and has
    /// no more. Answers with the components it has now, for the next call.
    ///
    /// A component that only one of the rows has is held: as `from` has it, or not yet there. One that rests and is there
    /// already is not touched, so that Bevy's `Changed` stays quiet.
    pub fn show(&self, entity: &mut EntityWorldMut<'_>, before: u64, (from, to, t): (&Row, &Row, f32)) -> u64 {
        for (component, _) in self.schema.in_mask(from.mask) {
            let (Some(port), Some(old)) = (self.ports.get(component), from.component(&self.schema, component)) else {
                continue;
            };
            (port.show)(entity, old, to.component(&self.schema, component).unwrap_or(old), t);
        }
        for (component, _) in self.schema.in_mask(before & !from.mask) {
            if let Some(port) = self.ports.get(component) {
                (port.remove)(entity);
            }
        }
        from.mask
    }
}

fn show<C: Component + Replicate>(entity: &mut EntityWorldMut<'_>, from: &[i32], to: &[i32], t: f32) {
    if from != to {
        entity.insert(C::lerp(&C::read(from), &C::read(to), t));
        return;
    }
    let mut there = [0; FIELDS_MAX];
    let there = &mut there[..from.len().min(FIELDS_MAX)];
    let rests = entity.get::<C>().is_some_and(|component| {
        component.write(there);
        there == from
    });
    if !rests {
        entity.insert(C::read(from));
    }
}

#[cfg(test)]
mod tests;
