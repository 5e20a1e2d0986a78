use super::*;

#[test]
fn two_hundred_histories_hold_and_every_fault_happens() {
    let mut total = Report::default();
    for seed in 1..=200 {
        match run(Seed(seed)) {
            Ok(report) => total.add(&report),
            Err(violation) => panic!("{violation}; repeat with --seed {seed}"),
        }
    }
    for (name, count) in total.faults.rows() {
        assert!(count > 0, "the fault `{name}` never happened");
    }
    assert!(total.messages > 50_000 && total.datagrams > 50_000, "{total:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [1, 7, 42] {
        let (one, two) = (run(Seed(seed)), run(Seed(seed)));
        assert_eq!(one, two);
        assert_ne!(one.unwrap().history, run(Seed(seed + 1_000)).unwrap().history);
    }
}
