use proptest::prelude::*;

use super::*;

#[test]
fn a_burst_passes_then_the_rate_holds() {
    let mut limit = RateLimit::new(10, 3);
    let start = Micros::from_secs(5);
    assert!((0..3).all(|_| limit.check(start).is_ok()));
    assert_eq!(limit.check(start), Err(Micros::from_millis(100)));
    assert_eq!(limit.check(start + Micros::from_millis(60)), Err(Micros::from_millis(40)));
    assert_eq!(limit.check(start + Micros::from_millis(100)), Ok(()));
    assert!(limit.check(start + Micros::from_millis(100)).is_err());
}

proptest! {
    #[test]
    fn no_window_takes_more_than_rate_and_burst(
        per_s in 1_u32..1_000,
        burst in 1_u32..50,
        gaps in prop::collection::vec(0_u64..20_000, 1..300),
    ) {
        let mut limit = RateLimit::new(per_s, burst);
        let mut now = Micros::from_secs(1);
        let mut taken = Vec::new();
        for gap in gaps {
            now += Micros(gap);
            match limit.check(now) {
                Ok(()) => taken.push(now),
                Err(wait) => prop_assert!(wait.0 > 0 && limit.check(now + wait - Micros(1)).is_err()),
            }
        }
        let interval = 1_000_000 / u64::from(per_s);
        for (i, from) in taken.iter().enumerate() {
            for (n, to) in taken[i..].iter().enumerate() {
                prop_assert!(n as u64 <= u64::from(burst) + to.since(*from).0 / interval);
            }
        }
    }
}

#[test]
fn a_table_keeps_the_keys_used_last_and_forgets_the_rest() {
    let now = Micros::from_secs(1);
    let mut table = RateTable::new(RateLimit::new(1, 1), 8);
    assert_eq!(table.check(now, 0), Ok(()));
    for key in 1..=6 {
        assert_eq!(table.check(now, key), Ok(()));
        assert!(table.check(now, 0).is_err(), "a key in use is remembered, {key}");
        assert!(table.len() <= 8);
    }
    for key in 100..1_000 {
        assert_eq!(table.check(now, key), Ok(()));
        assert!(table.len() <= 8);
    }
    assert_eq!(table.check(now, 0), Ok(()), "a key that was not used for long starts anew");
    assert!(table.forgotten() > 800);
    assert_eq!(table.check(now, 0), Err(Micros::from_secs(1)));
}
