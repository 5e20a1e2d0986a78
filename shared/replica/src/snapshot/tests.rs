use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use amphi_shared_wire::{Rng, Seed, Tick};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use proptest::prelude::*;

use super::*;
use crate::{Game, Mirror, Mode, NetId, ReplicaApp, Replicate, Row, Seat, Sim, SimMode, Tables, Trainer};

mod reckoned;
mod selection;
mod touching;
mod vectors;

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Place {
    #[replica(unit = "1/512")]
    x: i32,
    y: i32,
    z: i32,
}

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Health(u8);

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Burning;

#[derive(Clone)]
struct Empty;

impl Plugin for Empty {
    fn build(&self, app: &mut App) {
        app.interpolate::<Place>().replicate::<Health>().replicate::<Burning>().modes(&[Mode {
            name: "test",
            teams: 1,
            team_size: 1,
            duration_s: 10,
        }]);
    }
}

fn empty_world() -> Sim {
    let game = Game::new("empty", Empty);
    game.build(SimMode::Authority, game.mode("test").unwrap().at(60), Seed(1)).unwrap()
}

/// Changes a world at random: moves of all sizes, components that come and go, spawns and despawns.
struct Turmoil {
    rng: Rng,
    entities: Vec<Entity>,
    entities_max: usize,
}

impl Turmoil {
    fn new(seed: u64, entities_max: usize) -> Self {
        Self { rng: Seed(seed).rng(), entities: Vec::new(), entities_max }
    }

    fn stir(&mut self, world: &mut World) {
        let rng = &mut self.rng;
        if self.entities.len() < self.entities_max && rng.chance(300) {
            self.entities.push(world.spawn((Place::default(), Health(100))).id());
        }
        if !self.entities.is_empty() && rng.chance(60) {
            let entity = self.entities.swap_remove(rng.below(self.entities.len() as u64) as usize);
            world.despawn(entity);
        }
        for entity in &self.entities {
            let mut entity = world.entity_mut(*entity);
            match rng.below(40) {
                0 => drop(entity.insert(Burning)),
                1 => drop(entity.remove::<Burning>()),
                2 => drop(entity.insert(Health(rng.next_u64() as u8))),
                3 => drop(entity.remove::<Place>()),
                4 => drop(entity.insert(Place { x: rng.next_u64() as i32, y: rng.next_u64() as i32, z: 7 })),
                5..20 => {
                    if let Some(mut place) = entity.get_mut::<Place>() {
                        let scale = 1 << rng.below(16);
                        place.x = place.x.wrapping_add(rng.below(2 * scale) as i32 - scale as i32);
                        place.y = place.y.wrapping_sub(rng.below(9) as i32);
                    }
                }
                _ => {}
            }
        }
    }
}

fn rows_of(mirror: &Mirror) -> BTreeMap<NetId, Row> {
    let sent = mirror.order().iter().filter(|slot| mirror.mask(**slot) != 0);
    sent.map(|slot| (mirror.id(*slot), mirror.row(*slot))).collect()
}

fn rows_in(decoder: &SnapshotDecoder) -> BTreeMap<NetId, Row> {
    decoder.entities().map(|(id, _, row)| (id, row.clone())).collect()
}

/// What a link does to datagrams, in 1/1000, and how long they may take, in ticks.
#[derive(Clone, Copy, Debug)]
struct Link {
    loss: u32,
    ack_loss: u32,
    delay_max: u64,
    budget: usize,
}

enum Fate {
    Arrives(Vec<u8>, u16),
    Acked(u16),
    Lost(u16),
}

struct Client {
    seat: Option<Seat>,
    recipient: Recipient,
    decoder: SnapshotDecoder,
    link: Link,
    rng: Rng,
    next_seq: u16,
    fates: Vec<(u32, Fate)>,
    bits: usize,
}

impl Client {
    fn new(sim: &Sim, link: Link, seed: u64) -> Self {
        Self::with_tables(sim, link, seed, None)
    }

    fn with_tables(sim: &Sim, link: Link, seed: u64, tables: Option<&Arc<Tables>>) -> Self {
        let mut decoder = SnapshotDecoder::new(sim.schema().clone());
        let mut recipient = Recipient::new();
        if let Some(tables) = tables {
            decoder.add_tables(1, Arc::clone(tables));
            recipient.use_tables(1);
        }
        Self { seat: None, recipient, decoder, link, rng: Seed(seed).rng(), next_seq: 1, fates: vec![], bits: 0 }
    }

    fn send(&mut self, sim: &Sim, encoder: &mut SnapshotEncoder) {
        let now = sim.tick().0;
        let header = SnapshotHeader::default();
        let payload =
            encoder.encode(sim.mirror(), &mut self.recipient, header, self.seat, self.link.budget).unwrap().to_vec();
        assert!(payload.len() <= self.link.budget);
        self.bits += payload.len() * 8;
        let seq = self.next_seq;
        self.next_seq += 1;
        self.recipient.sent(seq);
        let arrival = now + self.rng.below(self.link.delay_max + 1) as u32;
        if self.rng.chance(self.link.loss) {
            self.fates.push((arrival + 5, Fate::Lost(seq)));
        } else {
            self.fates.push((arrival, Fate::Arrives(payload, seq)));
        }
    }

    /// Lets everything that is due happen; each row that is read must be the row of its tick.
    fn receive(&mut self, now: u32, past: &BTreeMap<u32, BTreeMap<NetId, Row>>) {
        while let Some(at) = self.fates.iter().position(|(due, _)| *due <= now) {
            match self.fates.remove(at).1 {
                Fate::Acked(seq) => self.recipient.on_acked(seq),
                Fate::Lost(seq) => self.recipient.on_lost(seq),
                Fate::Arrives(payload, seq) => {
                    let snapshot = self.decoder.decode(&payload).unwrap();
                    let truth = &past[&snapshot.header.tick.0];
                    for id in &snapshot.changed {
                        assert_eq!(self.decoder.row(*id), Some((snapshot.header.tick, &truth[id])));
                    }
                    let back = now + self.rng.below(self.link.delay_max + 1) as u32;
                    let heard = !self.rng.chance(self.link.ack_loss);
                    self.fates.push((back, if heard { Fate::Acked(seq) } else { Fate::Lost(seq) }));
                }
            }
        }
    }
}

/// Tables trained on another turmoil.
fn tables() -> Arc<Tables> {
    static TABLES: OnceLock<Arc<Tables>> = OnceLock::new();
    let train = || {
        let mut sim = empty_world();
        let mut turmoil = Turmoil::new(0, 20);
        let mut trainer = Trainer::new(sim.schema().clone());
        for _ in 0..300 {
            turmoil.stir(sim.world_mut());
            sim.step().unwrap();
            trainer.note(sim.mirror());
        }
        Arc::new(trainer.finish())
    };
    Arc::clone(TABLES.get_or_init(train))
}

/// Every second client uses trained tables, one in four not from the start.
fn check(seed: u64, links: &[Link], ticks: u32, entities_max: usize) {
    let mut sim = empty_world();
    let mut turmoil = Turmoil::new(seed, entities_max);
    let tables = tables();
    let mut encoder = SnapshotEncoder::with_tables(Arc::clone(&tables));
    let clients = links.iter().enumerate().map(|(i, link)| {
        let tables = Some(&tables).filter(|_| i % 2 == 0);
        let mut client = Client::with_tables(&sim, *link, seed ^ i as u64, tables);
        if i % 4 == 2 {
            client.recipient.use_tables(0);
        }
        client
    });
    let mut clients: Vec<Client> = clients.collect();
    let mut past = BTreeMap::new();
    for tick in 1..=ticks + 400 {
        if tick <= ticks {
            turmoil.stir(sim.world_mut());
        }
        sim.step().unwrap();
        past.insert(tick, rows_of(sim.mirror()));
        encoder.start_tick(sim.mirror());
        if tick == ticks / 2 {
            clients.iter_mut().skip(2).step_by(4).for_each(|client| client.recipient.use_tables(TRAINED_SET));
        }
        for client in &mut clients {
            if tick == ticks {
                client.link = Link { loss: 0, ack_loss: 0, ..client.link };
            }
            client.send(&sim, &mut encoder);
            client.receive(tick, &past);
            // One that resumes is shown the same tick again.
            if client.rng.chance(100) {
                client.send(&sim, &mut encoder);
            }
        }
    }
    for client in &clients {
        assert_eq!(rows_in(&client.decoder), rows_of(sim.mirror()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn clients_see_the_mirror_over_bad_links(
        seed: u64,
        loss in 0_u32..600,
        ack_loss in 0_u32..600,
        delay_max in 0_u64..40,
        budget in 60_usize..400,
    ) {
        let link = Link { loss, ack_loss, delay_max, budget };
        check(seed, &[link, link, Link { loss: 0, ..link }, Link { delay_max: 3, budget: 1_150, ..link }], 300, 20);
    }

    #[test]
    fn a_big_world_comes_in_parts(seed: u64, delay_max in 0_u32..40, starts_over: bool) {
        let mut sim = empty_world();
        let mut turmoil = Turmoil::new(seed, 40);
        for n in 0..1_500 {
            sim.world_mut().spawn((Place { x: n, y: -n, z: 1 << (n % 30) }, Health(7)));
        }
        let mut encoder = SnapshotEncoder::with_tables(tables());
        let mut client = Client::with_tables(&sim, Link { budget: 300, ..GOOD }, seed, Some(&tables()));
        let (mut past, mut parts, mut carried) = (BTreeMap::new(), Vec::new(), 0);
        for tick in 1..=400 {
            if tick <= 200 {
                turmoil.stir(sim.world_mut());
            }
            sim.step().unwrap();
            past.insert(tick, rows_of(sim.mirror()));
            encoder.start_tick(sim.mirror());
            if starts_over && tick == 20 {
                client.recipient.reset();
            }
            client.send(&sim, &mut encoder);
            // Now and then there is no room on the lane.
            if let Some((number, part)) = encoder.encode_part(sim.mirror(), &mut client.recipient, None, 1_000)
                && !client.rng.chance(50)
            {
                assert!(part.len() <= 1_000);
                parts.push((tick + client.rng.below(u64::from(delay_max) + 1) as u32, number, part.to_vec()));
                client.recipient.part_sent();
            }
            client.receive(tick, &past);
            for (_, number, part) in parts.extract_if(.., |(due, ..)| *due <= tick) {
                let read = client.decoder.decode_part(&part);
                assert!(client.recipient.on_part(number, read.is_err()));
                for id in read.iter().flat_map(|snapshot| &snapshot.changed) {
                    carried += 1;
                    let (of, row) = client.decoder.row(*id).unwrap();
                    assert_eq!(row, &past[&of.0][id]);
                }
            }
        }
        assert_eq!(rows_in(&client.decoder), rows_of(sim.mirror()));
        assert!(carried > 500, "{carried} rows came in parts");
        assert!(!client.recipient.on_part(1_000_000, false), "a part that was never sent");
    }

    #[test]
    fn hostile_snapshots_never_panic(
        seed: u64,
        trained: bool,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
    ) {
        let mut sim = empty_world();
        let mut turmoil = Turmoil::new(seed, 10);
        let (mut encoder, mut recipient) = (SnapshotEncoder::with_tables(tables()), Recipient::new());
        let mut decoder = SnapshotDecoder::new(sim.schema().clone());
        if trained {
            decoder.add_tables(1, tables());
            recipient.use_tables(1);
        }
        for seq in 1..40 {
            turmoil.stir(sim.world_mut());
            sim.step().unwrap();
            encoder.start_tick(sim.mirror());
            let header = SnapshotHeader::default();
            let mut payload = encoder.encode(sim.mirror(), &mut recipient, header, None, 500).unwrap().to_vec();
            recipient.sent(seq);
            recipient.on_acked(seq);
            if seq > 30 {
                for (at, bit) in &flips {
                    let at = at.index(payload.len());
                    payload[at] ^= 1 << bit;
                }
            }
            let _ = decoder.decode(&payload);
        }
        let before = rows_in(&decoder);
        if decoder.decode(&bytes).is_err() {
            prop_assert_eq!(rows_in(&decoder), before);
        }
        let mut view = ViewDecoder::new(sim.schema().clone());
        let _ = view.decode(Tick(9), &bytes, true);
        let _ = view.decode(Tick(9), &bytes, false);
    }

    #[test]
    fn a_view_shows_the_mirror(seed: u64, every in 1_u32..5) {
        let mut sim = empty_world();
        let mut turmoil = Turmoil::new(seed, 20);
        let mut encoder = ViewEncoder::new();
        let mut early = ViewDecoder::new(sim.schema().clone());
        let mut late = early.clone();
        for tick in 1..200 {
            turmoil.stir(sim.world_mut());
            sim.step().unwrap();
            if tick % every != 0 {
                continue;
            }
            let keyframe = tick == every || tick == 24 * every;
            let rows = encoder.encode(sim.mirror(), keyframe);
            early.decode(sim.tick(), &rows, keyframe).unwrap();
            prop_assert!(early.entities().map(|(id, row)| (id, row.clone())).eq(rows_of(sim.mirror())));
            if tick >= 24 * every {
                late.decode(sim.tick(), &rows, keyframe).unwrap();
                prop_assert!(early.entities().eq(late.entities()));
            }
        }
    }
}

const GOOD: Link = Link { loss: 0, ack_loss: 0, delay_max: 0, budget: 1_150 };

#[test]
fn rest_costs_nothing_and_one_step_costs_little() {
    let mut sim = empty_world();
    let entities: Vec<Entity> =
        (0..50).map(|i| sim.world_mut().spawn(Place { x: i * 1_000, ..Place::default() }).id()).collect();
    let mut encoder = SnapshotEncoder::new();
    let mut client = Client::new(&sim, GOOD, 1);
    let mut past = BTreeMap::new();
    let mut sizes = Vec::new();
    for tick in 1..=1_000 {
        if tick == 900 {
            sim.world_mut().get_mut::<Place>(entities[40]).unwrap().x += 3;
        }
        sim.step().unwrap();
        past.insert(tick, rows_of(sim.mirror()));
        encoder.start_tick(sim.mirror());
        let before = client.bits;
        client.send(&sim, &mut encoder);
        sizes.push((client.bits - before) / 8);
        client.receive(tick, &past);
    }
    assert!(sizes[2..899].iter().all(|bytes| *bytes == 8), "{:?}", &sizes[..20]);
    // Against a baseline 100 keyframes after the row was acknowledged.
    assert_eq!(sizes[899], 11);
    assert_eq!(rows_in(&client.decoder), rows_of(sim.mirror()));
}

#[test]
fn a_body_is_encoded_once_for_all_clients_of_a_baseline() {
    let mut sim = empty_world();
    let entity = sim.world_mut().spawn(Place::default()).id();
    let mut encoder = SnapshotEncoder::new();
    let mut clients: Vec<Client> = (0..16).map(|i| Client::new(&sim, GOOD, i)).collect();
    let mut past = BTreeMap::new();
    for tick in 1..=20 {
        sim.world_mut().get_mut::<Place>(entity).unwrap().x += 5;
        sim.step().unwrap();
        past.insert(tick, rows_of(sim.mirror()));
        encoder.start_tick(sim.mirror());
        for client in &mut clients {
            client.send(&sim, &mut encoder);
            client.receive(tick, &past);
        }
    }
    assert_eq!(encoder.bodies_encoded(), 1);
}

#[test]
fn a_client_that_starts_over_gets_everything() {
    let mut sim = empty_world();
    let entity = sim.world_mut().spawn((Place::default(), Seat(0))).id();
    let mut encoder = SnapshotEncoder::new();
    let mut client = Client::new(&sim, GOOD, 1);
    let mut past = BTreeMap::new();
    for tick in 1..=30 {
        if tick == 20 {
            client.recipient.reset();
            sim.world_mut().despawn(entity);
            sim.world_mut().spawn(Health(1));
        }
        sim.step().unwrap();
        past.insert(tick, rows_of(sim.mirror()));
        encoder.start_tick(sim.mirror());
        client.send(&sim, &mut encoder);
        client.receive(tick, &past);
        assert_eq!(rows_in(&client.decoder), rows_of(sim.mirror()));
    }
}

#[test]
fn the_own_entity_never_waits_and_the_others_take_turns() {
    let mut sim = empty_world();
    for _ in 0..40 {
        sim.world_mut().spawn(Place::default());
    }
    sim.step().unwrap();
    let (mut encoder, mut recipient) = (SnapshotEncoder::new(), Recipient::new());
    let mut decoder = SnapshotDecoder::new(sim.schema().clone());
    let own = NetId(17);
    let entity = sim.entity_of(own).unwrap();
    sim.world_mut().entity_mut(entity).insert(Seat(3));
    let mut counts = BTreeMap::<NetId, u32>::new();
    for seq in 1..=200 {
        let mut places = sim.world_mut().query::<&mut Place>();
        places.iter_mut(sim.world_mut()).for_each(|mut place| place.x += 10_000);
        sim.step().unwrap();
        encoder.start_tick(sim.mirror());
        let payload = encoder
            .encode(sim.mirror(), &mut recipient, SnapshotHeader::default(), Some(Seat(3)), 80)
            .unwrap()
            .to_vec();
        recipient.sent(seq);
        recipient.on_acked(seq);
        let changed = decoder.decode(&payload).unwrap().changed;
        assert!(changed.contains(&own));
        changed.into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
    }
    counts.remove(&own);
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(counts.len() == 39 && *most < 2 * *least, "{counts:?}");
}

#[test]
fn headers_survive() {
    for header in [
        SnapshotHeader { tick: Tick(9), tables: 0, epoch: 15, applied: Some(Tick(2)), margin: Some(-127), late: 255 },
        SnapshotHeader { tick: Tick(u32::MAX), tables: 15, epoch: 0, applied: None, margin: None, late: 0 },
        SnapshotHeader { tick: Tick(5), tables: 1, epoch: 1, applied: Some(Tick(5)), margin: Some(127), late: 3 },
    ] {
        let mut writer = amphi_shared_wire::BitWriter::new();
        header.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(SnapshotHeader::read(&mut amphi_shared_wire::BitReader::new(&bytes)), Ok(header));
    }
}

#[test]
fn what_components_cost_is_counted_where_somebody_asks() {
    for trained in [false, true] {
        let mut sim = empty_world();
        let moving = sim.world_mut().spawn((Place::default(), Health(100))).id();
        let mut encoder = if trained { SnapshotEncoder::with_tables(tables()) } else { SnapshotEncoder::new() };
        assert_eq!(encoder.measured(), None);
        encoder.start_measuring();
        let mut clients = [Recipient::new(), Recipient::new()];
        for tick in 1..=20 {
            sim.world_mut().get_mut::<Place>(moving).unwrap().x += 1_000;
            sim.step().unwrap();
            encoder.start_tick(sim.mirror());
            for client in &mut clients {
                client.use_tables(if trained { TRAINED_SET } else { 0 });
                encoder.encode(sim.mirror(), client, SnapshotHeader::default(), None, 1_000).unwrap();
                client.sent(tick);
                client.on_acked(tick);
            }
        }
        let measured = encoder.measured().unwrap();
        let of = |name: &str| measured.components[sim.schema().component(name).unwrap()];
        assert_eq!((measured.rows, encoder.copies_and_bodies()), (40, (40, 20)));
        assert!(measured.components.iter().sum::<u64>() <= measured.bodies);
        assert!(of("Place") > of("Health") && of("Health") > 0 && of("Burning") == 0, "{measured:?}");
    }
}
