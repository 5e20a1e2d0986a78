//! How a game says what its world is made of.

use std::any::type_name;

use amphi_shared_wire::limits::{COMPONENTS_MAX, FIELDS_MAX};
use bevy_app::{App, SubApp};
use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::{Component, Resource, World};
use bevy_ecs::schedule::ScheduleLabel;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::port::{self, MakePort, StatePort};
use crate::{ComponentSchema, Input, InputPort, Mode, Replicate, Schema, Seat};

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
    fn replicate<C: Component + Replicate>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.replicate::<C>(world, false, false));
        self
    }

    /// `C` is replicated, and predicted by the client that owns the entity.
    fn predict<C: Component + Replicate>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.replicate::<C>(world, true, false));
        self
    }

    /// `C` is replicated, and clients interpolate it for entities they do not predict.
    fn interpolate<C: Component + Replicate>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.replicate::<C>(world, false, true));
        self
    }

    /// `C` is saved and hashed, not sent.
    fn state<C: Component + Clone + Serialize + DeserializeOwned>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, world| r.state::<C>(world));
        self
    }

    /// `R` is saved and hashed, not sent.
    fn state_resource<R: Resource + Clone + Serialize + DeserializeOwned>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, _| r.resources.push(port::hash_resource::<R>));
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

    /// The inputs of this game are `I`. The engine provides [`Inputs<I>`](crate::Inputs).
    fn input<I: Input>(&mut self) -> &mut Self {
        Registry::of(self.registry(), |r, _| {
            if r.input.replace(InputPort::of::<I>()).is_some() {
                r.errors.push(format!("`{}`: a game has one input type", type_name::<I>()));
            }
        });
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
    pub(crate) states: Vec<(ComponentId, StatePort)>,
    pub(crate) resources: Vec<fn(&World, &mut crate::StateHasher)>,
    /// Every registered component of any kind.
    pub(crate) known: Vec<ComponentId>,
    pub(crate) input: Option<InputPort>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) errors: Vec<String>,
}

impl Registry {
    /// A registry with what the engine itself brings.
    pub(crate) fn install(world: &mut World) {
        world.init_resource::<Self>();
        Self::of(world, |r, world| r.replicate::<Seat>(world, false, false));
    }

    pub(crate) fn schema(&self) -> Schema {
        Schema::new(self.components.clone())
    }

    fn of(world: &mut World, change: impl FnOnce(&mut Self, &mut World)) {
        let mut registry = world.remove_resource::<Self>().unwrap_or_default();
        change(&mut registry, world);
        world.insert_resource(registry);
    }

    fn replicate<C: Component + Replicate>(&mut self, world: &mut World, predict: bool, interpolate: bool) {
        let id = world.register_component::<C>();
        if let Some(i) = self.ids.iter().position(|known| *known == id) {
            // Registered before: `predict` and `interpolate` add up.
            self.components[i].predict |= predict;
            self.components[i].interpolate |= interpolate;
            return;
        }
        self.check::<C>();
        self.components.push(ComponentSchema { name: C::NAME, predict, interpolate, fields: C::fields() });
        self.ids.push(id);
        self.replicated.push(port::replicated::<C>);
        self.known.push(id);
    }

    fn state<C: Component + Serialize>(&mut self, world: &mut World) {
        let id = world.register_component::<C>();
        self.states.push((id, port::hash_component::<C>));
        self.known.push(id);
    }

    fn check<C: Replicate>(&mut self) {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        let fields = C::fields();
        if self.components.len() >= COMPONENTS_MAX {
            self.errors.push(format!("`{}`: a game has at most {COMPONENTS_MAX} sent components", C::NAME));
        }
        if fields.len() > FIELDS_MAX {
            self.errors.push(format!("`{}`: a component has at most {FIELDS_MAX} numbers", C::NAME));
        }
        if self.components.iter().any(|c| c.name == C::NAME) {
            self.errors.push(format!("`{}`: two components have this name", C::NAME));
        }
        if !plain(C::NAME) || fields.iter().any(|f| !plain(f.name) || !plain(f.unit)) {
            self.errors.push(format!("`{}`: names and units are plain ASCII without quotes", C::NAME));
        }
    }
}
