//! What a player's input spawns, under a name that the server and the client that predicts it find alike.

use amphi_shared_wire::Tick;
use bevy_ecs::bundle::Bundle;
use bevy_ecs::component::Component;
use bevy_ecs::prelude::{Commands, Resource, World};
use bevy_ecs::system::EntityCommands;
use bevy_ecs::world::EntityWorldMut;

use crate::{NetId, Replicate, Row, Schema, Seat, SimTick};

/// The key of an entity that [`spawn_for`](SpawnFor::spawn_for) has spawned. It tells the client of that seat which of its
/// predicted entities this is, and makes the seat the owner of an entity that has no [`Seat`]. Nobody else is told of it.
///
/// A game registers it: `app.replicate::<SpawnedFor>()`.
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Replicate)]
#[replica(seen_by = "owner")]
pub struct SpawnedFor {
    /// Whose input spawned it.
    #[replica(lerp = "step")]
    pub seat: u8,
    /// The tick in which that was.
    #[replica(lerp = "step")]
    pub tick: u32,
    /// How many the seat had spawned before in that tick.
    #[replica(lerp = "step")]
    pub ordinal: u16,
}

impl SpawnedFor {
    /// The id of a predicted entity that the server has not named. The ticks of such entities are near each other, so none is
    /// given twice.
    pub(crate) fn provisional(&self) -> NetId {
        NetId::provisional(self.tick << 16 | u32::from(self.ordinal))
    }
}

impl Row {
    /// The key of the entity, where its input spawned it and the reader of the row is told.
    pub fn spawned(&self, schema: &Schema) -> Option<SpawnedFor> {
        self.component(schema, schema.spawned()?).map(SpawnedFor::read)
    }
}

/// Spawns entities for players, in [`Simulate`](crate::Simulate).
pub trait SpawnFor {
    /// Spawns what the input of `seat` asks for: a projectile, a mine, a wall. The client of that seat predicts it, and the
    /// server's entity is the same one when it comes. In a client's world, what is spawned for another seat is gone at the end
    /// of the tick: it comes from the server.
    fn spawn_for<B: Bundle>(&mut self, seat: Seat, bundle: B) -> EntityCommands<'_>;
}

impl SpawnFor for Commands<'_, '_> {
    fn spawn_for<B: Bundle>(&mut self, seat: Seat, bundle: B) -> EntityCommands<'_> {
        let mut entity = self.spawn(bundle);
        entity.queue(move |mut entity: EntityWorldMut<'_>| {
            let key = entity.world_scope(|world| next_key(world, seat));
            entity.insert(key);
        });
        entity
    }
}

/// How many entities each seat has spawned in the tick that runs, by number of the seat.
#[derive(Debug, Default, Resource)]
pub(crate) struct SpawnCounts(Vec<u16>);

impl SpawnCounts {
    /// A tick is over.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

fn next_key(world: &mut World, Seat(seat): Seat) -> SpawnedFor {
    let Tick(tick) = world.resource::<SimTick>().0;
    let counts = &mut world.resource_mut::<SpawnCounts>().0;
    let place = usize::from(seat);
    counts.resize(counts.len().max(place + 1), 0);
    let ordinal = counts[place];
    // Entities of a room end before its numbers do.
    counts[place] = ordinal.saturating_add(1);
    SpawnedFor { seat, tick, ordinal }
}

#[cfg(test)]
mod tests;
