//! A bad network on one machine: a UDP and TCP proxy that delays, loses and goes dead, under a seed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amphi_shared_wire::{Rng, Seed};
use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Shape;

/// Addresses that may send datagrams through one shaper. Beyond: dropped.
const PEERS_MAX: usize = 1_024;
/// Datagrams on their way through one shaper. Beyond: dropped, as a router would.
const FLYING_MAX: usize = 8_192;
/// Connections through one shaper. Beyond: they wait.
const CONNECTIONS_MAX: usize = 1_024;
/// Chunks on their way in one direction of a connection. Beyond: the sender waits, as for a full window.
const CHUNKS_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 2_048;
const CHUNK_BYTES_MAX: usize = 1_400;
/// What a lost segment costs an ordered stream: a retransmission timeout (RFC 6298 says 1 s, systems use 200 ms).
const RETRANSMIT: Duration = Duration::from_millis(200);
/// Pairs of a UDP and a TCP port that are tried.
const PORTS_TRIED: u32 = 64;

/// What each direction does to a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Weather {
    /// Time from one end to the other, ms …
    pub(crate) delay_ms: u32,
    /// … give or take this, evenly spread; datagrams overtake each other.
    pub(crate) jitter_ms: u32,
    /// Packets lost, in 1/1000.
    pub(crate) loss_permille: u32,
    /// Nothing passes, and nobody is told.
    pub(crate) dead: bool,
    /// Number of the way to the target. What began on another one is dead for ever, and nobody is told.
    pub(crate) path: u32,
}

/// What happened to packets.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) passed: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// A running shaper in front of `target`. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Shaper {
    /// Where to connect instead of the target, over UDP and TCP.
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// What lies between a player and its hosts.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) weather: watch::Receiver<Weather>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) seed: Seed,
}

impl Network {
    /// A shaper that stands in front of a host.
    pub(crate) async fn in_front_of(&self, target: SocketAddr) -> io::Result<Shaper> {
        let (udp, tcp) = bind().await?;
        let address = tcp.local_addr()?;
        let direction = |name| Direction {
            weather: self.weather.clone(),
            path: self.weather.borrow().path,
            faults: Arc::clone(&self.faults),
            rng: self.seed.split(name).rng(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(datagrams(udp, target, [direction("udp up"), direction("udp down")]));
        tasks.spawn(connections(tcp, target, [direction("tcp up"), direction("tcp down")]));
        Ok(Shaper { address, _tasks: tasks })
    }
}

/// Runs one shaper, says its address on stdout, and takes weather from stdin until that ends.
pub(crate) async fn serve(shape: &Shape) -> Result<()> {
    let (sky, weather) = watch::channel(Weather::default());
    let network = Network { weather, faults: Arc::default(), seed: Seed(shape.seed) };
    let shaper = network.in_front_of(shape.to).await?;
    println!("{}", shaper.address);
    let lines = tokio::task::spawn_blocking(move || -> Result<()> {
        for line in io::stdin().lines() {
            let line = line?;
            sky.send_replace(serde_json::from_str(&line).with_context(|| format!("no weather: {line}"))?);
        }
        Ok(())
    });
    lines.await??;
    Ok(())
}

/// What the tasks of one direction share.
#[derive(Clone)]
struct Direction {
    weather: watch::Receiver<Weather>,
    /// The way on which it began.
    path: u32,
    faults: Arc<Faults>,
    rng: Rng,
}

impl Direction {
    /// The same for another pair of ends, from now on and with luck of its own.
    fn fork(&mut self) -> Self {
        let path = self.weather.borrow().path;
        Self { path, rng: Rng::from_state(self.rng.next_u64()), ..self.clone() }
    }

    /// When a packet that is sent now arrives; `None` when it does not.
    fn datagram(&mut self) -> Option<Instant> {
        let weather = *self.weather.borrow();
        if weather.dead || weather.path != self.path || self.rng.chance(weather.loss_permille) {
            self.faults.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.faults.passed.fetch_add(1, Ordering::Relaxed);
        Some(self.arrival(weather))
    }

    /// When a segment of a stream that is sent now arrives: one that is lost is sent again.
    fn segment(&mut self) -> Instant {
        let weather = *self.weather.borrow();
        let lost = self.rng.chance(weather.loss_permille);
        let counter = if lost { &self.faults.lost } else { &self.faults.passed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.arrival(weather) + if lost { RETRANSMIT } else { Duration::ZERO }
    }

    fn arrival(&mut self, weather: Weather) -> Instant {
        let Weather { delay_ms, jitter_ms, .. } = weather;
        let (delay_us, jitter_us) = (1_000 * u64::from(delay_ms), 1_000 * u64::from(jitter_ms));
        let us = (delay_us + self.rng.below(2 * jitter_us + 1)).saturating_sub(jitter_us);
        Instant::now() + Duration::from_micros(us)
    }

    /// Waits until packets pass.
    async fn alive(&mut self) {
        let path = self.path;
        // A sender that is gone leaves the weather as it is.
        let _ = self.weather.wait_for(|weather| !weather.dead && weather.path == path).await;
    }
}

/// The same port for both.
async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tried = 0;
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if tried == PORTS_TRIED => return Err(error),
            Err(_) => tried += 1,
        }
    }
}

/// Carries datagrams; each sender gets a socket of its own towards the target, so that it keeps its identity there.
async fn datagrams(front: UdpSocket, target: SocketAddr, [mut up, mut down]: [Direction; 2]) {
    let (front, flying) = (Arc::new(front), Arc::new(Semaphore::new(FLYING_MAX)));
    let mut peers: BTreeMap<SocketAddr, (Arc<UdpSocket>, Direction)> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut bytes = [0; DATAGRAM_BYTES_MAX];
    loop {
        // An error tells of an earlier datagram that nobody took.
        let Ok((length, peer)) = front.recv_from(&mut bytes).await else { continue };
        let full = peers.len() >= PEERS_MAX;
        let (back, up) = match peers.entry(peer) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if full => continue,
            Entry::Vacant(new) => {
                let Ok(back) = towards(target).await else { continue };
                let back = Arc::new(back);
                tasks.spawn(answers(Arc::clone(&back), Arc::clone(&front), peer, (down.fork(), Arc::clone(&flying))));
                new.insert((back, up.fork()))
            }
        };
        if let Some(at) = up.datagram() {
            let (back, bytes) = (Arc::clone(back), bytes[..length].to_vec());
            fly(at, &flying, async move { back.send(&bytes).await });
        }
    }
}

async fn answers(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    peer: SocketAddr,
    (mut down, flying): (Direction, Arc<Semaphore>),
) {
    let mut bytes = [0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok(length) = back.recv(&mut bytes).await else { continue };
        if let Some(at) = down.datagram() {
            let (front, bytes) = (Arc::clone(&front), bytes[..length].to_vec());
            fly(at, &flying, async move { front.send_to(&bytes, peer).await });
        }
    }
}

async fn towards(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(target).await?;
    Ok(socket)
}

/// Lets a datagram arrive at its time.
fn fly(at: Instant, flying: &Arc<Semaphore>, send: impl Future<Output = io::Result<usize>> + Send + 'static) {
    let Ok(place) = Arc::clone(flying).try_acquire_owned() else { return };
    tokio::spawn(async move {
        tokio::time::sleep_until(at).await;
        // Nobody listens there any more: it is lost like any other.
        let _ = send.await;
        drop(place);
    });
}

async fn connections(front: TcpListener, target: SocketAddr, [mut up, mut down]: [Direction; 2]) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((near, _)) = front.accept().await else { continue };
        let (mut up, down) = (up.fork(), down.fork());
        tasks.spawn(async move {
            up.alive().await;
            if let Ok(far) = TcpStream::connect(target).await {
                carry(near, far, [up, down]).await;
            }
            drop(place);
        });
        while tasks.try_join_next().is_some() {}
    }
}

/// Carries a connection until either end closes it.
async fn carry(near: TcpStream, far: TcpStream, [up, down]: [Direction; 2]) {
    for stream in [&near, &far] {
        // A connection that is closing needs it no more.
        let _ = stream.set_nodelay(true);
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = one_way(near_read, far_write, up) => {}
        () = one_way(far_read, near_write, down) => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut direction: Direction) {
    let (sender, mut flying) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let mut gate = direction.clone();
    let arrive = async {
        while let Some((at, bytes)) = flying.recv().await {
            tokio::time::sleep_until(at).await;
            gate.alive().await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let leave = async {
        let mut bytes = [0; CHUNK_BYTES_MAX];
        loop {
            let length = from.read(&mut bytes).await.unwrap_or(0);
            if length == 0 || sender.send((direction.segment(), bytes[..length].to_vec())).await.is_err() {
                // The end travels behind what was sent before it.
                return drop(sender);
            }
        }
    };
    tokio::join!(arrive, leave);
}

#[cfg(test)]
mod tests;
