//! Bodies that touch each other are in one snapshot, or wait together.

use super::*;
use crate::{Importance, Touching};

/// A pawn, and things in groups; all move in each tick.
struct Pile {
    sim: Sim,
    encoder: SnapshotEncoder,
    recipient: Recipient,
    own: Entity,
    groups: Vec<Vec<Entity>>,
    seq: u16,
}

impl Pile {
    fn new(sizes: &[usize], trained: bool) -> Self {
        let mut sim = empty_world();
        let own = sim.world_mut().spawn((Seat(0), Place::default())).id();
        let spawn = |size: &usize| (0..*size).map(|_| sim.world_mut().spawn(Place::default()).id()).collect();
        let groups = sizes.iter().map(spawn).collect();
        let (mut encoder, mut recipient) = (SnapshotEncoder::new(), Recipient::new());
        if trained {
            encoder = SnapshotEncoder::with_tables(tables());
            recipient.use_tables(TRAINED_SET);
        }
        Self { sim, encoder, recipient, own, groups, seq: 0 }
    }

    /// The next tick; `moves` says which things move.
    fn step(&mut self, mut moves: impl FnMut() -> bool) {
        let world = self.sim.world_mut();
        for entity in self.groups.iter().flatten().chain([&self.own]) {
            if moves() {
                world.get_mut::<Place>(*entity).unwrap().x += 300;
            }
        }
        let mut touching = world.resource_mut::<Touching>();
        for group in &self.groups {
            group.windows(2).for_each(|pair| touching.pair(pair[0], pair[1]));
        }
        self.sim.step().unwrap();
        self.encoder.start_tick(self.sim.mirror());
    }

    /// The slots in the next snapshot.
    fn send(&mut self, budget_bytes: usize) -> Vec<u32> {
        let (mirror, header) = (self.sim.mirror(), SnapshotHeader::default());
        self.encoder.encode(mirror, &mut self.recipient, header, Some(Seat(0)), budget_bytes).unwrap();
        self.seq += 1;
        self.recipient.sent(self.seq);
        self.recipient.newest_rows()
    }

    fn slot(&self, entity: Entity) -> u32 {
        self.sim.mirror().slot_of(*self.sim.world().get::<NetId>(entity).unwrap()).unwrap()
    }

    fn waits(&self, slot: u32) -> bool {
        self.recipient.waiting.iter().any(|waiting| waiting.part.slot == slot)
    }

    /// Groups of which a snapshot holds some while others wait.
    fn torn(&self, sent: &[u32]) -> usize {
        let torn = |group: &&Vec<Entity>| {
            let mut slots = group.iter().map(|entity| self.slot(*entity));
            slots.clone().any(|slot| sent.contains(&slot)) && slots.any(|slot| self.waits(slot))
        };
        self.groups.iter().filter(torn).count()
    }
}

proptest! {
    #[test]
    fn a_group_is_told_whole_or_waits(
        seed: u64, trained: bool, loss in 0_u32..400, budget in 70_usize..200, sizes in prop::collection::vec(1_usize..5, 1..20)
    ) {
        let mut pile = Pile::new(&sizes, trained);
        let mut rng = Seed(seed).rng();
        for _ in 0..40 {
            pile.step(|| rng.chance(700));
            for _ in 0..=rng.below(2) {
                let sent = pile.send(budget);
                prop_assert_eq!(pile.torn(&sent), 0);
                if rng.chance(loss) {
                    pile.recipient.on_lost(pile.seq);
                } else {
                    pile.recipient.on_acked(pile.seq);
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_starts_the_next_snapshot_of_the_tick() {
    let mut waited = 0;
    for budget in 12..50 {
        let mut pile = Pile::new(&[1, 1, 4, 1, 1], false);
        // The group is what matters most behind the first two.
        for (group, importance) in pile.groups.iter().zip([64, 64, 32, 16, 16]) {
            for thing in group {
                pile.sim.world_mut().entity_mut(*thing).insert(Importance(importance));
            }
        }
        pile.step(|| true);
        let [first, second] = [pile.send(budget), pile.send(budget)];
        let group: Vec<u32> = pile.groups[2].iter().map(|thing| pile.slot(*thing)).collect();
        // Something less urgent has filled what was left.
        if first.len() > 3 && group.iter().all(|slot| !first.contains(slot)) {
            waited += 1;
            assert!(group.iter().all(|slot| second.contains(slot)), "{budget} bytes: {second:?}");
        }
    }
    assert!(waited > 0);
}

#[test]
fn a_group_larger_than_a_snapshot_is_told_as_if_it_were_none() {
    for own_touches in [false, true] {
        let mut pile = Pile::new(&[16, 1, 1], false);
        if own_touches {
            let own = std::mem::replace(&mut pile.own, pile.groups[0][15]);
            pile.groups[0][15] = own;
        }
        let mut told = std::collections::BTreeSet::new();
        for _ in 0..12 {
            pile.step(|| true);
            let sent = pile.send(40);
            assert!(sent.len() > 2, "{sent:?}");
            told.extend(sent);
            pile.recipient.on_acked(pile.seq);
        }
        assert_eq!(told.len(), 19);
    }
}
