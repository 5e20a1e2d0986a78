//! A hash grid: which entities lie in a cell, and which observers look at it.

use std::collections::BTreeMap;

use crate::interest::Place;

/// A cell: the reach of its entities, and its number per axis.
pub(super) type Key = (u8, Place);

/// The cell of everything that has no place. Everyone looks at it.
pub(super) const EVERYWHERE: u32 = 0;
/// The cell of a slot that is free.
const NOWHERE: u32 = u32::MAX;
/// Empty cells that nobody looks at are looked for when there are more cells than twice those that were in use, and these.
const SPARE_CELLS: usize = 1_024;

/// All cells. Numbers of cells are used again.
#[derive(Debug)]
pub(super) struct Cells {
    by_key: BTreeMap<Key, u32>,
    cells: Vec<Cell>,
    free: Vec<u32>,
    sweep_at: usize,
    // By slot.
    cell_of: Vec<u32>,
    index_of: Vec<u32>,
}

#[derive(Debug, Default)]
struct Cell {
    key: Key,
    slots: Vec<u32>,
    observers: Vec<u32>,
}

impl Default for Cells {
    fn default() -> Self {
        let cells = vec![Cell::default()];
        let by_key = BTreeMap::new();
        Self { by_key, cells, free: Vec::new(), sweep_at: SPARE_CELLS, cell_of: Vec::new(), index_of: Vec::new() }
    }
}

impl Cells {
    /// Makes room for this many slots.
    pub(super) fn resize(&mut self, slots: usize) {
        self.cell_of.resize(slots, NOWHERE);
        self.index_of.resize(slots, 0);
    }

    /// Number of slots there is room for.
    pub(super) fn len_slots(&self) -> usize {
        self.cell_of.len()
    }

    /// The cell that a slot lies in.
    pub(super) fn of(&self, slot: u32) -> Option<u32> {
        self.cell_of.get(slot as usize).copied().filter(|cell| *cell != NOWHERE)
    }

    pub(super) fn key(&self, cell: u32) -> Key {
        self.cells[cell as usize].key
    }

    pub(super) fn slots(&self, cell: u32) -> &[u32] {
        &self.cells[cell as usize].slots
    }

    pub(super) fn observers(&self, cell: u32) -> &[u32] {
        &self.cells[cell as usize].observers
    }

    /// The number of a cell, which is made when there is none.
    pub(super) fn at(&mut self, key: Key) -> u32 {
        if let Some(cell) = self.by_key.get(&key) {
            return *cell;
        }
        let cell = self.free.pop().unwrap_or_else(|| {
            self.cells.push(Cell::default());
            self.cells.len() as u32 - 1
        });
        self.cells[cell as usize].key = key;
        self.by_key.insert(key, cell);
        cell
    }

    /// Puts a slot into a cell, out of the one it was in.
    pub(super) fn put(&mut self, slot: u32, cell: u32) {
        self.take(slot);
        let slots = &mut self.cells[cell as usize].slots;
        self.index_of[slot as usize] = slots.len() as u32;
        slots.push(slot);
        self.cell_of[slot as usize] = cell;
    }

    /// Takes a slot out of its cell.
    pub(super) fn take(&mut self, slot: u32) {
        let Some(cell) = self.of(slot) else { return };
        let index = self.index_of[slot as usize];
        let slots = &mut self.cells[cell as usize].slots;
        slots.swap_remove(index as usize);
        if let Some(moved) = slots.get(index as usize) {
            self.index_of[*moved as usize] = index;
        }
        self.cell_of[slot as usize] = NOWHERE;
    }

    pub(super) fn watch(&mut self, cell: u32, observer: u32) {
        self.cells[cell as usize].observers.push(observer);
    }

    pub(super) fn unwatch(&mut self, cell: u32, observer: u32) {
        self.cells[cell as usize].observers.retain(|other| *other != observer);
    }

    /// Forgets cells that nobody needs, once there are many of them.
    pub(super) fn sweep(&mut self) {
        if self.by_key.len() <= self.sweep_at {
            return;
        }
        let (cells, free) = (&self.cells, &mut self.free);
        self.by_key.retain(|_, number| {
            let cell = &cells[*number as usize];
            let used = !cell.slots.is_empty() || !cell.observers.is_empty();
            if !used {
                free.push(*number);
            }
            used
        });
        self.sweep_at = 2 * self.by_key.len() + SPARE_CELLS;
    }
}
