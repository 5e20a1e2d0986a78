//! naia: a server and its clients in one thread, over its own transport in memory, on its simulated clock.

mod components;
mod trace;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, ensure};
use naia_bevy_shared::bevy_ecs::entity::Entity;
use naia_bevy_shared::bevy_ecs::world::World;
use naia_bevy_shared::{Protocol, WorldData, WorldProxy, WorldProxyMut};
use naia_client::transport::local::{LocalAddrCell, LocalClientSocket, Socket as ClientSocket};
use naia_client::{Client as NaiaClient, ClientConfig};
use naia_server::transport::local::{LocalServerSocket, Socket as ServerSocket};
use naia_server::{ConnectEvent, RoomKey, Server as NaiaServer, ServerConfig};
use naia_shared::transport::local::{FAKE_SERVER_ADDR, LocalTransportHub};
use naia_shared::{BandwidthConfig, Instant, LinkConditionerConfig, TestClock};
use parking_lot::Mutex;

use self::components::{Aim, FixedPlace, FixedSpeed, Hello, Numbers, Status, TilePlace, Turn, VariableSpeed};
use self::trace::{Frame, Kind, Thing};

/// Until all clients are connected.
const CONNECT_TICKS_MAX: usize = 1_000;
/// Ticks without changes, until everything has arrived.
const DRAIN_TICKS: usize = 60;

/// The work of the bench `shooter`.
#[derive(clap::Args)]
pub(crate) struct Work {
    /// The battle.
    #[arg(long)]
    trace: PathBuf,
    /// Clients.
    #[arg(long)]
    clients: usize,
    /// Ticks per second; the first second is not counted.
    #[arg(long)]
    hz: usize,
    /// Ticks until the server hears that a packet arrived; one less at every second client.
    #[arg(long)]
    ack_ticks: usize,
}

/// Runs the work, with the types of naia's bench and with the smallest ones.
pub(crate) fn run(work: &Work) -> anyhow::Result<BTreeMap<String, f64>> {
    let frames = trace::read(&work.trace)?;
    let (bytes, us) = play::<TilePlace, VariableSpeed>(work, &frames)?;
    let (fixed, _) = play::<FixedPlace, FixedSpeed>(work, &frames)?;
    Ok(BTreeMap::from([("bytes".to_owned(), bytes), ("fixed_bytes".to_owned(), fixed), ("us_per_tick".to_owned(), us)]))
}

/// Bytes per tick and client, and the server's time per tick, µs.
fn play<P: Numbers<3>, S: Numbers<3>>(work: &Work, frames: &[Frame]) -> anyhow::Result<(f64, f64)> {
    let mut battle = Battle::connected::<P, S>(work)?;
    let (mut bytes, mut spent) = (0, Duration::ZERO);
    for (tick, frame) in frames.iter().enumerate() {
        battle.pass();
        let start = Clock::now();
        battle.put::<P, S>(frame);
        battle.serve();
        let took = start.elapsed();
        if tick >= work.hz {
            bytes += battle.server.outgoing_bytes_last_tick();
            spent += took;
        }
    }
    for _ in 0..DRAIN_TICKS {
        battle.pass();
        battle.serve();
    }
    battle.check::<P, S>(frames.last().context("a trace without ticks")?)?;
    let measured = frames.len().saturating_sub(work.hz) as f64;
    Ok((bytes as f64 / (measured * work.clients as f64), spent.as_secs_f64() * 1e6 / measured))
}

/// A server, its clients and the link between them.
struct Battle {
    hub: LocalTransportHub,
    server: NaiaServer<Entity>,
    world: World,
    clients: Vec<(NaiaClient<Entity>, World)>,
    room: RoomKey,
    entities: BTreeMap<u32, Entity>,
    tick_ms: u64,
}

impl Battle {
    /// All clients are connected and in one room.
    fn connected<P: Numbers<3>, S: Numbers<3>>(work: &Work) -> anyhow::Result<Self> {
        TestClock::init(0);
        let tick_ms = 1_000 / work.hz as u64;
        let (protocol, data) = protocol::<P, S>(Duration::from_millis(tick_ms));
        let mut config = ServerConfig::default();
        config.connection.bandwidth = BandwidthConfig { target_bytes_per_sec: u32::MAX };
        let hub = LocalTransportHub::new(FAKE_SERVER_ADDR.parse::<SocketAddr>()?);
        let mut server = NaiaServer::new(config, protocol.clone());
        server.listen(ServerSocket::new(LocalServerSocket::new(hub.clone()), None));
        let room = server.create_room().key();
        let client = |number: usize| {
            let mut client = NaiaClient::new(ClientConfig::default(), protocol.clone());
            client.auth(Hello);
            client.connect(socket(&hub, latency_ms(work, number, tick_ms)));
            (client, world(&data))
        };
        let clients = (0..work.clients).map(client).collect();
        let world = world(&data);
        let mut battle = Self { hub, server, world, clients, room, entities: BTreeMap::new(), tick_ms };
        let mut connected = 0;
        for _ in 0..CONNECT_TICKS_MAX {
            battle.pass();
            battle.hear();
            connected += battle.admit();
            battle.server.send_all_packets(battle.world.proxy());
            if connected == work.clients {
                return Ok(battle);
            }
        }
        anyhow::bail!("{connected} of {} clients connected", work.clients)
    }

    /// Lets in who asks; says how many have come in.
    fn admit(&mut self) -> usize {
        let mut events = self.server.take_world_events();
        for user in events.take_auths().into_values().flatten() {
            self.server.accept_connection(&user.0);
        }
        let mut came = 0;
        for user in events.read::<ConnectEvent>() {
            self.server.room_mut(&self.room).add_user(&user);
            came += 1;
        }
        came
    }

    /// A tick passes: the clients take what arrived, and answer.
    fn pass(&mut self) {
        TestClock::advance(self.tick_ms);
        self.hub.process_time_queues();
        let now = Instant::now();
        for (client, world) in &mut self.clients {
            client.receive_all_packets();
            client.process_all_packets(world.proxy_mut(), &now);
            client.send_all_packets(world.proxy_mut());
            client.take_world_events();
            client.take_tick_events(&now);
        }
    }

    /// The server takes what arrived.
    fn hear(&mut self) {
        let now = Instant::now();
        self.server.receive_all_packets();
        self.server.process_all_packets(self.world.proxy_mut(), &now);
        self.server.take_tick_events(&now);
    }

    /// The server's part of a tick.
    fn serve(&mut self) {
        self.hear();
        self.server.take_world_events();
        self.server.send_all_packets(self.world.proxy());
    }

    /// Puts the server's world where the trace wants it.
    fn put<P: Numbers<3>, S: Numbers<3>>(&mut self, frame: &Frame) {
        let Self { server, world, room, entities, .. } = self;
        entities.retain(|id, entity| {
            let stays = frame.binary_search_by_key(id, |(id, _)| *id).is_ok();
            if !stays {
                server.entity_mut(world.proxy_mut(), entity).despawn();
            }
            stays
        });
        for (id, thing) in frame {
            match entities.get(id) {
                Some(entity) => set::<P, S>(world, *entity, thing),
                None => {
                    entities.insert(*id, spawn::<P, S>(server, world, room, thing));
                }
            }
        }
    }

    /// Every client knows exactly what is in the frame.
    fn check<P: Numbers<3>, S: Numbers<3>>(&mut self, frame: &Frame) -> anyhow::Result<()> {
        let mut wanted: Vec<Thing> = frame.iter().map(|(_, thing)| *thing).collect();
        wanted.sort_unstable();
        for (client, world) in &mut self.clients {
            let entities = client.entities(&world.proxy());
            let mut known: Vec<Thing> = entities.iter().filter_map(|entity| read::<P, S>(world, *entity)).collect();
            known.sort_unstable();
            ensure!(known == wanted, "a client knows {} things, not the {} there are", known.len(), wanted.len());
        }
        Ok(())
    }
}

fn protocol<P: Numbers<3>, S: Numbers<3>>(tick: Duration) -> (naia_shared::Protocol, WorldData) {
    let mut protocol = Protocol::builder();
    protocol.tick_interval(tick).add_message::<Hello>();
    protocol.add_component::<P>().add_component::<S>();
    protocol.add_component::<Aim>().add_component::<Status>().add_component::<Turn>();
    let data = protocol.take_world_data();
    (protocol.into(), data)
}

fn world(data: &WorldData) -> World {
    let mut world = World::new();
    world.insert_resource(data.clone());
    world
}

/// From the server to a client; the way back takes no time, and a packet is read in the tick after it is due.
fn latency_ms(work: &Work, number: usize, tick_ms: u64) -> u32 {
    let ticks = work.ack_ticks - number % 2;
    (ticks as u64 * tick_ms - tick_ms / 2) as u32
}

fn socket(hub: &LocalTransportHub, latency_ms: u32) -> ClientSocket {
    let (address, auth_requests, auth_responses, sends, receives) = hub.register_client();
    let server = LocalAddrCell::new();
    server.set_sync(hub.server_addr());
    let (token, rejection) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let local = LocalClientSocket::new_with_tokens(
        address,
        hub.server_addr(),
        auth_requests,
        auth_responses,
        sends,
        receives,
        server,
        token,
        rejection,
    );
    ClientSocket::new(local, Some(LinkConditionerConfig::new(latency_ms, 0, 0.0)))
}

fn spawn<P: Numbers<3>, S: Numbers<3>>(
    server: &mut NaiaServer<Entity>,
    world: &mut World,
    room: &RoomKey,
    thing: &Thing,
) -> Entity {
    let mut entity = server.spawn_entity(world.proxy_mut());
    entity.insert_component(P::of(thing.place)).insert_component(S::of(thing.speed));
    let [a, b, c, d] = thing.rest;
    match thing.kind {
        Kind::Player => {
            entity.insert_component(Aim::of([a, b])).insert_component(Status::of([c, d]));
        }
        Kind::Projectile => {}
        Kind::Vehicle => {
            entity.insert_component(Turn::of(thing.rest));
        }
    }
    entity.enter_room(room);
    entity.id()
}

/// Sets what changed.
fn set<P: Numbers<3>, S: Numbers<3>>(world: &mut World, entity: Entity, thing: &Thing) {
    put::<P, 3>(world, entity, thing.place);
    put::<S, 3>(world, entity, thing.speed);
    let [a, b, c, d] = thing.rest;
    match thing.kind {
        Kind::Player => {
            put::<Aim, 2>(world, entity, [a, b]);
            put::<Status, 2>(world, entity, [c, d]);
        }
        Kind::Projectile => {}
        Kind::Vehicle => put::<Turn, 4>(world, entity, thing.rest),
    }
}

fn put<C: Numbers<N>, const N: usize>(world: &mut World, entity: Entity, numbers: [i32; N]) {
    if let Some(mut component) = world.get_mut::<C>(entity) {
        component.put(numbers);
    }
}

/// A thing as a world has it.
fn read<P: Numbers<3>, S: Numbers<3>>(world: &World, entity: Entity) -> Option<Thing> {
    let (place, speed) = (world.get::<P>(entity)?.get(), world.get::<S>(entity)?.get());
    let turn = world.get::<Turn>(entity).map(Turn::get);
    let player = world.get::<Aim>(entity).map(Aim::get).zip(world.get::<Status>(entity).map(Status::get));
    let (kind, rest) = match (turn, player) {
        (Some(turn), _) => (Kind::Vehicle, turn),
        (None, Some(([yaw, pitch], [health, state]))) => (Kind::Player, [yaw, pitch, health, state]),
        (None, None) => (Kind::Projectile, [0; 4]),
    };
    Some(Thing { kind, place, speed, rest })
}
