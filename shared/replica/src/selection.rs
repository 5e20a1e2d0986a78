//! What a game says of entities beside their rows: for whom they are, how much they matter, from how far they are seen.

use bevy_ecs::change_detection::{DetectChanges as _, Ref};
use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::{Component, QueryState, World};
use serde::{Deserialize, Serialize};

use crate::mirror::{Mirrored, SelectionWriter};

/// Who sees a component: `#[replica(seen_by = "…")]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenBy {
    /// Everyone, spectators too.
    #[default]
    All,
    /// Seats of the team of the owner.
    Team,
    /// The entity's [`Seat`](crate::Seat), or else the one that it was [`SpawnedFor`](crate::SpawnedFor).
    Owner,
}

impl SeenBy {
    /// Number of kinds.
    pub(crate) const COUNT: usize = 3;

    /// Lower-case word, as in the schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Team => "team",
            Self::Owner => "owner",
        }
    }
}

/// Limits an entity to a set of seats: bit *i* is seat *i*. Nobody else hears of it, spectators neither. Saved and hashed,
/// not sent.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisibleTo(pub u64);

/// How much an entity matters where not all fits into a datagram: one of 32 is sent twice as often as one of 16. 0 counts
/// as 1. Saved and hashed, not sent.
#[derive(Clone, Component, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Importance(pub u16);

impl Default for Importance {
    fn default() -> Self {
        Self(16)
    }
}

/// From how far an entity is seen where a game limits interest by distance: 4ⁿ times the radius, *n* at most 3. For what
/// is large, or too fast for the radius. Saved and hashed, not sent.
#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach(pub u8);

/// What was said of one entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Selection {
    pub(crate) seats: Option<VisibleTo>,
    pub(crate) importance: Importance,
    pub(crate) reach: Reach,
}

/// Reads the components of this file.
pub(crate) struct SelectionPort {
    visible: QueryState<(Ref<'static, Mirrored>, Ref<'static, VisibleTo>)>,
    importance: QueryState<(Ref<'static, Mirrored>, Ref<'static, Importance>)>,
    reach: QueryState<(Ref<'static, Mirrored>, Ref<'static, Reach>)>,
}

impl SelectionPort {
    pub(crate) fn new(world: &mut World) -> Self {
        Self { visible: world.query(), importance: world.query(), reach: world.query() }
    }

    /// The components, to be known in any archetype.
    pub(crate) fn components(world: &mut World) -> [ComponentId; 3] {
        [
            world.register_component::<VisibleTo>(),
            world.register_component::<Importance>(),
            world.register_component::<Reach>(),
        ]
    }

    pub(crate) fn scan(&mut self, world: &World, writer: &mut SelectionWriter<'_>) {
        touched(&mut self.visible, world, |slot, seats| writer.put(slot, |s| s.seats = seats.copied()));
        touched(&mut self.importance, world, |slot, of| {
            writer.put(slot, |s| s.importance = of.copied().unwrap_or_default());
        });
        touched(&mut self.reach, world, |slot, of| writer.put(slot, |s| s.reach = of.copied().unwrap_or_default()));
    }
}

/// Says which entities' `C` was touched since the last tick, or taken away.
pub(crate) fn touched<C: Component>(
    query: &mut QueryState<(Ref<'static, Mirrored>, Ref<'static, C>)>,
    world: &World,
    mut each: impl FnMut(u32, Option<&C>),
) {
    for entity in world.removed::<C>() {
        let there = world.get_entity(entity).ok().filter(|entity| !entity.contains::<C>());
        if let Some(mirrored) = there.and_then(|entity| entity.get::<Mirrored>()) {
            each(mirrored.slot, None);
        }
    }
    for (mirrored, component) in query.iter(world) {
        if component.is_changed() || mirrored.is_changed() {
            each(mirrored.slot, Some(&component));
        }
    }
}
