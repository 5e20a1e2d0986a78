//! A schema as another build of the game says it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use amphi_shared_wire::limits::{COMPONENTS_MAX, FIELDS_MAX, MESSAGE_KINDS_MAX, SCHEMA_BYTES_MAX, SCHEMAS_READ_MAX};
use serde::Deserialize;
use thiserror::Error;

use super::{ComponentSchema, EventSchema, InputSchema, RequestSchema, Schema};
use crate::{Field, FieldKind, InputField, Late, Lerp, Reckon, Reckoning, SeenBy, StateHasher};

/// Why a text is no schema.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// No JSON, or with keys missing, words that this build does not know, or more than there may be.
    #[error("the schema cannot be read: {0}")]
    Invalid(String),
    /// This program has read [`SCHEMAS_READ_MAX`] schemas already.
    #[error("more than {SCHEMAS_READ_MAX} schemas in one run of a program")]
    TooMany,
}

/// By hash of the text. A schema's words live as long as the program; a client meets a handful of builds.
static READ: Mutex<BTreeMap<u64, Arc<Schema>>> = Mutex::new(BTreeMap::new());

impl Schema {
    /// Reads what [`to_json`](Self::to_json) of another build wrote. The hash is that of the text.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn read(json: &str) -> Result<Arc<Self>, SchemaError> {
        let hash = StateHasher::of(json.as_bytes());
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = read.get(&hash).filter(|schema| schema.json == json) {
            return Ok(Arc::clone(schema));
        }
        if json.len() > SCHEMA_BYTES_MAX {
            return Err(SchemaError::Invalid(format!("it has more than {SCHEMA_BYTES_MAX} bytes")));
        }
        if read.len() >= SCHEMAS_READ_MAX {
            return Err(SchemaError::TooMany);
        }
        let document: Document = serde_json::from_str(json).map_err(|error| SchemaError::Invalid(error.to_string()))?;
        document.check().map_err(SchemaError::Invalid)?;
        let schema = document.schema().map_err(SchemaError::Invalid)?;
        let schema = Arc::new(Self { json: json.to_owned(), hash, ..schema });
        read.insert(hash, Arc::clone(&schema));
        Ok(schema)
    }
}

#[derive(Deserialize)]
struct Document {
    components: Vec<Component>,
    input: Option<Input>,
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    predict: bool,
    interpolate: bool,
    seen_by: Option<Word<SeenBy>>,
    fields: Vec<Number>,
    reckon: Option<Course>,
}

/// How a component goes on by itself: names of fields.
#[derive(Deserialize)]
struct Course {
    moves: Vec<[String; 2]>,
    turns: Vec<[String; 4]>,
}

#[derive(Deserialize)]
struct Number {
    name: String,
    unit: String,
    kind: Word<FieldKind>,
    lerp: Option<Word<Lerp>>,
    #[serde(default)]
    tolerance: u32,
    velocity: Option<String>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    fields: Vec<Control>,
}

#[derive(Deserialize)]
struct Control {
    name: String,
    unit: String,
    kind: Word<FieldKind>,
    min: i64,
    max: i64,
    late: Word<Late>,
}

#[derive(Deserialize)]
struct Event {
    name: String,
    predict: bool,
    by: Option<usize>,
    fields: Vec<Number>,
}

#[derive(Deserialize)]
struct Request {
    name: String,
    fields: Vec<Number>,
    answer: Answer,
}

#[derive(Deserialize)]
struct Answer {
    name: String,
    fields: Vec<Number>,
}

/// A word that stands for a value.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String", bound = "")]
struct Word<T: Named>(T);

trait Named: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

impl<T: Named> TryFrom<String> for Word<T> {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        let known = T::ALL.iter().find(|value| value.word() == word);
        known.map(|value| Self(*value)).ok_or_else(|| format!("`{word}` is unknown to this build"))
    }
}

impl Named for SeenBy {
    const ALL: &'static [Self] = &[Self::All, Self::Team, Self::Owner];
    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Named for FieldKind {
    const ALL: &'static [Self] =
        &[Self::Bool, Self::I8, Self::I16, Self::I32, Self::U8, Self::U16, Self::U32, Self::F32];
    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Lerp {
    const ALL: &'static [Self] = &[Self::Linear, Self::Step, Self::Angle, Self::Quaternion, Self::SmallestThree];
    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Named for Late {
    const ALL: &'static [Self] = &[Self::Hold, Self::Release, Self::Fade];
    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Document {
    fn check(&self) -> Result<(), String> {
        let widths = self.components.iter().map(|c| c.fields.len());
        let messages = self.events.iter().map(|e| e.fields.len());
        let asked = self.requests.iter().flat_map(|r| [r.fields.len(), r.answer.fields.len()]);
        let input = self.input.iter().map(|input| input.fields.len());
        if widths.chain(messages).chain(asked).chain(input).any(|fields| fields > FIELDS_MAX) {
            return Err(format!("a struct has more than {FIELDS_MAX} numbers"));
        }
        let kinds = self.events.len().max(self.requests.len());
        if self.components.len() > COMPONENTS_MAX || kinds > MESSAGE_KINDS_MAX {
            return Err("there are too many components, events or requests".to_owned());
        }
        let controls = self.input.iter().flat_map(|input| &input.fields);
        let wide =
            |control: &Control| control.max.checked_sub(control.min).is_none_or(|range| range < 0 || range >> 32 != 0);
        match controls.into_iter().find(|control| wide(control)) {
            Some(control) => Err(format!("the range of `{}` is not one of 32 bits", control.name)),
            None => Ok(()),
        }
    }

    fn schema(self) -> Result<Schema, String> {
        let component = |c: Component| {
            let mut component = ComponentSchema {
                name: c.name.leak(),
                predict: c.predict,
                interpolate: c.interpolate,
                seen_by: c.seen_by.map_or(SeenBy::All, |word| word.0),
                velocities: velocities(&c.fields)?,
                fields: numbers(c.fields),
                reckon: None,
            };
            component.reckon = c.reckon.map(|course| Reckoning::new(&course.reckon(), &component)).transpose()?;
            Ok::<_, String>(component)
        };
        let event =
            |e: Event| EventSchema { name: e.name.leak(), predict: e.predict, by: e.by, fields: numbers(e.fields) };
        let request = |r: Request| RequestSchema {
            name: r.name.leak(),
            fields: numbers(r.fields),
            answer: r.answer.name.leak(),
            answer_fields: numbers(r.answer.fields),
        };
        let input = self.input.map(|input| InputSchema {
            name: input.name.leak(),
            fields: input.fields.into_iter().map(Control::field).collect::<Vec<_>>().leak(),
        });
        let components = self.components.into_iter().map(component).collect::<Result<_, _>>()?;
        let events = self.events.into_iter().map(event).collect();
        Ok(Schema::of_game(components, input, events, self.requests.into_iter().map(request).collect()))
    }
}

impl Control {
    fn field(self) -> InputField {
        let Self { name, unit, kind, min, max, late } = self;
        InputField { name: name.leak(), unit: unit.leak(), kind: kind.0, min, max, late: late.0 }
    }
}

impl Course {
    fn reckon(self) -> Reckon {
        let leak = |name: String| -> &'static str { name.leak() };
        let moves = self.moves.into_iter().map(|pair| pair.map(leak));
        let reckon = moves.fold(Reckon::new(), |reckon, [field, velocity]| reckon.moving(field, velocity));
        let turns = self.turns.into_iter().map(|four| four.map(leak));
        turns.fold(reckon, |reckon, [first, x, y, z]| reckon.turning(first, [x, y, z]))
    }
}

/// Indices of fields that move by others.
fn velocities(fields: &[Number]) -> Result<Vec<(usize, usize)>, String> {
    let moved = fields.iter().enumerate().filter_map(|(moved, field)| Some((moved, field.velocity.as_ref()?)));
    let find = |(moved, name): (usize, &String)| {
        let by = fields.iter().position(|field| field.name == *name);
        by.map(|by| (moved, by)).ok_or_else(|| format!("there is no field `{name}` to move by"))
    };
    moved.map(find).collect()
}

fn numbers(numbers: Vec<Number>) -> &'static [Field] {
    let field = |n: Number| Field {
        name: n.name.leak(),
        unit: n.unit.leak(),
        kind: n.kind.0,
        lerp: n.lerp.map_or(Lerp::Linear, |word| word.0),
        tolerance: n.tolerance,
    };
    numbers.into_iter().map(field).collect::<Vec<_>>().leak()
}
