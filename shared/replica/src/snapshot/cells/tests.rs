use std::collections::BTreeSet;

use amphi_shared_wire::Seed;

use super::*;

#[test]
fn cells_hold_what_was_put_into_them() {
    let (mut cells, mut rng) = (Cells::default(), Seed(1).rng());
    cells.resize(50);
    let mut truth: BTreeMap<u32, u32> = BTreeMap::new();
    for _ in 0..2_000 {
        let slot = rng.below(50) as u32;
        if rng.chance(300) {
            cells.take(slot);
            truth.remove(&slot);
        } else {
            let cell = cells.at((rng.below(2) as u8, [rng.below(4) as i32 - 2, 0, 0]));
            cells.put(slot, cell);
            truth.insert(slot, cell);
        }
        for cell in truth.values() {
            let seen: BTreeSet<u32> = cells.slots(*cell).collect();
            assert!(seen.iter().eq(truth.iter().filter(|(_, of)| *of == cell).map(|(slot, _)| slot)));
        }
        assert!((0..50).all(|slot| cells.of(slot) == truth.get(&slot).copied()));
    }
}

#[test]
fn cells_nobody_needs_are_used_again() {
    let mut cells = Cells::default();
    cells.resize(1);
    for n in 0..10 * SPARE_CELLS as i32 {
        let cell = cells.at((0, [n, 0, 0]));
        cells.watch(cell, n as u32 % 200);
        assert_eq!(cells.observers(cell).collect::<Vec<_>>(), [n as u32 % 200]);
        cells.unwatch(cell, n as u32 % 200);
        assert_eq!(cells.observers(cell).count(), 0);
        cells.put(0, cell);
        cells.sweep();
    }
    assert!(cells.cells.len() <= 2 * SPARE_CELLS, "{}", cells.cells.len());
    let cell = cells.at((0, [10 * SPARE_CELLS as i32 - 1, 0, 0]));
    assert_eq!(cells.of(0), Some(cell));
}
