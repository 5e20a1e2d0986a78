//! Which bodies act on each other in a tick: a client should be told of them together.

use amphi_shared_wire::limits::{TOUCHING_MAX, TOUCHING_PAIRS_MAX};
use bevy_ecs::prelude::{Entity, Resource};

/// Bodies that act on each other in the tick that runs. Of those that are joined by pairs, a client gets all that changed in
/// one datagram, or none. Neither sent nor saved; empty at the start of each tick.
///
/// Pairs count in the order in which they are said. What would join more than
/// [`TOUCHING_MAX`] bodies, or comes behind [`TOUCHING_PAIRS_MAX`] pairs, is left out and counted.
#[derive(Debug, Default, Resource)]
pub struct Touching {
    pairs: Vec<(Entity, Entity)>,
    left_out: u64,
}

impl Touching {
    /// These two act on each other. Entities that are not sent are ignored.
    pub fn pair(&mut self, a: Entity, b: Entity) {
        if self.pairs.len() < TOUCHING_PAIRS_MAX {
            self.pairs.push((a, b));
        } else {
            self.left_out += 1;
        }
    }

    /// Pairs left out since the start.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Moves the pairs of the tick into groups of slots.
    pub(crate) fn drain(&mut self, groups: &mut Groups, slot_of: impl Fn(Entity) -> Option<u32>) {
        for (a, b) in self.pairs.drain(..) {
            let (Some(a), Some(b)) = (slot_of(a), slot_of(b)) else { continue };
            self.left_out += u64::from(!groups.join(a, b));
        }
    }
}

/// The slots of one tick that belong together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
    /// By slot: the number of its group and 1; 0 for none.
    of: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    /// 0 when it has become part of another.
    len: usize,
    slots: [u32; TOUCHING_MAX],
}

// A pair makes at most one group.
const _: () = assert!(TOUCHING_PAIRS_MAX < u16::MAX as usize);

impl Groups {
    /// Numbers of groups are less than this.
    pub(crate) fn count(&self) -> usize {
        self.groups.len()
    }

    /// The number of a slot's group.
    pub(crate) fn of(&self, slot: u32) -> Option<usize> {
        usize::from(*self.of.get(slot as usize)?).checked_sub(1)
    }

    /// The slots of a group, in the order in which they were named.
    pub(crate) fn slots(&self, group: usize) -> &[u32] {
        let group = &self.groups[group];
        &group.slots[..group.len]
    }

    pub(crate) fn clear(&mut self) {
        for group in self.groups.drain(..) {
            group.slots[..group.len].iter().for_each(|slot| self.of[*slot as usize] = 0);
        }
    }

    /// Puts two slots into one group. False when it would be too large.
    fn join(&mut self, a: u32, b: u32) -> bool {
        if a == b {
            return true;
        }
        let last = a.max(b) as usize;
        if self.of.len() <= last {
            self.of.resize(last + 1, 0);
        }
        match (self.of(a), self.of(b)) {
            (Some(a), Some(b)) => self.merge(a, b),
            (Some(group), None) => self.add(group, b),
            (None, Some(group)) => self.add(group, a),
            (None, None) => {
                self.groups.push(Group { len: 0, slots: [0; TOUCHING_MAX] });
                let group = self.groups.len() - 1;
                self.add(group, a) && self.add(group, b)
            }
        }
    }

    fn merge(&mut self, a: usize, b: usize) -> bool {
        let (into, from) = (a.min(b), a.max(b));
        if into == from {
            return true;
        }
        let Group { len, slots } = self.groups[from];
        if self.groups[into].len + len > TOUCHING_MAX {
            return false;
        }
        self.groups[from].len = 0;
        slots[..len].iter().all(|slot| self.add(into, *slot))
    }

    fn add(&mut self, group: usize, slot: u32) -> bool {
        let number = group + 1;
        let group = &mut self.groups[group];
        let Some(place) = group.slots.get_mut(group.len) else { return false };
        *place = slot;
        group.len += 1;
        self.of[slot as usize] = number as u16;
        true
    }
}

#[cfg(test)]
mod tests;
