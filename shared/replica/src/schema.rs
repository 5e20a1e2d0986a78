//! What a game's bytes mean: components, input, events, requests, their fields, and a hash that both ends compare.

mod json;
mod parse;

pub use parse::SchemaError;

use crate::message::read_row;
use crate::{Curve, Field, InputField, Reckoning, Replicate as _, Seat, SeenBy, SpawnedFor, StateHasher};

/// A sent component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSchema {
    /// Name, unique in its schema.
    pub name: &'static str,
    /// The owning client predicts it.
    pub predict: bool,
    /// Clients interpolate it for entities they do not predict.
    pub interpolate: bool,
    /// Who is told of it.
    pub seen_by: SeenBy,
    /// The integers of its rows, in order.
    pub fields: &'static [Field],
    /// How it goes on by itself, when clients reckon that.
    pub reckon: Option<Reckoning>,
    /// Fields that move by others: their indices.
    pub velocities: Vec<(usize, usize)>,
}

/// The input of a game, when its layout is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSchema {
    /// Name.
    pub name: &'static str,
    /// Its numbers, in the order of their bits.
    pub fields: &'static [InputField],
}

/// An event or effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSchema {
    /// Name, unique among events.
    pub name: &'static str,
    /// An effect: the client whose player causes it shows it before the server says it.
    pub predict: bool,
    /// Index of the integer that says which seat caused it.
    pub by: Option<usize>,
    /// The integers of its body, in order.
    pub fields: &'static [Field],
}

/// A request with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSchema {
    /// Name, unique among requests.
    pub name: &'static str,
    /// The integers of its body, in order.
    pub fields: &'static [Field],
    /// Name of the answer.
    pub answer: &'static str,
    /// The integers of the answer's body, in order.
    pub answer_fields: &'static [Field],
}

/// What a game sends and takes. Component 0 is the engine's `Seat`; kinds of events and requests count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    components: Vec<ComponentSchema>,
    input: Option<InputSchema>,
    events: Vec<EventSchema>,
    requests: Vec<RequestSchema>,
    /// Components that everyone, a team mate, the owner sees.
    seen: [u64; SeenBy::COUNT],
    /// Components that clients reckon.
    reckoned: u64,
    /// Components with fields.
    with_fields: u64,
    /// Components that are predicted.
    predicted: u64,
    /// Number of the engine's [`SpawnedFor`].
    spawned: Option<usize>,
    /// How components are shown in time.
    curves: Vec<Curve>,
    json: String,
    hash: u64,
}

impl Schema {
    /// A schema of these components alone, in this order.
    pub fn new(components: Vec<ComponentSchema>) -> Self {
        Self::of_game(components, None, Vec::new(), Vec::new())
    }

    /// A whole schema.
    pub fn of_game(
        components: Vec<ComponentSchema>,
        input: Option<InputSchema>,
        events: Vec<EventSchema>,
        requests: Vec<RequestSchema>,
    ) -> Self {
        let json = json::of(&components, input, &events, &requests);
        let hash = StateHasher::of(json.as_bytes());
        let seen = [SeenBy::All, SeenBy::Team, SeenBy::Owner].map(|relation| {
            let seen = components.iter().enumerate().filter(|(_, c)| c.seen_by <= relation);
            seen.fold(0, |mask, (i, _)| mask | 1_u64.checked_shl(i as u32).unwrap_or(0))
        });
        let which = |property: fn(&ComponentSchema) -> bool| {
            let with = components.iter().enumerate().filter(|(_, c)| property(c));
            with.fold(0, |mask, (i, _)| mask | 1_u64.checked_shl(i as u32).unwrap_or(0))
        };
        let (reckoned, with_fields) = (which(|c| c.reckon.is_some()), which(|c| !c.fields.is_empty()));
        let predicted = which(|c| c.predict);
        // A game may have a component of that name and of its own.
        let spawned = components.iter().position(|c| c.name == SpawnedFor::NAME && c.fields == SpawnedFor::fields());
        let curves = components.iter().map(Curve::of).collect();
        Self {
            components,
            input,
            events,
            requests,
            seen,
            reckoned,
            with_fields,
            predicted,
            spawned,
            curves,
            json,
            hash,
        }
    }

    /// The input, when its layout is derived.
    pub fn input(&self) -> Option<InputSchema> {
        self.input
    }

    /// Events and effects; the first has kind 1.
    pub fn events(&self) -> &[EventSchema] {
        &self.events
    }

    /// Requests; the first has kind 1.
    pub fn requests(&self) -> &[RequestSchema] {
        &self.requests
    }

    /// Kind of the request with this name.
    pub fn request(&self, name: &str) -> Option<u32> {
        self.requests.iter().position(|request| request.name == name).map(|i| i as u32 + 1)
    }

    /// The event of a kind.
    pub fn event(&self, kind: u32) -> Option<&EventSchema> {
        self.events.get(usize::try_from(kind.checked_sub(1)?).ok()?)
    }

    /// The seat that caused an event, when its body says so.
    pub fn caused_by(&self, kind: u32, body: &[u8]) -> Option<Seat> {
        let event = self.event(kind)?;
        let mut row = vec![0; event.fields.len()];
        read_row(body, &mut row).ok()?;
        row.get(event.by?).and_then(|seat| u8::try_from(*seat).ok()).map(Seat)
    }

    /// Components by number.
    pub fn components(&self) -> &[ComponentSchema] {
        &self.components
    }

    /// Number of the component with this name.
    pub fn component(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|c| c.name == name)
    }

    /// How components are shown in time, by number.
    pub fn curves(&self) -> &[Curve] {
        &self.curves
    }

    /// The components that this relation to an entity sees, as a bit set.
    pub fn seen_by(&self, relation: SeenBy) -> u64 {
        self.seen[relation as usize]
    }

    /// Some of these components are reckoned by clients.
    pub fn is_reckoned(&self, mask: u64) -> bool {
        mask & self.reckoned != 0
    }

    /// The components that clients reckon, as a bit set.
    pub(crate) fn reckoned(&self) -> u64 {
        self.reckoned
    }

    /// The components that have fields, as a bit set.
    pub(crate) fn with_fields(&self) -> u64 {
        self.with_fields
    }

    /// Number of [`SpawnedFor`](crate::SpawnedFor), if the game has registered it.
    pub(crate) fn spawned(&self) -> Option<usize> {
        self.spawned
    }

    /// The components that are predicted, as a bit set.
    pub fn predicted(&self) -> u64 {
        self.predicted
    }

    /// No component is kept from anyone.
    pub(crate) fn is_seen_by_all(&self) -> bool {
        self.seen[SeenBy::All as usize] == self.seen[SeenBy::Owner as usize]
    }

    /// Hash of [`to_json`](Self::to_json).
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The schema as JSON without spaces; `docs/wire.md` names its keys.
    pub fn to_json(&self) -> &str {
        &self.json
    }

    /// Number of integers in a row with these components.
    pub fn width(&self, mask: u64) -> usize {
        self.in_mask(mask).map(|(_, c)| c.fields.len()).sum()
    }

    /// The components of a mask, with their numbers.
    pub fn in_mask(&self, mask: u64) -> impl Iterator<Item = (usize, &ComponentSchema)> + Clone {
        let mut left = mask;
        core::iter::from_fn(move || {
            let i = left.trailing_zeros() as usize;
            let component = self.components.get(i)?;
            left &= left - 1;
            Some((i, component))
        })
    }
}
