//! A player whose network goes away, again and again.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use amphi_shared_edge::clock::Clock;
use amphi_shared_replica::SnapshotDecoder;
use amphi_shared_session::{Config, ConnectRequest, Event};
use amphi_shared_wire::{LANE_BULK, LANE_CONTROL, LANE_ROOM, LANE_SNAPSHOT, Lane, Micros};
use anyhow::{Context, bail};

use super::{DELAY, SHAPE};
use crate::load::{Client, Dialler, TcpProxy, UdpProxy, Way};
use crate::node::{self, Node};
use crate::owner;

/// The lanes of a match session.
const LANES: [Lane; 3] = [LANE_CONTROL, LANE_ROOM, LANE_BULK];
/// A client that hears nothing for this long looks for another path (docs/wire.md, *Silence*).
const PATH_SILENT: Micros = Micros::from_millis(300);
/// The player plays this long between two resumes, and a part of a tick longer each time.
const PLAY: Micros = Micros::from_millis(250);
const PLAY_STEP: Micros = Micros(2_300);
/// Nothing may take longer.
const PATIENCE: Micros = Micros::from_secs(10);

/// What one resume took.
pub(super) struct Resume {
    pub(super) ms: f64,
    pub(super) early: bool,
    pub(super) session_bytes: u64,
    pub(super) handshake_bytes: u64,
}

/// The networks of one connection.
enum Path {
    Udp(UdpProxy),
    Tcp(TcpProxy),
}

impl Path {
    fn new(way: Way, host: SocketAddr) -> anyhow::Result<Self> {
        Ok(match way {
            Way::Quic0 | Way::Quic | Way::WebTransport => Self::Udp(UdpProxy::start(host, SHAPE)?),
            Way::Ws | Way::Wss => Self::Tcp(TcpProxy::start(host, DELAY)?),
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Udp(proxy) => proxy.address,
            Self::Tcp(proxy) => proxy.address,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Udp(proxy) => proxy.bytes(),
            Self::Tcp(proxy) => proxy.bytes(),
        }
    }
}

/// A seat in a match, and how it is reached.
pub(super) struct Player {
    client: Client,
    /// Reads a host's snapshots; the stand-in's need no reading.
    decoder: Option<SnapshotDecoder>,
    clock: Clock,
    host: SocketAddr,
    way: Way,
    dialler: Dialler,
    path: Path,
    played: u64,
}

impl Player {
    /// Takes a seat in a fresh match, and plays until its first state has come.
    pub(super) async fn join(node: &mut Node, way: Way) -> anyhow::Result<Self> {
        let match_id = node.open_match().await?;
        let request = node.hello(match_id, 0);
        let host = node.host.context("the node has no host")?;
        let decoder = SnapshotDecoder::new(node::game().schema().clone());
        Self::start((node.clock, request), (way, host), Some(decoder)).await
    }

    /// The same at the stand-in for a host.
    pub(super) async fn join_ticker(ready: &str, way: Way) -> anyhow::Result<Self> {
        let host = serde_json::from_str::<owner::Ready>(ready)?.address;
        Self::start((Clock::start(), ConnectRequest::default()), (way, host), None).await
    }

    async fn start(
        (clock, request): (Clock, ConnectRequest),
        (way, host): (Way, SocketAddr),
        decoder: Option<SnapshotDecoder>,
    ) -> anyhow::Result<Self> {
        let config = Config { path_silent_after: Some(PATH_SILENT), ..Config::default() };
        let client = Client::with(clock, config, request);
        let (path, dialler) = (Path::new(way, host)?, Dialler::new()?);
        let mut player = Self { client, decoder, clock, host, way, dialler, path, played: 0 };
        player.connect(player.path.address()).await?;
        player.first_state().await?;
        player.play().await?;
        Ok(player)
    }

    /// Loses the network and dials on another one; until the first state.
    pub(super) async fn resume(&mut self) -> anyhow::Result<Resume> {
        self.play().await?;
        let fresh = Path::new(self.way, self.host)?;
        if let Path::Udp(old) = &self.path {
            old.silence();
        }
        // They stay open without a word until the resume is over, as on a network that went away.
        let gone = self.client.cut();
        let said = self.session_bytes();
        let start = Instant::now();
        let early = self.connect(fresh.address()).await?;
        let on_wire = self.first_state_of(&fresh).await?;
        let ms = start.elapsed().as_secs_f64() * 1_000.0;
        let session_bytes = self.session_bytes() - said;
        drop(gone);
        self.path = fresh;
        Ok(Resume { ms, early, session_bytes, handshake_bytes: on_wire.saturating_sub(session_bytes) })
    }

    /// The network goes silent; until the first state over another one that the client finds by itself.
    pub(super) async fn blackhole(&mut self) -> anyhow::Result<f64> {
        self.play().await?;
        let fresh = Path::new(self.way, self.host)?;
        let start = Instant::now();
        if let Path::Udp(old) = &self.path {
            old.silence();
        }
        let until = self.clock.now() + PATIENCE;
        loop {
            match self.client.run(until).await {
                Some(Event::PathSilent) => break,
                // What was under way when the network went silent.
                Some(event) => self.note(event)?,
                None => bail!("the silence was not noticed"),
            };
        }
        self.connect(fresh.address()).await?;
        self.first_state().await?;
        self.path = fresh;
        Ok(start.elapsed().as_secs_f64() * 1_000.0)
    }

    /// Says whether the Hello went out in early data.
    async fn connect(&mut self, to: SocketAddr) -> anyhow::Result<bool> {
        self.client.connect(&self.dialler, (0, to), self.way, &LANES).await
    }

    /// Runs until a state is applied that came after the Welcome.
    async fn first_state(&mut self) -> anyhow::Result<()> {
        let until = self.clock.now() + PATIENCE;
        let mut attached = false;
        while let Some(event) = self.client.run(until).await {
            if let Event::Attached { .. } = event {
                attached = true;
            } else if self.note(event)? && attached {
                return Ok(());
            }
        }
        bail!("no state within {PATIENCE}")
    }

    /// The same; says how many bytes the path carried until the Welcome.
    async fn first_state_of(&mut self, path: &Path) -> anyhow::Result<u64> {
        let until = self.clock.now() + PATIENCE;
        loop {
            match self.client.run(until).await {
                Some(Event::Attached { resumed: true, .. }) => break,
                Some(event) => drop(self.note(event)?),
                None => bail!("no Welcome within {PATIENCE}"),
            }
        }
        let bytes = path.bytes();
        while let Some(event) = self.client.run(until).await {
            if self.note(event)? {
                return Ok(bytes);
            }
        }
        bail!("no state within {PATIENCE}")
    }

    /// True for a snapshot that could be applied.
    fn note(&mut self, event: Event) -> anyhow::Result<bool> {
        match event {
            Event::Datagram { lane: LANE_SNAPSHOT, payload } => {
                Ok(self.decoder.as_mut().is_none_or(|decoder| decoder.decode(&payload).is_ok()))
            }
            Event::Refused(refusal) => bail!("refused: {}: {}", refusal.code, refusal.message),
            Event::Closed { code, message } => bail!("closed: {code}: {message}"),
            Event::LaneLost { lane, code } => bail!("lane {lane} was lost: {code}"),
            Event::Attached { .. }
            | Event::Detached
            | Event::PathSilent
            | Event::Message { .. }
            | Event::Datagram { .. }
            | Event::Acked { .. }
            | Event::Lost { .. }
            | Event::LaneWritable { .. } => Ok(false),
        }
    }

    async fn play(&mut self) -> anyhow::Result<()> {
        let until = self.clock.now() + PLAY + Micros(PLAY_STEP.0 * (self.played % 16));
        self.played += 1;
        while let Some(event) = self.client.run(until).await {
            self.note(event)?;
        }
        Ok(())
    }

    /// Bytes of frames both ways: what the session says beside its datagrams.
    fn session_bytes(&self) -> u64 {
        let stats = self.client.engine.stats();
        stats.frame_bytes_in + stats.frame_bytes_out
    }
}

/// Median round trip of a datagram through the network and back, ms.
pub(super) fn rtt_ms(times: usize) -> anyhow::Result<f64> {
    let echo = UdpSocket::bind("127.0.0.1:0")?;
    let proxy = UdpProxy::start(echo.local_addr()?, SHAPE)?;
    echo.set_read_timeout(Some(Duration::from_secs(2)))?;
    let echoing = thread::spawn(move || {
        let mut datagram = [0; 8];
        for _ in 0..times {
            let (length, from) = echo.recv_from(&mut datagram)?;
            echo.send_to(&datagram[..length], from)?;
        }
        std::io::Result::Ok(())
    });
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(proxy.address)?;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        socket.send(b"ping")?;
        socket.recv(&mut [0; 8])?;
        took.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    echoing.join().map_err(|_| anyhow::anyhow!("the echo panicked"))??;
    Ok(super::at(&mut took, 0.5))
}
