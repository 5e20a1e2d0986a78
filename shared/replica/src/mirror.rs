//! The quantised copy of a world: integers by component, and when each entity's row last changed.

use std::sync::Arc;

use amphi_shared_wire::Tick;
use bevy_ecs::component::Component;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::{Entity, Resource};
use bevy_ecs::world::DeferredWorld;

use crate::{NetId, Row, Schema};

/// Where an entity's rows lie in the mirror.
#[derive(Clone, Component, Copy, Debug)]
#[component(on_remove = Mirrored::on_remove)]
pub(crate) struct Mirrored {
    pub(crate) slot: u32,
}

/// Slots of entities that are gone.
#[derive(Debug, Default, Resource)]
pub(crate) struct Freed(pub(crate) Vec<u32>);

impl Mirrored {
    fn on_remove(mut world: DeferredWorld<'_>, context: HookContext) {
        if let Some(slot) = world.get::<Self>(context.entity).map(|m| m.slot)
            && let Some(mut freed) = world.get_resource_mut::<Freed>()
        {
            freed.0.push(slot);
        }
    }
}

/// The quantised world, as sent. One slot per entity; a slot is used again when its entity is gone, an id never.
#[derive(Clone, Debug)]
pub struct Mirror {
    schema: Arc<Schema>,
    tick: Tick,
    columns: Vec<Column>,
    // By slot.
    ids: Vec<u32>,
    entities: Vec<Option<Entity>>,
    masks: Vec<u64>,
    masks_before: Vec<u64>,
    touched: Vec<bool>,
    changed: Vec<u32>,
    // Slots of live entities, by ascending id.
    order: Vec<u32>,
    free: Vec<u32>,
    removed: Vec<(u32, NetId)>,
}

#[derive(Clone, Debug)]
struct Column {
    width: usize,
    rows: Vec<i32>,
}

impl Column {
    fn row(&self, slot: u32) -> &[i32] {
        let start = slot as usize * self.width;
        &self.rows[start..start + self.width]
    }
}

/// Writes one component's rows during a scan.
pub(crate) struct ColumnWriter<'a> {
    column: &'a mut Column,
    bit: u64,
    masks: &'a mut [u64],
    touched: &'a mut [bool],
}

impl ColumnWriter<'_> {
    pub(crate) fn put(&mut self, slot: u32, write: impl FnOnce(&mut [i32])) {
        let mut row = [0; amphi_shared_wire::limits::FIELDS_MAX];
        let row = &mut row[..self.column.width];
        write(row);
        let start = slot as usize * self.column.width;
        let old = &mut self.column.rows[start..start + self.column.width];
        if old != row {
            old.copy_from_slice(row);
            self.touched[slot as usize] = true;
        }
        self.masks[slot as usize] |= self.bit;
    }
}

impl Mirror {
    pub(crate) fn new(schema: Arc<Schema>) -> Self {
        let columns = schema.components().iter().map(|c| Column { width: c.fields.len(), rows: Vec::new() }).collect();
        Self {
            schema,
            tick: Tick(0),
            columns,
            ids: Vec::new(),
            entities: Vec::new(),
            masks: Vec::new(),
            masks_before: Vec::new(),
            touched: Vec::new(),
            changed: Vec::new(),
            order: Vec::new(),
            free: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// What the rows mean.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The tick whose state this is.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Slots of all entities, by ascending [`NetId`].
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Number of slots, free ones included.
    pub fn slots(&self) -> usize {
        self.ids.len()
    }

    /// Id of the entity in a slot.
    pub fn id(&self, slot: u32) -> NetId {
        NetId(self.ids[slot as usize])
    }

    /// An entity is in this slot.
    pub fn is_live(&self, slot: u32) -> bool {
        self.entities.get(slot as usize).is_some_and(Option::is_some)
    }

    /// Components of the entity in a slot, as a bit set.
    pub fn mask(&self, slot: u32) -> u64 {
        self.masks[slot as usize]
    }

    /// The tick in which the row of a slot last changed.
    pub fn changed(&self, slot: u32) -> Tick {
        Tick(self.changed[slot as usize])
    }

    /// The integers of one component of a slot.
    pub fn component_row(&self, slot: u32, component: usize) -> &[i32] {
        self.columns[component].row(slot)
    }

    /// Entities that went away in this tick: their slots and ids.
    pub fn removed(&self) -> &[(u32, NetId)] {
        &self.removed
    }

    /// Slot of the entity with this id.
    pub fn slot_of(&self, id: NetId) -> Option<u32> {
        let at = self.order.binary_search_by_key(&id.0, |slot| self.ids[*slot as usize]).ok()?;
        Some(self.order[at])
    }

    /// Appends the whole row of a slot: the integers of its components, in order.
    pub fn copy_row(&self, slot: u32, out: &mut Vec<i32>) {
        for (i, _) in self.schema.in_mask(self.mask(slot)) {
            out.extend_from_slice(self.columns[i].row(slot));
        }
    }

    /// The whole row of a slot.
    pub fn row(&self, slot: u32) -> Row {
        let mut values = Vec::new();
        self.copy_row(slot, &mut values);
        Row { mask: self.mask(slot), values }
    }

    /// Copies masks, change ticks and columns, by slot.
    pub(crate) fn copy_columns(&self, masks: &mut Vec<u64>, changed: &mut Vec<u32>, columns: &mut Vec<Vec<i32>>) {
        masks.clone_from(&self.masks);
        changed.clone_from(&self.changed);
        columns.resize_with(self.columns.len(), Vec::new);
        for (copy, column) in columns.iter_mut().zip(&self.columns) {
            copy.clone_from(&column.rows);
        }
    }

    pub(crate) fn entity(&self, slot: u32) -> Option<Entity> {
        self.entities[slot as usize]
    }

    /// Gives a slot to an entity. The id must be new.
    pub(crate) fn insert(&mut self, id: NetId, entity: Entity) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let i = slot as usize;
        self.ids[i] = id.0;
        self.entities[i] = Some(entity);
        self.masks[i] = 0;
        self.changed[i] = 0;
        let at = self.order.partition_point(|other| self.ids[*other as usize] < id.0);
        self.order.insert(at, slot);
        slot
    }

    /// Starts the state of a tick: forgets the entities in `freed`.
    pub(crate) fn start(&mut self, tick: Tick, freed: &[u32]) {
        self.tick = tick;
        self.removed.clear();
        for slot in freed {
            self.entities[*slot as usize] = None;
            self.masks[*slot as usize] = 0;
            self.removed.push((*slot, self.id(*slot)));
            self.free.push(*slot);
        }
        if !freed.is_empty() {
            self.order.retain(|slot| self.entities[*slot as usize].is_some());
        }
    }

    pub(crate) fn scan(&mut self, mut each: impl FnMut(usize, &mut ColumnWriter<'_>)) {
        self.masks_before.clone_from(&self.masks);
        self.masks.fill(0);
        self.touched.fill(false);
        for (i, column) in self.columns.iter_mut().enumerate() {
            let (masks, touched) = (&mut self.masks[..], &mut self.touched[..]);
            each(i, &mut ColumnWriter { column, bit: 1 << i, masks, touched });
        }
        for slot in &self.order {
            let i = *slot as usize;
            if self.touched[i] || self.masks[i] != self.masks_before[i] {
                self.changed[i] = self.tick.0;
            }
        }
    }

    fn grow(&mut self) -> u32 {
        let slot = self.ids.len() as u32;
        self.ids.push(0);
        self.entities.push(None);
        self.masks.push(0);
        self.masks_before.push(0);
        self.touched.push(false);
        self.changed.push(0);
        for column in &mut self.columns {
            column.rows.extend(std::iter::repeat_n(0, column.width));
        }
        slot
    }
}
