//! Who gets what: masks, distance, urgency.

use super::*;
use crate::{Importance, Interest, Reach, VisibleTo};

const RADIUS: i32 = 400;
/// A quarter of the radius.
const CELL: i32 = RADIUS / 4;
/// Nothing farther away is told: hysteresis and slack of the observer, then the diagonal of a cell, its margin and the slack.
const FAR: i32 = RADIUS * 115 / 100 + CELL / 4 + (CELL + CELL / 8 + CELL / 4) * 3 / 2;
const SEATS: u8 = 4;

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
#[replica(seen_by = "team")]
struct Plan(i32);

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
#[replica(seen_by = "owner")]
struct Ammo(u8);

#[derive(Clone, Component, Copy, Debug, Default, Replicate)]
struct Spot {
    x: i32,
    y: i32,
}

/// Two teams of two.
#[derive(Clone)]
struct Spots;

impl Plugin for Spots {
    fn build(&self, app: &mut App) {
        app.interpolate::<Spot>().replicate::<Health>().replicate::<Plan>().replicate::<Ammo>();
        app.transient::<Secret>().interest::<Spot>(Interest::new(&["x", "y"], f64::from(RADIUS)));
        app.modes(&[Mode { name: "test", teams: 2, team_size: 2, duration_s: 10 }]);
    }
}

fn world() -> Sim {
    let game = Game::new("selection", Spots);
    game.build(SimMode::Authority, game.mode("test").unwrap().at(60), Seed(1)).unwrap()
}

fn step(sim: &mut Sim, encoder: &mut SnapshotEncoder) {
    sim.step().unwrap();
    encoder.start_tick(sim.mirror());
}

/// What a seat may see, by id.
fn visible_rows(mirror: &Mirror, seat: Option<Seat>) -> BTreeMap<NetId, Row> {
    mirror.order().iter().filter_map(|slot| Some((mirror.id(*slot), mirror.row_for(*slot, seat)?))).collect()
}

fn spot(mirror: &Mirror, slot: u32) -> Option<Spot> {
    let number = mirror.schema().component("Spot")?;
    (mirror.mask(slot) >> number & 1 == 1).then(|| Spot::read(mirror.component_row(slot, number)))
}

/// How far an entity is from where its client is, and its reach; `None` when it is everywhere.
fn distance(mirror: &Mirror, slot: u32, from: Spot) -> Option<(f64, u32)> {
    let to = spot(mirror, slot)?;
    let [dx, dy] = [to.x - from.x, to.y - from.y].map(f64::from);
    Some(((dx * dx + dy * dy).sqrt(), u32::from(mirror.selection(slot).reach.0.min(3))))
}

/// Pawns and things that wander, change hands, hide, come and go.
struct Crowd {
    rng: Rng,
    things: Vec<Entity>,
}

impl Crowd {
    fn new(sim: &mut Sim, seed: u64) -> Self {
        for seat in 0..SEATS {
            let x = i32::from(seat) * 300;
            sim.world_mut().spawn((Seat(seat), Spot { x, y: 0 }, Health(100), Plan(0), Ammo(9)));
        }
        Self { rng: Seed(seed).rng(), things: Vec::new() }
    }

    fn stir(&mut self, world: &mut World) {
        let rng = &mut self.rng;
        let mut walk = |spot: &mut Spot, far: u64| {
            spot.x += rng.below(2 * far + 1) as i32 - far as i32;
            spot.y += rng.below(2 * far + 1) as i32 - far as i32;
        };
        let mut pawns = world.query::<(&mut Spot, &Seat)>();
        pawns.iter_mut(world).for_each(|(mut spot, _)| walk(&mut spot, 12));
        if self.things.len() < 40 && rng.chance(400) {
            let at = Spot { x: rng.below(4_000) as i32 - 2_000, y: rng.below(4_000) as i32 - 2_000 };
            self.things.push(world.spawn((at, Health(1), Plan(3), Ammo(7))).id());
        }
        if !self.things.is_empty() && rng.chance(40) {
            let thing = self.things.swap_remove(rng.below(self.things.len() as u64) as usize);
            world.despawn(thing);
        }
        for thing in &self.things {
            let mut thing = world.entity_mut(*thing);
            match rng.below(60) {
                0 => drop(thing.insert(VisibleTo(rng.below(16)))),
                1..=2 => drop(thing.remove::<VisibleTo>()),
                3 => drop(thing.insert(Reach(rng.below(3) as u8))),
                4 => drop(thing.remove::<Reach>()),
                5 => drop(thing.insert(Seat(rng.below(8) as u8 + SEATS))),
                6 => drop(thing.insert(Importance(rng.below(64) as u16))),
                7 => drop(thing.remove::<Spot>()),
                8 => drop(thing.insert(Spot { x: rng.below(2_000) as i32, y: rng.below(2_000) as i32 })),
                9 => drop(thing.insert(Plan(rng.below(1_000) as i32))),
                10 => drop(thing.insert(Ammo(rng.next_u64() as u8))),
                11 => drop(thing.remove::<Plan>()),
                12 => drop(thing.insert(Health(rng.next_u64() as u8))),
                13..=25 => {
                    if let Some(mut spot) = thing.get_mut::<Spot>() {
                        let far = 1 << rng.below(7);
                        spot.x += rng.below(2 * far + 1) as i32 - far as i32;
                        spot.y += rng.below(2 * far + 1) as i32 - far as i32;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Everything a snapshot carries is visible to its client and near, and its integers are those of its tick.
fn check_crowd(seed: u64, link: Link, ticks: u32) {
    let mut sim = world();
    let mut crowd = Crowd::new(&mut sim, seed);
    let tables = crowd_tables();
    let mut encoder = SnapshotEncoder::with_tables(Arc::clone(&tables));
    let mut clients: Vec<Client> = (0..SEATS)
        .map(|seat| {
            let tables = Some(&tables).filter(|_| seat % 2 == 0);
            let client = Client::with_tables(&sim, link, seed ^ u64::from(seat), tables);
            Client { seat: Some(Seat(seat)), ..client }
        })
        .collect();
    let mut past: Vec<BTreeMap<u32, BTreeMap<NetId, Row>>> = vec![BTreeMap::new(); clients.len()];
    for tick in 1..=ticks + 300 {
        if tick <= ticks {
            crowd.stir(sim.world_mut());
            if crowd.rng.chance(10) {
                let seat = crowd.rng.below(u64::from(SEATS)) as usize;
                sim.seats_mut().0[seat].team ^= 1;
            }
        }
        step(&mut sim, &mut encoder);
        for (client, past) in clients.iter_mut().zip(&mut past) {
            past.insert(tick, visible_rows(sim.mirror(), client.seat));
            if tick == ticks {
                client.link = Link { loss: 0, ack_loss: 0, ..client.link };
            }
            // Some ticks are left out, sometimes many.
            if tick > ticks || (!client.rng.chance(100) && tick % 200 > 20) {
                client.send(&sim, &mut encoder);
                check_distances(&sim, client);
            }
            client.receive(tick, past);
        }
    }
    for client in &clients {
        let (seen, may) = (rows_in(&client.decoder), visible_rows(sim.mirror(), client.seat));
        let from = own_spot(sim.mirror(), client);
        for slot in sim.mirror().order() {
            let id = sim.mirror().id(*slot);
            let distance = distance(sim.mirror(), *slot, from);
            let near = distance.is_none_or(|(far, reach)| far <= f64::from(RADIUS << (2 * reach)));
            let far = distance.is_some_and(|(far, reach)| far > f64::from(FAR << (2 * reach)));
            match may.get(&id).filter(|_| near) {
                Some(row) => assert_eq!(seen.get(&id), Some(row), "seed {seed}"),
                None if far || !may.contains_key(&id) => assert_eq!(seen.get(&id), None, "seed {seed}"),
                None => assert!(seen.get(&id).is_none_or(|row| may[&id] == *row), "seed {seed}"),
            }
        }
        assert!(seen.keys().all(|id| sim.mirror().slot_of(*id).is_some()), "seed {seed}");
    }
}

fn own_spot(mirror: &Mirror, client: &Client) -> Spot {
    spot(mirror, mirror.slot_of_seat(client.seat.unwrap()).unwrap()).unwrap()
}

/// Rows in the snapshot encoded last are near.
fn check_distances(sim: &Sim, client: &Client) {
    let from = own_spot(sim.mirror(), client);
    let rows = client.recipient.newest_rows();
    for slot in rows {
        if let Some((far, reach)) = distance(sim.mirror(), slot, from) {
            assert!(far <= f64::from(FAR << (2 * reach)), "{far} with reach {reach}");
        }
    }
}

fn crowd_tables() -> Arc<Tables> {
    static TABLES: OnceLock<Arc<Tables>> = OnceLock::new();
    let train = || {
        let mut sim = world();
        let mut crowd = Crowd::new(&mut sim, 0);
        let mut trainer = Trainer::new(sim.schema().clone());
        for _ in 0..200 {
            crowd.stir(sim.world_mut());
            sim.step().unwrap();
            trainer.note(sim.mirror());
        }
        Arc::new(trainer.finish())
    };
    Arc::clone(TABLES.get_or_init(train))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn clients_see_what_they_may_and_what_is_near(
        seed: u64,
        loss in 0_u32..500,
        ack_loss in 0_u32..500,
        delay_max in 0_u64..30,
        budget in 80_usize..400,
    ) {
        check_crowd(seed, Link { loss, ack_loss, delay_max, budget }, 400);
    }

    /// Two worlds that differ only in what a client may not see: its bytes do not.
    #[test]
    fn what_is_invisible_leaks_nothing(seed: u64, loss in 0_u32..300, budget in 40_usize..300) {
        let mut sims = [(); 2].map(|()| world());
        let mut crowds = sims.each_mut().map(|sim| Crowd::new(sim, seed));
        let mut encoders = [(); 2].map(|()| SnapshotEncoder::new());
        let mut views = [(); 2].map(|()| ViewEncoder::new());
        let seat = Some(Seat(0));
        let secrets = sims.each_mut().map(|sim| [(); 3].map(|()| sim.world_mut().spawn(secret()).id()));
        let mut recipients = [(); 2].map(|()| [Recipient::new(), Recipient::new()]);
        let (mut rng, mut other) = (Seed(seed).rng(), Seed(!seed).rng());
        for tick in 1..200_u16 {
            let fate = rng.chance(loss);
            let mut payloads = Vec::new();
            for (n, sim) in sims.iter_mut().enumerate() {
                crowds[n].stir(sim.world_mut());
                if n == 1 {
                    disturb(sim, &mut other);
                }
                if n == 1 && tick == 100 {
                    sim.world_mut().despawn(secrets[n][1]);
                }
                step(sim, &mut encoders[n]);
                for (recipient, seat) in recipients[n].iter_mut().zip([seat, None]) {
                    let header = SnapshotHeader::default();
                    payloads.push(encoders[n].encode(sim.mirror(), recipient, header, seat, budget).unwrap().to_vec());
                    recipient.sent(tick);
                    if fate { recipient.on_lost(tick) } else { recipient.on_acked(tick) }
                }
                payloads.push(views[n].encode(sim.mirror(), tick % 50 == 1));
            }
            let (a, b) = payloads.split_at(3);
            prop_assert_eq!(a, b, "tick {}", tick);
        }
    }
}

/// Changes what neither seat 0 nor a spectator may see, and nothing else.
fn disturb(sim: &mut Sim, rng: &mut Rng) {
    let team = sim.seats().0[0].team;
    let teams: Vec<u8> = sim.seats().0.iter().map(|seat| seat.team).collect();
    let world = sim.world_mut();
    let mut owned = world.query::<(&Seat, &mut Ammo, &mut Plan)>();
    for (seat, mut ammo, mut plan) in owned.iter_mut(world) {
        if seat.0 != 0 {
            ammo.0 = rng.next_u64() as u8;
        }
        if seat.0 != 0 && teams.get(usize::from(seat.0)) != Some(&team) {
            plan.0 = rng.next_u64() as i32;
        }
    }
    let mut free = world.query_filtered::<(&mut Ammo, &mut Plan), Without<Seat>>();
    free.iter_mut(world)
        .for_each(|(mut ammo, mut plan)| (ammo.0, plan.0) = (rng.next_u64() as u8, rng.next_u64() as i32));
    let mut secrets = world.query_filtered::<(&mut Spot, &mut Health, &mut Reach), With<Secret>>();
    for (mut spot, mut health, mut reach) in secrets.iter_mut(world) {
        *spot = Spot { x: rng.below(900) as i32, y: rng.below(900) as i32 };
        (health.0, reach.0) = (rng.next_u64() as u8, rng.below(4) as u8);
    }
}

/// An entity that seat 0 never sees.
#[derive(Component)]
struct Secret;

fn secret() -> impl Bundle {
    (Secret, VisibleTo(0b1110), Spot::default(), Health(1), Reach(0), Plan(1), Ammo(1))
}

/// A client with a perfect link, and what it is told.
struct Watcher {
    seat: Option<Seat>,
    recipient: Recipient,
    decoder: SnapshotDecoder,
    seq: u16,
    bytes: usize,
}

impl Watcher {
    fn new(sim: &Sim, seat: u8) -> Self {
        let decoder = SnapshotDecoder::new(sim.schema().clone());
        Self { seat: Some(Seat(seat)), recipient: Recipient::new(), decoder, seq: 0, bytes: 0 }
    }

    fn read(&mut self, sim: &Sim, encoder: &mut SnapshotEncoder, budget: usize) -> Snapshot {
        let header = SnapshotHeader::default();
        let payload = encoder.encode(sim.mirror(), &mut self.recipient, header, self.seat, budget).unwrap();
        self.bytes = payload.len();
        let snapshot = self.decoder.decode(payload).unwrap();
        self.seq += 1;
        self.recipient.sent(self.seq);
        self.recipient.on_acked(self.seq);
        snapshot
    }

    fn component(&self, id: NetId, name: &str) -> Option<&[i32]> {
        let schema = self.decoder.schema();
        self.decoder.row(id)?.1.component(schema, schema.component(name)?)
    }
}

#[test]
fn owners_and_team_mates_see_more() {
    let mut sim = world();
    sim.world_mut().spawn((Seat(0), Health(5), Plan(7), Ammo(9)));
    let mut encoder = SnapshotEncoder::new();
    let mut watchers = [0, 1, 2].map(|seat| Watcher::new(&sim, seat));
    let mut view = ViewEncoder::new();
    let mut spectator = ViewDecoder::new(sim.schema().clone());
    step(&mut sim, &mut encoder);
    watchers.iter_mut().for_each(|watcher| drop(watcher.read(&sim, &mut encoder, 1_000)));
    let id = NetId(1);
    let seen = watchers.each_ref().map(|w| ["Health", "Plan", "Ammo"].map(|name| w.component(id, name).is_some()));
    assert_eq!(seen, [[true, true, true], [true, true, false], [true, false, false]]);
    spectator.decode(sim.tick(), &view.encode(sim.mirror(), true), true).unwrap();
    assert_eq!(spectator.entities().next().unwrap().1.mask, 0b101, "seat and health");

    // What only some see costs the others no bit.
    let entity = sim.entity_of(id).unwrap();
    sim.world_mut().get_mut::<Plan>(entity).unwrap().0 = 8;
    step(&mut sim, &mut encoder);
    let bytes = watchers.each_mut().map(|watcher| {
        watcher.read(&sim, &mut encoder, 1_000);
        watcher.bytes
    });
    assert!(bytes[0] > 8 && bytes[1] > 8 && bytes[2] == 8, "{bytes:?}");

    // A seat that changes sides sees the other side's plans, and not those of its own any more.
    sim.seats_mut().0[1].team = 1;
    sim.seats_mut().0[2].team = 0;
    step(&mut sim, &mut encoder);
    let plans = watchers.each_mut().map(|watcher| {
        watcher.read(&sim, &mut encoder, 1_000);
        watcher.component(id, "Plan").map(|plan| plan[0])
    });
    assert_eq!(plans, [Some(8), None, Some(8)]);
}

#[test]
fn bodies_are_shared_by_those_who_see_the_same() {
    let mut sim = world();
    let entity = sim.world_mut().spawn((Seat(0), Health(5), Plan(7), Ammo(9))).id();
    let mut encoder = SnapshotEncoder::new();
    let mut watchers: Vec<Watcher> = (0..12).map(|n| Watcher::new(&sim, n % SEATS)).collect();
    for tick in 1..20 {
        sim.world_mut().get_mut::<Health>(entity).unwrap().0 = tick;
        step(&mut sim, &mut encoder);
        watchers.iter_mut().for_each(|watcher| drop(watcher.read(&sim, &mut encoder, 1_000)));
    }
    assert_eq!(encoder.bodies_encoded(), 3, "for the owner, the mate and the others");
}

#[test]
fn hidden_is_not_gone() {
    let mut sim = world();
    let entity = sim.world_mut().spawn(Health(5)).id();
    let mut encoder = SnapshotEncoder::new();
    let mut watcher = Watcher::new(&sim, 0);
    let id = NetId(1);
    let mut read = |sim: &mut Sim| {
        step(sim, &mut encoder);
        let Snapshot { gone, hidden, changed, .. } = watcher.read(sim, &mut encoder, 1_000);
        (gone, hidden, changed, watcher.bytes)
    };
    let spawned = read(&mut sim).3;
    for _ in 0..20 {
        read(&mut sim);
    }
    sim.world_mut().entity_mut(entity).insert(VisibleTo(0b10));
    assert_eq!(read(&mut sim).1, [id]);
    assert!(read(&mut sim).1.is_empty());
    // Back before its rows are forgotten: coded against them.
    sim.world_mut().entity_mut(entity).remove::<VisibleTo>();
    let (gone, hidden, changed, bytes) = read(&mut sim);
    assert_eq!((gone, hidden, changed), (vec![], vec![], vec![id]));
    assert!(bytes < spawned, "{bytes} of {spawned}");
    sim.world_mut().entity_mut(entity).insert(VisibleTo(0));
    for _ in 0..400 {
        read(&mut sim);
    }
    sim.world_mut().entity_mut(entity).remove::<VisibleTo>();
    assert_eq!(read(&mut sim).2, [id]);
    sim.world_mut().despawn(entity);
    assert_eq!(read(&mut sim).0, [id]);

    // What happens to a hidden entity is not the client's business.
    let entity = sim.world_mut().spawn((Health(5), VisibleTo(0b10))).id();
    read(&mut sim);
    sim.world_mut().despawn(entity);
    assert_eq!(read(&mut sim), (vec![], vec![], vec![], 8));
}

#[test]
fn a_border_is_not_crossed_each_tick() {
    let mut sim = world();
    sim.world_mut().spawn((Seat(0), Spot::default()));
    let mut encoder = SnapshotEncoder::new();
    step(&mut sim, &mut encoder);
    let thing = sim.world_mut().spawn(Spot { x: 0, y: 0 }).id();
    let mut watcher = Watcher::new(&sim, 0);
    // Wherever it dances, it enters or leaves at most once.
    for place in (0..FAR + CELL).step_by(7) {
        let mut turns = 0;
        for tick in 0..12 {
            sim.world_mut().get_mut::<Spot>(thing).unwrap().x = place + tick % 2 * (CELL / 8);
            step(&mut sim, &mut encoder);
            let there = watcher.decoder.row(NetId(2)).is_some();
            watcher.read(&sim, &mut encoder, 1_000);
            turns += usize::from(there != watcher.decoder.row(NetId(2)).is_some());
        }
        assert!(turns <= 1, "{turns} turns at {place}");
    }
    assert!(watcher.decoder.row(NetId(2)).is_none());
}

#[test]
fn rest_far_away_and_changes_elsewhere_cost_nothing() {
    let mut sim = world();
    sim.world_mut().spawn((Seat(0), Spot::default()));
    let far: Vec<Entity> = (0..50).map(|n| sim.world_mut().spawn(Spot { x: 10_000 + n, y: 0 }).id()).collect();
    let mut encoder = SnapshotEncoder::new();
    let mut watcher = Watcher::new(&sim, 0);
    for tick in 0..50 {
        far.iter().for_each(|thing| sim.world_mut().get_mut::<Spot>(*thing).unwrap().y += 1);
        step(&mut sim, &mut encoder);
        watcher.read(&sim, &mut encoder, 1_000);
        assert!(tick == 0 || watcher.bytes == 8);
    }
    assert_eq!(watcher.decoder.entities().count(), 1);
    // One that is seen from farther away.
    sim.world_mut().entity_mut(far[0]).insert(Reach(3));
    step(&mut sim, &mut encoder);
    let id = *sim.world().get::<NetId>(far[0]).unwrap();
    assert_eq!(watcher.read(&sim, &mut encoder, 1_000).changed, [id]);
}

/// How often each entity is sent when there is room for few of those that all move.
fn shares(things: &[(Spot, Option<Importance>)], lose_every: u16) -> Vec<u32> {
    let mut sim = world();
    let own = sim.world_mut().spawn((Seat(0), Spot::default())).id();
    let mut moving = vec![own];
    for (spot, importance) in things {
        let mut thing = sim.world_mut().spawn(*spot);
        importance.map(|importance| thing.insert(importance));
        moving.push(thing.id());
    }
    let (mut encoder, mut watcher) = (SnapshotEncoder::new(), Watcher::new(&sim, 0));
    let mut counts = vec![0; moving.len()];
    for tick in 1..=400 {
        for thing in &moving {
            sim.world_mut().get_mut::<Spot>(*thing).unwrap().y += if tick % 2 == 0 { 3 } else { -3 };
        }
        step(&mut sim, &mut encoder);
        let header = SnapshotHeader::default();
        let payload = encoder.encode(sim.mirror(), &mut watcher.recipient, header, watcher.seat, 30).unwrap().to_vec();
        watcher.recipient.sent(tick);
        if lose_every != 0 && tick % lose_every == 0 {
            watcher.recipient.on_lost(tick);
            continue;
        }
        watcher.recipient.on_acked(tick);
        for id in watcher.decoder.decode(&payload).unwrap().changed {
            let of = |thing: &Entity| sim.world().get::<NetId>(*thing) == Some(&id);
            counts[moving.iter().position(of).unwrap()] += 1;
        }
    }
    counts
}

#[test]
fn what_matters_is_sent_more_often() {
    let at = |x: i32| (Spot { x, y: 0 }, None);
    for lose_every in [0, 3] {
        let mut things = vec![at(10); 100];
        things[10].1 = Some(Importance(48));
        let counts = shares(&things, lose_every);
        let others = counts[1..].iter().enumerate().filter(|(n, _)| *n != 10).map(|(_, count)| *count);
        let (least, most) = (others.clone().min().unwrap(), others.max().unwrap());
        assert!(most <= 2 * least && counts[11] > 2 * most, "{counts:?}");
        assert_eq!(counts[0], if lose_every == 0 { 400 } else { 267 }, "the own entity always");
    }
    let far = (0..30).map(|n| at(if n < 15 { 0 } else { RADIUS })).collect::<Vec<_>>();
    let counts = shares(&far, 0);
    let (near, far) = (counts[1..16].iter().sum::<u32>(), counts[16..].iter().sum::<u32>());
    assert!(near > 3 * far && counts.iter().all(|count| *count > 0), "{counts:?}");
}
