//! What a game's bytes mean: components, input, events, requests, their fields, and a hash that both ends compare.

mod json;

use crate::message::read_row;
use crate::{Field, InputField, Seat, StateHasher};

/// A sent component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSchema {
    /// Name, unique in its schema.
    pub name: &'static str,
    /// The owning client predicts it.
    pub predict: bool,
    /// Clients interpolate it for entities they do not predict.
    pub interpolate: bool,
    /// The integers of its rows, in order.
    pub fields: &'static [Field],
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
        Self { components, input, events, requests, json, hash }
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
        self.components.iter().enumerate().filter(move |(i, _)| mask >> i & 1 == 1)
    }
}
