//! Entities of the app, one for each entity that the match shows to this player.

use std::collections::BTreeMap;

use amphi_clients_rust::ShownRow;
use amphi_shared_replica::{NetId, RowWriter};
use bevy_ecs::prelude::{Entity, Resource, World};

use crate::plugin::Own;

/// Entities by `ShownRow::shown_as`.
#[derive(Debug, Resource)]
pub(crate) struct Shown {
    writer: RowWriter,
    entities: BTreeMap<u32, Body>,
    /// The match that they belong to, see `State::joins`.
    joins: u32,
    /// Counts frames.
    frame: u64,
}

#[derive(Debug)]
struct Body {
    entity: Entity,
    /// Components that it has of the game.
    mask: u64,
    /// Last frame that showed it.
    frame: u64,
}

impl Shown {
    pub(crate) fn new(writer: RowWriter) -> Self {
        Self { writer, entities: BTreeMap::new(), joins: 0, frame: 0 }
    }

    /// Takes the entities of another match away.
    pub(crate) fn begin(&mut self, world: &mut World, joins: u32) {
        if self.joins != joins {
            self.joins = joins;
            self.frame += 1;
            self.sweep(world);
        }
    }

    /// Makes the entities of the world what a client shows now; `own` is the entity of its seat.
    pub(crate) fn show<'a>(&mut self, world: &mut World, own: Option<NetId>, rows: impl Iterator<Item = ShownRow<'a>>) {
        self.frame += 1;
        for ShownRow { id, shown_as, row, steps } in rows {
            let known = self.entities.remove(&shown_as.0).filter(|body| world.get_entity(body.entity).is_ok());
            let mut body = known.unwrap_or_else(|| Body { entity: world.spawn(id).id(), mask: 0, frame: 0 });
            // It was found above, or is new.
            let Ok(mut entity) = world.get_entity_mut(body.entity) else { continue };
            body.mask = self.writer.show(&mut entity, body.mask, (&row, steps.as_deref()));
            body.frame = self.frame;
            if entity.get::<NetId>() != Some(&id) {
                // The server has named what the own player spawned.
                entity.insert(id);
            }
            let is_own = own == Some(id);
            if is_own != entity.contains::<Own>() {
                if is_own {
                    entity.insert(Own)
                } else {
                    entity.remove::<Own>()
                };
            }
            self.entities.insert(shown_as.0, body);
        }
        self.sweep(world);
    }

    /// Despawns what this frame has not shown.
    fn sweep(&mut self, world: &mut World) {
        let frame = self.frame;
        self.entities.retain(|_, body| {
            let stays = body.frame == frame;
            if !stays {
                // A game may have taken it away already.
                world.try_despawn(body.entity).ok();
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests;
