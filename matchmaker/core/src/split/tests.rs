use amphi_shared_wire::Seed;
use proptest::prelude::*;

use super::*;

fn singles(ratings: &[f64]) -> Vec<Atom> {
    ratings.iter().map(|rating| Atom { size: 1, strength: *rating }).collect()
}

fn shape(teams: usize, team_size: usize) -> Shape {
    Shape { teams, team_size, empty_seat: 20.0 }
}

fn spread(atoms: &[Atom], shape: Shape, chosen: &[usize]) -> f64 {
    let mut teams = vec![shape.empty_seat * shape.team_size as f64; shape.teams];
    for (atom, team) in atoms.iter().zip(chosen) {
        teams[*team] += atom.strength - shape.empty_seat * atom.size as f64;
    }
    teams.iter().copied().fold(f64::MIN, f64::max) - teams.iter().copied().fold(f64::MAX, f64::min)
}

#[test]
fn the_best_split_is_found() {
    let atoms = singles(&[30.0, 10.0, 28.0, 12.0]);
    let chosen = split(&atoms, shape(2, 2)).expect("fits");
    assert_eq!(spread(&atoms, shape(2, 2), &chosen), 0.0);
}

#[test]
fn a_party_stays_together() {
    let atoms = [Atom { size: 2, strength: 60.0 }, Atom { size: 1, strength: 20.0 }, Atom { size: 1, strength: 20.0 }];
    let chosen = split(&atoms, shape(2, 2)).expect("fits");
    assert_eq!(chosen[1], chosen[2]);
    assert_ne!(chosen[0], chosen[1]);
}

#[test]
fn people_are_spread_over_the_teams_before_bots() {
    let atoms = singles(&[25.0, 25.0]);
    let chosen = split(&atoms, shape(2, 4)).expect("fits");
    assert_ne!(chosen[0], chosen[1]);
}

#[test]
fn what_does_not_fit_is_said() {
    let party = Atom { size: 2, strength: 50.0 };
    assert_eq!(split(&[party, party, party], shape(2, 3)), None, "three pairs do not fit into two threes");
    assert_eq!(split(&[party], shape(4, 1)), None);
    assert_eq!(split(&singles(&[1.0, 2.0, 3.0]), shape(1, 2)), None);
    assert_eq!(split(&[], shape(2, 2)), Some(vec![]));
}

#[test]
fn many_teams_end_within_their_steps() {
    let mut rng = Seed(1).rng();
    let ratings: Vec<f64> = (0..64).map(|_| 10.0 + 30.0 * rng.unit()).collect();
    let atoms = singles(&ratings);
    let chosen = split(&atoms, shape(8, 8)).expect("fits");
    let sizes: Vec<usize> = (0..8).map(|team| chosen.iter().filter(|t| **t == team).count()).collect();
    assert_eq!(sizes, [8; 8]);
    assert!(spread(&atoms, shape(8, 8), &chosen) < 10.0);
}

proptest! {
    #[test]
    fn no_even_division_into_two_teams_is_better(ratings in proptest::collection::vec(0.0..50.0_f64, 1..9)) {
        let (atoms, shape) = (singles(&ratings), shape(2, 4));
        let chosen = split(&atoms, shape).expect("up to 8 fit");
        let people = |teams: &[usize]| teams.iter().filter(|team| **team == 0).count();
        let even = |teams: &Vec<usize>| people(teams).abs_diff(ratings.len() - people(teams)) <= ratings.len() % 2;
        prop_assert!(even(&chosen));
        let best = (0_u32..1 << ratings.len())
            .map(|bits| (0..ratings.len()).map(|i| (bits >> i & 1) as usize).collect::<Vec<_>>())
            .filter(even)
            .map(|teams| spread(&atoms, shape, &teams))
            .fold(f64::MAX, f64::min);
        prop_assert!(spread(&atoms, shape, &chosen) <= best + 1e-9);
    }
}
