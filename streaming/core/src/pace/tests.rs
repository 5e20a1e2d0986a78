use super::*;

const PACE: Pace = Pace { interval: Micros(1_250_000), burst: 8 };

fn user(n: u128) -> UserId {
    UserId::from_bits(n)
}

#[test]
fn a_burst_passes_and_then_one_per_interval() {
    let mut paces = Paces::new(PACE, 4);
    let start = Micros::from_secs(1_000);
    for _ in 0..8 {
        assert_eq!(paces.take(start, user(1)), Ok(()));
    }
    assert_eq!(paces.take(start, user(1)), Err(PACE.interval));
    assert_eq!(paces.take(start, user(2)), Ok(()), "another person has a balance of their own");
    assert_eq!(paces.take(start + PACE.interval - Micros(1), user(1)), Err(Micros(1)));
    assert_eq!(paces.take(start + PACE.interval, user(1)), Ok(()));
    assert!(paces.take(start + PACE.interval, user(1)).is_err());
}

#[test]
fn no_window_of_ten_seconds_holds_more_than_burst_and_earned() {
    let mut rng = amphi_shared_wire::Seed(5).rng();
    let mut paces = Paces::new(PACE, 4);
    let (mut now, mut passed) = (Micros::from_secs(5), Vec::new());
    for _ in 0..20_000 {
        now += Micros(rng.below(400_000));
        if paces.take(now, user(1)).is_ok() {
            passed.push(now);
        }
    }
    let most = passed.iter().map(|from| passed.iter().filter(|t| **t >= *from && t.0 < from.0 + 10_000_000).count());
    assert!(most.max().unwrap() <= 16);
    assert!(passed.len() as u64 >= now.since(Micros::from_secs(5)).0 / PACE.interval.0);
}

#[test]
fn people_are_bounded_and_forgotten_when_they_rest() {
    let mut paces = Paces::new(PACE, 2);
    let now = Micros::from_secs(1);
    assert!(paces.take(now, user(1)).is_ok());
    assert!(paces.take(now, user(2)).is_ok());
    assert_eq!(paces.take(now, user(3)), Err(PACE.interval));
    assert!(paces.take(now + PACE.interval, user(3)).is_ok());
    assert_eq!(paces.due.len(), 1);
}
