//! The bench `idle`: what a connection costs that only waits.
//!
//! Every client has a home session and reads three topics of the live role on which nothing happens. The memory is what
//! the server's resident set grew by since it was ready, the processor time that of all its threads over some ping
//! periods; pings and keep-alives run as configured. Each transport gets a fresh server. Clients answer like real ones.
//!
//! The peers do less: they know no session that could be resumed, no token and no position in a topic. `ws` and axum
//! keep the three topics in a table of their own and, like Socket.IO, ping every 25 s.

mod ours;
mod peer;

use std::time::Duration;

use anyhow::bail;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::harness::{Bench, Contestant, Sample, Scale, Server};
use crate::{floor, peers};

/// Payload of the floor: about a ping.
const FLOOR_BYTES: usize = 16;
/// Clients that are being opened at the same time.
const OPENING_MAX: usize = 64;

/// How much is held for how long.
#[derive(Clone, Copy, Debug)]
struct Work {
    connections: usize,
    /// Time in which the server comes to rest.
    settle: Duration,
    /// Time in which processor time is counted: two ping periods.
    window: Duration,
}

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let work = match scale {
        Scale::Full => Work { connections: 9_000, settle: Duration::from_secs(10), window: Duration::from_secs(50) },
        Scale::Smoke => Work { connections: 3, settle: Duration::from_millis(10), window: Duration::from_millis(10) },
    };
    let ours = Contestant::new("ours", move || ours::measure(work, scale));
    let mut bench = Bench::new("idle", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours).rounds(3);
    for (name, kind) in [("ws", peer::Kind::Plain), ("socketio", peer::Kind::SocketIo)] {
        if let Some(command) = peers::node(name) {
            bench = bench.against(Contestant::new(name, move || peer::measure(&command, kind, work)));
        }
    }
    if let Some(program) = peers::program() {
        let command = vec![program.into_os_string(), "axum".into()];
        bench = bench.against(Contestant::new("axum", move || peer::measure(&command, peer::Kind::Plain, work)));
    }
    bench
}

/// What one connection of a server costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    kib: f64,
    cpu_us: f64,
    /// Time until the last one was open.
    connect_s: f64,
}

impl Cost {
    /// The cost as figures `NAME_kib` and so on; without a name for a peer, whose own name stands before.
    fn named(self, prefix: &str) -> Sample {
        Sample::new()
            .with(format!("{prefix}kib"), self.kib)
            .with(format!("{prefix}cpu_us"), self.cpu_us)
            .beside(format!("{prefix}connect_s"), self.connect_s)
    }

    fn beside(self, prefix: &str) -> Sample {
        Sample::new()
            .beside(format!("{prefix}kib"), self.kib)
            .beside(format!("{prefix}cpu_us"), self.cpu_us)
            .beside(format!("{prefix}connect_s"), self.connect_s)
    }
}

/// What a client is told: when it may open, to whom it says that it is open, and until when it stays.
struct Place {
    opening: std::sync::Arc<Semaphore>,
    opened: mpsc::UnboundedSender<()>,
    until: watch::Receiver<bool>,
}

impl Place {
    /// Waits for the turn; hold the result until the connection is open.
    async fn turn(&self) -> anyhow::Result<tokio::sync::OwnedSemaphorePermit> {
        Ok(std::sync::Arc::clone(&self.opening).acquire_owned().await?)
    }

    fn opened(&self) {
        // Nobody counts any more when another client has failed.
        let _ = self.opened.send(());
    }

    /// Returns when the measurement is over.
    async fn over(&mut self) {
        // An error says the same.
        let _ = self.until.wait_for(|over| *over).await;
    }
}

/// Opens all clients, lets them rest, and measures their server. `client` opens one, keeps it until the end of its
/// place, and fails when it loses it before.
async fn hold<F>(server: &Server, work: Work, client: impl Fn(usize, Place) -> F) -> anyhow::Result<Cost>
where
    F: Future<Output = anyhow::Result<()>> + 'static,
{
    let base_kib = server.resident_kib()?;
    let (opened, mut openings) = mpsc::unbounded_channel();
    let (end, until) = watch::channel(false);
    let opening = std::sync::Arc::new(Semaphore::new(OPENING_MAX));
    let start = tokio::time::Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..work.connections {
        let place = Place { opening: opening.clone(), opened: opened.clone(), until: until.clone() };
        clients.spawn_local(client(number, place));
    }
    let mut open = 0;
    while open < work.connections {
        tokio::select! {
            Some(()) = openings.recv() => open += 1,
            Some(ended) = clients.join_next() => ended??,
        }
    }
    let connect_s = start.elapsed().as_secs_f64();
    tokio::time::sleep(work.settle).await;
    let kib = server.resident_kib()? as f64 - base_kib as f64;
    let before_ns = server.cpu_ns()?;
    let window = tokio::time::Instant::now();
    tokio::time::sleep(work.window).await;
    let (spent_ns, seconds) = (server.cpu_ns()?.saturating_sub(before_ns), window.elapsed().as_secs_f64());
    if let Some(ended) = clients.try_join_next() {
        ended??;
        bail!("a client went away");
    }
    end.send_replace(true);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let connections = work.connections as f64;
    Ok(Cost { kib: kib / connections, cpu_us: spent_ns as f64 / 1_000.0 / connections / seconds, connect_s })
}
