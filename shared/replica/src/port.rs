//! Registered types behind functions that know them.

use bevy_ecs::change_detection::Ref;
use bevy_ecs::prelude::{Component, Entity, QueryState, Resource, World};
use bevy_ecs::world::EntityWorldMut;
use serde::Serialize;

use crate::mirror::{ColumnWriter, Mirrored};
use crate::selection::touched;
use crate::{Replicate, StateHasher};

/// A sent component of one world.
pub(crate) trait ReplicatedPort: Send + Sync {
    /// Quantises every copy of the component that was touched since the last tick into its column.
    fn scan(&mut self, world: &World, column: &mut ColumnWriter<'_>);

    /// Puts the value of a row on an entity.
    fn insert(&self, entity: &mut EntityWorldMut<'_>, row: &[i32]);

    /// Takes the component from an entity.
    fn remove(&self, entity: &mut EntityWorldMut<'_>);
}

/// Makes the port of a component for one world.
pub(crate) type MakePort = fn(&mut World) -> Box<dyn ReplicatedPort>;

/// Hashes a component of an entity, if it has it.
pub(crate) type StatePort = fn(&World, Entity, &mut StateHasher);

struct Replicated<C: Component + Replicate> {
    query: QueryState<(Ref<'static, Mirrored>, Ref<'static, C>)>,
}

impl<C: Component + Replicate> ReplicatedPort for Replicated<C> {
    fn scan(&mut self, world: &World, column: &mut ColumnWriter<'_>) {
        touched(&mut self.query, world, |slot, component: Option<&C>| match component {
            Some(component) => column.put(slot, |row| component.write(row)),
            None => column.take(slot),
        });
    }

    fn insert(&self, entity: &mut EntityWorldMut<'_>, row: &[i32]) {
        entity.insert(C::read(row));
    }

    fn remove(&self, entity: &mut EntityWorldMut<'_>) {
        entity.remove::<C>();
    }
}

pub(crate) fn replicated<C: Component + Replicate>(world: &mut World) -> Box<dyn ReplicatedPort> {
    Box::new(Replicated::<C> { query: world.query() })
}

pub(crate) fn hash_component<C: Component + Serialize>(world: &World, entity: Entity, hasher: &mut StateHasher) {
    if let Some(component) = world.get::<C>(entity) {
        hasher.word(1);
        hasher.value(component);
    } else {
        hasher.word(0);
    }
}

pub(crate) fn hash_resource<R: Resource + Serialize>(world: &World, hasher: &mut StateHasher) {
    if let Some(resource) = world.get_resource::<R>() {
        hasher.value(resource);
    }
}
