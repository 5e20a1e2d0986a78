use amphi_shared_wire::{BitReader, BitWriter, OutOfBits, Seed, Tick};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Begin, Game, GameError, GameEvents, Input, Inputs, MatchBoard, Mode, NetId, ReplicaApp, Replicate, Seat, Seats,
    SimMode, SimRng, Simulate, authority, encode_inputs,
};

#[derive(Clone, Component, Copy, Debug, Default, PartialEq, Replicate)]
struct Spot {
    x: i32,
    #[replica(unit = "0.01")]
    height: f32,
    #[replica(unit = "1/32767", lerp = "quaternion")]
    turn: [f32; 4],
    #[replica(lerp = "angle")]
    yaw: u16,
    awake: bool,
}

#[derive(Clone, Component, Deserialize, Serialize)]
struct Cooldown(u32);

#[derive(Replicate)]
struct Worn {
    odd: bool,
}

#[derive(Component)]
struct Handle;

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
        Self(self.0.clamp(-10, 10))
    }
    fn decayed(&self) -> Self {
        Self(self.0 / 2)
    }
}

#[derive(Clone)]
struct Sample {
    extra: fn(&mut App),
}

impl Plugin for Sample {
    fn build(&self, app: &mut App) {
        app.predict::<Spot>()
            .state::<Cooldown>()
            .transient::<Handle>()
            .input::<Push>()
            .event::<Worn>()
            .modes(&[Mode { name: "duel", teams: 2, team_size: 1, duration_s: 10 }])
            .add_systems(Begin, spawn.run_if(authority))
            .add_systems(Simulate, (steer, wear.run_if(authority)).chain());
        (self.extra)(app);
    }
}

fn spawn(mut commands: Commands<'_, '_>, seats: Res<'_, Seats>) {
    for (seat, _) in seats.iter() {
        commands.spawn((seat, Spot::default(), Cooldown(3), Handle));
    }
}

fn steer(inputs: Res<'_, Inputs<Push>>, mut spots: Query<'_, '_, (&Seat, &mut Spot)>) {
    for (seat, mut spot) in &mut spots {
        spot.x += i32::from(inputs.get(*seat).0);
    }
}

fn wear(
    mut rng: ResMut<'_, SimRng>,
    mut worn: Query<'_, '_, &mut Cooldown>,
    mut board: ResMut<'_, MatchBoard>,
    mut events: ResMut<'_, GameEvents>,
) {
    for mut cooldown in &mut worn {
        cooldown.0 = cooldown.0.wrapping_add(rng.0.below(5) as u32);
    }
    board.player_scores[0] += 1;
    events.send(&Worn { odd: true });
}

fn game(extra: fn(&mut App)) -> Game {
    Game::new("sample", Sample { extra })
}

fn build(game: &Game, mode: SimMode) -> Result<crate::Sim, GameError> {
    game.build(mode, game.mode("duel").unwrap().at(60), Seed(5))
}

#[test]
fn the_same_seed_and_inputs_give_the_same_hashes() {
    let game = game(|_| {});
    let run = |push: i8| {
        let mut sim = build(&game, SimMode::Authority).unwrap();
        (0..50)
            .map(|_| {
                sim.set_input(Seat(1), Push(push));
                sim.step().unwrap();
                sim.state_hash()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn saved_state_counts_in_the_hash_and_is_not_sent() {
    let game = game(|_| {});
    let mut sim = build(&game, SimMode::Authority).unwrap();
    let before = sim.state_hash();
    sim.world_mut().query::<&mut Cooldown>().iter_mut(sim.world_mut()).for_each(|mut c| c.0 += 1);
    assert_ne!(sim.state_hash(), before);
    assert_eq!(game.schema().components().iter().map(|c| c.name).collect::<Vec<_>>(), ["Seat", "Spot"]);
}

#[test]
fn rows_go_from_a_server_to_a_client_and_back_the_same() {
    let game = game(|_| {});
    let mut server = build(&game, SimMode::Authority).unwrap();
    let mut client = build(&game, SimMode::Predict).unwrap();
    assert!(client.mirror().order().is_empty());
    let id = server.entity_of_seat(Seat(1)).unwrap();
    client.apply_row(id, &server.row_of(id).unwrap()).unwrap();
    client.set_tick(server.tick());
    for push in 0..20 {
        for sim in [&mut server, &mut client] {
            sim.set_input(Seat(1), Push(push));
            sim.step().unwrap();
        }
        assert_eq!(client.row_of(id), server.row_of(id));
    }
    assert_eq!(client.tick(), Tick(20));
    assert_eq!(client.entity_of_seat(Seat(1)), Some(id));
    client.remove(id).unwrap();
    assert_eq!(client.row_of(id), None);
    assert_eq!(client.remove(id), Err(GameError::EntityUnknown(id.0)));
}

#[test]
fn ids_are_never_used_twice() {
    let game = game(|_| {});
    let mut sim = build(&game, SimMode::Authority).unwrap();
    let entity = sim.entity_of(NetId(2)).unwrap();
    sim.world_mut().despawn(entity);
    sim.step().unwrap();
    assert_eq!(sim.mirror().removed(), [(1, NetId(2))]);
    sim.world_mut().spawn(Spot::default());
    sim.step().unwrap();
    assert!(sim.row_of(NetId(2)).is_none() && sim.row_of(NetId(3)).is_some());
    assert_eq!(sim.mirror().slot_of(NetId(3)), Some(1));
}

#[test]
fn an_unregistered_component_is_named_in_the_first_tick() {
    #[derive(Component)]
    struct Stray;
    let game = game(|app| {
        app.add_systems(Simulate, stray);
    });
    fn stray(mut commands: Commands<'_, '_>) {
        commands.spawn((Spot::default(), Stray));
    }
    let mut sim = build(&game, SimMode::Authority).unwrap();
    let Err(GameError::Unregistered(name)) = sim.step() else { panic!("expected a refusal") };
    assert!(name.contains("Stray"), "{name}");
}

#[test]
fn ambiguous_systems_are_refused() {
    fn one(mut spots: Query<'_, '_, &mut Spot>) {
        spots.iter_mut().for_each(|mut s| s.x += 1);
    }
    fn two(mut spots: Query<'_, '_, &mut Spot>) {
        spots.iter_mut().for_each(|mut s| s.x *= 2);
    }
    let game = game(|app| {
        app.add_systems(Simulate, (one.after(wear), two.after(wear)));
    });
    let error = build(&game, SimMode::Authority).unwrap_err();
    let GameError::Schedule { schedule: "Simulate", problem } = error else { panic!("{error}") };
    assert!(problem.contains("one") && problem.contains("two"), "{problem}");
}

#[test]
fn registration_mistakes_are_refused() {
    #[derive(Clone, Component, Replicate)]
    #[replica(name = "Spot")]
    struct Twin(u8);
    let error = build(
        &game(|app| {
            app.replicate::<Twin>();
        }),
        SimMode::Authority,
    )
    .unwrap_err();
    assert_eq!(error, GameError::Registration("`Spot`: two components have this name".to_owned()));
    let game = game(|_| {});
    let mode = Mode { name: "crowd", teams: 9, team_size: 9, duration_s: 1 }.at(60);
    assert_eq!(game.build(SimMode::Authority, mode, Seed(1)).unwrap_err(), GameError::Mode("crowd".to_owned()));
}

#[test]
fn derived_rows_quantise_and_restore() {
    let spot = Spot { x: -5, height: 1.234, turn: [0.0, 0.0, 0.0, 1.0], yaw: 65_000, awake: true };
    let mut row = [0; 8];
    spot.write(&mut row);
    assert_eq!(row, [-5, 123, 0, 0, 0, 32_767, 65_000, 1]);
    let back = Spot::read(&row);
    assert_eq!((back.x, back.yaw, back.awake), (-5, 65_000, true));
    assert!((back.height - 1.23).abs() < 1e-6 && (back.turn[3] - 1.0).abs() < 1e-6);
    let between = Spot::read_between(&[-0.4, 123.5, 0.0, 0.0, 0.0, 32_767.0, 65_536.0, 1.0]);
    assert_eq!((between.x, between.yaw, between.awake), (0, 0, true));
    assert!((between.height - 1.235).abs() < 1e-6);
    let hostile = [i32::MIN, i32::MAX, -1, 0, 0, 0, -1, 77];
    assert!(Spot::read(&hostile).awake);
    Spot { height: f32::NAN, ..spot }.write(&mut row);
    assert_eq!(row[1], 0);
}

#[test]
fn inputs_survive_their_datagram() {
    let port = build(&game(|_| {}), SimMode::Authority).unwrap().input_port().unwrap();
    let inputs = [Push(1), Push(1), Push(100), Push(-3)];
    let read = port.read_datagram(&encode_inputs(Tick(9), &inputs)).unwrap();
    let expected = [(6, 1), (7, 1), (8, 10), (9, -3)].map(|(tick, push): (u32, i8)| (Tick(tick), vec![push as u8]));
    assert_eq!(read, expected);
}

proptest::proptest! {
    #[test]
    fn hostile_input_datagrams_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..128)) {
        let port = crate::InputPort::of::<Push>();
        if let Ok(inputs) = port.read_datagram(&bytes) {
            assert!(!inputs.is_empty() && inputs.len() <= 32);
        }
    }
}
