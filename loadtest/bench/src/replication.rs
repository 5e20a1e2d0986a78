//! The bench `replication`: what it costs a server to tell many clients about a world, beside bevy_replicon; and
//! `allocations`: how often that asks for memory.
//!
//! Both tell the same: places on a plane, of which some move in each tick, to clients that acknowledge each snapshot before
//! the next one, without a limit of bytes. Measured is the time of a server's tick behind the game's own systems, acks
//! included. In the scene `grid` a client hears of what is within 500 of its own entity; bevy_replicon leaves that to the
//! game, so the peer is given a system that looks only at what moved. Ours covers the radius with whole cells and so tells
//! somewhat more. Everything that our clients read is compared with the world.

use std::time::{Duration, Instant};

use amphi_shared_replica::{
    Game, Interest, Mode, NetId, Recipient, ReplicaApp, Replicate, Seat, Sim, SimMode, SnapshotDecoder,
    SnapshotEncoder, SnapshotHeader,
};
use amphi_shared_wire::{Rng, Seed};
use anyhow::{Context, ensure};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::{Component, Entity};

use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::{floor, peers};

/// Side of the plane.
const SIDE: u64 = 4_000;
const RADIUS: f64 = 500.0;
/// Largest step of an entity per tick, along each axis.
const STEP: u64 = 4;
const BUDGET_BYTES: usize = 1 << 16;
const FLOOR_BYTES: usize = 100;

/// What is told to whom.
#[derive(Clone, Copy, Debug)]
struct Scene {
    name: &'static str,
    entities: usize,
    clients: u8,
    /// Entities that move in a tick.
    moving: usize,
    /// Interest is limited to the radius.
    near: bool,
}

const GRID: Scene = Scene { name: "grid", entities: 10_000, clients: 100, moving: 100, near: true };
const ALL: Scene = Scene { name: "all", entities: 1_000, clients: 20, moving: 1_000, near: false };

/// Builds the bench `replication`.
pub(crate) fn bench(scale: Scale) -> Bench {
    let ticks = scale.pick(600, 8);
    let ours = Contestant::new("ours", move || {
        let sample = beside_peer(Sample::new(), GRID, "", ticks)?;
        beside_peer(sample, ALL, "_all", ticks)
    });
    Bench::new("replication", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3)
}

/// Builds the bench `allocations`.
pub(crate) fn allocations(scale: Scale) -> Bench {
    let ticks = scale.pick(600, 8);
    let ours = Contestant::new("ours", move || {
        let mut sample = Sample::new();
        let mut total = 0;
        for scene in [GRID, ALL] {
            let mut match_ = Match::new(scene, 0)?;
            (0..ticks).try_for_each(|_| match_.tick(|work| work()))?;
            let mut counted = 0;
            for _ in 0..ticks {
                match_.tick(|work| counted += allocation_counter::measure(work).count_total)?;
            }
            sample = sample.beside(format!("{}_per_tick", scene.name), counted as f64 / ticks as f64);
            total += counted;
        }
        Ok(sample.with("per_tick", total as f64 / (2 * ticks) as f64))
    });
    Bench::new("allocations", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(1)
}

fn beside_peer(sample: Sample, scene: Scene, suffix: &str, ticks: usize) -> anyhow::Result<Sample> {
    let (ours, copies) = ours(scene, ticks, 0)?;
    let (lossy, lossy_copies) = self::ours(scene, ticks, 50)?;
    let sample = sample
        .with(format!("ours{suffix}"), ours)
        .with(format!("copies_per_encode{suffix}"), copies)
        .with(format!("copies_per_encode_lossy{suffix}"), lossy_copies)
        .beside(format!("ours_lossy{suffix}_us_per_tick"), lossy);
    let Some(program) = peers::program() else { return Ok(sample) };
    let numbers = [scene.entities, usize::from(scene.clients), scene.moving, ticks].map(|number| number.to_string());
    let [entities, clients, moving, ticks] = &numbers;
    let mut args = vec!["replicon", "--entities", entities, "--clients", clients, "--moving", moving, "--ticks", ticks];
    if scene.near {
        args.push("--near");
    }
    let peer = peers::run(&program, &args)?;
    let peer = *peer.get("us_per_tick").context("the peer tells no time")?;
    Ok(sample.with(format!("peer{suffix}"), peer).with(format!("ratio{suffix}"), ours / peer))
}

/// Microseconds per tick, and copies per encoded body.
fn ours(scene: Scene, ticks: usize, loss_permille: u32) -> anyhow::Result<(f64, f64)> {
    let mut match_ = Match::new(scene, loss_permille)?;
    let before = match_.encoder.copies_and_bodies();
    let mut spent = Duration::ZERO;
    for _ in 0..ticks {
        match_.tick(|work| {
            let start = Instant::now();
            work();
            spent += start.elapsed();
        })?;
    }
    let after = match_.encoder.copies_and_bodies();
    match_.check()?;
    let copies = (after.0 - before.0) as f64 / (after.1 - before.1) as f64;
    Ok((spent.as_secs_f64() * 1e6 / ticks as f64, copies))
}

#[derive(Clone, Component, Copy, Debug, Replicate)]
struct Place {
    #[replica(unit = "1/64")]
    x: f32,
    #[replica(unit = "1/64")]
    y: f32,
}

#[derive(Clone)]
struct Plane {
    near: bool,
}

impl Plugin for Plane {
    fn build(&self, app: &mut App) {
        // The clients of a bench need no seats of a mode.
        app.interpolate::<Place>().modes(&[Mode { name: "plane", teams: 1, team_size: 1, duration_s: 3_600 }]);
        if self.near {
            app.interest::<Place>(Interest::new(&["x", "y"], RADIUS));
        }
    }
}

struct Client {
    seat: Seat,
    recipient: Recipient,
    decoder: SnapshotDecoder,
    payload: Vec<u8>,
}

/// A world and its clients.
struct Match {
    scene: Scene,
    sim: Sim,
    entities: Vec<Entity>,
    encoder: SnapshotEncoder,
    clients: Vec<Client>,
    rng: Rng,
    moved: usize,
    seq: u16,
    loss_permille: u32,
}

impl Match {
    /// A match in which everyone knows everything that there is to know.
    fn new(scene: Scene, loss_permille: u32) -> anyhow::Result<Self> {
        let game = Game::new("plane", Plane { near: scene.near });
        let mode = game.mode("plane").context("the mode is gone")?;
        let mut sim = game.build(SimMode::Authority, mode.at(60), Seed(1))?;
        let mut rng = Seed(2).rng();
        let mut entities = Vec::new();
        for n in 0..scene.entities {
            let place = Place { x: rng.below(SIDE) as f32, y: rng.below(SIDE) as f32 };
            let mut entity = sim.world_mut().spawn(place);
            if n < usize::from(scene.clients) {
                entity.insert(Seat(n as u8));
            }
            entities.push(entity.id());
        }
        let client = |seat| Client {
            seat: Seat(seat),
            recipient: Recipient::new(),
            decoder: SnapshotDecoder::new(sim.schema().clone()),
            payload: Vec::with_capacity(BUDGET_BYTES),
        };
        let clients = (0..scene.clients).map(client).collect();
        let encoder = SnapshotEncoder::new();
        let mut match_ = Self { scene, sim, entities, encoder, clients, rng, moved: 0, seq: 0, loss_permille: 0 };
        for _ in 0..60 {
            match_.tick(|work| work())?;
        }
        match_.loss_permille = loss_permille;
        Ok(match_)
    }

    /// One tick. `measure` does the server's work in it.
    fn tick(&mut self, measure: impl FnOnce(&mut dyn FnMut())) -> anyhow::Result<()> {
        for _ in 0..self.scene.moving {
            let mut step = || self.rng.below(2 * STEP + 1) as f32 - STEP as f32;
            let (dx, dy) = (step(), step());
            let mut entity = self.sim.world_mut().entity_mut(self.entities[self.moved]);
            let mut place = entity.get_mut::<Place>().context("it has no place")?;
            place.x = (place.x + dx).clamp(0.0, SIDE as f32);
            place.y = (place.y + dy).clamp(0.0, SIDE as f32);
            self.moved = (self.moved + 1) % self.entities.len();
        }
        let mut result = Ok(());
        measure(&mut || result = self.serve());
        result?;
        for client in &mut self.clients {
            if self.rng.chance(self.loss_permille) {
                client.payload.clear();
            } else {
                client.decoder.decode(&client.payload)?;
            }
        }
        Ok(())
    }

    /// Everything that a server does about it.
    fn serve(&mut self) -> anyhow::Result<()> {
        self.sim.step()?;
        let mirror = self.sim.mirror();
        self.encoder.start_tick(mirror);
        for client in &mut self.clients {
            // What became of the last one.
            if client.payload.is_empty() {
                client.recipient.on_lost(self.seq);
            } else {
                client.recipient.on_acked(self.seq);
            }
            let header = SnapshotHeader::default();
            let snapshot = self.encoder.encode(mirror, &mut client.recipient, header, Some(client.seat), BUDGET_BYTES);
            client.payload.clear();
            client.payload.extend_from_slice(snapshot.context("a snapshot has no room")?);
            client.recipient.sent(self.seq.wrapping_add(1));
        }
        self.seq = self.seq.wrapping_add(1);
        Ok(())
    }

    /// Everyone knows what is near, as it is.
    fn check(&mut self) -> anyhow::Result<()> {
        self.loss_permille = 0;
        for _ in 0..3 {
            self.tick(|work| work())?;
        }
        let place = |entity: Entity| self.sim.world().get::<Place>(entity).copied().context("it has no place");
        for (client, own) in self.clients.iter().zip(&self.entities) {
            let own = place(*own)?;
            for entity in &self.entities {
                let id = *self.sim.world().get::<NetId>(*entity).context("it has no id")?;
                let at = place(*entity)?;
                let far = f64::from(at.x - own.x).hypot(f64::from(at.y - own.y));
                let read = client.decoder.row(id).map(|(_, row)| row.clone());
                let near = !self.scene.near || far <= RADIUS;
                ensure!(!near || read.is_some(), "an entity {far} away is not known");
                ensure!(read.is_none() || read == self.sim.row_of(id), "an entity is known as {read:?}");
            }
        }
        Ok(())
    }
}
