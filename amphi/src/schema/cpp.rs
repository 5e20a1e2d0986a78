//! C++17.

use std::fmt::Write as _;

use amphi_shared_replica::{FieldKind, Game, InputField};

use super::members::{Member, of_fields, of_input, pascal};

const HELPERS: &str = r"
/// Numbers in bits, the least significant first.
class BitWriter {
public:
    void bits(std::uint32_t value, int count) {
        pending_ |= static_cast<std::uint64_t>(value) << pending_bits_;
        for (pending_bits_ += count; pending_bits_ >= 8; pending_bits_ -= 8, pending_ >>= 8)
            bytes_.push_back(static_cast<std::uint8_t>(pending_));
    }

    /// The bytes; zeros fill the last one.
    std::vector<std::uint8_t> finish() {
        if (pending_bits_ > 0) bytes_.push_back(static_cast<std::uint8_t>(pending_));
        pending_ = 0;
        pending_bits_ = 0;
        return std::move(bytes_);
    }

private:
    std::vector<std::uint8_t> bytes_;
    std::uint64_t pending_ = 0;
    int pending_bits_ = 0;
};

namespace wire {

inline bool read(const std::uint8_t* body, std::size_t size, std::int32_t* numbers, std::size_t count) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < count && at < size; i++) {
        std::uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            if (at == size || shift > 28) return false;
            const std::uint8_t part = body[at++];
            value |= static_cast<std::uint64_t>(part & 127) << shift;
            if (part < 128) break;
        }
        if (value > std::numeric_limits<std::uint32_t>::max()) return false;
        numbers[i] = static_cast<std::int32_t>(value >> 1) ^ -static_cast<std::int32_t>(value & 1);
    }
    return true;
}

inline std::vector<std::uint8_t> write(std::initializer_list<std::int32_t> numbers) {
    std::vector<std::uint8_t> bytes;
    for (const std::int32_t number : numbers) {
        std::uint32_t value = (static_cast<std::uint32_t>(number) << 1) ^ (number < 0 ? ~0u : 0u);
        for (; value >= 128; value >>= 7) bytes.push_back(static_cast<std::uint8_t>(value | 128));
        bytes.push_back(static_cast<std::uint8_t>(value));
    }
    return bytes;
}

inline std::int32_t steps(float value, double unit) {
    const double parts = std::round(value / unit);
    if (std::isnan(parts)) return 0;
    return static_cast<std::int32_t>(std::clamp(parts, -2147483648.0, 2147483647.0));
}

inline std::uint32_t above(std::int64_t value, std::int64_t least, std::int64_t greatest) {
    return static_cast<std::uint32_t>(std::clamp(value, least, greatest) - least);
}

}  // namespace wire
";

pub(super) fn generate(game: &Game) -> String {
    let schema = game.schema();
    let space = game.name().replace('-', "_");
    let mut out = format!(
        "// Written by `amphi schema generate --lang cpp` from the schema of {}. Do not edit.\n#pragma once\n\n\
         #include <algorithm>\n#include <array>\n#include <cmath>\n#include <cstddef>\n#include <cstdint>\n\
         #include <initializer_list>\n#include <limits>\n#include <utility>\n#include <vector>\n\n\
         namespace amphi_{space} {{\n\n/// Hash of the schema that this was made from.\n\
         inline constexpr std::uint64_t SCHEMA_HASH = 0x{:016x};\n",
        game.name(),
        schema.hash()
    );
    out += HELPERS;
    for (number, component) in schema.components().iter().enumerate().skip(1) {
        let members = of_fields(component.fields);
        let number =
            format!("    /// Number of the component in the schema.\n    static constexpr int NUMBER = {number};\n");
        structure(&mut out, component.name, &members, &[number, reader(component.name, &members)]);
    }
    if let Some(input) = schema.input() {
        let members = of_input(input.fields);
        structure(&mut out, input.name, &members, &[input_writer(&members, input.fields)]);
    }
    for (i, event) in schema.events().iter().enumerate() {
        let members = of_fields(event.fields);
        let parts = [kind("event", i), reader(event.name, &members), body_reader(event.name, event.fields.len())];
        structure(&mut out, event.name, &members, &parts);
    }
    for (i, request) in schema.requests().iter().enumerate() {
        let members = of_fields(request.fields);
        structure(&mut out, request.name, &members, &[kind("request", i), body_writer(&members)]);
        if !schema.requests()[..i].iter().any(|earlier| earlier.answer == request.answer) {
            let (name, members) = (request.answer, of_fields(request.answer_fields));
            let parts = [reader(name, &members), body_reader(name, request.answer_fields.len())];
            structure(&mut out, name, &members, &parts);
        }
    }
    let _ = write!(out, "\n}}  // namespace amphi_{space}\n");
    out
}

fn structure(out: &mut String, name: &str, members: &[Member], parts: &[String]) {
    let _ = write!(out, "\nstruct {} {{\n", pascal(name));
    for member in members {
        if let Some(remark) = member.remark() {
            let _ = writeln!(out, "    /// {remark}");
        }
        let number = number_type(member.kind);
        let ty = member.length.map_or_else(|| number.to_owned(), |length| format!("std::array<{number}, {length}>"));
        let _ = writeln!(out, "    {ty} {}{{}};", member.name);
    }
    for (i, part) in parts.iter().enumerate() {
        if i > 0 || !members.is_empty() {
            out.push('\n');
        }
        out.push_str(part);
    }
    out.push_str("};\n");
}

fn kind(what: &str, i: usize) -> String {
    format!("    /// Kind of the {what}.\n    static constexpr std::uint32_t KIND = {};\n", i + 1)
}

fn reader(name: &str, members: &[Member]) -> String {
    let name = pascal(name);
    let row = if members.is_empty() { "" } else { " row" };
    let mut out = format!(
        "    /// The integers of a row.\n    static {name} read(const std::int32_t*{row}) {{\n        {name} value;\n"
    );
    for member in members {
        let ty = number_type(member.kind);
        for (i, at) in member.each(|i| i.to_string()).into_iter().enumerate() {
            let place = if member.length.is_some() { format!("{}[{i}]", member.name) } else { member.name.clone() };
            let number = match member.kind {
                FieldKind::F32 => format!("static_cast<float>(row[{at}] * {})", member.unit_expression()),
                FieldKind::Bool => format!("row[{at}] != 0"),
                FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::U8 | FieldKind::U16 | FieldKind::U32 => {
                    format!("static_cast<{ty}>(row[{at}])")
                }
            };
            let _ = writeln!(out, "        value.{place} = {number};");
        }
    }
    out.push_str("        return value;\n    }\n");
    out
}

fn body_reader(name: &str, count: usize) -> String {
    let name = pascal(name);
    // An array of length 0 has no address.
    let length = count.max(1);
    format!(
        "    /// Reads a body; false when the bytes are none.\n    \
         static bool read_body(const std::uint8_t* body, std::size_t size, {name}& message) {{\n        \
         std::int32_t row[{length}] = {{}};\n        if (!wire::read(body, size, row, {count})) return false;\n        \
         message = read(row);\n        return true;\n    }}\n"
    )
}

fn body_writer(members: &[Member]) -> String {
    let numbers: Vec<String> =
        members.iter().flat_map(|member| values(member, "static_cast<std::int32_t>(", ")")).collect();
    format!(
        "    /// The body of the request.\n    std::vector<std::uint8_t> write() const {{\n        \
         return wire::write({{{}}});\n    }}\n",
        numbers.join(", ")
    )
}

fn input_writer(members: &[Member], fields: &[InputField]) -> String {
    let mut out = "    /// Writes the input, each number clamped to its range.\n    \
                   void write(BitWriter& to) const {\n"
        .to_owned();
    for (value, field) in members.iter().flat_map(|member| values(member, "", "")).zip(fields) {
        let InputField { min, max, .. } = field;
        let _ = writeln!(out, "        to.bits(wire::above({value}, {min}LL, {max}LL), {});", field.bits());
    }
    out.push_str("    }\n");
    out
}

/// The integers of a member, those of integer type between `open` and `close`.
fn values(member: &Member, open: &str, close: &str) -> Vec<String> {
    let name = &member.name;
    member.each(|i| {
        let value = if member.length.is_some() { format!("{name}[{}]", i - member.start) } else { name.clone() };
        match member.kind {
            FieldKind::F32 => format!("wire::steps({value}, {})", member.unit_expression()),
            FieldKind::Bool => format!("({value} ? 1 : 0)"),
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::U8 | FieldKind::U16 | FieldKind::U32 => {
                format!("{open}{value}{close}")
            }
        }
    })
}

const fn number_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Bool => "bool",
        FieldKind::I8 => "std::int8_t",
        FieldKind::I16 => "std::int16_t",
        FieldKind::I32 => "std::int32_t",
        FieldKind::U8 => "std::uint8_t",
        FieldKind::U16 => "std::uint16_t",
        FieldKind::U32 => "std::uint32_t",
        FieldKind::F32 => "float",
    }
}
