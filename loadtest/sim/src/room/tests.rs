use super::*;

/// Whole matches of the suite.
const SHORT: Size = Size { players: (2, 6), storm: Micros::from_secs(6) };

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

#[test]
fn shots_are_there_once_even_when_connections_break() {
    for seed in 1..=2 {
        if let Err(violation) = run_shots(Seed(seed)) {
            panic!("{violation}; repeat with `shots --seed {seed}`");
        }
    }
}

#[test]
fn predicted_shots_are_those_of_the_server() {
    for seed in 1..=2 {
        let cast = Cast::of_two(Seed(seed), STORM, false);
        if let Err(violation) = play::<Shots<false, false>>(&cast).and(play::<Shots<false, true>>(&cast)) {
            panic!("seed {seed}, {violation}");
        }
    }
}

#[test]
fn matches_hold() {
    let mut total = Report::default();
    for seed in 1..=4 {
        match play::<Squads>(&Cast::of_match(Seed(seed), SHORT)) {
            Ok(report) => total.add(&report),
            Err(violation) => panic!("seed {seed}, {violation}"),
        }
    }
    let Report { rows, shown, events, effects, requests, attacks, .. } = total;
    assert!(rows * shown * events * effects * requests * attacks > 0, "{total:?}");
}
