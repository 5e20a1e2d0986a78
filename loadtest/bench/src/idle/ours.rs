//! Our side: home sessions of the live role, per transport.

use std::net::SocketAddr;
use std::rc::Rc;

use amphi_shared_session::Event;
use amphi_shared_wire::{LANE_CONTROL, LANE_TOPICS, Lane, Micros};
use anyhow::bail;
use tokio::task::LocalSet;

use super::{Cost, Place, Work, hold};
use crate::harness::{Sample, Scale};
use crate::load::{Client, Dialler, Way, subscribed};
use crate::node::{self, Node};

/// The lanes of a home session.
const LANES: [Lane; 2] = [LANE_CONTROL, LANE_TOPICS];
/// Viewers of one match.
const VIEWERS_PER_MATCH: usize = 100;
/// A connection that is not taken is tried again.
const ATTEMPTS: u32 = 10;
/// Pause before the next attempt; limits per address fill up again meanwhile.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

pub(super) fn measure(work: Work, scale: Scale) -> anyhow::Result<Sample> {
    let cost = |way| cost(work, scale, way);
    let sample = cost(Way::Ws)?.named("ws_");
    let wss = cost(Way::Wss)?;
    let sample =
        sample.with("wss_kib", wss.kib).beside("wss_cpu_us", wss.cpu_us).beside("wss_connect_s", wss.connect_s);
    let sample = sample.and(cost(Way::WebTransport)?.named("webtransport_"));
    Ok(sample.and(cost(Way::Quic)?.beside("quic_")))
}

fn cost(work: Work, scale: Scale, way: Way) -> anyhow::Result<Cost> {
    let node = Node::start(scale, node::Work::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cost = LocalSet::new().block_on(&runtime, async {
        let dialler = Rc::new(Dialler::new()?);
        let viewer = |number, place| {
            let client = Client::home(node.clock, node.user(number));
            watch(client, number, (way, node.live, Rc::clone(&dialler)), place)
        };
        hold(&node.server, work, viewer).await
    });
    drop(runtime);
    node.server.stop()?;
    cost
}

/// Opens a home session, reads three topics, and stays.
async fn watch(
    mut client: Client,
    number: usize,
    (way, live, dialler): (Way, SocketAddr, Rc<Dialler>),
    mut place: Place,
) -> anyhow::Result<()> {
    let turn = place.turn().await?;
    let mut attempt = 1;
    loop {
        let opened = match dialler.dial(number, live, way, &LANES).await {
            Ok((wire, _)) => {
                client.dial(wire);
                client.attached().await
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok(()) => break,
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        attempt += 1;
    }
    let a_match = number / VIEWERS_PER_MATCH;
    for (id, topic) in (1..).zip(["view:0", "chat", "stats"]) {
        client.subscribe(id, &format!("match:mch_{a_match}:{topic}"), None);
    }
    let mut topics = 0;
    while topics < 3 {
        topics += u32::from(subscribed(&client.topic_message().await?)?.is_some());
    }
    drop(turn);
    place.opened();
    loop {
        tokio::select! {
            () = place.over() => return Ok(()),
            event = client.run(Micros(u64::MAX)) => match event {
                Some(Event::Message { lane: LANE_TOPICS | LANE_CONTROL, .. }) | None => {}
                Some(other) => bail!("client {number}: {other:?}"),
            },
        }
    }
}
