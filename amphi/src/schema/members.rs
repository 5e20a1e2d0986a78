//! Fields of a struct as other languages see them: arrays put together, names in their style.

use amphi_shared_replica::{Field, FieldKind, InputField};

/// A number or an array of numbers of a struct.
pub(super) struct Member {
    /// As in Rust: `move_x`.
    pub(super) name: String,
    pub(super) kind: FieldKind,
    /// `None`: not an array.
    pub(super) length: Option<usize>,
    /// `0.01` or `1/4096`.
    pub(super) unit: &'static str,
    /// Index of its first integer.
    pub(super) start: usize,
}

impl Member {
    pub(super) fn is_float(&self) -> bool {
        self.kind == FieldKind::F32
    }

    /// The unit as an expression of doubles.
    pub(super) fn unit_expression(&self) -> String {
        match self.unit.split_once('/') {
            Some((above, below)) => format!("({} / {})", double(above), double(below)),
            None => double(self.unit),
        }
    }

    /// `expression(i)` for each integer.
    pub(super) fn each(&self, expression: impl Fn(usize) -> String) -> Vec<String> {
        (self.start..self.start + self.length.unwrap_or(1)).map(expression).collect()
    }

    /// What one step means, when it is not 1.
    pub(super) fn remark(&self) -> Option<String> {
        let what = if self.is_float() { "in steps of" } else { "one step is" };
        (self.unit != "1").then(|| format!("{what} {}", self.unit))
    }
}

/// The members of a row or body.
pub(super) fn of_fields(fields: &[Field]) -> Vec<Member> {
    members(fields.iter().map(|field| (field.name, field.kind, field.unit)))
}

/// The members of an input.
pub(super) fn of_input(fields: &[InputField]) -> Vec<Member> {
    members(fields.iter().map(|field| (field.name, field.kind, field.unit)))
}

fn members(fields: impl Iterator<Item = (&'static str, FieldKind, &'static str)>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (i, (full, kind, unit)) in fields.enumerate() {
        // `0` is the field of a tuple struct, `at.0` a part of an array.
        let (name, part) = full.split_once('.').map_or((full, None), |(name, part)| (name, Some(part)));
        if let (Some(part), Some(last)) = (part, members.last_mut())
            && part != "0"
        {
            last.length = last.length.map(|length| length + 1);
            continue;
        }
        let name =
            if name.starts_with(|c: char| c.is_ascii_digit()) { format!("value{name}") } else { name.to_owned() };
        members.push(Member { name, kind, length: part.map(|_| 1), unit, start: i });
    }
    members
}

/// `move_x` as `moveX`.
pub(super) fn camel(name: &str) -> String {
    let pascal = pascal(name);
    let mut letters = pascal.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + letters.as_str())
}

/// `move_x` as `MoveX`.
pub(super) fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('_').map(word).collect()
}

/// A number that no language takes for an integer.
fn double(text: &str) -> String {
    let text = text.trim();
    if text.contains(['.', 'e', 'E']) { text.to_owned() } else { format!("{text}.0") }
}
