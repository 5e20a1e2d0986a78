//! The state of one entity as integers.

use crate::Schema;

/// The state of one entity: its components, and their integers in the order of the schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Components, as a bit set of their numbers.
    pub mask: u64,
    /// The integers of those components, one after the other.
    pub values: Vec<i32>,
}

impl Row {
    /// The integers of one component, if the entity has it.
    pub fn component(&self, schema: &Schema, component: usize) -> Option<&[i32]> {
        let mut start = 0;
        for (i, c) in schema.in_mask(self.mask) {
            let end = start + c.fields.len();
            if i == component {
                return self.values.get(start..end);
            }
            start = end;
        }
        None
    }
}
