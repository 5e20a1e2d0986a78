use amphi_shared_wire::limits::SPAWNS_PREDICTED_MAX;
use amphi_shared_wire::{Seed, Tick};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::*;
use crate::{Begin, Game, GameError, Mode, ReplicaApp, SeenBy, Sim, SimMode, Simulate};

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Bolt(i32);

/// How many bolts each seat shoots in a tick.
#[derive(Clone, Copy, Resource)]
struct Shots([usize; 2]);

#[derive(Clone)]
struct Sample;

impl Plugin for Sample {
    fn build(&self, app: &mut App) {
        app.replicate::<SpawnedFor>().predict::<Bolt>().transient_resource::<Shots>();
        app.modes(&[Mode { name: "duel", teams: 2, team_size: 1, duration_s: 10 }]);
        app.insert_resource(Shots([0; 2])).add_systems(Simulate, shoot);
    }
}

fn shoot(mut commands: Commands<'_, '_>, shots: Res<'_, Shots>) {
    for (seat, count) in (0..).zip(shots.0) {
        for n in 0..count {
            commands.spawn_for(Seat(seat), Bolt(n as i32));
        }
    }
}

fn sim(mode: SimMode, shots: [usize; 2]) -> Sim {
    let game = Game::new("sample", Sample);
    let mut sim = game.build(mode, game.mode("duel").unwrap().at(60), Seed(5)).unwrap();
    sim.set_own_seat(Seat(1));
    sim.world_mut().insert_resource(Shots(shots));
    sim
}

fn keys(sim: &mut Sim) -> Vec<(SpawnedFor, Bolt)> {
    let world = sim.world_mut();
    let mut keys: Vec<_> = world.query::<(&SpawnedFor, &Bolt)>().iter(world).map(|(key, bolt)| (*key, *bolt)).collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    keys
}

#[test]
fn both_sides_find_the_same_keys() {
    let key = |seat, tick, ordinal| (SpawnedFor { seat, tick, ordinal }, Bolt(i32::from(ordinal)));
    let mut server = sim(SimMode::Authority, [1, 2]);
    (0..2).for_each(|_| server.step().unwrap());
    assert_eq!(keys(&mut server), [key(0, 1, 0), key(0, 2, 0), key(1, 1, 0), key(1, 1, 1), key(1, 2, 0), key(1, 2, 1)]);
    let mut client = sim(SimMode::Predict, [1, 2]);
    client.set_tick(Tick(1));
    client.step().unwrap();
    // What another seat spawns comes from the server.
    assert_eq!(keys(&mut client), [key(1, 2, 0), key(1, 2, 1)]);
    let ids: Vec<_> = client.unconfirmed().collect();
    assert!(ids[0].0 < ids[1].0 && ids.iter().all(|(id, _)| id.is_provisional()), "{ids:?}");
    assert_eq!(ids.iter().map(|(_, key)| key.ordinal).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn the_owner_alone_is_told_of_the_key() {
    let mut server = sim(SimMode::Authority, [0, 1]);
    server.step().unwrap();
    let mirror = server.mirror();
    let key = |seat| mirror.row_for(mirror.order()[0], seat).unwrap().spawned(mirror.schema());
    assert_eq!(key(Some(Seat(1))), Some(SpawnedFor { seat: 1, tick: 1, ordinal: 0 }));
    assert_eq!((key(Some(Seat(0))), key(None)), (None, None));
    assert_eq!(SpawnedFor::SEEN_BY, SeenBy::Owner);
}

#[test]
fn what_was_spawned_goes_back_and_comes_again_under_its_id() {
    let mut client = sim(SimMode::Predict, [0, 1]);
    let mut history = client.history(8);
    let mut ids = Vec::new();
    for _ in 0..4 {
        client.step().unwrap();
        history.save(&mut client);
        ids = client.unconfirmed().collect();
    }
    assert!(history.restore(&mut client, Tick(2)).unwrap());
    assert_eq!(client.unconfirmed().collect::<Vec<_>>(), ids[..2]);
    (0..2).for_each(|_| client.step().unwrap());
    assert_eq!(client.unconfirmed().collect::<Vec<_>>(), ids);
}

#[test]
fn a_named_one_has_its_new_id_in_every_tick() {
    let mut client = sim(SimMode::Predict, [0, 2]);
    let mut history = client.history(8);
    client.step().unwrap();
    history.save(&mut client);
    let (id, row) = client.unconfirmed().map(|(id, _)| (id, client.row_of(id).unwrap())).last().unwrap();
    client.rename(id, NetId(7)).unwrap();
    history.rename(id, NetId(7));
    assert_eq!((client.row_of(NetId(7)), client.row_of(id)), (Some(row.clone()), None));
    assert_eq!((history.row(Tick(1), NetId(7)), history.row(Tick(1), id)), (Some(row), None));
    assert_eq!(client.ids().next(), Some(NetId(7)));
    assert_eq!(client.world().get::<NetId>(client.entity_of(NetId(7)).unwrap()), Some(&NetId(7)));
    client.world_mut().insert_resource(Shots([0; 2]));
    client.step().unwrap();
    assert!(history.restore(&mut client, Tick(1)).unwrap());
    assert_eq!(client.ids().count(), 2);
    // Another one has that id, and the old one is nobody's.
    let other = client.unconfirmed().next().unwrap().0;
    assert_eq!(client.rename(other, NetId(7)), Err(GameError::EntityUnknown(other.0)));
    assert_eq!(client.rename(id, NetId(8)), Err(GameError::EntityUnknown(id.0)));
}

#[test]
fn a_client_predicts_a_limited_number() {
    let mut client = sim(SimMode::Predict, [0, SPAWNS_PREDICTED_MAX + 3]);
    client.step().unwrap();
    assert_eq!(client.unconfirmed().count(), SPAWNS_PREDICTED_MAX);
    assert_eq!(keys(&mut client).len(), SPAWNS_PREDICTED_MAX);
}

#[test]
fn a_game_must_register_the_key() {
    let game = Game::new("bare", |app: &mut App| {
        fn spawn(mut commands: Commands<'_, '_>) {
            commands.spawn_for(Seat(0), Bolt(1));
        }
        app.predict::<Bolt>().modes(&[Mode { name: "one", teams: 1, team_size: 1, duration_s: 1 }]);
        app.add_systems(Begin, spawn);
    });
    let error = game.build(SimMode::Authority, game.modes()[0].at(60), Seed(1)).unwrap_err();
    assert!(matches!(&error, GameError::Unregistered(name) if name.contains("SpawnedFor")), "{error}");
}
