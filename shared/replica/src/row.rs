//! The state of one entity as integers.

use amphi_shared_wire::Tick;

use crate::Schema;
use crate::reckon::reckoned_ticks;

/// The state of one entity: its components, and their integers in the order of the schema.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Components, as a bit set of their numbers.
    pub mask: u64,
    /// The integers of those components, one after the other.
    pub values: Vec<i32>,
    /// The tick of those that clients reckon, from which on they go by themselves. 0 in a row without such.
    pub since: Tick,
}

impl Clone for Row {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), ..*self }
    }

    // A derived one would not use the memory that is there.
    fn clone_from(&mut self, source: &Self) {
        (self.mask, self.since) = (source.mask, source.since);
        self.values.clone_from(&source.values);
    }
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

    /// Lets what is reckoned go on until `tick`, which the row is of then.
    pub fn go_on(&mut self, schema: &Schema, tick: Tick, tick_hz: u32) {
        if self.mask & schema.reckoned() == 0 {
            return;
        }
        let ticks = reckoned_ticks(self.since.0, tick.0);
        let mut start = 0;
        for (_, component) in schema.in_mask(self.mask) {
            let end = start + component.fields.len();
            if let (Some(reckoning), Some(row)) = (&component.reckon, self.values.get_mut(start..end)) {
                reckoning.go_on(row, ticks, tick_hz);
            }
            start = end;
        }
        self.since = tick;
    }

    /// This row with the predicted components of another one in place of its own.
    #[must_use]
    pub fn with_predicted(&self, schema: &Schema, predicted: &Self) -> Self {
        let mut row = self.clone();
        let mut start = 0;
        for (i, component) in schema.in_mask(self.mask) {
            let end = start + component.fields.len();
            if let (true, Some(values)) = (component.predict, predicted.component(schema, i))
                && let Some(own) = row.values.get_mut(start..end)
            {
                own.copy_from_slice(values);
            }
            start = end;
        }
        row
    }
}
