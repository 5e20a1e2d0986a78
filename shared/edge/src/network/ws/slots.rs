//! Connections by number; a number is used again, with another life.

use super::conn::Conn;
use crate::network::ConnId;

/// The connections of one thread.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    life: u32,
    conn: Option<Box<Conn>>,
}

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// A place for a new connection.
    pub(super) fn reserve(&mut self) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // The permits bound connections far below 2³².
            self.slots.len() as u32 - 1
        });
        let life = &mut self.slots[slot as usize].life;
        *life = life.wrapping_add(1);
        ConnId { slot, life: *life }
    }

    pub(super) fn put(&mut self, id: ConnId, conn: Box<Conn>) {
        self.slots[id.slot as usize].conn = Some(conn);
    }

    /// Drops the connection and gives its place away.
    pub(super) fn release(&mut self, id: ConnId) {
        self.slots[id.slot as usize].conn = None;
        self.free.push(id.slot);
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slots.get(id.slot as usize).filter(|slot| slot.life == id.life)?.conn.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.life == id.life)?.conn.as_deref_mut()
    }

    /// Who is in this slot now.
    pub(super) fn id(&self, slot: usize) -> Option<ConnId> {
        let Slot { life, conn } = self.slots.get(slot)?;
        conn.as_ref()?;
        Some(ConnId { slot: slot as u32, life: *life })
    }

    /// Everyone.
    pub(super) fn ids(&self) -> Vec<ConnId> {
        (0..self.slots.len()).filter_map(|slot| self.id(slot)).collect()
    }
}
