//! Clients whose connections break.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_session::{ConnectRequest, Event};
use amphi_shared_wire::{LANE_CONTROL, Lane, Micros, Rng, Seed};
use anyhow::{Context, bail, ensure};
use tokio::task::{JoinSet, LocalSet};

use super::tally::{Faults, Numbers, Tally};
use super::{LANES, Work};
use crate::harness::Sample;
use crate::load::{Client, Dialler, Shape, UdpProxy, Way, Wire};
use crate::owner;

/// Lane 0 and those of a game.
const WIRE_LANES: [Lane; 7] = [LANE_CONTROL, 2, 3, 4, 5, 6, 7];
/// Packets in a thousand that the network loses each way.
const LOSS_PERMILLE: u64 = 20;
/// Time between two messages of a client.
const SEND_EVERY: Micros = Micros::from_millis(20);
/// Nothing at all may take longer.
const PATIENCE: Micros = Micros::from_secs(30);
/// Pause after a dial that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Where clients connect to.
struct Target {
    direct: SocketAddr,
    lossy: UdpProxy,
    dialler: Dialler,
    clock: Clock,
}

/// What one client met.
#[derive(Clone, Copy, Default)]
struct Met {
    down: Faults,
    up: Faults,
    resumes: u64,
    switches: u64,
}

pub(super) fn measure(ready: &str, work: Work) -> anyhow::Result<Sample> {
    let direct = serde_json::from_str::<owner::Ready>(ready)?.address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let shape = Shape { delay: Duration::ZERO, loss_permille: LOSS_PERMILLE };
        let lossy = UdpProxy::start(direct, shape)?;
        let target = Rc::new(Target { direct, lossy, dialler: Dialler::new()?, clock: Clock::start() });
        let start = target.clock.now();
        let mut clients = JoinSet::new();
        for number in 0..work.clients {
            clients.spawn_local(play(number, work, Rc::clone(&target)));
        }
        let mut all = Met::default();
        while let Some(met) = clients.join_next().await {
            let met = met??;
            all.down = all.down.plus(met.down);
            all.up = all.up.plus(met.up);
            all.resumes += met.resumes;
            all.switches += met.switches;
        }
        let (faults, seconds) = (all.down.plus(all.up), target.clock.now().since(start).0 as f64 / 1e6);
        let lost = target.lossy.lost() as f64;
        Ok(Sample::new()
            .with("sent", work.clients as f64 * (work.down + work.up) as f64)
            .with("lost", faults.lost as f64)
            .with("doubled", faults.doubled as f64)
            .with("reordered", faults.reordered as f64)
            .with("resumes", all.resumes as f64)
            .with("transport_switches", all.switches as f64)
            .with("datagram_loss", lost / (lost + target.lossy.packets() as f64).max(1.0))
            .beside("seconds", seconds))
    })
}

/// Plays until everything has arrived both ways.
async fn play(number: usize, work: Work, target: Rc<Target>) -> anyhow::Result<Met> {
    let mut rng = Seed(number as u64).split("messages").rng();
    let mut player = Player {
        client: Client::new(target.clock, ConnectRequest::default()),
        target,
        number,
        way: Way::Quic,
        dialled: Way::Quic,
        given_up: Vec::new(),
        met: Met::default(),
    };
    let (mut numbers, mut tally) = (Numbers::default(), Tally::default());
    player.dial(&mut rng).await?;
    player.client.attached().await?;
    let mut change_at = work.change_after;
    let mut send_at = player.now();
    let mut heard = player.now();
    let mut counted = false;
    loop {
        let now = player.now();
        let patient = now.since(heard) < PATIENCE;
        // Lane 0 is a stream of its own: the server's count may overtake the last messages.
        if counted && (tally.received() >= work.down || !patient) {
            player.met.down = tally.faults(work.down);
            return Ok(player.met);
        }
        ensure!(patient, "client {number} heard nothing after {} messages", tally.received());
        if now >= send_at && numbers.sent() < work.up {
            let (lane, payload) = numbers.next();
            if player.client.engine.send(now, lane, payload).is_ok() {
                numbers.took(lane);
            }
            send_at = now + SEND_EVERY;
        }
        let until = if numbers.sent() < work.up { send_at } else { now + Micros::from_secs(1) };
        match player.client.run(until).await {
            Some(Event::Message { lane: LANE_CONTROL, payload }) => {
                player.met.up = Faults::decode(&payload).context("the server's count cannot be read")?;
                counted = true;
            }
            Some(Event::Message { lane, payload }) if LANES.contains(&lane) => {
                heard = player.now();
                tally.take(lane, &payload);
            }
            Some(Event::Attached { resumed, .. }) => {
                ensure!(resumed, "client {number} lost its session");
                player.attached();
                heard = player.now();
            }
            Some(Event::Detached) => player.dial(&mut rng).await?,
            Some(Event::LaneLost { lane, code }) => bail!("client {number} lost lane {lane}: {code}"),
            Some(Event::Closed { code, message }) => bail!("client {number} was closed: {code}: {message}"),
            Some(
                Event::Message { .. }
                | Event::Datagram { .. }
                | Event::Refused(_)
                | Event::PathSilent
                | Event::Acked { .. }
                | Event::Lost { .. }
                | Event::LaneWritable { .. },
            )
            | None => {}
        }
        let (attached, dialing) = (player.client.engine.is_attached(), player.client.engine.is_dialing());
        if tally.received() >= change_at && attached && !dialing {
            change_at = tally.received() + work.change_after;
            player.change(&mut rng).await?;
        } else if !attached && !dialing {
            player.dial(&mut rng).await?;
        }
    }
}

struct Player {
    client: Client,
    target: Rc<Target>,
    number: usize,
    /// What carries the session.
    way: Way,
    /// What the newest connection is.
    dialled: Way,
    /// Connections that went silent: open, and never read again.
    given_up: Vec<Wire>,
    met: Met,
}

impl Player {
    fn now(&self) -> Micros {
        self.target.clock.now()
    }

    fn attached(&mut self) {
        self.met.resumes += 1;
        self.met.switches += u64::from(self.dialled != self.way);
        self.way = self.dialled;
        self.given_up.clear();
    }

    /// Loses the connection in one of three ways, and dials again.
    async fn change(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        match rng.below(3) {
            // In parallel: the old one is read until the Welcome on the new one.
            0 => {}
            // It is closed.
            1 => drop(self.client.cut()),
            // It goes silent.
            _ => {
                let cut = self.client.cut();
                self.given_up.extend(cut);
            }
        }
        self.dial(rng).await
    }

    async fn dial(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        let way = [Way::Quic, Way::WebTransport, Way::Ws][rng.below(3) as usize];
        let give_up = self.now() + PATIENCE;
        let to = if way == Way::Ws { self.target.direct } else { self.target.lossy.address };
        let wire = loop {
            match self.target.dialler.dial(self.number, to, way, &WIRE_LANES).await {
                Ok((wire, _)) => break wire,
                Err(error) if self.now() >= give_up => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        self.dialled = way;
        self.client.dial(wire);
        Ok(())
    }
}
