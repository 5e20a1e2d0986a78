//! The schema as JSON. Names and units are checked when they are registered: no character in them needs an escape.

use super::{ComponentSchema, EventSchema, InputSchema, RequestSchema};
use crate::{Field, InputField, Reckoning, SeenBy};

/// The whole document.
pub(super) fn of(
    components: &[ComponentSchema],
    input: Option<InputSchema>,
    events: &[EventSchema],
    requests: &[RequestSchema],
) -> String {
    let components = list(components, component);
    let input = input.map_or_else(String::new, |input| {
        let fields = list(input.fields, input_field);
        format!(",\"input\":{{\"name\":\"{}\",\"fields\":{fields}}}", input.name)
    });
    let events = if events.is_empty() { String::new() } else { format!(",\"events\":{}", list(events, event)) };
    let requests =
        if requests.is_empty() { String::new() } else { format!(",\"requests\":{}", list(requests, request)) };
    format!("{{\"components\":{components}{input}{events}{requests}}}")
}

fn component(component: &ComponentSchema) -> String {
    let ComponentSchema { name, predict, interpolate, seen_by, fields, reckon, velocities } = component;
    let seen_by = match seen_by {
        SeenBy::All => String::new(),
        SeenBy::Team | SeenBy::Owner => format!("\"seen_by\":\"{}\",", seen_by.as_str()),
    };
    let reckon = reckon.as_ref().map_or_else(String::new, |reckon| course(reckon, fields));
    let numbers: Vec<usize> = (0..fields.len()).collect();
    let fields = list(&numbers, |number| {
        let Field { name, unit, kind, lerp, tolerance } = &fields[*number];
        let (kind, lerp) = (kind.as_str(), lerp.as_str());
        let tolerance = if *tolerance > 0 { format!(",\"tolerance\":{tolerance}") } else { String::new() };
        let by = velocities.iter().find(|(moved, _)| moved == number).and_then(|(_, by)| fields.get(*by));
        let velocity = by.map_or_else(String::new, |by| format!(",\"velocity\":\"{}\"", by.name));
        format!(
            "{{\"name\":\"{name}\",\"unit\":\"{unit}\",\"kind\":\"{kind}\",\"lerp\":\"{lerp}\"{tolerance}{velocity}}}"
        )
    });
    format!(
        "{{\"name\":\"{name}\",\"predict\":{predict},\"interpolate\":{interpolate},{seen_by}\"fields\":{fields}{reckon}}}"
    )
}

/// Names of moved fields and what they move by; of rotations the first field, and the three of their spins.
fn course(reckon: &Reckoning, fields: &[Field]) -> String {
    let name = |field: usize| fields[field].name;
    let moves: Vec<_> = reckon.moves().map(|(field, by)| format!("[\"{}\",\"{}\"]", name(field), name(by))).collect();
    let turn = |(field, [x, y, z]): (usize, [usize; 3])| {
        format!("[\"{}\",\"{}\",\"{}\",\"{}\"]", name(field), name(x), name(y), name(z))
    };
    let turns: Vec<_> = reckon.turns().map(turn).collect();
    format!(",\"reckon\":{{\"moves\":[{}],\"turns\":[{}]}}", moves.join(","), turns.join(","))
}

fn input_field(field: &InputField) -> String {
    let InputField { name, unit, kind, min, max, late } = field;
    let (kind, late, bits) = (kind.as_str(), late.as_str(), field.bits());
    format!(
        "{{\"name\":\"{name}\",\"unit\":\"{unit}\",\"kind\":\"{kind}\",\"min\":{min},\"max\":{max},\"bits\":{bits},\
         \"late\":\"{late}\"}}"
    )
}

fn event(event: &EventSchema) -> String {
    let EventSchema { name, predict, by, fields } = event;
    let by = by.map_or_else(String::new, |by| format!(",\"by\":{by}"));
    let fields = list(fields, message_field);
    format!("{{\"name\":\"{name}\",\"predict\":{predict}{by},\"fields\":{fields}}}")
}

fn request(request: &RequestSchema) -> String {
    let RequestSchema { name, fields, answer, answer_fields } = request;
    let (fields, answer_fields) = (list(fields, message_field), list(answer_fields, message_field));
    format!(
        "{{\"name\":\"{name}\",\"fields\":{fields},\"answer\":{{\"name\":\"{answer}\",\"fields\":{answer_fields}}}}}"
    )
}

fn message_field(field: &Field) -> String {
    let (name, unit, kind) = (field.name, field.unit, field.kind.as_str());
    format!("{{\"name\":\"{name}\",\"unit\":\"{unit}\",\"kind\":\"{kind}\"}}")
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(one).collect();
    format!("[{}]", items.join(","))
}
