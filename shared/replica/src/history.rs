//! What a world was, tick by tick, so that a prediction can go back to the tick that the server speaks of.
//!
//! A [`History`] is a ring of the last ticks of a [`Sim`]. Of each tick it keeps which entities there were and, column by
//! column, a clone of every registered component and resource. Going back is exact: values, which components an entity has,
//! which entities there are. What is `transient` is not kept. All memory stays with the ring: once every place was used, a
//! tick in which nothing grew allocates nothing.

use std::fmt;

use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::HISTORY_TICKS_MAX;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::{Component, Entity, Resource, World};

use crate::mirror::Mirrored;
use crate::{GameError, MatchBoard, NetId, Replicate, Row, Seats, Sim, SimRng};

/// The last ticks of one world. [`Sim::history`] makes it; it fits that world only.
pub struct History {
    places: Vec<Place>,
    /// Number of ticks ever kept: the place of the next one, modulo their number.
    kept: usize,
    /// Of sent components, in the order of the schema, then those of other components.
    columns: Vec<Box<dyn Column>>,
    sent: usize,
    resources: Vec<Box<dyn Shelf>>,
    // Kept for their memory.
    scratch: Vec<Entity>,
}

/// What is kept of a tick beside the columns.
#[derive(Clone, Debug, Default)]
struct Place {
    /// `None`: nothing is kept here.
    tick: Option<Tick>,
    /// Entities with their ids, those with an id first.
    entities: Vec<(Entity, Option<NetId>)>,
    next_id: u32,
}

/// One component, in every place of the ring.
pub(crate) trait Column: Send + Sync {
    /// Makes room for this many ticks.
    fn grow(&mut self, places: usize);

    /// Keeps the component of all entities.
    fn save(&mut self, place: usize, world: &World, entities: &[(Entity, Option<NetId>)]);

    /// Gives all entities what was kept, and takes what they did not have.
    fn restore(&self, place: usize, world: &mut World, entities: &[(Entity, Option<NetId>)]);

    /// Appends the integers of the entity with this number; false when it has no such component or it is not sent.
    fn write(&self, place: usize, entity: u32, out: &mut Vec<i32>) -> bool;

    /// Adds to the integers of the entity with this number.
    fn shift(&mut self, place: usize, entity: u32, moved: &[i32]);
}

/// One resource, in every place of the ring.
pub(crate) trait Shelf: Send + Sync {
    fn grow(&mut self, places: usize);
    fn save(&mut self, place: usize, world: &World);
    fn restore(&self, place: usize, world: &mut World);
}

impl History {
    pub(crate) fn new(
        columns: Vec<Box<dyn Column>>,
        sent: usize,
        resources: Vec<Box<dyn Shelf>>,
        ticks: usize,
    ) -> Self {
        let ticks = ticks.clamp(1, HISTORY_TICKS_MAX);
        let own: [Box<dyn Shelf>; 3] = [shelf::<SimRng>(), shelf::<MatchBoard>(), shelf::<Seats>()];
        let mut history = Self {
            places: vec![Place::default(); ticks],
            kept: 0,
            columns,
            sent,
            resources: own.into_iter().chain(resources).collect(),
            scratch: Vec::new(),
        };
        history.columns.iter_mut().for_each(|column| column.grow(ticks));
        history.resources.iter_mut().for_each(|shelf| shelf.grow(ticks));
        history
    }

    /// Keeps the world as it is after its last step, in the place of the oldest tick. The same tick kept again replaces what
    /// was kept of it and of all later ticks.
    pub fn save(&mut self, sim: &mut Sim) {
        let tick = sim.tick();
        for place in self.places.iter_mut().filter(|place| place.tick.is_some_and(|kept| kept >= tick)) {
            place.tick = None;
        }
        // A tick that was predicted again lies where it lay before: places are used in the order of ticks.
        while self.kept > 0 && self.places[(self.kept - 1) % self.places.len()].tick.is_none() {
            self.kept -= 1;
        }
        let at = self.kept % self.places.len();
        self.kept += 1;
        let place = &mut self.places[at];
        place.tick = Some(tick);
        place.next_id = sim.next_id();
        sim.list_entities(&mut place.entities);
        for column in &mut self.columns {
            column.save(at, sim.world(), &place.entities);
        }
        for shelf in &mut self.resources {
            shelf.save(at, sim.world());
        }
    }

    /// Makes the world what it was after `tick`; false, and nothing changed, when that is not kept. An entity that was
    /// despawned since comes back as another Bevy entity with the same [`NetId`] and without its `transient` components.
    ///
    /// # Errors
    /// The game's world does not take it.
    pub fn restore(&mut self, sim: &mut Sim, tick: Tick) -> Result<bool, GameError> {
        let Some(at) = self.place_of(tick) else { return Ok(false) };
        self.remove_later(sim, at);
        for n in 0..self.places[at].entities.len() {
            let (entity, id) = self.places[at].entities[n];
            if sim.world().get_entity(entity).is_err() {
                let again = sim.spawn_again(id);
                self.replace(entity, again);
            }
        }
        let place = &self.places[at];
        for column in &self.columns {
            column.restore(at, sim.world_mut(), &place.entities);
        }
        for shelf in &self.resources {
            shelf.restore(at, sim.world_mut());
        }
        sim.restored(tick, place.next_id);
        Ok(true)
    }

    /// The quantised state of an entity after a tick, if both are kept.
    pub fn row(&self, tick: Tick, id: NetId) -> Option<Row> {
        let at = self.place_of(tick)?;
        let entity = self.places[at].number_of(id)?;
        let mut row = Row::default();
        for (i, column) in self.columns.iter().take(self.sent).enumerate() {
            if column.write(at, entity, &mut row.values) {
                row.mask |= 1 << i;
            }
        }
        Some(row)
    }

    /// Gives an entity another id in all ticks: the server has named what was predicted.
    pub fn rename(&mut self, id: NetId, to: NetId) {
        let entities = self.places.iter_mut().flat_map(|place| &mut place.entities);
        entities.filter(|(_, named)| *named == Some(id)).for_each(|(_, named)| *named = Some(to));
    }

    /// Adds `moved`, one integer for each of the row of `id`, to what is kept of the ticks after `tick`: a small error need
    /// not be simulated again. Ticks in which the entity has other components stay as they are.
    pub fn shift(&mut self, tick: Tick, id: NetId, mask: u64, moved: &[i32]) {
        for at in 0..self.places.len() {
            let place = &self.places[at];
            let Some(entity) = place.number_of(id).filter(|_| place.tick.is_some_and(|kept| kept > tick)) else {
                continue;
            };
            let mut rest = moved;
            let mut row = Vec::new();
            for (i, column) in self.columns.iter_mut().take(self.sent).enumerate() {
                row.clear();
                let there = column.write(at, entity, &mut row);
                if there != (mask >> i & 1 == 1) || row.len() > rest.len() {
                    break;
                }
                let (by, others) = rest.split_at(row.len());
                if by.iter().any(|by| *by != 0) {
                    column.shift(at, entity, by);
                }
                rest = others;
            }
        }
    }

    /// The oldest tick that is kept.
    pub fn oldest(&self) -> Option<Tick> {
        self.places.iter().filter_map(|place| place.tick).min()
    }

    fn place_of(&self, tick: Tick) -> Option<usize> {
        self.places.iter().position(|place| place.tick == Some(tick))
    }

    /// Despawns what was not there yet.
    fn remove_later(&mut self, sim: &mut Sim, at: usize) {
        let mut now = Vec::new();
        sim.list_entities(&mut now);
        let then = &mut self.scratch;
        then.clear();
        then.extend(self.places[at].entities.iter().map(|(entity, _)| *entity));
        then.sort_unstable();
        for (entity, _) in now {
            if then.binary_search(&entity).is_err() {
                sim.world_mut().despawn(entity);
            }
        }
    }

    fn replace(&mut self, before: Entity, after: Entity) {
        let entities = self.places.iter_mut().flat_map(|place| &mut place.entities);
        entities.filter(|(entity, _)| *entity == before).for_each(|(entity, _)| *entity = after);
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("ticks", &self.places.len()).finish_non_exhaustive()
    }
}

impl Place {
    fn number_of(&self, id: NetId) -> Option<u32> {
        let at = self.entities.iter().position(|(_, named)| *named == Some(id))?;
        u32::try_from(at).ok()
    }
}

/// Makes the column of a component for one history.
pub(crate) type MakeColumn = fn() -> Box<dyn Column>;

/// Makes the shelf of a resource for one history.
pub(crate) type MakeShelf = fn() -> Box<dyn Shelf>;

/// The column of a sent component.
pub(crate) fn sent_column<C: Component<Mutability = Mutable> + Clone + Replicate>() -> Box<dyn Column> {
    let sent = Sent { width: C::fields().len(), write: C::write, read: C::read };
    Box::new(Values::<C> { places: Vec::new(), sent: Some(sent) })
}

/// The column of a component that is not sent.
pub(crate) fn state_column<C: Component<Mutability = Mutable> + Clone>() -> Box<dyn Column> {
    Box::new(Values::<C> { places: Vec::new(), sent: None })
}

/// The shelf of a resource.
pub(crate) fn shelf<R: Resource<Mutability = Mutable> + Clone>() -> Box<dyn Shelf> {
    Box::new(Copies::<R>(Vec::new()))
}

struct Values<C> {
    places: Vec<Rows<C>>,
    sent: Option<Sent<C>>,
}

struct Sent<C> {
    width: usize,
    write: fn(&C, &mut [i32]),
    read: fn(&[i32]) -> C,
}

/// A component in one tick: numbers of the entities that have it, ascending, and its values.
struct Rows<C> {
    entities: Vec<u32>,
    values: Vec<C>,
}

impl<C> Values<C> {
    fn at(&self, place: usize, entity: u32) -> Option<usize> {
        self.places[place].entities.binary_search(&entity).ok()
    }
}

impl<C: Component<Mutability = Mutable> + Clone> Column for Values<C> {
    fn grow(&mut self, places: usize) {
        self.places.resize_with(places, || Rows { entities: Vec::new(), values: Vec::new() });
    }

    fn save(&mut self, place: usize, world: &World, entities: &[(Entity, Option<NetId>)]) {
        let rows = &mut self.places[place];
        rows.entities.clear();
        let mut count = 0;
        for (number, (entity, _)) in (0..).zip(entities) {
            let Some(value) = world.get::<C>(*entity) else { continue };
            rows.entities.push(number);
            // Into what is there, so that a component with memory of its own keeps that, too.
            match rows.values.get_mut(count) {
                Some(kept) => kept.clone_from(value),
                None => rows.values.push(value.clone()),
            }
            count += 1;
        }
        rows.values.truncate(count);
    }

    fn restore(&self, place: usize, world: &mut World, entities: &[(Entity, Option<NetId>)]) {
        let rows = &self.places[place];
        let mut kept = rows.entities.iter().zip(&rows.values).peekable();
        for (number, (entity, _)) in (0..).zip(entities) {
            let value = kept.next_if(|(at, _)| **at == number).map(|(_, value)| value);
            let Ok(mut entity) = world.get_entity_mut(*entity) else { continue };
            match value {
                Some(value) => match entity.get_mut::<C>() {
                    Some(mut now) => now.clone_from(value),
                    None => drop(entity.insert(value.clone())),
                },
                None if entity.contains::<C>() => drop(entity.remove::<C>()),
                None => {}
            }
        }
    }

    fn write(&self, place: usize, entity: u32, out: &mut Vec<i32>) -> bool {
        let (Some(sent), Some(at)) = (&self.sent, self.at(place, entity)) else { return false };
        let start = out.len();
        out.resize(start + sent.width, 0);
        (sent.write)(&self.places[place].values[at], &mut out[start..]);
        true
    }

    fn shift(&mut self, place: usize, entity: u32, moved: &[i32]) {
        let mut row = Vec::new();
        if !self.write(place, entity, &mut row) {
            return;
        }
        row.iter_mut().zip(moved).for_each(|(value, by)| *value = value.wrapping_add(*by));
        if let (Some(sent), Some(at)) = (&self.sent, self.at(place, entity)) {
            let value = (sent.read)(&row);
            self.places[place].values[at] = value;
        }
    }
}

struct Copies<R>(Vec<Option<R>>);

impl<R: Resource<Mutability = Mutable> + Clone> Shelf for Copies<R> {
    fn grow(&mut self, places: usize) {
        self.0.resize_with(places, || None);
    }

    fn save(&mut self, place: usize, world: &World) {
        let kept = &mut self.0[place];
        match (world.get_resource::<R>(), &mut *kept) {
            (Some(now), Some(kept)) => kept.clone_from(now),
            (now, _) => *kept = now.cloned(),
        }
    }

    fn restore(&self, place: usize, world: &mut World) {
        match (&self.0[place], world.get_resource_mut::<R>()) {
            (Some(kept), Some(mut now)) => now.clone_from(kept),
            (Some(kept), None) => world.insert_resource(kept.clone()),
            (None, _) => drop(world.remove_resource::<R>()),
        }
    }
}

impl Sim {
    /// A history of the last `ticks` ticks of this world, empty as yet; between 1 and [`HISTORY_TICKS_MAX`].
    pub fn history(&self, ticks: usize) -> History {
        let registry = self.registry();
        let columns = registry.columns.iter().chain(&registry.state_columns).map(|make| make()).collect();
        let shelves = registry.shelves.iter().map(|make| make()).collect();
        History::new(columns, registry.columns.len(), shelves, ticks)
    }

    /// Everything that is sent or saved: those with an id by ascending id, then the others.
    fn list_entities(&mut self, out: &mut Vec<(Entity, Option<NetId>)>) {
        out.clear();
        let mirror = self.mirror();
        let named = mirror.order().iter().filter_map(|slot| Some((mirror.entity(*slot)?, Some(mirror.id(*slot)))));
        out.extend(named);
        let start = out.len();
        self.each_unnamed(|entity| out.push((entity, None)));
        out[start..].sort_unstable();
    }

    fn spawn_again(&mut self, id: Option<NetId>) -> Entity {
        match id {
            None => self.world_mut().spawn_empty().id(),
            Some(id) => self.spawn_named(id),
        }
    }
}

/// Spawns the entity of an id that the mirror does not know.
pub(crate) fn spawn_mirrored(world: &mut World, id: NetId, insert: impl FnOnce(Entity) -> u32) -> Entity {
    let entity = world.spawn(id).id();
    let slot = insert(entity);
    world.entity_mut(entity).insert(Mirrored { slot });
    entity
}

#[cfg(test)]
mod tests;
