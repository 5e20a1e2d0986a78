//! What the rows of a game mean: components, their fields, and a hash that both ends compare.

use std::fmt::Write as _;

use crate::{Field, StateHasher};

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

/// The sent components of a game, by number. Component 0 is the engine's `Seat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    components: Vec<ComponentSchema>,
    json: String,
    hash: u64,
}

impl Schema {
    /// A schema of these components, in this order.
    pub fn new(components: Vec<ComponentSchema>) -> Self {
        let json = to_json(&components);
        let hash = StateHasher::of(json.as_bytes());
        Self { components, json, hash }
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

    /// The schema as JSON without spaces:
    /// `{"components":[{"name","predict","interpolate","fields":[{"name","unit","kind","lerp"}]}]}`.
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

// Names and units are checked when they are registered: no character in them needs an escape.
fn to_json(components: &[ComponentSchema]) -> String {
    let mut out = String::from("{\"components\":[");
    for (i, component) in components.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let ComponentSchema { name, predict, interpolate, fields } = component;
        let _ = write!(
            out,
            "{comma}{{\"name\":\"{name}\",\"predict\":{predict},\"interpolate\":{interpolate},\"fields\":["
        );
        for (j, field) in fields.iter().enumerate() {
            let comma = if j > 0 { "," } else { "" };
            let (name, unit, kind, lerp) = (field.name, field.unit, field.kind.as_str(), field.lerp.as_str());
            let _ = write!(
                out,
                "{comma}{{\"name\":\"{name}\",\"unit\":\"{unit}\",\"kind\":\"{kind}\",\"lerp\":\"{lerp}\"}}"
            );
        }
        out.push_str("]}");
    }
    out.push_str("]}");
    out
}
