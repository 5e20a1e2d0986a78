use bevy_app::{App, Plugin};
use bevy_ecs::prelude::Component;

use super::*;
use crate::{Game, ReplicaApp, Replicate};

#[derive(Clone, Component, Copy, Replicate)]
struct Spot {
    #[replica(unit = "1/4")]
    x: i32,
    #[replica(unit = "1/4")]
    y: i32,
}

#[derive(Clone, Component, Copy, Replicate)]
struct Door(bool);

#[derive(Clone)]
struct Sample;

impl Plugin for Sample {
    fn build(&self, app: &mut App) {
        app.predict::<Spot>().replicate::<Door>();
        app.nearby::<Spot>(Nearby::within(&["x", "y"], 10.0)).nearby::<Door>(Nearby::always());
    }
}

// Components: 0 is the seat, 1 the spot, 2 the door.
fn spot(x: i32, y: i32) -> Row {
    Row { mask: 0b010, values: vec![x * 4, y * 4], ..Row::default() }
}

fn chosen(was_near: &[u32], rows: &[(u32, Row)]) -> Vec<u32> {
    let game = Game::new("sample", Sample);
    let mode = crate::Mode { name: "one", teams: 1, team_size: 1, duration_s: 1 };
    let sim = game.build(crate::SimMode::Predict, mode.at(60), amphi_shared_wire::Seed(0)).unwrap();
    let was_near: Vec<NetId> = was_near.iter().map(|id| NetId(*id)).collect();
    let rows = rows.iter().map(|(id, row)| (NetId(*id), row));
    sim.near(&spot(100, 100), &was_near, rows).into_iter().map(|id| id.0).collect()
}

#[test]
fn what_is_in_reach_is_chosen_and_stays_a_little_longer() {
    let door = Row { mask: 0b100, values: vec![1], ..Row::default() };
    let rows = [(9, spot(106, 107)), (2, spot(111, 100)), (3, spot(200, 100)), (4, door)];
    assert_eq!(chosen(&[], &rows), [4, 9]);
    assert_eq!(chosen(&[2, 3], &rows), [2, 4, 9]);
}

#[test]
fn of_too_many_the_nearest_are_chosen() {
    let rows: Vec<_> = (0..2 * PREDICTED_MAX as u32).map(|n| (n + 1, spot(100 + (n % 9) as i32, 100))).collect();
    let chosen = chosen(&[], &rows);
    assert_eq!(chosen.len(), PREDICTED_MAX);
    assert!(rows.iter().filter(|(_, row)| row.values[0] <= 103 * 4).all(|(id, _)| chosen.contains(id)));
}
