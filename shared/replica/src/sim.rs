//! A world of a game that steps tick by tick.

use std::fmt;
use std::sync::Arc;

use amphi_shared_wire::limits::{ENTITIES_MAX, SPAWNS_PREDICTED_MAX};
use amphi_shared_wire::{Seed, Tick};
use bevy_app::SubApp;
use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::{Entity, Mut, QueryBuilder, QueryState, Schedule, Without, World};
use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings, ScheduleLabel, SingleThreadedExecutor};

use crate::history::spawn_mirrored;
use crate::mirror::{Freed, Mirror, Mirrored};
use crate::nearby::{self, Reaching};
use crate::port::ReplicatedPort;
use crate::register::Registry;
use crate::selection::{Selection, SelectionPort};
use crate::spawned::SpawnCounts;
use crate::{
    Begin, GameError, GameEvent, GameEvents, Input, InputPort, Inputs, MatchBoard, MatchMode, NetId, OwnSeat,
    RequestPort, Row, Schema, Seat, SeatState, Seats, SimMode, SimRng, SimTick, Simulate, SpawnedFor, StateHasher,
    Touching,
};

/// A world of a game. It lives in a `SubApp` of its own and never in an app that draws.
pub struct Sim {
    app: SubApp,
    registry: Registry,
    ports: Vec<Box<dyn ReplicatedPort>>,
    selection: SelectionPort,
    reaching: Vec<Reaching>,
    mirror: Mirror,
    fresh: QueryState<Entity, Without<NetId>>,
    known: Vec<ComponentId>,
    archetypes_checked: usize,
    next_id: u32,
}

impl Sim {
    pub(crate) fn build(
        mode: SimMode,
        match_mode: MatchMode,
        seed: Seed,
        schema: &Arc<Schema>,
        install: &dyn Fn(&mut SubApp),
    ) -> Result<Self, GameError> {
        let mut app = SubApp::new();
        Registry::install(app.world_mut());
        insert_resources(app.world_mut(), mode, &match_mode, seed);
        for label in [Begin.intern(), Simulate.intern()] {
            app.add_schedule(strict_schedule(label));
        }
        install(&mut app);
        app.finish();
        app.cleanup();

        let world = app.world_mut();
        let registry = world.remove_resource::<Registry>().unwrap_or_default();
        if !registry.errors.is_empty() {
            return Err(GameError::Registration(registry.errors.join("; ")));
        }
        if let Some(input) = &registry.input {
            input.init(world, match_mode.seats());
        }
        registry.request_ports.iter().for_each(|port| port.init(world));
        world.insert_resource(GameEvents::new(registry.event_types.clone().into()));
        check_schedule(world, Begin, "Begin")?;
        check_schedule(world, Simulate, "Simulate")?;
        let ports = registry.replicated.iter().map(|port| port(world)).collect();
        let mut known = registry.known.clone();
        known.extend([world.register_component::<NetId>(), world.register_component::<Mirrored>()]);
        let fresh = fresh_query(world, &registry);
        let space = registry.space().map_err(GameError::Registration)?;
        let mirror = Mirror::new(Arc::clone(schema), space, match_mode.tick_hz);
        let selection = SelectionPort::new(world);
        let reaching = registry.reaching().map_err(GameError::Registration)?;
        let mut sim =
            Self { app, registry, ports, selection, reaching, mirror, fresh, known, archetypes_checked: 0, next_id: 1 };
        sim.app.world_mut().run_schedule(Begin);
        sim.after_step()?;
        Ok(sim)
    }

    /// Simulates the next tick.
    pub fn step(&mut self) -> Result<(), GameError> {
        let world = self.app.world_mut();
        let mut tick = world.resource_mut::<SimTick>();
        tick.0 = tick.0.plus(1);
        world.run_schedule(Simulate);
        self.after_step()
    }

    /// The last simulated tick.
    pub fn tick(&self) -> Tick {
        self.world().resource::<SimTick>().0
    }

    /// Sets the last simulated tick: a client corrects its lead, or goes back to predict again.
    pub fn set_tick(&mut self, tick: Tick) {
        self.world_mut().resource_mut::<SimTick>().0 = tick;
    }

    /// The world, to read.
    pub fn world(&self) -> &World {
        self.app.world()
    }

    /// The world. Whoever changes it outside of a step answers for determinism.
    pub fn world_mut(&mut self) -> &mut World {
        self.app.world_mut()
    }

    /// What the rows mean.
    pub fn schema(&self) -> &Arc<Schema> {
        self.mirror.schema()
    }

    /// The quantised state after the last step.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The functions of the game's input type, if it has one.
    pub fn input_port(&self) -> Option<InputPort> {
        self.registry.input
    }

    /// The functions of a kind of request, from 1.
    pub fn request_port(&self, kind: u32) -> Option<RequestPort> {
        self.registry.request_ports.get(usize::try_from(kind.checked_sub(1)?).ok()?).copied()
    }

    /// Puts a request into the next step. One of an unknown kind or with another body is ignored.
    pub fn ask(&mut self, seat: Seat, id: u32, kind: u32, body: &[u8]) {
        if let Some(port) = self.request_port(kind) {
            // Whoever took it from a peer has checked it; a journal of another build may still hold others.
            let _ = port.push(self.world_mut(), seat, id, body);
        }
    }

    /// Replaces the input of a seat for the next steps.
    pub fn set_input<I: Input>(&mut self, seat: Seat, input: I) {
        self.world_mut().resource_mut::<Inputs<I>>().set(seat, input);
    }

    /// The seats.
    pub fn seats(&self) -> &Seats {
        self.world().resource::<Seats>()
    }

    /// Changes the seats, between steps.
    pub fn seats_mut(&mut self) -> &mut Seats {
        self.world_mut().resource_mut::<Seats>().into_inner()
    }

    /// The score.
    pub fn board(&self) -> &MatchBoard {
        self.world().resource::<MatchBoard>()
    }

    /// Takes what the game has said since the last call.
    pub fn take_events(&mut self) -> Vec<GameEvent> {
        self.world_mut().resource_mut::<GameEvents>().take()
    }

    /// Id of the entity that a seat controls, once it exists.
    pub fn entity_of_seat(&self, seat: Seat) -> Option<NetId> {
        self.mirror.slot_of_seat(seat).map(|slot| self.mirror.id(slot))
    }

    /// The Bevy entity with this id.
    pub fn entity_of(&self, id: NetId) -> Option<Entity> {
        self.mirror.entity(self.mirror.slot_of(id)?)
    }

    /// The quantised state of an entity after the last step or [`apply_row`](Self::apply_row).
    pub fn row_of(&self, id: NetId) -> Option<Row> {
        Some(self.mirror.row(self.mirror.slot_of(id)?))
    }

    /// Ids of all entities, ascending.
    pub fn ids(&self) -> impl Iterator<Item = NetId> {
        self.mirror.order().iter().map(|slot| self.mirror.id(*slot))
    }

    /// Says whose player is predicted here, see [`OwnSeat`].
    pub fn set_own_seat(&mut self, seat: Seat) {
        self.world_mut().insert_resource(OwnSeat(Some(seat)));
    }

    /// The game wants more predicted than the own entity, see [`ReplicaApp::nearby`](crate::ReplicaApp::nearby).
    pub fn has_nearby(&self) -> bool {
        !self.reaching.is_empty()
    }

    /// What belongs into a predicted world beside the entity whose row is `own`, by ascending id; at most
    /// [`PREDICTED_MAX`](amphi_shared_wire::limits::PREDICTED_MAX), the nearest. `rows` are all other entities, `was_near`
    /// is the last answer.
    pub fn near<'a>(&self, own: &Row, was_near: &[NetId], rows: impl Iterator<Item = (NetId, &'a Row)>) -> Vec<NetId> {
        nearby::choose(&self.reaching, self.mirror.schema(), own, was_near, rows)
    }

    /// Makes an entity equal to a received row: spawns it when it is new, inserts the row's components, and removes
    /// sent components that the row does not have.
    pub fn apply_row(&mut self, id: NetId, row: &Row) -> Result<(), GameError> {
        let world = self.app.world_mut();
        let known = self.mirror.slot_of(id).and_then(|slot| self.mirror.entity(slot));
        let entity = match known {
            Some(entity) => entity,
            None => spawn_mirrored(world, id, |entity| self.mirror.insert(id, entity)),
        };
        let Ok(mut entity) = world.get_entity_mut(entity) else { return Err(GameError::EntityUnknown(id.0)) };
        for (i, port) in self.ports.iter().enumerate() {
            match row.component(self.mirror.schema(), i) {
                Some(values) => port.insert(&mut entity, values),
                None => port.remove(&mut entity),
            }
        }
        self.refresh();
        Ok(())
    }

    /// Gives an entity another id: the server has named what was predicted.
    ///
    /// # Errors
    /// There is no such entity, or another one has that id.
    pub fn rename(&mut self, id: NetId, to: NetId) -> Result<(), GameError> {
        let slot = self.mirror.slot_of(id).filter(|_| self.mirror.slot_of(to).is_none());
        let known = slot.and_then(|slot| Some((slot, self.mirror.entity(slot)?)));
        let (slot, entity) = known.ok_or(GameError::EntityUnknown(id.0))?;
        self.mirror.rename(slot, to);
        self.world_mut().entity_mut(entity).insert(to);
        Ok(())
    }

    /// The keys of predicted entities that the server has not named, with the ids that they have here, ascending.
    pub fn unconfirmed(&self) -> impl Iterator<Item = (NetId, SpawnedFor)> {
        let ids = self.mirror.order().iter().rev().map(|slot| (self.mirror.id(*slot), *slot));
        let ids: Vec<_> = ids.take_while(|(id, _)| id.is_provisional()).collect();
        let key = |slot| self.world().get::<SpawnedFor>(self.mirror.entity(slot)?).copied();
        ids.into_iter().rev().filter_map(move |(id, slot)| Some((id, key(slot)?)))
    }

    /// Despawns an entity.
    pub fn remove(&mut self, id: NetId) -> Result<(), GameError> {
        let entity = self.entity_of(id).ok_or(GameError::EntityUnknown(id.0))?;
        self.world_mut().despawn(entity);
        self.refresh();
        Ok(())
    }

    /// Events and answers that were dropped because they were too many or too large.
    pub fn events_dropped(&self) -> u64 {
        self.world().resource::<GameEvents>().dropped()
    }

    /// Pairs of bodies that were left out because they were too many or would have joined too many, see [`Touching`].
    pub fn touching_left_out(&self) -> u64 {
        self.world().resource::<Touching>().left_out()
    }

    /// Hash of everything that is sent or saved.
    pub fn state_hash(&self) -> u64 {
        let world = self.world();
        let mut hasher = StateHasher::default();
        hasher.word(u64::from(self.tick().0));
        hasher.word(world.resource::<SimRng>().0.state());
        hasher.word(u64::from(self.next_id));
        hasher.value(world.resource::<Seats>());
        hasher.value(world.resource::<MatchBoard>());
        for slot in self.mirror.order() {
            hasher.word(u64::from(self.mirror.id(*slot).0));
            hasher.word(self.mirror.mask(*slot));
            for (i, _) in self.mirror.schema().in_mask(self.mirror.mask(*slot)) {
                hasher.row(self.mirror.component_now(*slot, i));
            }
            let selection = self.mirror.selection(*slot);
            if *selection != Selection::default() {
                hasher.value(selection);
            }
            let Some(entity) = self.mirror.entity(*slot) else { continue };
            for (_, hash) in &self.registry.states {
                hash(world, entity, &mut hasher);
            }
        }
        for hash in &self.registry.resources {
            hash(world, &mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Visits entities that carry anything sent or saved and have no id.
    pub(crate) fn each_unnamed(&mut self, visit: impl FnMut(Entity)) {
        self.fresh.iter(self.app.world()).for_each(visit);
    }

    pub(crate) fn spawn_named(&mut self, id: NetId) -> Entity {
        spawn_mirrored(self.app.world_mut(), id, |entity| self.mirror.insert(id, entity))
    }

    /// The world was made what it was after `tick`.
    pub(crate) fn restored(&mut self, tick: Tick, next_id: u32) {
        self.set_tick(tick);
        self.next_id = next_id;
        self.refresh();
        self.app.world_mut().clear_trackers();
    }

    fn after_step(&mut self) -> Result<(), GameError> {
        let world = self.app.world_mut();
        self.registry.request_ports.iter().for_each(|port| port.clear(world));
        if let Some(event) = world.resource::<GameEvents>().unknown() {
            return Err(GameError::EventUnregistered(event));
        }
        world.resource_mut::<SpawnCounts>().clear();
        self.name_entities()?;
        self.check_archetypes()?;
        self.refresh();
        self.group_touching();
        self.app.world_mut().clear_trackers();
        Ok(())
    }

    fn group_touching(&mut self) {
        let world = self.app.world_mut();
        if world.resource::<Touching>().is_empty() {
            return;
        }
        let mirror = &mut self.mirror;
        world.resource_scope(|world, mut touching: Mut<'_, Touching>| {
            mirror.group(&mut touching, |entity| world.get::<Mirrored>(entity).map(|mirrored| mirrored.slot));
        });
    }

    fn name_entities(&mut self) -> Result<(), GameError> {
        let world = self.app.world_mut();
        let mut fresh: Vec<Entity> = self.fresh.iter(world).collect();
        match *world.resource::<SimMode>() {
            SimMode::Authority | SimMode::Replay => {}
            SimMode::Predict => {
                fresh.into_iter().for_each(|entity| self.name_predicted(entity));
                return Ok(());
            }
        }
        fresh.sort_unstable();
        let ids = fresh.len().try_into().ok().and_then(|count| self.next_id.checked_add(count));
        let ids_left = ids.is_some_and(|next| !NetId(next).is_provisional());
        if self.mirror.order().len() + fresh.len() > ENTITIES_MAX || !ids_left {
            return Err(GameError::Entities);
        }
        for entity in fresh {
            let id = NetId(self.next_id);
            self.next_id += 1;
            self.name(entity, id);
        }
        Ok(())
    }

    // A client gets its ids from the server, but for what its own player spawns.
    fn name_predicted(&mut self, entity: Entity) {
        let world = self.app.world();
        let Some(key) = world.get::<SpawnedFor>(entity).copied() else { return };
        let id = key.provisional();
        let is_own = world.resource::<OwnSeat>().0 == Some(Seat(key.seat));
        let is_full = self.unconfirmed().count() >= SPAWNS_PREDICTED_MAX;
        if is_own && !is_full && self.mirror.slot_of(id).is_none() {
            self.name(entity, id);
        } else {
            self.world_mut().despawn(entity);
        }
    }

    fn name(&mut self, entity: Entity, id: NetId) {
        let slot = self.mirror.insert(id, entity);
        self.app.world_mut().entity_mut(entity).insert((id, Mirrored { slot }));
    }

    fn check_archetypes(&mut self) -> Result<(), GameError> {
        let world = self.app.world();
        let sent = |id: &ComponentId| {
            self.registry.ids.contains(id) || self.registry.states.iter().any(|(state, _)| state == id)
        };
        for archetype in world.archetypes().iter().skip(self.archetypes_checked) {
            let components = archetype.components();
            if !components.iter().any(sent) {
                continue;
            }
            if let Some(unknown) = components.iter().find(|id| !self.known.contains(id)) {
                let name = world.components().get_name(*unknown).map_or_else(String::new, |name| name.to_string());
                return Err(GameError::Unregistered(name));
            }
        }
        self.archetypes_checked = world.archetypes().len();
        Ok(())
    }

    fn refresh(&mut self) {
        let tick = self.tick();
        let freed = core::mem::take(&mut self.app.world_mut().resource_mut::<Freed>().0);
        self.mirror.start(tick, &freed);
        let world = self.app.world();
        let teams = world.resource::<Seats>().0.iter().map(|seat| seat.team);
        let ports = &mut self.ports;
        self.mirror.scan(
            teams,
            |i, column| ports[i].scan(world, column),
            |selection| self.selection.scan(world, selection),
        );
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("tick", &self.tick()).finish_non_exhaustive()
    }
}

fn insert_resources(world: &mut World, mode: SimMode, match_mode: &MatchMode, seed: Seed) {
    let seat = |i: usize| SeatState {
        team: (i / usize::from(match_mode.team_size.max(1))) as u8,
        bot: true,
        name: format!("Bot {}", i + 1),
        ..SeatState::default()
    };
    world.insert_resource(Seats((0..match_mode.seats()).map(seat).collect()));
    world.insert_resource(MatchBoard {
        team_scores: vec![0; usize::from(match_mode.teams)],
        player_scores: vec![0; match_mode.seats()],
        finished: false,
    });
    world.insert_resource(mode);
    world.insert_resource(match_mode.clone());
    world.insert_resource(SimTick::default());
    world.insert_resource(OwnSeat::default());
    world.insert_resource(SimRng(seed.split("sim").rng()));
    world.init_resource::<Freed>();
    world.init_resource::<SpawnCounts>();
    world.init_resource::<Touching>();
}

fn strict_schedule(label: bevy_ecs::schedule::InternedScheduleLabel) -> Schedule {
    let mut schedule = Schedule::new(label);
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        ..ScheduleBuildSettings::default()
    });
    schedule
}

fn check_schedule(world: &mut World, label: impl ScheduleLabel, name: &'static str) -> Result<(), GameError> {
    world.schedule_scope(label, |world, schedule| match schedule.initialize(world) {
        Ok(_) => Ok(()),
        Err(error) => Err(GameError::Schedule { schedule: name, problem: error.to_string(schedule.graph(), world) }),
    })
}

// Entities that carry anything sent or saved and have no id yet.
fn fresh_query(world: &mut World, registry: &Registry) -> QueryState<Entity, Without<NetId>> {
    let ids: Vec<ComponentId> = registry.ids.iter().copied().chain(registry.states.iter().map(|(id, _)| *id)).collect();
    let mut query = QueryBuilder::new(world);
    query.or(|query| {
        for id in &ids {
            query.with_id(*id);
        }
    });
    query.build()
}

#[cfg(test)]
mod tests;
