//! C#.

use std::fmt::Write as _;

use amphi_shared_replica::{FieldKind, Game, InputField};

use super::members::{Member, of_fields, of_input, pascal};

const HELPERS: &str = r"
    /// <summary>Numbers in bits, the least significant first.</summary>
    public sealed class BitWriter
    {
        private readonly List<byte> bytes = new List<byte>();
        private ulong pending;
        private int pendingBits;

        public void Bits(uint value, int count)
        {
            pending |= (ulong)value << pendingBits;
            for (pendingBits += count; pendingBits >= 8; pendingBits -= 8, pending >>= 8) bytes.Add((byte)pending);
        }

        /// <summary>The bytes; zeros fill the last one.</summary>
        public byte[] Finish()
        {
            if (pendingBits > 0) bytes.Add((byte)pending);
            pending = 0;
            pendingBits = 0;
            return bytes.ToArray();
        }
    }

    internal static class Wire
    {
        internal static bool TryRead(byte[] body, int[] numbers)
        {
            int at = 0;
            for (int i = 0; i < numbers.Length && at < body.Length; i++)
            {
                ulong value = 0;
                for (int shift = 0; ; shift += 7)
                {
                    if (at == body.Length || shift > 28) return false;
                    byte part = body[at++];
                    value |= (ulong)(part & 127) << shift;
                    if (part < 128) break;
                }
                if (value > uint.MaxValue) return false;
                numbers[i] = (int)(value >> 1) ^ -(int)(value & 1);
            }
            return true;
        }

        internal static byte[] Write(params int[] numbers)
        {
            var bytes = new List<byte>();
            foreach (int number in numbers)
            {
                uint value = (uint)((number << 1) ^ (number >> 31));
                for (; value >= 128; value >>= 7) bytes.Add((byte)(value | 128));
                bytes.Add((byte)value);
            }
            return bytes.ToArray();
        }

        internal static int Steps(float value, double unit)
        {
            double parts = Math.Round(value / unit, MidpointRounding.AwayFromZero);
            if (double.IsNaN(parts)) return 0;
            return (int)Math.Max(int.MinValue, Math.Min(int.MaxValue, parts));
        }

        internal static uint Above(long value, long least, long greatest)
        {
            return (uint)(Math.Max(least, Math.Min(greatest, value)) - least);
        }
    }
";

pub(super) fn generate(game: &Game) -> String {
    let schema = game.schema();
    let mut out = format!(
        "// Written by `amphi schema generate --lang cs` from the schema of {}. Do not edit.\n\
         using System;\nusing System.Collections.Generic;\n\nnamespace Amphi.{}\n{{\n    \
         public static class GameSchema\n    {{\n        \
         /// <summary>Hash of the schema that this was made from.</summary>\n        \
         public const ulong Hash = 0x{:016x};\n    }}\n",
        game.name(),
        pascal(&game.name().replace('-', "_")),
        schema.hash()
    );
    out += HELPERS;
    for (number, component) in schema.components().iter().enumerate().skip(1) {
        let members = of_fields(component.fields);
        let number = format!(
            "        /// <summary>Number of the component in the schema.</summary>\n        public const int Number = {number};\n"
        );
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
    out.push_str("}\n");
    out
}

fn structure(out: &mut String, name: &str, members: &[Member], parts: &[String]) {
    let _ = write!(out, "\n    public struct {}\n    {{\n", pascal(name));
    for member in members {
        if let Some(remark) = member.remark() {
            let _ = writeln!(out, "        /// <summary>{remark}</summary>");
        }
        let array = if member.length.is_some() { "[]" } else { "" };
        let _ = writeln!(out, "        public {}{array} {};", number_type(member.kind), pascal(&member.name));
    }
    for (i, part) in parts.iter().enumerate() {
        if i > 0 || !members.is_empty() {
            out.push('\n');
        }
        out.push_str(part);
    }
    out.push_str("    }\n");
}

fn kind(what: &str, i: usize) -> String {
    format!("        /// <summary>Kind of the {what}.</summary>\n        public const uint Kind = {};\n", i + 1)
}

fn reader(name: &str, members: &[Member]) -> String {
    let name = pascal(name);
    let mut out = format!(
        "        /// <summary>The integers of a row from <paramref name=\"start\"/> on.</summary>\n        \
         public static {name} Read(int[] row, int start = 0)\n        {{\n            return new {name}\n            {{\n"
    );
    for member in members {
        let ty = number_type(member.kind);
        let values = member.each(|i| match member.kind {
            FieldKind::F32 => format!("(float)(row[start + {i}] * {})", member.unit_expression()),
            FieldKind::Bool => format!("row[start + {i}] != 0"),
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::U8 | FieldKind::U16 | FieldKind::U32 => {
                format!("unchecked(({ty})row[start + {i}])")
            }
        });
        let value =
            if member.length.is_some() { format!("new {ty}[] {{ {} }}", values.join(", ")) } else { values.join("") };
        let _ = writeln!(out, "                {} = {value},", pascal(&member.name));
    }
    out.push_str("            };\n        }\n");
    out
}

fn body_reader(name: &str, count: usize) -> String {
    let name = pascal(name);
    format!(
        "        /// <summary>Reads a body; false when the bytes are none.</summary>\n        \
         public static bool TryRead(byte[] body, out {name} message)\n        {{\n            \
         var row = new int[{count}];\n            bool good = Wire.TryRead(body, row);\n            \
         message = Read(row);\n            return good;\n        }}\n"
    )
}

fn body_writer(members: &[Member]) -> String {
    let numbers: Vec<String> = members.iter().flat_map(|member| values(member, "unchecked((int)", ")")).collect();
    format!(
        "        /// <summary>The body of the request.</summary>\n        public byte[] Write()\n        {{\n            \
         return Wire.Write({});\n        }}\n",
        numbers.join(", ")
    )
}

fn input_writer(members: &[Member], fields: &[InputField]) -> String {
    let mut out = "        /// <summary>Writes the input, each number clamped to its range.</summary>\n        \
                   public void Write(BitWriter to)\n        {\n"
        .to_owned();
    for (value, field) in members.iter().flat_map(|member| values(member, "", "")).zip(fields) {
        let InputField { min, max, .. } = field;
        let _ = writeln!(out, "            to.Bits(Wire.Above({value}, {min}, {max}), {});", field.bits());
    }
    out.push_str("        }\n");
    out
}

/// The integers of a member, those of integer type between `open` and `close`.
fn values(member: &Member, open: &str, close: &str) -> Vec<String> {
    let name = pascal(&member.name);
    member.each(|i| {
        let value = if member.length.is_some() { format!("{name}[{}]", i - member.start) } else { name.clone() };
        match member.kind {
            FieldKind::F32 => format!("Wire.Steps({value}, {})", member.unit_expression()),
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
        FieldKind::I8 => "sbyte",
        FieldKind::I16 => "short",
        FieldKind::I32 => "int",
        FieldKind::U8 => "byte",
        FieldKind::U16 => "ushort",
        FieldKind::U32 => "uint",
        FieldKind::F32 => "float",
    }
}
