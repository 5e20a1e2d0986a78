//! How a game says what its world is made of.

use std::any::{TypeId, type_name};

use amphi_shared_wire::limits::{COMPONENTS_MAX, FIELDS_MAX, MESSAGE_KINDS_MAX};
use bevy_app::{App, SubApp};
use bevy_ecs::component::{ComponentId, Mutable};
use bevy_ecs::prelude::{Component, Resource, World};
use bevy_ecs::schedule::ScheduleLabel;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::history::{self, MakeColumn, MakeShelf};
use crate::interest::Space;
use crate::nearby::Reaching;
use crate::port::{self, MakePort, StatePort};
use crate::request::RequestPort;
use crate::row_writer::ShowPort;
use crate::selection::SelectionPort;
use crate::{
    ComponentSchema, EventSchema, Input, InputPort, InputSchema, Interest, Mode, Nearby, Reckon, Reckoning, Replicate,
    Request, RequestSchema, Schema, Seat,
};

/// The schedule that runs once, at tick 0: the map, and behind [`authority`](crate::authority) the players and
/// whatever else is sent.
#[derive(Clone, Debug, Hash, PartialEq, Eq, ScheduleLabel)]
pub struct Begin;

/// The schedule that runs once per tick, single-threaded. Two systems that touch the same data must be ordered.
#[derive(Clone, Debug, Hash, PartialEq, Eq, ScheduleLabel)]
pub struct Simulate;

/// Registration of components, resources, inputs and modes, for `App` and `SubApp`.
///
/// A component on an entity that is sent or has a [`Seat`] must be registered in one of these ways; anything else
/// is an error in the first tick that shows it.
pub trait ReplicaApp {
    /// The world to register in.
    #[doc(hidden)]
    fn registry(&mut self) -> &mut World;

    /// `C` is quantised, mirrored, sent, saved and hashed.
    fn replicate<C: Component<Mutability = Mutable> + Clone + Replicate>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.replicate::<C>(world, false, false));
        self
    }

    /// `C` is replicated, and predicted by the client that owns the entity.
    fn predict<C: Component<Mutability = Mutable> + Clone + Replicate>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.replicate::<C>(world, true, false));
        self
    }

    /// `C` is replicated, and clients interpolate it for entities they do not predict.
    fn interpolate<C: Component<Mutability = Mutable> + Clone + Replicate>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.replicate::<C>(world, false, true));
        self
    }

    /// `C` is saved and hashed, not sent.
    fn state<C: Component<Mutability = Mutable> + Clone + Serialize + DeserializeOwned>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.state::<C>(world));
        self
    }

    /// `R` is saved and hashed, not sent.
    fn state_resource<R: Resource<Mutability = Mutable> + Clone + Serialize + DeserializeOwned>(
        &mut self,
    ) -> &mut Self {
        Registry::of(self.registry(), |r, _| {
            r.resources.push(port::hash_resource::<R>);
            r.shelves.push(history::shelf::<R>);
        });
        self
    }

    /// `C` is neither sent nor saved: it can be rebuilt, or does not matter.
    fn transient<C: Component>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.known.push(world.register_component::<C>()));
        self
    }

    /// `R` is neither sent nor saved.
    fn transient_resource<R: Resource>(&mut self) -> &mut Self {
        self.registry().register_component::<R>();
        self
    }

    /// Clients are told of an entity that has `C` only where it is near the entity of their seat. An entity without `C` is
    /// near everything. Without a call of this, everything is in everyone's interest.
    fn interest<C: Component + Replicate>(&mut self, interest: Interest) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.interest(world.register_component::<C>(), C::NAME, interest));
        self
    }

    /// Clients reckon how `C` goes on, and are told of it again when that is not right any more: what flies or rolls
    /// undisturbed costs nothing. For components that nobody predicts, and by which no interest goes.
    fn reckon<C: Component<Mutability = Mutable> + Clone + Replicate>(&mut self, reckon: &Reckon) -> &mut Self {
        Registry::of(self.registry(), |r, world| {
            r.replicate::<C>(world, false, true);
            r.reckon(world.register_component::<C>(), reckon);
        });
        self
    }

    /// A client's predicted world also holds the entities that have `C` where `nearby` says so, as the server told them
    /// last: what the own player can touch. It simulates them by the same systems; the inputs of other seats are what the
    /// game guesses, see [`OwnSeat`](crate::OwnSeat). Without a call of this, a predicted world holds the own entity only.
    fn nearby<C: Component + Replicate>(&mut self, nearby: Nearby) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.nearby.push((world.register_component::<C>(), nearby)));
        self
    }

    /// The inputs of this game are `I`. The engine provides [`Inputs<I>`](crate::Inputs).
    fn input<I: Input>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, _| {
            if r.input.replace(InputPort::of::<I>()).is_some() {
                r.errors.push(format!("`{}`: a game has one input type", type_name::<I>()));
            }
        });
        self
    }

    /// The game says `E` with [`GameEvents`](crate::GameEvents): each client hears it once, in order, over any number of
    /// connections. Its kind is its place among the events and effects registered, from 1.
    fn event<E: Replicate + 'static>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, _| r.event::<E>(false));
        self
    }

    /// An event that the client whose player causes it shows at once: when its prediction first says it, and not again
    /// when the server says the same. `E` names the seat that causes it with `#[replica(by = "…")]`.
    fn effect<E: Replicate + 'static>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, _| r.event::<E>(true));
        self
    }

    /// People may ask for `R`; systems read it from [`Requests<R>`](crate::Requests) and answer with
    /// [`GameEvents::answer`](crate::GameEvents::answer).
    fn request<R: Request>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, _| r.request::<R>());
        self
    }

    /// The code tables of this game, as `amphi tables train` writes them: what hosts write snapshots in, for the clients
    /// that can read it. Tables of another schema, and none at all, leave the plain codes.
    fn tables(&mut self, bytes: &'static [u8]) -> &mut Self {
        Registry::of(self.registry(), |r, _| r.tables = bytes);
        self
    }

    /// The modes of this game.
    fn modes(&mut self, modes: &[Mode]) -> &mut Self {
        Registry::of(self.registry(), |r, _| r.modes.extend_from_slice(modes));
        self
    }
}

impl ReplicaApp for App {
    fn registry(&mut self) -> &mut World {
        self.world_mut()
    }
}

impl ReplicaApp for SubApp {
    fn registry(&mut self) -> &mut World {
        self.world_mut()
    }
}

/// What a game has registered.
#[derive(Default, Resource)]
pub(crate) struct Registry {
    pub(crate) components: Vec<ComponentSchema>,
    /// Component ids of `components`.
    pub(crate) ids: Vec<ComponentId>,
    pub(crate) replicated: Vec<MakePort>,
    pub(crate) shown: Vec<ShowPort>,
    pub(crate) states: Vec<(ComponentId, StatePort)>,
    pub(crate) resources: Vec<fn(&World, &mut crate::StateHasher)>,
    /// What a history keeps: `components`, `states`, `resources`.
    pub(crate) columns: Vec<MakeColumn>,
    pub(crate) state_columns: Vec<MakeColumn>,
    pub(crate) shelves: Vec<MakeShelf>,
    /// Every registered component of any kind.
    pub(crate) known: Vec<ComponentId>,
    pub(crate) input: Option<InputPort>,
    pub(crate) events: Vec<EventSchema>,
    /// Types of `events`.
    pub(crate) event_types: Vec<TypeId>,
    pub(crate) requests: Vec<RequestSchema>,
    pub(crate) request_ports: Vec<RequestPort>,
    pub(crate) space: Option<(ComponentId, Interest)>,
    /// What is predicted beside the own entity.
    pub(crate) nearby: Vec<(ComponentId, Nearby)>,
    pub(crate) tables: &'static [u8],
    pub(crate) modes: Vec<Mode>,
    pub(crate) errors: Vec<String>,
}

impl Registry {
    /// A registry with what the engine itself brings.
    pub(crate) fn install(world: &mut World) {
        world.init_resource::<Self>();
        Self::of(world, |r, world| {
            r.replicate::<Seat>(world, false, false);
            r.known.extend(SelectionPort::components(world));
        });
    }

    pub(crate) fn schema(&self) -> Schema {
        let input = self.input.map(|input| InputSchema { name: input.name(), fields: input.fields() });
        let input = input.filter(|input| !input.name.is_empty());
        Schema::of_game(self.components.clone(), input, self.events.clone(), self.requests.clone())
    }

    fn of(world: &mut World, change: impl FnOnce(&mut Self, &mut World)) {
        let mut registry = world.remove_resource::<Self>().unwrap_or_default();
        change(&mut registry, world);
        world.insert_resource(registry);
    }

    fn replicate<C: Component<Mutability = Mutable> + Clone + Replicate>(
        &mut self,
        world: &mut World,
        predict: bool,
        interpolate: bool,
    ) {
        let id = world.register_component::<C>();
        if let Some(i) = self.ids.iter().position(|known| *known == id) {
            // Registered before: `predict` and `interpolate` add up.
            self.components[i].predict |= predict;
            self.components[i].interpolate |= interpolate;
            return;
        }
        if self.components.len() >= COMPONENTS_MAX {
            self.errors.push(format!("`{}`: a game has at most {COMPONENTS_MAX} sent components", C::NAME));
        }
        let others: Vec<_> = self.components.iter().map(|c| c.name).collect();
        self.check::<C>("components", &others);
        self.components.push(ComponentSchema {
            name: C::NAME,
            predict,
            interpolate,
            seen_by: C::SEEN_BY,
            fields: C::fields(),
            reckon: None,
            velocities: C::VELOCITIES.to_vec(),
        });
        self.ids.push(id);
        self.replicated.push(port::replicated::<C>);
        self.columns.push(history::sent_column::<C>);
        self.shown.push(ShowPort::of::<C>());
        self.known.push(id);
    }

    fn reckon(&mut self, id: ComponentId, reckon: &Reckon) {
        let Some(at) = self.ids.iter().position(|known| *known == id) else { return };
        match Reckoning::new(reckon, &self.components[at]) {
            Ok(reckoning) => self.components[at].reckon = Some(reckoning),
            Err(error) => self.errors.push(error),
        }
    }

    /// Reckoned components that something else needs as they are.
    fn check_reckoned(&self, space: Option<usize>) -> Result<(), String> {
        let mut reckoned = self.components.iter().enumerate().filter(|(_, c)| c.reckon.is_some());
        match reckoned.find(|(at, c)| c.predict || space == Some(*at)) {
            Some((_, c)) if c.predict => Err(format!("`{}`: what is predicted cannot be reckoned", c.name)),
            Some((_, c)) => Err(format!("`{}`: interest cannot go by what is reckoned", c.name)),
            None => Ok(()),
        }
    }

    fn interest(&mut self, id: ComponentId, name: &str, interest: Interest) {
        if self.space.replace((id, interest)).is_some() {
            self.errors.push(format!("`{name}`: a game has one interest"));
        }
    }

    /// The interest in steps, if the game has one.
    pub(crate) fn space(&self) -> Result<Option<Space>, String> {
        let Some((id, interest)) = &self.space else { return self.check_reckoned(None).map(|()| None) };
        let number = self.ids.iter().position(|known| known == id);
        let number = number.ok_or("interest goes by a component that is sent")?;
        self.check_reckoned(Some(number))?;
        Space::new(interest, number, &self.components[number]).map(Some)
    }

    /// What is predicted beside the own entity, in steps.
    pub(crate) fn reaching(&self) -> Result<Vec<Reaching>, String> {
        let find = |(id, nearby): &(ComponentId, Nearby)| {
            let number = self.ids.iter().position(|known| known == id);
            let number = number.ok_or("nearby goes by a component that is sent")?;
            Reaching::new(nearby, number, &self.components[number])
        };
        self.nearby.iter().map(find).collect()
    }

    fn state<C: Component<Mutability = Mutable> + Clone + Serialize>(&mut self, world: &mut World) {
        let id = world.register_component::<C>();
        self.states.push((id, port::hash_component::<C>));
        self.state_columns.push(history::state_column::<C>);
        self.known.push(id);
    }

    fn event<E: Replicate + 'static>(&mut self, predict: bool) {
        let others: Vec<_> = self.events.iter().map(|event| event.name).collect();
        self.check::<E>("events", &others);
        if self.events.len() >= MESSAGE_KINDS_MAX {
            self.errors.push(format!("`{}`: a game has at most {MESSAGE_KINDS_MAX} events and effects", E::NAME));
        }
        if predict && E::BY.is_none() {
            self.errors.push(format!("`{}`: an effect says whose it is: #[replica(by = \"field\")]", E::NAME));
        }
        self.events.push(EventSchema { name: E::NAME, predict, by: E::BY, fields: E::fields() });
        self.event_types.push(TypeId::of::<E>());
    }

    fn request<R: Request>(&mut self) {
        let others: Vec<_> = self.requests.iter().map(|request| request.name).collect();
        self.check::<R>("requests", &others);
        self.check::<R::Answer>("answers", &[]);
        if self.requests.len() >= MESSAGE_KINDS_MAX {
            self.errors.push(format!("`{}`: a game has at most {MESSAGE_KINDS_MAX} requests", R::NAME));
        }
        let (answer, answer_fields) = (R::Answer::NAME, R::Answer::fields());
        self.requests.push(RequestSchema { name: R::NAME, fields: R::fields(), answer, answer_fields });
        self.request_ports.push(RequestPort::of::<R>());
    }

    fn check<C: Replicate>(&mut self, what: &str, others: &[&str]) {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        let fields = C::fields();
        if fields.len() > FIELDS_MAX {
            self.errors.push(format!("`{}`: a struct that is sent has at most {FIELDS_MAX} numbers", C::NAME));
        }
        if C::VELOCITIES.iter().any(|(moved, by)| *moved.max(by) >= fields.len()) {
            self.errors.push(format!("`{}`: a velocity is one of its numbers", C::NAME));
        }
        if others.contains(&C::NAME) {
            self.errors.push(format!("`{}`: two {what} have this name", C::NAME));
        }
        if !plain(C::NAME) || fields.iter().any(|f| !plain(f.name) || !plain(f.unit)) {
            self.errors.push(format!("`{}`: names and units are plain ASCII without quotes", C::NAME));
        }
    }
}
