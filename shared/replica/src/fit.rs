//! How one build of a game reads the rows of another, and writes inputs for it.
//!
//! Structs may only grow at their end, and new kinds of messages come after the old ones. Then the older build knows the
//! beginning of all that the newer one says, and the newer one has zeros for what the older one does not say.

use amphi_shared_wire::BitWriter;
use thiserror::Error;

use crate::{ComponentSchema, Field, Input, InputField, InputSchema, Row, Schema};

/// Two builds that cannot play with each other, and the first place where they differ.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}: this build has {own}, the host {theirs}")]
pub struct Misfit {
    what: String,
    own: String,
    theirs: String,
}

/// The way from the rows of another build to one's own, and from one's own inputs to those of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFit {
    /// By own number: the other number and how many fields both have.
    components: Vec<Option<(usize, usize)>>,
    /// Own fields, and all of the other build; nothing when both have the same.
    input: Option<(usize, &'static [InputField])>,
    same: bool,
}

impl SchemaFit {
    /// Compares two schemas of one game.
    ///
    /// # Errors
    /// When the other one is not a longer or shorter version of this one.
    pub fn new(own: &Schema, theirs: &Schema) -> Result<Self, Misfit> {
        let mut components = Vec::with_capacity(own.components().len());
        for component in own.components() {
            let number = theirs.component(component.name);
            let fields = number.map_or(&[][..], |number| theirs.components()[number].fields);
            same_beginning(component.name, component.fields, fields)?;
            if let Some(number) = number {
                let word = |reckoned: &ComponentSchema| if reckoned.reckon.is_some() { "reckoned" } else { "told" };
                let there = &theirs.components()[number];
                same(&format!("how `{}` comes", component.name), word(component), word(there))?;
                if component.reckon != there.reckon {
                    same(&format!("how `{}` goes on", component.name), "one way", "another")?;
                }
            }
            components.push(number.map(|number| (number, fields.len().min(component.fields.len()))));
        }
        for (own, theirs) in own.events().iter().zip(theirs.events()) {
            same("an event's name", own.name, theirs.name)?;
            same_beginning(own.name, own.fields, theirs.fields)?;
        }
        for (own, theirs) in own.requests().iter().zip(theirs.requests()) {
            same("a request's name", own.name, theirs.name)?;
            same_beginning(own.name, own.fields, theirs.fields)?;
            same_beginning(own.answer, own.answer_fields, theirs.answer_fields)?;
        }
        let input = fit_input(own.input(), theirs.input())?;
        Ok(Self { components, input, same: own.hash() == theirs.hash() })
    }

    /// A row of the other build as one of this one. Components that this build does not know are left out; numbers that
    /// the other one does not have are 0.
    pub fn row(&self, own: &Schema, theirs: &Schema, row: &Row) -> Row {
        if self.same {
            return row.clone();
        }
        let mut out = Row { since: row.since, ..Row::default() };
        for (number, fit) in self.components.iter().enumerate() {
            let there = fit.and_then(|(other, both)| Some((row.component(theirs, other)?, both)));
            let Some((values, both)) = there else { continue };
            out.mask |= 1 << number;
            let end = out.values.len() + own.components()[number].fields.len();
            out.values.extend_from_slice(&values[..both]);
            out.values.resize(end, 0);
        }
        out
    }

    /// Writes an input as the other build reads it. What this build does not know is 0, or the nearest to it.
    pub fn write_input<I: Input>(&self, input: &I, writer: &mut BitWriter) {
        let Some((own, fields)) = self.input else { return input.encode(writer) };
        let bits = fields.iter().take(own).map(|field| field.bits() as usize).sum();
        let mut whole = BitWriter::new();
        input.encode(&mut whole);
        // A longer own input ends with what the other build does not read.
        let known = whole.len_bits().min(bits);
        writer.copy(&whole.finish(), 0, known);
        fields.iter().skip(own).for_each(|field| field.write(writer, 0));
    }
}

fn fit_input(
    own: Option<InputSchema>,
    theirs: Option<InputSchema>,
) -> Result<Option<(usize, &'static [InputField])>, Misfit> {
    let (Some(own), Some(theirs)) = (own, theirs) else {
        let word = |input: Option<InputSchema>| if input.is_some() { "a derived one" } else { "one written by hand" };
        same("the input", word(own), word(theirs))?;
        return Ok(None);
    };
    for (a, b) in own.fields.iter().zip(theirs.fields) {
        let words = |f: &InputField| format!("{} in {} from {} to {}", f.kind.as_str(), f.unit, f.min, f.max);
        same("a number of the input", a.name, b.name)?;
        same(&format!("`{}` of the input", a.name), &words(a), &words(b))?;
    }
    Ok((own.fields.len() != theirs.fields.len()).then_some((own.fields.len(), theirs.fields)))
}

fn same_beginning(of: &str, own: &[Field], theirs: &[Field]) -> Result<(), Misfit> {
    own.iter().zip(theirs).try_for_each(|(a, b)| {
        same(&format!("a number of `{of}`"), a.name, b.name)?;
        let words = |f: &Field| format!("{} in {}", f.kind.as_str(), f.unit);
        same(&format!("`{}` of `{of}`", a.name), &words(a), &words(b))
    })
}

fn same(what: &str, own: &str, theirs: &str) -> Result<(), Misfit> {
    if own == theirs {
        return Ok(());
    }
    Err(Misfit { what: what.to_owned(), own: own.to_owned(), theirs: theirs.to_owned() })
}

#[cfg(test)]
mod tests;
