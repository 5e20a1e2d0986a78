//! A hash grid: which entities lie in a cell, and which observers look at it.

use std::collections::BTreeMap;

use crate::interest::Place;

/// A cell: the reach of its entities, and its number per axis.
pub(super) type Key = (u8, Place);

/// The cell of everything that has no place. Everyone looks at it.
pub(super) const EVERYWHERE: u32 = 0;
/// No cell, no slot.
const NONE: u32 = u32::MAX;
/// Empty cells that nobody looks at are looked for when there are more cells than twice those that were in use, and these.
const SPARE_CELLS: usize = 1_024;

/// All cells. Numbers of cells are used again.
#[derive(Debug)]
pub(super) struct Cells {
    by_key: BTreeMap<Key, u32>,
    cells: Vec<Cell>,
    /// Bit sets of observers, as many words for each cell.
    observers: Vec<u64>,
    words: usize,
    free: Vec<u32>,
    sweep_at: usize,
    // By slot.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    key: Key,
    /// The first of its slots.
    first: u32,
}

const EMPTY: Cell = Cell { key: (0, [0; 3]), first: NONE };

/// A slot in the list of its cell.
#[derive(Clone, Copy, Debug)]
struct Entry {
    cell: u32,
    next: u32,
    before: u32,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            cells: vec![EMPTY],
            observers: vec![0],
            words: 1,
            free: Vec::new(),
            sweep_at: SPARE_CELLS,
            entries: Vec::new(),
        }
    }
}

impl Cells {
    /// Makes room for this many slots.
    pub(super) fn resize(&mut self, slots: usize) {
        self.entries.resize(slots, Entry { cell: NONE, next: NONE, before: NONE });
    }

    /// The cell that a slot lies in.
    pub(super) fn of(&self, slot: u32) -> Option<u32> {
        self.entries.get(slot as usize).map(|entry| entry.cell).filter(|cell| *cell != NONE)
    }

    pub(super) fn key(&self, cell: u32) -> Key {
        self.cells[cell as usize].key
    }

    /// The slots in a cell.
    pub(super) fn slots(&self, cell: u32) -> impl Iterator<Item = u32> {
        let first = Some(self.cells[cell as usize].first);
        let there = |slot: &u32| *slot != NONE;
        std::iter::successors(first.filter(there), move |slot| Some(self.entries[*slot as usize].next).filter(there))
    }

    /// The observers that look at a cell.
    pub(super) fn observers(&self, cell: u32) -> impl Iterator<Item = u32> {
        let start = cell as usize * self.words;
        (0_u32..).zip(&self.observers[start..start + self.words]).flat_map(|(at, word)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|word| *word != 0);
            std::iter::successors(Some(*word).filter(|word| *word != 0), rest)
                .map(move |word| at * u64::BITS + word.trailing_zeros())
        })
    }

    /// The number of a cell, which is made when there is none.
    pub(super) fn at(&mut self, key: Key) -> u32 {
        if let Some(cell) = self.by_key.get(&key) {
            return *cell;
        }
        let cell = self.free.pop().unwrap_or_else(|| {
            self.cells.push(EMPTY);
            self.observers.resize(self.cells.len() * self.words, 0);
            self.cells.len() as u32 - 1
        });
        self.cells[cell as usize].key = key;
        self.by_key.insert(key, cell);
        cell
    }

    /// Puts a slot into a cell, out of the one it was in.
    pub(super) fn put(&mut self, slot: u32, cell: u32) {
        self.take(slot);
        let next = core::mem::replace(&mut self.cells[cell as usize].first, slot);
        self.entries[slot as usize] = Entry { cell, next, before: NONE };
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.before = slot;
        }
    }

    /// Takes a slot out of its cell.
    pub(super) fn take(&mut self, slot: u32) {
        let Some(cell) = self.of(slot) else { return };
        let Entry { next, before, .. } = self.entries[slot as usize];
        match self.entries.get_mut(before as usize) {
            Some(before) => before.next = next,
            None => self.cells[cell as usize].first = next,
        }
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.before = before;
        }
        self.entries[slot as usize].cell = NONE;
    }

    pub(super) fn watch(&mut self, cell: u32, observer: u32) {
        while observer as usize >= self.words * 64 {
            self.widen();
        }
        self.observers[cell as usize * self.words + observer as usize / 64] |= 1 << (observer % 64);
    }

    pub(super) fn unwatch(&mut self, cell: u32, observer: u32) {
        if let Some(word) = self.observers.get_mut(cell as usize * self.words + observer as usize / 64) {
            *word &= !(1 << (observer % 64));
        }
    }

    /// Forgets cells that nobody needs, once there are many of them.
    pub(super) fn sweep(&mut self) {
        if self.by_key.len() <= self.sweep_at {
            return;
        }
        let Self { by_key, cells, observers, words, free, .. } = self;
        by_key.retain(|_, cell| {
            let start = *cell as usize * *words;
            let used = cells[*cell as usize].first != NONE || observers[start..start + *words].iter().any(|w| *w != 0);
            if !used {
                free.push(*cell);
            }
            used
        });
        self.sweep_at = 2 * self.by_key.len() + SPARE_CELLS;
    }

    /// Makes room for 64 more observers.
    fn widen(&mut self) {
        let old = core::mem::take(&mut self.observers);
        for words in old.chunks(self.words) {
            self.observers.extend_from_slice(words);
            self.observers.push(0);
        }
        self.words += 1;
    }
}

#[cfg(test)]
mod tests;
