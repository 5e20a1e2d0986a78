//! The load of both QUIC servers: clients on one thread, their datagrams spread over the tick.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_session::{ConnectRequest, Event};
use amphi_shared_wire::{LANE_CONTROL, LANE_INPUT, Micros};
use anyhow::{bail, ensure};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use super::{Kind, PAYLOAD_BYTES, RATE_HZ, RETURNED_MIN, Work};
use crate::harness::{Sample, Scale, Server};
use crate::load::{Arrival, Client, Dialler, Way, Wire};
use crate::owner;

const PAYLOAD: Bytes = Bytes::from_static(&[0xa5; PAYLOAD_BYTES]);
const TICK_US: u64 = 1_000_000 / RATE_HZ as u64;
/// After the last datagram, the last ones come back.
const DRAIN: Micros = Micros::from_millis(500);

/// What one client has sent and got back.
#[derive(Default)]
struct Count {
    sent: Cell<u64>,
    returned: Cell<u64>,
}

type Counts = Rc<Vec<Count>>;

pub(super) fn measure(server: &Server, kind: Kind, work: Work, scale: Scale) -> anyhow::Result<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(server, kind, work, scale))
}

async fn run(server: &Server, kind: Kind, work: Work, scale: Scale) -> anyhow::Result<Sample> {
    let address: SocketAddr = match kind {
        Kind::Ours => serde_json::from_str::<owner::Ready>(server.ready())?.address,
        Kind::Quinn | Kind::Floor => server.ready().parse()?,
    };
    let (clock, dialler) = (Clock::start(), Dialler::new()?);
    let counts: Counts = Rc::new((0..work.clients).map(|_| Count::default()).collect());
    let (end, until) = watch::channel(false);
    let (opened, mut openings) = mpsc::unbounded_channel::<()>();
    let mut clients = JoinSet::new();
    for number in 0..work.clients {
        let lanes: &[u8] = if kind == Kind::Ours { &[LANE_CONTROL] } else { &[] };
        let (wire, _) = dialler.dial(number, address, Way::Quic, lanes).await?;
        let (counts, until, opened) = (Rc::clone(&counts), until.clone(), opened.clone());
        let phase = Duration::from_micros(TICK_US * number as u64 / work.clients as u64);
        clients.spawn_local(async move {
            let count = &counts[number];
            match kind {
                Kind::Ours => {
                    let mut client = Client::new(clock, ConnectRequest::default());
                    client.dial(wire);
                    client.attached().await?;
                    drop(opened);
                    tokio::time::sleep(phase).await;
                    through_session(client, clock, until, count).await
                }
                Kind::Quinn | Kind::Floor => {
                    drop(opened);
                    tokio::time::sleep(phase).await;
                    bare(wire, until, count).await
                }
            }
        });
    }
    drop(opened);
    tokio::select! {
        None = openings.recv() => {}
        Some(Ok(Err(error))) = clients.join_next() => return Err(error),
    }
    let total = |of: fn(&Count) -> &Cell<u64>| counts.iter().map(|count| of(count).get()).sum::<u64>();
    let sum = || total(|count| &count.sent) + total(|count| &count.returned);
    tokio::time::sleep(work.warm_up).await;
    let (before_ns, before) = (server.cpu_ns()?, sum());
    tokio::time::sleep(work.window).await;
    let (spent_ns, datagrams) = (server.cpu_ns()?.saturating_sub(before_ns), sum() - before);
    end.send_replace(true);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let share = |count: &Count| count.returned.get() as f64 / count.sent.get().max(1) as f64;
    let least = counts.iter().map(share).fold(f64::INFINITY, f64::min);
    let returned = total(|count| &count.returned) as f64 / total(|count| &count.sent).max(1) as f64;
    let enough = if scale == Scale::Full { RETURNED_MIN } else { f64::MIN_POSITIVE };
    ensure!(returned >= enough, "only {returned:.3} of the datagrams came back");
    let sample = Sample::new().with("cpu_us", spent_ns as f64 / 1_000.0 / datagrams as f64);
    Ok(sample.beside("returned", returned).beside("returned_least", least))
}

/// Sends once per tick through a session engine, as the owner of the server does.
async fn through_session(
    mut client: Client,
    clock: Clock,
    until: watch::Receiver<bool>,
    count: &Count,
) -> anyhow::Result<()> {
    let mut due = clock.now();
    loop {
        let over = *until.borrow();
        due = if over { clock.now() + DRAIN } else { due + Micros(TICK_US) };
        while let Some(event) = client.run(due).await {
            if let Event::Datagram { .. } = event {
                count.returned.set(count.returned.get() + 1);
            } else {
                ensure!(matches!(event, Event::Acked { .. } | Event::Lost { .. }), "a client met {event:?}");
            }
        }
        if over {
            return Ok(());
        }
        if client.engine.send_datagram(clock.now(), LANE_INPUT, PAYLOAD).is_some() {
            count.sent.set(count.sent.get() + 1);
        }
    }
}

async fn bare(mut wire: Wire, until: watch::Receiver<bool>, count: &Count) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_micros(TICK_US));
    let mut drained = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if drained.is_some_and(|at| tokio::time::Instant::now() >= at) {
                    return Ok(());
                }
                if *until.borrow() {
                    drained.get_or_insert(tokio::time::Instant::now() + Duration::from_micros(DRAIN.0));
                    continue;
                }
                wire.datagram(PAYLOAD);
                count.sent.set(count.sent.get() + 1);
            }
            arrival = wire.next() => match arrival {
                Arrival::Datagram(_) => count.returned.set(count.returned.get() + 1),
                Arrival::Frame(..) | Arrival::Closed(_) => bail!("the server closed"),
            },
        }
    }
}
