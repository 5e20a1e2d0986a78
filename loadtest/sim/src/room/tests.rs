use super::*;

#[test]
fn players_come_back_to_their_seats_and_see_the_truth() {
    let mut total = Report::default();
    for seed in 1..=8 {
        match run(Seed(seed)) {
            Ok(report) => total.add(&report),
            Err(violation) => panic!("{violation}; repeat with `room --seed {seed}`"),
        }
    }
    let faults = &total.faults;
    assert!(faults.breaks * faults.half_open * faults.stalls * faults.switches * faults.lost > 0, "{faults:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    assert_eq!(run(Seed(3)), run(Seed(3)));
}
