//! One viewer in a storm.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_session::Event;
use amphi_shared_wire::proto::{Position, Subscribed};
use amphi_shared_wire::{LANE_CONTROL, LANE_TOPICS, Micros, decode_varint};
use anyhow::{Context, bail, ensure};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::load::{Client, Dialler, Way, subscribed};
use crate::node::Node;

/// Pause after a connection that broke, or a refusal that names none.
const PAUSE_MS: u32 = 100;
/// Whoever is not back by then will not come.
const PATIENCE: Micros = Micros::from_secs(60);

/// What all viewers do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    Cut,
    Back,
    Over,
}

/// A viewer of one match.
pub(super) struct Viewer {
    client: Client,
    clock: Clock,
    number: usize,
    live: SocketAddr,
    way: Way,
    dialler: Rc<Dialler>,
    /// View, chat and numbers of the match.
    topics: [String; 3],
    positions: [Option<Position>; 3],
    /// Connections since the last report.
    dials: u32,
}

impl Viewer {
    pub(super) fn new(node: &Node, number: usize, topic: &str, (way, dialler): (Way, Rc<Dialler>)) -> Self {
        Self {
            client: Client::home(node.clock, node.user(number)),
            clock: node.clock,
            number,
            live: node.live,
            way,
            dialler,
            topics: ["view:0", "chat", "stats"].map(|name| format!("{topic}:{name}")),
            positions: [None; 3],
            dials: 0,
        }
    }

    /// Goes through the phases; says so after each, with the number of connections it needed.
    pub(super) async fn live(
        mut self,
        opening: Rc<Semaphore>,
        mut phases: watch::Receiver<Phase>,
        said: mpsc::UnboundedSender<u32>,
    ) -> anyhow::Result<()> {
        // Whoever counts stops when one has failed.
        let say = |dials| {
            let _ = said.send(dials);
        };
        let turn = opening.acquire().await?;
        self.back(None).await?;
        drop(turn);
        say(self.dials);
        self.rest(&mut phases, Phase::Cut).await?;
        // Without a word: the sockets close, no goodbye.
        drop(self.client.cut());
        say(0);
        phases.wait_for(|phase| *phase >= Phase::Back).await?;
        self.dials = 0;
        let missed = self.positions[0].context("the view has no position")?.offset + 1;
        self.back(Some(missed)).await?;
        say(self.dials);
        self.rest(&mut phases, Phase::Over).await
    }

    /// Dials until attached and all topics are there; `missed` is the one publication of the view to be read.
    async fn back(&mut self, missed: Option<u64>) -> anyhow::Result<()> {
        let give_up = self.clock.now() + PATIENCE;
        loop {
            ensure!(self.clock.now() < give_up, "viewer {} did not come back", self.number);
            self.dials += 1;
            match self.attach().await? {
                None => {}
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            if self.recover(missed).await? {
                return Ok(());
            }
        }
    }

    /// One connection up to its Welcome; how long to wait before the next one when there is none.
    async fn attach(&mut self) -> anyhow::Result<Option<Duration>> {
        // Not all in the same millisecond again.
        let pause = |ms: u32| Some(Duration::from_millis(u64::from(ms) + self.number as u64 % 97));
        let Ok((wire, _)) = self.dialler.dial(self.number, self.live, self.way, &[]).await else {
            return Ok(pause(PAUSE_MS));
        };
        self.client.dial(wire);
        let until = self.clock.now() + PATIENCE;
        loop {
            match self.client.run(until).await {
                Some(Event::Attached { .. }) => return Ok(None),
                Some(Event::Refused(refusal)) => return Ok(pause(refusal.retry_after_ms.max(PAUSE_MS))),
                Some(Event::Closed { code, message }) => bail!("viewer {}: {code}: {message}", self.number),
                Some(_) if self.client.engine.is_dialing() => {}
                Some(_) | None => return Ok(pause(PAUSE_MS)),
            }
            if !self.client.engine.is_dialing() {
                return Ok(pause(PAUSE_MS));
            }
        }
    }

    /// Subscribes, with positions when there are any. False: the connection broke before everything was there.
    async fn recover(&mut self, missed: Option<u64>) -> anyhow::Result<bool> {
        for (id, (topic, since)) in (1..).zip(self.topics.iter().zip(self.positions)) {
            self.client.subscribe(id, topic, since);
        }
        let (mut answered, mut view, mut read) = (0, None, Vec::new());
        let until = self.clock.now() + PATIENCE;
        loop {
            let whole = missed.is_none_or(|missed| read.as_slice() == [missed]);
            if answered == self.topics.len() && whole {
                return Ok(true);
            }
            let payload = match self.client.run(until).await {
                Some(Event::Message { lane: LANE_TOPICS, payload }) => payload,
                Some(Event::Detached) => return Ok(false),
                Some(Event::Closed { code, message }) => bail!("viewer {}: {code}: {message}", self.number),
                Some(_) => continue,
                None => bail!("viewer {} misses topics", self.number),
            };
            if let Some(answer) = subscribed(&payload)? {
                answered += 1;
                if self.answered(&answer, missed)? {
                    view = Some(answer.alias);
                }
            } else if missed.is_some() {
                let (alias, offset) = publication(&payload).context("a publication cannot be read")?;
                if view == Some(alias) {
                    read.push(offset);
                }
            }
        }
    }

    /// Takes the answer to a subscription; true for the view.
    fn answered(&mut self, answer: &Subscribed, missed: Option<u64>) -> anyhow::Result<bool> {
        let at = self.topics.iter().position(|topic| *topic == answer.topic).context("a topic nobody asked for")?;
        if at == 0 && missed.is_some() {
            ensure!(answer.recovered && answer.replayed == 1, "the view was not recovered: {answer:?}");
        } else {
            self.positions[at] = Some(Position { epoch: answer.epoch, offset: answer.offset });
        }
        Ok(at == 0)
    }

    /// Reads until the phase comes.
    async fn rest(&mut self, phases: &mut watch::Receiver<Phase>, phase: Phase) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                reached = phases.wait_for(|now| *now >= phase) => {
                    reached?;
                    return Ok(());
                }
                event = self.client.run(Micros(u64::MAX)) => match event {
                    Some(Event::Message { lane: LANE_TOPICS | LANE_CONTROL, .. }) | None => {}
                    Some(other) => bail!("viewer {} met {other:?}", self.number),
                },
            }
        }
    }
}

/// Alias and offset of a publication.
fn publication(payload: &[u8]) -> Option<(u32, u64)> {
    let (alias, length) = decode_varint(payload.get(1..)?).ok()??;
    let (offset, _) = decode_varint(payload.get(1 + length..)?).ok()??;
    Some((u32::try_from(alias).ok()?, offset))
}
