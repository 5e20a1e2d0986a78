//! TypeScript.

use std::fmt::Write as _;

use amphi_shared_replica::{Field, FieldKind, Game, InputField, Schema};

use super::members::{Member, camel, of_fields, of_input, pascal};

const BIT_SINK: &str = r"
/** Takes numbers in bits, the least significant first. */
export interface BitSink {
  bits(value: number, count: number): void;
}
";

const READ_NUMBERS: &str = r"
function readNumbers(body: Uint8Array, count: number): number[] | undefined {
  const numbers: number[] = [];
  let at = 0;
  while (numbers.length < count && at < body.length) {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = body[at++];
      if (byte === undefined || scale > 2 ** 28) return undefined;
      value += (byte & 127) * scale;
      if (value > 0xffff_ffff) return undefined;
      if (byte < 128) break;
      scale *= 128;
    }
    numbers.push((value >>> 1) ^ -(value & 1));
  }
  while (numbers.length < count) numbers.push(0);
  return numbers;
}
";

const WRITE_NUMBERS: &str = r"
function writeNumbers(numbers: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (const number of numbers) {
    let value = ((number << 1) ^ (number >> 31)) >>> 0;
    for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
    bytes.push(value);
  }
  return Uint8Array.from(bytes);
}
";

const STEPS: &str = r"
function steps(value: number, unit: number): number {
  const parts = value / unit;
  const whole = Number.isNaN(parts) ? 0 : Math.sign(parts) * Math.round(Math.abs(parts));
  return Math.max(-2147483648, Math.min(2147483647, whole));
}
";

const CLAMP: &str = r"
function clamp(value: number, least: number, greatest: number): number {
  return Math.max(least, Math.min(greatest, value));
}
";

pub(super) fn generate(game: &Game) -> String {
    let schema = game.schema();
    let mut out = format!(
        "// Written by `amphi schema generate --lang ts` from the schema of {}. Do not edit.\n\n\
         /** Hash of the schema that this was made from. */\nexport const SCHEMA_HASH = 0x{:016x}n;\n",
        game.name(),
        schema.hash()
    );
    out += &helpers(schema);
    for (number, component) in schema.components().iter().enumerate().skip(1) {
        let (name, members) = (pascal(component.name), of_fields(component.fields));
        interface(&mut out, &name, &members);
        let _ = write!(
            out,
            "\n/** Number of the component {name} in the schema. */\nexport const {} = {number};\n",
            constant(component.name)
        );
        reader(&mut out, &name, &members);
    }
    if let Some(input) = schema.input() {
        let (name, members) = (pascal(input.name), of_input(input.fields));
        interface(&mut out, &name, &members);
        input_writer(&mut out, &name, &members, input.fields);
    }
    let mut events = Vec::new();
    for (i, event) in schema.events().iter().enumerate() {
        let (name, members) = (pascal(event.name), of_fields(event.fields));
        interface(&mut out, &name, &members);
        reader(&mut out, &name, &members);
        events.push((i + 1, name, event.fields.len()));
    }
    if !events.is_empty() {
        event_reader(&mut out, &events);
    }
    for (i, request) in schema.requests().iter().enumerate() {
        let (name, members) = (pascal(request.name), of_fields(request.fields));
        interface(&mut out, &name, &members);
        request_writer(&mut out, &name, request.name, i + 1, &members);
        let (answer, fields) = (pascal(request.answer), request.answer_fields);
        if !schema.requests()[..i].iter().any(|earlier| earlier.answer == request.answer) {
            interface(&mut out, &answer, &of_fields(fields));
            reader(&mut out, &answer, &of_fields(fields));
            let count = fields.len();
            let _ = write!(
                out,
                "\n/** The answer in a body; `undefined` when it is none. */\n\
                 export function read{answer}Body(body: Uint8Array): {answer} | undefined {{\n  \
                 const row = readNumbers(body, {count});\n  return row && read{answer}(row);\n}}\n"
            );
        }
    }
    out
}

/// The functions that the module needs; an unused one is an error in strict projects.
fn helpers(schema: &Schema) -> String {
    let floats = |fields: &[Field]| fields.iter().any(|field| field.kind == FieldKind::F32);
    let (input, requests) = (schema.input(), schema.requests());
    let steps = requests.iter().any(|request| floats(request.fields))
        || input.is_some_and(|input| input.fields.iter().any(|field| field.kind == FieldKind::F32));
    let wanted = [
        (BIT_SINK, input.is_some()),
        (READ_NUMBERS, !schema.events().is_empty() || !requests.is_empty()),
        (WRITE_NUMBERS, !requests.is_empty()),
        (STEPS, steps),
        (CLAMP, input.is_some()),
    ];
    wanted.iter().filter(|(_, used)| *used).map(|(text, _)| *text).collect()
}

fn interface(out: &mut String, name: &str, members: &[Member]) {
    if members.is_empty() {
        let _ = write!(out, "\nexport type {name} = Record<string, never>;\n");
        return;
    }
    let _ = write!(out, "\nexport interface {name} {{\n");
    for member in members {
        if let Some(remark) = member.remark() {
            let _ = writeln!(out, "  /** {remark} */");
        }
        let number = if member.kind == FieldKind::Bool { "boolean" } else { "number" };
        let ty = member.length.map_or_else(|| number.to_owned(), |n| format!("[{}]", vec![number; n].join(", ")));
        let _ = writeln!(out, "  {}: {ty};", camel(&member.name));
    }
    out.push_str("}\n");
}

fn reader(out: &mut String, name: &str, members: &[Member]) {
    let row = if members.is_empty() { "_row" } else { "row" };
    let _ = write!(
        out,
        "\n/** A row of integers as {name}. */\nexport function read{name}({row}: ArrayLike<number>): {name} {{\n"
    );
    if members.is_empty() {
        out.push_str("  return {};\n}\n");
        return;
    }
    out.push_str("  return {\n");
    for member in members {
        let values = member.each(|i| match member.kind {
            FieldKind::F32 => format!("Math.fround(row[{i}]! * {})", member.unit_expression()),
            FieldKind::Bool => format!("row[{i}] !== 0"),
            FieldKind::U32 => format!("row[{i}]! >>> 0"),
            FieldKind::I8 => format!("(row[{i}]! << 24) >> 24"),
            FieldKind::I16 => format!("(row[{i}]! << 16) >> 16"),
            FieldKind::U8 => format!("row[{i}]! & 255"),
            FieldKind::U16 => format!("row[{i}]! & 65535"),
            FieldKind::I32 => format!("row[{i}]!"),
        });
        let value = if member.length.is_some() { format!("[{}]", values.join(", ")) } else { values.join("") };
        let _ = writeln!(out, "    {}: {value},", camel(&member.name));
    }
    out.push_str("  };\n}\n");
}

fn event_reader(out: &mut String, events: &[(usize, String, usize)]) {
    out.push_str("\n/** What the game says. */\nexport type GameEvent =");
    for (_, name, _) in events {
        let _ = write!(out, "\n  | ({{ event: \"{name}\" }} & {name})");
    }
    out.push_str(
        ";\n\n/** The event of a kind; `undefined` when this build does not know it, or the bytes are no body. */\n\
         export function readEvent(kind: number, body: Uint8Array): GameEvent | undefined {\n  \
         let row: number[] | undefined;\n  switch (kind) {\n",
    );
    for (kind, name, count) in events {
        let _ = write!(
            out,
            "    case {kind}:\n      row = readNumbers(body, {count});\n      \
             return row && {{ event: \"{name}\", ...read{name}(row) }};\n"
        );
    }
    out.push_str("    default:\n      return undefined;\n  }\n}\n");
}

fn request_writer(out: &mut String, name: &str, rust: &str, kind: usize, members: &[Member]) {
    let _ = write!(out, "\n/** Kind of the request {name}. */\nexport const {} = {kind};\n", constant(rust));
    let value = if members.is_empty() { "_request" } else { "request" };
    let numbers: Vec<String> = members.iter().flat_map(|member| values(member, "request")).collect();
    let _ = write!(
        out,
        "\n/** The body of a request. */\nexport function write{name}({value}: {name}): Uint8Array {{\n  \
         return writeNumbers([{}]);\n}}\n",
        numbers.join(", ")
    );
}

fn input_writer(out: &mut String, name: &str, members: &[Member], fields: &[InputField]) {
    let _ = write!(
        out,
        "\n/** Writes an input, each number clamped to its range. */\n\
         export function write{name}(to: BitSink, input: {name}): void {{\n"
    );
    for (value, field) in members.iter().flat_map(|member| values(member, "input")).zip(fields) {
        let InputField { min, max, .. } = field;
        let shift = if *min == 0 { String::new() } else { format!(" - {}", parenthesised(*min)) };
        let _ = writeln!(out, "  to.bits(clamp({value}, {min}, {max}){shift}, {});", field.bits());
    }
    out.push_str("}\n");
}

/// The integers of a member of `of`.
fn values(member: &Member, of: &str) -> Vec<String> {
    let name = camel(&member.name);
    member.each(|i| {
        let value =
            if member.length.is_some() { format!("{of}.{name}[{}]", i - member.start) } else { format!("{of}.{name}") };
        match member.kind {
            FieldKind::F32 => format!("steps({value}, {})", member.unit_expression()),
            FieldKind::Bool => format!("Number({value})"),
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::U8 | FieldKind::U16 | FieldKind::U32 => value,
        }
    })
}

fn parenthesised(number: i64) -> String {
    if number < 0 { format!("({number})") } else { number.to_string() }
}

/// `PlayerBody` as `PLAYER_BODY`.
fn constant(name: &str) -> String {
    let mut out = String::new();
    for (i, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && i > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}
