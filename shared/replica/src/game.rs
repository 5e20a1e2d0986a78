//! A game: a name and a Bevy plugin, from which worlds are built.

use std::fmt;
use std::sync::Arc;

use amphi_shared_wire::Seed;
use amphi_shared_wire::limits::SEATS_MAX;
use bevy_app::{Plugin, SubApp};
use thiserror::Error;

use crate::register::Registry;
use crate::row_writer::ShowPort;
use crate::{MatchMode, Mode, Schema, Sim, SimMode, Tables, TablesError};

/// Why a world could not be built or stepped.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GameError {
    /// A registration breaks a rule.
    #[error("registration: {0}")]
    Registration(String),
    /// A mode needs 1 to `SEATS_MAX` seats and 5 to 128 ticks per second.
    #[error("mode `{0}`: 1 to {SEATS_MAX} seats and 5 to 128 ticks per second")]
    Mode(String),
    /// Systems touch the same data in no stated order, or a schedule cannot be built.
    #[error("schedule {schedule}: {problem}")]
    Schedule {
        /// `Begin` or `Simulate`.
        schedule: &'static str,
        /// What Bevy says about it.
        problem: String,
    },
    /// A component on a sent or seated entity is not registered.
    #[error("component `{0}` is on an entity that is sent: register it (replicate, state or transient)")]
    Unregistered(String),
    /// A system says an event that is not registered.
    #[error("event `{0}` is not registered: app.event::<…>() or app.effect::<…>()")]
    EventUnregistered(&'static str),
    /// More entities than a room may have, or more than 2³¹ in the course of a match.
    #[error("more than {} entities", amphi_shared_wire::limits::ENTITIES_MAX)]
    Entities,
    /// There is no entity with this id.
    #[error("no entity has the id {0}")]
    EntityUnknown(u32),
}

/// A game, ready to build worlds. Cheap to clone.
#[derive(Clone)]
pub struct Game {
    name: Arc<str>,
    version: Arc<str>,
    modes: Arc<[Mode]>,
    schema: Arc<Schema>,
    shows: Arc<[ShowPort]>,
    tables: Option<Result<Arc<Tables>, TablesError>>,
    install: Arc<dyn Fn(&mut SubApp) + Send + Sync>,
}

impl Game {
    /// A game with this name (`[a-z0-9-]+`). Its plugin is added once, to read what it registers.
    pub fn new<P: Plugin + Clone + Send + Sync + 'static>(name: &str, plugin: P) -> Self {
        let install = move |app: &mut SubApp| {
            app.add_plugins(plugin.clone());
        };
        let mut probe = SubApp::new();
        Registry::install(probe.world_mut());
        install(&mut probe);
        let registry = probe.world().resource::<Registry>();
        let schema = Arc::new(registry.schema());
        let tables = (!registry.tables.is_empty()).then(|| Tables::from_bytes(registry.tables, &schema).map(Arc::new));
        Self {
            name: name.into(),
            version: "0.1.0".into(),
            modes: registry.modes.clone().into(),
            schema,
            shows: registry.shown.clone().into(),
            tables,
            install: Arc::new(install),
        }
    }

    /// A game named after its plugin, as `amphi::run` names it: `my_crate::Duel` is the game `duel`, the function
    /// `space_tag` the game `space-tag`.
    pub fn of<P: Plugin + Clone + Send + Sync + 'static>(plugin: P) -> Self {
        let path = std::any::type_name::<P>();
        let name = path.rsplit("::").next().unwrap_or(path).to_ascii_lowercase().replace('_', "-");
        Self::new(&name, plugin)
    }

    /// The same game with a version, as in `Hello.build`.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The modes it offers.
    pub fn modes(&self) -> &[Mode] {
        &self.modes
    }

    /// The mode with this name.
    pub fn mode(&self, name: &str) -> Option<Mode> {
        self.modes.iter().copied().find(|mode| mode.name == name)
    }

    /// What its rows mean.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub(crate) fn show_ports(&self) -> &Arc<[ShowPort]> {
        &self.shows
    }

    /// The code tables it brought along, if it did: what hosts write snapshots in.
    ///
    /// # Errors
    /// Why they cannot be used. The usual one is [`TablesError::Schema`]: the schema has changed since they were trained.
    pub fn tables(&self) -> Result<Option<&Arc<Tables>>, TablesError> {
        self.tables.as_ref().map(|tables| tables.as_ref().map_err(|error| *error)).transpose()
    }

    /// A new world at tick 0, after [`Begin`](crate::Begin).
    pub fn build(&self, mode: SimMode, match_mode: MatchMode, seed: Seed) -> Result<Sim, GameError> {
        let seats = match_mode.seats();
        if seats == 0 || seats > SEATS_MAX || !(5..=128).contains(&match_mode.tick_hz) {
            return Err(GameError::Mode(match_mode.name));
        }
        Sim::build(mode, match_mode, seed, &self.schema, &*self.install)
    }
}

impl fmt::Debug for Game {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Game").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}
