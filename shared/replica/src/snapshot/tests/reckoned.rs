//! What clients reckon: flying bodies that are kicked now and then.

use std::collections::BTreeMap;

use amphi_shared_wire::{Rng, Seed};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use proptest::prelude::*;

use super::{Client, GOOD, Link};
use crate::snapshot::{SnapshotEncoder, ViewDecoder, ViewEncoder};
use crate::{Game, Interest, Mode, NetId, Reckon, ReplicaApp, Replicate, Row, Sim, SimMode, Tables, Trainer};

const TICK_HZ: u32 = 30;
const TOLERANCE: u32 = 4;

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Body {
    #[replica(unit = "1/512", tolerance = 4)]
    x: f32,
    #[replica(unit = "1/512", tolerance = 4)]
    y: f32,
    #[replica(unit = "1/2048")]
    vx: f32,
    #[replica(unit = "1/2048")]
    vy: f32,
}

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Heat(u8);

#[derive(Clone)]
struct Flight;

impl Plugin for Flight {
    fn build(&self, app: &mut App) {
        app.reckon::<Body>(&Reckon::new().moving("x", "vx").moving("y", "vy")).replicate::<Heat>().modes(&[Mode {
            name: "test",
            teams: 1,
            team_size: 1,
            duration_s: 10,
        }]);
    }
}

/// A world of bodies, some of which a player kicks.
struct Flying {
    sim: Sim,
    rng: Rng,
    bodies: Vec<Entity>,
    kicks: u32,
}

impl Flying {
    fn new(seed: u64, bodies: usize, kicks: u32) -> Self {
        let game = Game::new("flight", Flight);
        let mut sim = game.build(SimMode::Authority, game.mode("test").unwrap().at(TICK_HZ), Seed(1)).unwrap();
        let mut rng = Seed(seed).rng();
        let mut speed = || rng.below(8_000) as f32 / 1_000.0 - 4.0;
        let bodies = (0..bodies).map(|n| {
            let body = Body { x: n as f32, y: -5.0, vx: speed(), vy: speed() };
            sim.world_mut().spawn((body, Heat(0))).id()
        });
        let bodies = bodies.collect();
        Self { sim, rng, bodies, kicks }
    }

    fn step(&mut self) {
        for entity in &self.bodies {
            let mut entity = self.sim.world_mut().entity_mut(*entity);
            if self.rng.chance(self.kicks / 4) {
                entity.get_mut::<Heat>().unwrap().0 += 1;
            }
            let mut body = entity.get_mut::<Body>().unwrap();
            if self.rng.chance(self.kicks) {
                body.vx = self.rng.below(8_000) as f32 / 1_000.0 - 4.0;
                body.vy *= -1.0;
            }
            body.x += body.vx / TICK_HZ as f32;
            body.y += body.vy / TICK_HZ as f32;
        }
        self.sim.step().unwrap();
    }

    /// As it was told, by id.
    fn told(&self) -> BTreeMap<NetId, Row> {
        let mirror = self.sim.mirror();
        mirror.order().iter().map(|slot| (mirror.id(*slot), mirror.row(*slot))).collect()
    }

    /// What a client shows of an entity differs from what is by no more than the tolerance.
    fn check_shown(&self, id: NetId, row: &Row) {
        let mirror = self.sim.mirror();
        let (slot, schema) = (mirror.slot_of(id).unwrap(), mirror.schema());
        let mut shown = row.clone();
        shown.go_on(schema, mirror.tick(), TICK_HZ);
        let body = schema.component("Body").unwrap();
        let (shown, actual) = (shown.component(schema, body).unwrap(), mirror.component_now(slot, body));
        assert!((0..2).all(|axis| shown[axis].abs_diff(actual[axis]) <= TOLERANCE), "{shown:?} for {actual:?}");
    }
}

fn trained() -> Tables {
    let mut world = Flying::new(1, 40, 10);
    let mut trainer = Trainer::new(world.sim.schema().clone());
    for _ in 0..400 {
        world.step();
        trainer.note(world.sim.mirror());
    }
    trainer.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn clients_show_the_world_within_the_tolerance(seed: u64, kicks in 0_u32..60, loss in 0_u32..300, models: bool) {
        let mut world = Flying::new(seed, 30, kicks);
        let tables = std::sync::Arc::new(trained());
        let mut encoder = SnapshotEncoder::with_tables(tables.clone());
        let lossy = Link { loss, ack_loss: loss, delay_max: 5, ..GOOD };
        let mut clients = [GOOD, lossy].map(|link| {
            let mut client = Client::with_tables(&world.sim, link, seed, Some(&tables).filter(|_| models));
            client.decoder = client.decoder.with_tick_hz(TICK_HZ);
            client
        });
        let (mut view, mut spectator) = (ViewEncoder::new(), ViewDecoder::new(world.sim.schema().clone()));
        spectator = spectator.with_tick_hz(TICK_HZ);
        let mut past = BTreeMap::new();
        for tick in 1..=240 {
            if tick == 160 {
                world.kicks = 0;
                clients[1].link = GOOD;
            }
            world.step();
            past.insert(tick, world.told());
            encoder.start_tick(world.sim.mirror());
            for client in &mut clients {
                client.send(&world.sim, &mut encoder);
                client.receive(tick, &past);
            }
            if tick % 3 == 1 {
                let keyframe = tick % 60 == 1;
                spectator.decode(world.sim.tick(), &view.encode(world.sim.mirror(), keyframe), keyframe).unwrap();
                prop_assert!(spectator.entities().map(|(id, row)| (id, row.clone())).eq(world.told()));
            }
            // Without loss it is so at every tick.
            clients[0].decoder.entities().for_each(|(id, _, row)| world.check_shown(id, row));
        }
        for client in &clients {
            prop_assert_eq!(client.decoder.entities().count(), 30);
            client.decoder.entities().for_each(|(id, _, row)| world.check_shown(id, row));
        }
    }
}

#[test]
fn what_flies_undisturbed_costs_nothing() {
    let mut world = Flying::new(1, 30, 0);
    let mut encoder = SnapshotEncoder::new();
    let mut client = Client::new(&world.sim, GOOD, 1);
    client.decoder = client.decoder.with_tick_hz(TICK_HZ);
    let mut told = 0;
    for tick in 1..=300 {
        world.step();
        encoder.start_tick(world.sim.mirror());
        client.send(&world.sim, &mut encoder);
        told += client.recipient.newest_rows().len();
        client.receive(tick, &BTreeMap::from([(tick, world.told())]));
        client.decoder.entities().for_each(|(id, _, row)| world.check_shown(id, row));
    }
    // Once at first, and once more where a step of the speed is too coarse for ten seconds.
    assert!(told <= 60, "{told} rows in ten seconds");
}

#[test]
fn what_is_predicted_or_near_is_not_reckoned() {
    let error = |change: fn(&mut App)| {
        #[derive(Clone)]
        struct Changed(fn(&mut App));
        impl Plugin for Changed {
            fn build(&self, app: &mut App) {
                Flight.build(app);
                (self.0)(app);
            }
        }
        let game = Game::new("flight", Changed(change));
        game.build(SimMode::Authority, game.mode("test").unwrap().at(TICK_HZ), Seed(1)).err().unwrap().to_string()
    };
    let predicted = error(|app| drop(app.predict::<Body>()));
    assert!(predicted.ends_with("`Body`: what is predicted cannot be reckoned"), "{predicted}");
    let near = error(|app| drop(app.interest::<Body>(Interest::new(&["x", "y"], 9.0))));
    assert!(near.ends_with("`Body`: interest cannot go by what is reckoned"), "{near}");
}
