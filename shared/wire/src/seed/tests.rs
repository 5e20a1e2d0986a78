//! Split seeds are independent and repeat.

use super::*;

#[test]
fn split_seeds_differ_and_repeat() {
    let seed = Seed(7);
    assert_eq!(seed.split("net"), seed.split("net"));
    assert_ne!(seed.split("net"), seed.split("ten"));
    assert_ne!(seed.nth(0), seed.nth(1));
}

#[test]
fn below_stays_below() {
    let mut rng = Seed(1).rng();
    assert!((0..10_000).all(|_| rng.below(7) < 7));
    assert_eq!(rng.below(0), 0);
}
