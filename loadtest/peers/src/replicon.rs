//! bevy_replicon: a server and its clients as apps in one thread, with a perfect network between them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use bevy::app::ScheduleRunnerPlugin;
use bevy::prelude::*;
use bevy::state::app::StatesPlugin;
use bevy_replicon::prelude::*;
use bevy_replicon::server::visibility::client_visibility::ClientVisibility;
use bevy_replicon::server::visibility::filters_mask::FilterBit;
use bevy_replicon::server::visibility::registry::FilterRegistry;
use bevy_replicon::shared::replication::registry::ReplicationRegistry;
use bevy_replicon::test_app::{ServerTestAppExt, TestClientEntity};
use serde::{Deserialize, Serialize};

/// As in the bench.
const SIDE: u64 = 4_000;
const RADIUS: f32 = 500.0;
const STEP: u64 = 4;
const WARM_UP_TICKS: usize = 30;

/// The work of the bench `replication`.
#[derive(clap::Args)]
pub(crate) struct Work {
    /// Entities in the world; the first ones belong to the clients.
    #[arg(long)]
    entities: usize,
    /// Clients.
    #[arg(long)]
    clients: usize,
    /// Entities that move in a tick.
    #[arg(long)]
    moving: usize,
    /// Timed ticks.
    #[arg(long)]
    ticks: usize,
    /// A client sees only what is near its entity.
    #[arg(long)]
    near: bool,
}

#[derive(Clone, Component, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Place {
    x: f32,
    y: f32,
}

/// Who sees whom, kept up to date for what moved. The game's own work in bevy_replicon.
#[derive(Resource)]
struct Near {
    bit: FilterBit,
    entities: Vec<Entity>,
    places: Vec<Place>,
    clients: Vec<Entity>,
    moved: Vec<usize>,
    /// By client and entity.
    seen: Vec<bool>,
}

impl Near {
    fn look(&mut self, client: usize, entity: usize, visibility: &mut ClientVisibility) {
        let (a, b) = (self.places[client], self.places[entity]);
        let near = (a.x - b.x).powi(2) + (a.y - b.y).powi(2) <= RADIUS * RADIUS;
        let seen = &mut self.seen[client * self.entities.len() + entity];
        if *seen != near {
            *seen = near;
            visibility.set(self.entities[entity], self.bit, near);
        }
    }
}

fn look(mut near: ResMut<Near>, places: Query<&Place>, mut clients: Query<&mut ClientVisibility>) {
    let near = &mut *near;
    let moved = std::mem::take(&mut near.moved);
    for entity in &moved {
        if let Ok(place) = places.get(near.entities[*entity]) {
            near.places[*entity] = *place;
        }
    }
    for client in 0..near.clients.len() {
        let Ok(mut visibility) = clients.get_mut(near.clients[client]) else { continue };
        if moved.contains(&client) {
            (0..near.entities.len()).for_each(|entity| near.look(client, entity, &mut visibility));
        } else {
            moved.iter().for_each(|entity| near.look(client, *entity, &mut visibility));
        }
    }
    near.moved = moved;
    near.moved.clear();
}

/// Runs the work.
pub(crate) fn run(work: &Work) -> anyhow::Result<BTreeMap<String, f64>> {
    ensure!(work.clients <= work.entities, "each client has an entity");
    let mut server = app();
    let mut clients: Vec<App> = (0..work.clients).map(|_| app()).collect();
    for client in &mut clients {
        server.connect_client(client);
    }
    let mut rng = Rng(2);
    let places: Vec<Place> =
        (0..work.entities).map(|_| Place { x: rng.below(SIDE) as f32, y: rng.below(SIDE) as f32 }).collect();
    let entities: Vec<Entity> =
        places.iter().map(|place| server.world_mut().spawn((Replicated, *place)).id()).collect();
    if work.near {
        watch(&mut server, &clients, &entities, &places);
    }
    let mut moved = 0;
    let mut spent = Duration::ZERO;
    for tick in 0..WARM_UP_TICKS + work.ticks {
        for _ in 0..work.moving {
            let mut step = || rng.below(2 * STEP + 1) as f32 - STEP as f32;
            let (dx, dy) = (step(), step());
            let Some(mut place) = server.world_mut().get_mut::<Place>(entities[moved]) else {
                bail!("it has no place")
            };
            place.x = (place.x + dx).clamp(0.0, SIDE as f32);
            place.y = (place.y + dy).clamp(0.0, SIDE as f32);
            if let Some(mut near) = server.world_mut().get_resource_mut::<Near>() {
                near.moved.push(moved);
            }
            moved = (moved + 1) % entities.len();
        }
        let start = Instant::now();
        server.update();
        if tick >= WARM_UP_TICKS {
            spent += start.elapsed();
        }
        exchange(&mut server, &mut clients);
    }
    check(work, &mut server, &mut clients)?;
    Ok(BTreeMap::from([("us_per_tick".to_owned(), spent.as_secs_f64() * 1e6 / work.ticks as f64)]))
}

fn app() -> App {
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins.build().disable::<ScheduleRunnerPlugin>(),
        StatesPlugin,
        RepliconPlugins.set(ServerPlugin::new(PostUpdate)),
    ));
    app.replicate::<Place>();
    app.finish();
    app
}

fn watch(server: &mut App, clients: &[App], entities: &[Entity], places: &[Place]) {
    let bit = server.world_mut().resource_scope(|world, mut filters: Mut<FilterRegistry>| {
        world.resource_scope(|world, mut registry: Mut<ReplicationRegistry>| {
            filters.register_scope::<Entity>(world, &mut registry, ScopeLifetime::WhileVisible)
        })
    });
    server.insert_resource(Near {
        bit,
        entities: entities.to_vec(),
        places: places.to_vec(),
        clients: clients.iter().map(|client| **client.world().resource::<TestClientEntity>()).collect(),
        moved: (0..entities.len()).collect(),
        seen: vec![true; clients.len() * entities.len()],
    });
    server.add_systems(Update, look);
}

/// Carries everything both ways; the clients answer with their acks.
fn exchange(server: &mut App, clients: &mut [App]) {
    let sent: Vec<_> = server.world_mut().resource_mut::<ServerMessages>().drain_sent().collect();
    let mut by_client: BTreeMap<Entity, Vec<_>> = BTreeMap::new();
    for (client, channel, message) in sent {
        by_client.entry(client).or_default().push((channel, message));
    }
    for client in clients {
        let entity = **client.world().resource::<TestClientEntity>();
        let mut messages = client.world_mut().resource_mut::<ClientMessages>();
        for (channel, message) in by_client.remove(&entity).unwrap_or_default() {
            messages.insert_received(channel, message);
        }
        client.update();
        let answers: Vec<_> = client.world_mut().resource_mut::<ClientMessages>().drain_sent().collect();
        let mut messages = server.world_mut().resource_mut::<ServerMessages>();
        answers.into_iter().for_each(|(channel, message)| messages.insert_received(entity, channel, message));
    }
}

/// Everyone knows as many entities as it should.
fn check(work: &Work, server: &mut App, clients: &mut [App]) -> anyhow::Result<()> {
    for (number, client) in clients.iter_mut().enumerate() {
        let known = client.world_mut().query::<&Place>().iter(client.world()).count();
        let wanted = match server.world().get_resource::<Near>() {
            Some(near) => near.seen[number * work.entities..][..work.entities].iter().filter(|seen| **seen).count(),
            None => work.entities,
        };
        ensure!(known == wanted, "a client knows {known} of {wanted} entities");
    }
    Ok(())
}

/// xorshift, so that every run is the same.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
