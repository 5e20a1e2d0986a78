use amphi_shared_wire::limits::{TOUCHING_MAX, TOUCHING_PAIRS_MAX};
use bevy_ecs::prelude::Entity;

use super::{Groups, Touching};

/// The groups that pairs make, and how many pairs were left out.
fn grouped(pairs: impl IntoIterator<Item = (u32, u32)>) -> (Vec<Vec<u32>>, u64) {
    let (mut touching, mut groups) = (Touching::default(), Groups::default());
    let entity = |n: u32| Entity::from_raw_u32(n).unwrap();
    pairs.into_iter().for_each(|(a, b)| touching.pair(entity(a), entity(b)));
    touching.drain(&mut groups, |entity| Some(entity.index_u32()).filter(|slot| *slot < 50_000));
    let named = |group: usize| groups.slots(group).to_vec();
    let all: Vec<Vec<u32>> = (0..groups.count()).map(named).filter(|slots| !slots.is_empty()).collect();
    for (n, slots) in (0..groups.count()).map(|n| (n, groups.slots(n).to_vec())) {
        assert!(slots.iter().all(|slot| groups.of(*slot) == Some(n)));
    }
    groups.clear();
    assert!(touching.is_empty() && groups.count() == 0 && groups.of.iter().all(|group| *group == 0));
    (all, touching.left_out())
}

#[test]
fn pairs_make_groups_in_the_order_in_which_they_are_said() {
    let groups = |pairs: &[(u32, u32)]| grouped(pairs.iter().copied()).0;
    assert!(groups(&[]).is_empty());
    assert_eq!(groups(&[(3, 1), (1, 3), (1, 1)]), [[3, 1]]);
    assert_eq!(groups(&[(1, 2), (3, 4), (9, 3), (2, 4)]), [[1, 2, 3, 4, 9]]);
    assert_eq!(groups(&[(4, 5), (1, 2)]), [[4, 5], [1, 2]]);
    assert!(groups(&[(1, 60_000)]).is_empty(), "one of them is not sent");
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let chain = |first: u32, len: usize| (0..len as u32 - 1).map(move |n| (first + n, first + n + 1));
    let (groups, left_out) = grouped(chain(0, TOUCHING_MAX + 1));
    assert_eq!((groups, left_out), (vec![(0..TOUCHING_MAX as u32).collect()], 1));
    let halves = chain(0, TOUCHING_MAX / 2 + 1).chain(chain(100, TOUCHING_MAX / 2));
    let (groups, left_out) = grouped(halves.chain([(0, 100)]));
    assert_eq!((groups.len(), left_out), (2, 1));
    let many = (0..TOUCHING_PAIRS_MAX as u32 + 3).map(|n| (2 * n, 2 * n + 1));
    let (groups, left_out) = grouped(many);
    assert_eq!((groups.len(), left_out), (TOUCHING_PAIRS_MAX, 3));
}
