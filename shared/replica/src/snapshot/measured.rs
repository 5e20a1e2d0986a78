//! What the components of a game cost in snapshots, for whoever wants to see it.

/// Bits of bodies that left in snapshots since somebody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// By number of the component in the schema.
    pub components: Vec<u64>,
    /// Of whole bodies: the components, and which of them are there.
    pub bodies: u64,
    /// Bodies: an entity told to one client once.
    pub rows: u64,
}

/// Counts the bits of components.
#[derive(Debug, Default)]
pub(super) struct Measure {
    total: Measured,
    /// Where the bodies of this tick begin, ascending.
    starts: Vec<usize>,
    /// The bits of their components, body by body.
    bits: Vec<u64>,
}

impl Measure {
    pub(super) fn total(&self) -> &Measured {
        &self.total
    }

    pub(super) fn start_tick(&mut self, components: usize) {
        self.total.components.resize(components, 0);
        self.starts.clear();
        self.bits.clear();
    }

    /// Notes where the components of a new body end.
    pub(super) fn body(&mut self, start_byte: usize) -> impl FnMut(Option<usize>, usize) {
        let first = self.bits.len();
        self.starts.push(start_byte);
        self.bits.resize(first + self.total.components.len(), 0);
        let (bits, mut from) = (&mut self.bits[first..], start_byte * 8);
        move |component, to| {
            if let Some(bits) = component.and_then(|component| bits.get_mut(component)) {
                *bits += (to - from) as u64;
            }
            from = to;
        }
    }

    /// A body leaves.
    pub(super) fn count(&mut self, start_byte: u32, bits: u32) {
        self.total.rows += 1;
        self.total.bodies += u64::from(bits);
        // Nothing tells a body without a bit from the next one.
        let body = self.starts.binary_search(&(start_byte as usize)).ok().filter(|_| bits != 0);
        let components = self.total.components.len();
        let Some(bits) = body.and_then(|body| self.bits.get(body * components..(body + 1) * components)) else {
            return;
        };
        self.total.components.iter_mut().zip(bits).for_each(|(total, bits)| *total += bits);
    }
}
