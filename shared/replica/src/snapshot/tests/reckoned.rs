//! What clients reckon: flying bodies that are kicked now and then.

use std::collections::BTreeMap;

use amphi_shared_wire::{Rng, Seed};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use proptest::prelude::*;

use super::{Client, GOOD, Link};
use crate::snapshot::{SnapshotEncoder, SnapshotHeader, ViewDecoder, ViewEncoder};
use crate::{
    ComponentSchema, Field, FieldKind, Game, Interest, Lerp, Mode, NetId, Reckon, Reckoning, ReplicaApp, Replicate,
    Row, SeenBy, Sim, SimMode, Tables, Trainer,
};

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

proptest! {
    #[test]
    fn hostile_snapshots_of_what_is_reckoned_never_panic(bytes: Vec<u8>, flips: Vec<(u8, u8)>) {
        let mut tumbling = Tumbling::new(4);
        let (mut sim, tables) = (tumbling.world(), std::sync::Arc::new(tumbling.tables()));
        let mut encoder = SnapshotEncoder::with_tables(std::sync::Arc::clone(&tables));
        let mut client = Client::with_tables(&sim, GOOD, 1, Some(&tables));
        for tick in 1..=30 {
            tumbling.stir(sim.world_mut());
            sim.step().unwrap();
            encoder.start_tick(sim.mirror());
            let header = SnapshotHeader::default();
            let mut payload = encoder.encode(sim.mirror(), &mut client.recipient, header, None, 900).unwrap().to_vec();
            client.recipient.sent(tick);
            client.decoder.decode(&payload).unwrap();
            client.recipient.on_acked(tick);
            for (at, flip) in &flips {
                let at = usize::from(*at) % payload.len();
                payload[at] ^= flip;
                let _ = client.decoder.clone().decode(&payload);
            }
        }
        let _ = client.decoder.decode(&bytes);
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
    let predicted = error(|app| {
        app.predict::<Body>();
    });
    assert!(predicted.ends_with("`Body`: what is predicted cannot be reckoned"), "{predicted}");
    let near = error(|app| {
        app.interest::<Body>(Interest::new(&["x", "y"], 9.0));
    });
    assert!(near.ends_with("`Body`: interest cannot go by what is reckoned"), "{near}");
}

/// A body with a place and a rotation in both forms, as integers.
#[derive(Clone, Component, Copy, Debug, Default)]
struct Tumble([i32; 13]);

impl Replicate for Tumble {
    const NAME: &'static str = "Tumble";

    fn fields() -> &'static [Field] {
        const fn field(name: &'static str, unit: &'static str, lerp: Lerp, tolerance: u32) -> Field {
            Field { name, unit, kind: FieldKind::I32, lerp, tolerance }
        }
        const FIELDS: [Field; 13] = [
            field("x", "1/512", Lerp::Linear, 4),
            field("speed", "1/1024", Lerp::Linear, 0),
            field("whole.0", "1/4096", Lerp::Quaternion, 4),
            field("whole.1", "1/4096", Lerp::Quaternion, 4),
            field("whole.2", "1/4096", Lerp::Quaternion, 4),
            field("whole.3", "1/4096", Lerp::Quaternion, 4),
            field("small.0", "1/2047", Lerp::SmallestThree, 4),
            field("small.1", "1/2047", Lerp::SmallestThree, 4),
            field("small.2", "1/2047", Lerp::SmallestThree, 4),
            field("small.3", "1/2047", Lerp::SmallestThree, 4),
            field("spin.0", "1/1024", Lerp::Linear, 0),
            field("spin.1", "1/1024", Lerp::Linear, 0),
            field("spin.2", "1/1024", Lerp::Linear, 0),
        ];
        &FIELDS
    }

    fn write(&self, row: &mut [i32]) {
        row.copy_from_slice(&self.0);
    }

    fn read(row: &[i32]) -> Self {
        let mut tumble = Self::default();
        tumble.0.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        tumble
    }
}

#[derive(Clone)]
struct Tumbles;

fn course() -> Reckon {
    let spin = ["spin.0", "spin.1", "spin.2"];
    Reckon::new().moving("x", "speed").turning("whole.0", spin).turning("small.0", spin)
}

impl Plugin for Tumbles {
    fn build(&self, app: &mut App) {
        app.reckon::<Tumble>(&course()).replicate::<Heat>().modes(&[Mode {
            name: "test",
            teams: 1,
            team_size: 1,
            duration_s: 10,
        }]);
    }
}

/// Bodies that are turned on tick by tick, whose rounding leaves the tolerance some time, and that are kicked.
pub(super) struct Tumbling {
    rng: Rng,
    bodies: usize,
}

impl Tumbling {
    pub(super) fn new(bodies: usize) -> Self {
        Self { rng: Seed(bodies as u64).rng(), bodies }
    }

    pub(super) fn world(&mut self) -> Sim {
        let game = Game::new("tumbles", Tumbles);
        let mut sim = game.build(SimMode::Authority, game.mode("test").unwrap().at(60), Seed(1)).unwrap();
        for n in 0..self.bodies {
            let mut tumble = Tumble([n as i32 * 100, 0, 0, 0, 0, 4_096, 3, 1_023, 1_023, 1_023, 0, 0, 0]);
            self.kick(&mut tumble);
            sim.world_mut().spawn((tumble, Heat(0)));
        }
        sim
    }

    fn kick(&mut self, tumble: &mut Tumble) {
        tumble.0[1] = self.rng.below(8_192) as i32 - 4_096;
        (10..13).for_each(|axis| tumble.0[axis] = self.rng.below(2_048) as i32 - 1_024);
    }

    pub(super) fn stir(&mut self, world: &mut World) {
        let mut bodies = world.query::<(Entity, &Tumble)>();
        let mut bodies: Vec<(Entity, Tumble)> = bodies.iter(world).map(|(entity, tumble)| (entity, *tumble)).collect();
        bodies.sort_by_key(|(entity, _)| *entity);
        let (predict, interpolate, reckon, velocities) = (false, true, None, Vec::new());
        let (name, fields, seen_by) = (Tumble::NAME, Tumble::fields(), SeenBy::All);
        let schema = ComponentSchema { name, predict, interpolate, seen_by, fields, reckon, velocities };
        let reckoning = Reckoning::new(&course(), &schema).unwrap();
        for (entity, mut tumble) in bodies {
            reckoning.go_on(&mut tumble.0, 1, 60);
            if self.rng.chance(20) {
                self.kick(&mut tumble);
            }
            let mut entity = world.entity_mut(entity);
            *entity.get_mut::<Tumble>().unwrap() = tumble;
            if self.rng.chance(8) {
                entity.get_mut::<Heat>().unwrap().0 += 1;
            }
        }
    }

    pub(super) fn tables(&mut self) -> Tables {
        let mut sim = self.world();
        let mut trainer = Trainer::new(sim.schema().clone());
        for _ in 0..300 {
            self.stir(sim.world_mut());
            sim.step().unwrap();
            trainer.note(sim.mirror());
        }
        trainer.finish()
    }
}
