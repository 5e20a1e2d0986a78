//! The quantised copy of a world: integers by component, and when each entity's row last changed.

use std::sync::Arc;

use amphi_shared_wire::Tick;
use amphi_shared_wire::limits::{FIELDS_MAX, RECKONED_TICKS_MAX};
use bevy_ecs::component::Component;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::{Entity, Resource};
use bevy_ecs::world::DeferredWorld;

use crate::interest::Space;
use crate::selection::Selection;
use crate::touching::{Groups, Touching};
use crate::{ComponentSchema, NetId, Row, Schema, Seat, SeenBy, VisibleTo};

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
    interest: Option<Space>,
    tick: Tick,
    tick_hz: u32,
    columns: Vec<Column>,
    // By slot.
    ids: Vec<u32>,
    entities: Vec<Option<Entity>>,
    masks: Vec<u64>,
    selections: Vec<Selection>,
    groups: Groups,
    marks: Marks,
    /// Ticks of the last change of what everyone, a team mate, the owner sees. The last one serves all when everything is
    /// seen by all.
    changed: [Vec<u32>; SeenBy::COUNT],
    // Slots of live entities, by ascending id.
    order: Vec<u32>,
    free: Vec<u32>,
    removed: Vec<(u32, NetId)>,
    // By seat.
    teams: Vec<u8>,
    seat_slots: Vec<Option<u32>>,
}

#[derive(Clone, Debug)]
struct Column {
    width: usize,
    /// As clients were told.
    rows: Vec<i32>,
    /// As it is; only of what clients reckon, else `rows` are.
    now: Vec<i32>,
    is_reckoned: bool,
}

impl Column {
    fn row(&self, slot: u32) -> &[i32] {
        let start = slot as usize * self.width;
        &self.rows[start..start + self.width]
    }

    fn now(&self, slot: u32) -> &[i32] {
        let start = slot as usize * self.width;
        if self.is_reckoned { &self.now[start..start + self.width] } else { self.row(slot) }
    }

    /// Tells a slot as it is.
    fn tell(&mut self, slot: u32) {
        let start = slot as usize * self.width;
        self.rows[start..start + self.width].copy_from_slice(&self.now[start..start + self.width]);
    }
}

/// What a scan found.
#[derive(Clone, Debug, Default)]
struct Marks {
    /// Slots where anything differs from the tick before.
    noticed: Vec<u32>,
    // By slot.
    is_noticed: Vec<bool>,
    components: Vec<u64>,
}

impl Marks {
    fn notice(&mut self, slot: u32, components: u64) {
        self.components[slot as usize] |= components;
        if !self.is_noticed[slot as usize] {
            self.is_noticed[slot as usize] = true;
            self.noticed.push(slot);
        }
    }
}

/// Writes one component's rows during a scan.
pub(crate) struct ColumnWriter<'a> {
    column: &'a mut Column,
    bit: u64,
    masks: &'a mut [u64],
    marks: &'a mut Marks,
}

impl ColumnWriter<'_> {
    /// The component of an entity was touched: its integers may be others.
    pub(crate) fn put(&mut self, slot: u32, write: impl FnOnce(&mut [i32])) {
        let mut row = [0; FIELDS_MAX];
        let row = &mut row[..self.column.width];
        write(row);
        let start = slot as usize * self.column.width;
        let mask = &mut self.masks[slot as usize];
        if self.column.is_reckoned {
            // Whether it is told is found out when all is known.
            self.column.now[start..start + self.column.width].copy_from_slice(row);
            if *mask & self.bit == 0 {
                *mask |= self.bit;
                self.marks.notice(slot, self.bit);
            }
            return;
        }
        let old = &mut self.column.rows[start..start + self.column.width];
        if old != row || *mask & self.bit == 0 {
            old.copy_from_slice(row);
            *mask |= self.bit;
            self.marks.notice(slot, self.bit);
        }
    }

    /// The component was taken from an entity.
    pub(crate) fn take(&mut self, slot: u32) {
        if self.masks[slot as usize] & self.bit != 0 {
            self.masks[slot as usize] &= !self.bit;
            self.marks.notice(slot, self.bit);
        }
    }
}

/// Writes what a game says of entities during a scan.
pub(crate) struct SelectionWriter<'a> {
    selections: &'a mut [Selection],
    marks: &'a mut Marks,
}

impl SelectionWriter<'_> {
    pub(crate) fn put(&mut self, slot: u32, change: impl FnOnce(&mut Selection)) {
        let selection = &mut self.selections[slot as usize];
        let before = *selection;
        change(selection);
        if *selection != before {
            self.marks.notice(slot, 0);
        }
    }
}

impl Mirror {
    pub(crate) fn new(schema: Arc<Schema>, interest: Option<Space>, tick_hz: u32) -> Self {
        let column = |c: &ComponentSchema| Column {
            width: c.fields.len(),
            rows: Vec::new(),
            now: Vec::new(),
            is_reckoned: c.reckon.is_some(),
        };
        Self {
            columns: schema.components().iter().map(column).collect(),
            schema,
            interest,
            tick: Tick(0),
            tick_hz,
            ids: Vec::new(),
            entities: Vec::new(),
            masks: Vec::new(),
            selections: Vec::new(),
            groups: Groups::default(),
            marks: Marks::default(),
            changed: Default::default(),
            order: Vec::new(),
            free: Vec::new(),
            removed: Vec::new(),
            teams: Vec::new(),
            seat_slots: Vec::new(),
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

    /// Ticks per second.
    pub fn tick_hz(&self) -> u32 {
        self.tick_hz
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
        self.changed_for(slot, SeenBy::Owner)
    }

    /// The tick in which that part of a row last changed that this relation sees.
    pub fn changed_for(&self, slot: u32, relation: SeenBy) -> Tick {
        let relation = if self.schema.is_seen_by_all() { SeenBy::Owner } else { relation };
        Tick(self.changed[relation as usize][slot as usize])
    }

    /// The integers of one component of a slot.
    pub fn component_row(&self, slot: u32, component: usize) -> &[i32] {
        self.columns[component].row(slot)
    }

    /// The integers of one component of a slot as they are, also where clients reckon them and were told something else.
    pub(crate) fn component_now(&self, slot: u32, component: usize) -> &[i32] {
        self.columns[component].now(slot)
    }

    /// The tick of what is reckoned in a slot's row; 0 when nothing of these components is.
    pub(crate) fn since(&self, slot: u32, mask: u64) -> Tick {
        // Whoever sees a reckoned component is told of it with every change of the entity.
        if mask & self.schema.reckoned() == 0 { Tick(0) } else { self.changed(slot) }
    }

    /// Entities that went away in this tick: their slots and ids.
    pub fn removed(&self) -> &[(u32, NetId)] {
        &self.removed
    }

    /// Slots that differ from the tick before, in their row or in whom it is for; by ascending id.
    pub fn noticed(&self) -> &[u32] {
        &self.marks.noticed
    }

    /// Slot of the entity with this id.
    pub fn slot_of(&self, id: NetId) -> Option<u32> {
        let at = self.order.binary_search_by_key(&id.0, |slot| self.ids[*slot as usize]).ok()?;
        Some(self.order[at])
    }

    /// Slot of the entity that a seat controls.
    pub fn slot_of_seat(&self, seat: Seat) -> Option<u32> {
        self.seat_slots.get(usize::from(seat.0)).copied().flatten()
    }

    /// Teams, by seat.
    pub(crate) fn teams(&self) -> &[u8] {
        &self.teams
    }

    /// By what distance entities are in interest.
    pub(crate) fn interest(&self) -> Option<&Space> {
        self.interest.as_ref()
    }

    /// What the game said of the entity in a slot.
    pub(crate) fn selection(&self, slot: u32) -> &Selection {
        &self.selections[slot as usize]
    }

    /// Slots whose entities act on each other in this tick.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// How a seat stands to the entity in a slot, and the components of it that it may see now.
    #[inline]
    pub(crate) fn visible(&self, slot: u32, seat: Option<Seat>) -> (SeenBy, u64) {
        let selection = &self.selections[slot as usize];
        if self.schema.is_seen_by_all() && selection.seats.is_none() {
            return (SeenBy::All, self.masks[slot as usize]);
        }
        let relation = if self.schema.is_seen_by_all() { SeenBy::All } else { self.relation(slot, seat) };
        let may = match selection.seats {
            Some(VisibleTo(seats)) => {
                seat.is_some_and(|seat| seats.checked_shr(u32::from(seat.0)).unwrap_or(0) & 1 == 1)
            }
            None => true,
        };
        (relation, if may { self.masks[slot as usize] & self.schema.seen_by(relation) } else { 0 })
    }

    fn relation(&self, slot: u32, seat: Option<Seat>) -> SeenBy {
        let (Some(Seat(seat)), Some(owner)) = (seat, self.owner(slot)) else { return SeenBy::All };
        let team = |seat: usize| self.teams.get(seat);
        match usize::try_from(owner) {
            Ok(owner) if owner == usize::from(seat) => SeenBy::Owner,
            Ok(owner) if team(owner).is_some() && team(owner) == team(usize::from(seat)) => SeenBy::Team,
            Ok(_) | Err(_) => SeenBy::All,
        }
    }

    /// The seat of the entity in a slot, or else the one it was spawned for; any number, as the game says it.
    fn owner(&self, slot: u32) -> Option<i32> {
        // Component 0 of every schema is `Seat`.
        let mut says = [Some(0), self.schema.spawned()].into_iter().flatten();
        let component = says.find(|component| self.mask(slot) >> component & 1 == 1)?;
        self.component_row(slot, component).first().copied()
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
        Row { mask: self.mask(slot), values, since: self.since(slot, self.mask(slot)) }
    }

    /// The whole row of a slot as it is, also where clients reckon and were told something else.
    pub fn row_now(&self, slot: u32) -> Row {
        let mask = self.mask(slot);
        let values = self.schema.in_mask(mask).flat_map(|(i, _)| self.columns[i].now(slot)).copied().collect();
        Row { mask, values, since: if mask & self.schema.reckoned() == 0 { Tick(0) } else { self.tick } }
    }

    /// The part of a slot's row that a seat may see; without a seat, what everyone may see. `None` when that is nothing.
    pub fn row_for(&self, slot: u32, seat: Option<Seat>) -> Option<Row> {
        let (_, mask) = self.visible(slot, seat);
        let parts = self.schema.in_mask(mask).flat_map(|(i, _)| self.columns[i].row(slot));
        (mask != 0).then(|| Row { mask, values: parts.copied().collect(), since: self.since(slot, mask) })
    }

    /// Copies masks, change ticks and columns, by slot.
    pub(crate) fn copy_columns(
        &self,
        masks: &mut Vec<u64>,
        changed: &mut [Vec<u32>; SeenBy::COUNT],
        columns: &mut Vec<Vec<i32>>,
    ) {
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
        self.selections[i] = Selection::default();
        self.changed.iter_mut().filter_map(|ticks| ticks.get_mut(i)).for_each(|tick| *tick = 0);
        let at = self.order.partition_point(|other| self.ids[*other as usize] < id.0);
        self.order.insert(at, slot);
        slot
    }

    /// Gives the entity in a slot another id, which must be new.
    pub(crate) fn rename(&mut self, slot: u32, id: NetId) {
        self.order.retain(|other| *other != slot);
        self.ids[slot as usize] = id.0;
        let at = self.order.partition_point(|other| self.ids[*other as usize] < id.0);
        self.order.insert(at, slot);
    }

    /// Starts the state of a tick: forgets the entities in `freed`.
    pub(crate) fn start(&mut self, tick: Tick, freed: &[u32]) {
        self.tick = tick;
        self.removed.clear();
        self.groups.clear();
        let mut had_seat = false;
        for slot in freed {
            had_seat |= self.masks[*slot as usize] & 1 == 1;
            self.entities[*slot as usize] = None;
            self.masks[*slot as usize] = 0;
            self.removed.push((*slot, self.id(*slot)));
            self.free.push(*slot);
        }
        if !freed.is_empty() {
            self.order.retain(|slot| self.entities[*slot as usize].is_some());
        }
        if had_seat {
            self.find_seats();
        }
    }

    /// Takes what was touched since the last scan.
    pub(crate) fn scan(
        &mut self,
        teams: impl Iterator<Item = u8>,
        mut each: impl FnMut(usize, &mut ColumnWriter<'_>),
        select: impl FnOnce(&mut SelectionWriter<'_>),
    ) {
        self.teams.clear();
        self.teams.extend(teams);
        let marks = &mut self.marks;
        for slot in marks.noticed.drain(..) {
            marks.is_noticed[slot as usize] = false;
            marks.components[slot as usize] = 0;
        }
        for (i, column) in self.columns.iter_mut().enumerate() {
            each(i, &mut ColumnWriter { column, bit: 1 << i, masks: &mut self.masks, marks });
        }
        self.tell_reckoned();
        select(&mut SelectionWriter { selections: &mut self.selections, marks: &mut self.marks });
        self.note_changes();
    }

    /// Takes which entities act on each other in this tick.
    pub(crate) fn group(&mut self, touching: &mut Touching, slot_of: impl Fn(Entity) -> Option<u32>) {
        touching.drain(&mut self.groups, slot_of);
    }

    /// Tells anew what clients reckon wrongly, and with anything else of an entity also what they reckon of it.
    fn tell_reckoned(&mut self) {
        let reckoned = self.schema.reckoned();
        if reckoned == 0 {
            return;
        }
        let Self { schema, columns, order, masks, marks, changed, tick, tick_hz, .. } = self;
        let mut row = [0; FIELDS_MAX];
        for slot in order.iter().copied().filter(|slot| masks[*slot as usize] & reckoned != 0) {
            let mask = masks[slot as usize] & reckoned;
            let since = changed[SeenBy::Owner as usize][slot as usize];
            let ticks = tick.0 - since;
            let holds = |(i, component): (usize, &ComponentSchema)| {
                let Some(reckoning) = &component.reckon else { return true };
                let row = &mut row[..component.fields.len()];
                row.copy_from_slice(columns[i].row(slot));
                reckoning.go_on(row, ticks, *tick_hz);
                reckoning.holds(component.fields, row, columns[i].now(slot))
            };
            let told = marks.components[slot as usize] != 0 || ticks >= RECKONED_TICKS_MAX;
            if told || !schema.in_mask(mask).all(holds) {
                schema.in_mask(mask).for_each(|(i, _)| columns[i].tell(slot));
                marks.notice(slot, mask);
            }
        }
    }

    fn note_changes(&mut self) {
        let mut seats = false;
        let relations = [SeenBy::All, SeenBy::Team, SeenBy::Owner];
        for slot in &self.marks.noticed {
            let components = self.marks.components[*slot as usize];
            seats |= components & 1 == 1;
            for (ticks, relation) in self.changed.iter_mut().zip(relations) {
                if components & self.schema.seen_by(relation) != 0
                    && let Some(tick) = ticks.get_mut(*slot as usize)
                {
                    *tick = self.tick.0;
                }
            }
        }
        if seats {
            self.find_seats();
        }
        self.sort_noticed();
    }

    /// By ascending id, as snapshots name them.
    fn sort_noticed(&mut self) {
        let Marks { noticed, is_noticed, .. } = &mut self.marks;
        if noticed.len() > self.order.len() / 8 {
            noticed.clear();
            noticed.extend(self.order.iter().copied().filter(|slot| is_noticed[*slot as usize]));
        } else {
            noticed.sort_unstable_by_key(|slot| self.ids[*slot as usize]);
        }
    }

    /// The entity of a seat is the one with the least id.
    fn find_seats(&mut self) {
        self.seat_slots.fill(None);
        for slot in self.order.iter().copied().filter(|slot| self.masks[*slot as usize] & 1 == 1) {
            let Ok(seat) = usize::try_from(self.columns[0].row(slot)[0]) else { continue };
            if seat <= usize::from(u8::MAX) {
                if self.seat_slots.len() <= seat {
                    self.seat_slots.resize(seat + 1, None);
                }
                self.seat_slots[seat].get_or_insert(slot);
            }
        }
    }

    fn grow(&mut self) -> u32 {
        let slot = self.ids.len() as u32;
        self.ids.push(0);
        self.entities.push(None);
        self.masks.push(0);
        self.selections.push(Selection::default());
        self.marks.is_noticed.push(false);
        self.marks.components.push(0);
        let first = if self.schema.is_seen_by_all() { SeenBy::Owner as usize } else { 0 };
        self.changed[first..].iter_mut().for_each(|ticks| ticks.push(0));
        for column in &mut self.columns {
            column.rows.extend(std::iter::repeat_n(0, column.width));
            if column.is_reckoned {
                column.now.extend(std::iter::repeat_n(0, column.width));
            }
        }
        slot
    }
}
