use amphi_shared_wire::{BitReader, BitWriter, OutOfBits, Seed, Tick};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Begin, Game, History, Input, Inputs, MatchBoard, Mode, NetId, ReplicaApp, Replicate, Seat, Seats, Sim, SimMode,
    SimRng, Simulate,
};

#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
struct Spot {
    x: i32,
    #[replica(unit = "0.25")]
    height: f32,
}

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Burning(u8);

/// Saved, not sent, and with memory of its own.
#[derive(Clone, Component, Deserialize, Serialize)]
struct Trail(Vec<i32>);

#[derive(Clone, Default, Deserialize, Resource, Serialize)]
struct Weather {
    winds: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Push(i8);

impl Input for Push {
    fn encode(&self, writer: &mut BitWriter) {
        writer.bits(u32::from(self.0 as u8), 8);
    }
    fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        Ok(Self(reader.bits(8)? as u8 as i8))
    }
    fn sanitise(self) -> Self {
        self
    }
    fn decayed(&self) -> Self {
        Self(0)
    }
}

#[derive(Clone)]
struct Sample;

impl Plugin for Sample {
    fn build(&self, app: &mut App) {
        app.predict::<Spot>().replicate::<Burning>().state::<Trail>().state_resource::<Weather>().input::<Push>();
        app.modes(&[Mode { name: "duel", teams: 2, team_size: 1, duration_s: 10 }]);
        app.init_resource::<Weather>();
        app.add_systems(Begin, begin).add_systems(Simulate, (walk, live).chain());
    }
}

fn begin(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    for (seat, _) in seats.iter() {
        commands.spawn((seat, Spot::default(), Trail(vec![])));
    }
}

fn walk(inputs: Res<'_, Inputs<Push>>, mut spots: Query<'_, '_, (&Seat, &mut Spot, &mut Trail)>) {
    for (seat, mut spot, mut trail) in &mut spots {
        spot.x += i32::from(inputs.get(*seat).0);
        // Finer than what is sent.
        spot.height += 0.01;
        trail.0.push(spot.x);
    }
}

/// Things come, catch fire, go out and go, by chance and by what the players did.
fn live(
    mut commands: Commands<'_, '_>,
    mut rng: ResMut<'_, SimRng>,
    mut weather: ResMut<'_, Weather>,
    mut board: ResMut<'_, MatchBoard>,
    inputs: Res<'_, Inputs<Push>>,
    things: Query<'_, '_, (Entity, &NetId, Has<Burning>), Without<Seat>>,
) {
    let mut things: Vec<_> = things.iter().map(|(entity, id, burning)| (*id, entity, burning)).collect();
    things.sort_unstable_by_key(|(id, ..)| *id);
    for (_, entity, burning) in things {
        match (rng.0.below(6), burning) {
            (0, _) => commands.entity(entity).despawn(),
            (1, true) => {
                commands.entity(entity).remove::<Burning>();
            }
            (1 | 2, false) => {
                commands.entity(entity).insert(Burning(rng.0.below(9) as u8));
            }
            (..) => {}
        }
    }
    if rng.0.below(3) == 0 || inputs.get(Seat(0)).0 > 50 {
        commands.spawn((Spot { x: rng.0.below(99) as i32, height: 0.3 }, Trail(vec![1])));
    }
    weather.winds.push(rng.0.below(7) as u32);
    board.player_scores[1] += 1;
}

fn sim() -> Sim {
    let game = Game::new("sample", Sample);
    game.build(SimMode::Authority, game.mode("duel").unwrap().at(60), Seed(5)).unwrap()
}

fn step(sim: &mut Sim, pushes: &[i8]) -> u64 {
    let tick = sim.tick().0 as usize;
    sim.set_input(Seat(0), Push(pushes[tick % pushes.len()]));
    sim.set_input(Seat(1), Push(pushes[(tick + 3) % pushes.len()]));
    sim.step().unwrap();
    sim.state_hash()
}

proptest! {
    #[test]
    fn going_back_and_on_again_is_as_if_one_had_never_left(
        pushes in prop::collection::vec(any::<i8>(), 1..12),
        other in prop::collection::vec(any::<i8>(), 1..12),
        backs in prop::collection::vec((1_u32..20, 0_u32..12), 1..8),
    ) {
        let mut straight = sim();
        let hashes: Vec<u64> = (0..64).map(|_| step(&mut straight, &pushes)).collect();
        let mut sim = sim();
        let mut history = sim.history(48);
        history.save(&mut sim);
        for (on, back) in backs {
            // On by a way that is given up, back, and on by the right one.
            let right = sim.tick().0;
            for _ in 0..on.min(15) {
                step(&mut sim, &other);
                history.save(&mut sim);
            }
            let to = right.saturating_sub(back);
            prop_assert!(history.restore(&mut sim, Tick(to)).unwrap());
            prop_assert_eq!(sim.tick(), Tick(to));
            if to > 0 {
                prop_assert_eq!(sim.state_hash(), hashes[to as usize - 1]);
            }
            let goal = (right + 2).min(60);
            while sim.tick().0 < goal {
                prop_assert_eq!(step(&mut sim, &pushes), hashes[sim.tick().0 as usize - 1]);
                history.save(&mut sim);
            }
        }
    }
}

#[test]
fn what_is_not_kept_changes_nothing() {
    let mut sim = sim();
    let mut history = sim.history(4);
    for _ in 0..9 {
        step(&mut sim, &[1]);
        history.save(&mut sim);
    }
    let hash = sim.state_hash();
    assert_eq!((history.oldest(), sim.tick()), (Some(Tick(6)), Tick(9)));
    assert!(!history.restore(&mut sim, Tick(5)).unwrap());
    assert!(!history.restore(&mut sim, Tick(10)).unwrap());
    assert_eq!((sim.state_hash(), sim.tick()), (hash, Tick(9)));
    assert!(history.restore(&mut sim, Tick(6)).unwrap());
    assert_eq!(sim.tick(), Tick(6));
}

#[test]
fn rows_are_as_the_mirror_had_them_and_can_be_shifted() {
    let mut sim = sim();
    let mut history = sim.history(8);
    let id = sim.entity_of_seat(Seat(1)).unwrap();
    let mut rows = vec![];
    for _ in 0..6 {
        step(&mut sim, &[3, -4]);
        history.save(&mut sim);
        rows.push(sim.row_of(id));
    }
    let kept = |history: &History| (1..=6).map(|tick| history.row(Tick(tick), id)).collect::<Vec<_>>();
    assert_eq!(kept(&history), rows);
    assert_eq!(history.row(Tick(3), NetId(999)), None);
    // Seat, x, height.
    let mask = rows[0].as_ref().unwrap().mask;
    history.shift(Tick(4), id, mask, &[0, 10, -1]);
    for row in rows[4..].iter_mut().flatten() {
        row.values[1] += 10;
        row.values[2] -= 1;
    }
    assert_eq!(kept(&history), rows);
}
