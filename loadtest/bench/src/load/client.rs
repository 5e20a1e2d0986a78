//! A client: one session engine over the connections it was given.

use std::net::SocketAddr;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_session::{Config, ConnectRequest, Event, Output, PipeId, Session};
use amphi_shared_wire::proto::{Position, Subscribe, Subscribed, TopicReply, TopicRequest, topic_reply, topic_request};
use amphi_shared_wire::{LANE_TOPICS, Lane, Micros};
use anyhow::{Context, bail};
use bytes::Bytes;
use prost::Message;

use super::{Arrival, Dialler, Way, Wire};

/// Longest wait for anything that must come.
const PATIENCE: Micros = Micros::from_secs(60);

/// A session on the client's side, with its connections.
pub(crate) struct Client {
    /// The engine, to send and to look at; drive it with [`Client::run`].
    pub(crate) engine: Session,
    clock: Clock,
    /// Oldest first.
    wires: Vec<(PipeId, Wire)>,
    next_pipe: u32,
}

impl Client {
    /// A client without a connection.
    pub(crate) fn new(clock: Clock, request: ConnectRequest) -> Self {
        Self::with(clock, Config::default(), request)
    }

    /// The same with settings of its own.
    pub(crate) fn with(clock: Clock, config: Config, request: ConnectRequest) -> Self {
        Self { engine: Session::connect(config, request), clock, wires: Vec::new(), next_pipe: 1 }
    }

    /// A client of a home session.
    pub(crate) fn home(clock: Clock, token: String) -> Self {
        Self::with(
            clock,
            Config::home(),
            ConnectRequest { token, build: "bench".to_owned(), ..ConnectRequest::default() },
        )
    }

    /// Says Hello on a fresh connection; one that carries the session goes on until the answer.
    pub(crate) fn dial(&mut self, wire: Wire) {
        let pipe = PipeId(self.next_pipe);
        self.next_pipe += 1;
        let info = wire.info(pipe);
        self.wires.push((pipe, wire));
        self.engine.dial(self.clock.now(), info);
    }

    /// Connects as client `number` and says Hello as early as the way allows: inside the upgrade of a WebSocket, and on
    /// others when the connection is there. Says whether it went out in early data.
    ///
    /// # Errors
    /// The server does not accept.
    pub(crate) async fn connect(
        &mut self,
        dialler: &Dialler,
        (number, to): (usize, SocketAddr),
        way: Way,
        lanes: &[Lane],
    ) -> anyhow::Result<bool> {
        if !matches!(way, Way::Ws | Way::Wss) {
            let (wire, early) = dialler.dial(number, to, way, lanes).await?;
            self.dial(wire);
            return Ok(early);
        }
        let (pipe, hello) = self.greet()?;
        match dialler.dial_greeting(number, to, way, &hello).await {
            Ok(wire) => self.wires.push((pipe, wire)),
            Err(error) => {
                self.engine.handle_pipe_closed(self.clock.now(), pipe, None);
                return Err(error);
            }
        }
        Ok(false)
    }

    /// The Hello for a WebSocket that is not open yet.
    fn greet(&mut self) -> anyhow::Result<(PipeId, Bytes)> {
        let pipe = PipeId(self.next_pipe);
        self.next_pipe += 1;
        self.engine.dial(self.clock.now(), Wire::socket_info(pipe));
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Frame { pipe: of, payload, .. } if of == pipe => return Ok((pipe, payload)),
                // A dial before this one is given up.
                other @ (Output::Frame { .. } | Output::Datagram { .. } | Output::ClosePipe { .. }) => {
                    self.put(other);
                }
                Output::Event(_) => {}
            }
        }
        bail!("the session has ended")
    }

    /// Loses every connection, as when a network goes away; they are given back, so that the caller says how they end.
    pub(crate) fn cut(&mut self) -> Vec<Wire> {
        let now = self.clock.now();
        let cut = std::mem::take(&mut self.wires);
        cut.iter().for_each(|(pipe, _)| self.engine.handle_pipe_closed(now, *pipe, None));
        cut.into_iter().map(|(_, wire)| wire).collect()
    }

    /// Carries bytes and time until something happens, or until `until`.
    pub(crate) async fn run(&mut self, until: Micros) -> Option<Event> {
        loop {
            while let Some(output) = self.engine.poll_output() {
                if let Some(event) = self.put(output) {
                    return Some(event);
                }
            }
            let now = self.clock.now();
            if now >= until {
                return None;
            }
            let due = self.engine.poll_timeout().map_or(until, |(due, _)| due.min(until));
            if due <= now {
                self.engine.handle_timeout(now);
                continue;
            }
            tokio::select! {
                (at, arrival) = next(&mut self.wires) => self.take(at, arrival),
                () = tokio::time::sleep(Duration::from_micros(due.since(now).0)) => {}
            }
        }
    }

    /// Runs until the session is attached.
    ///
    /// # Errors
    /// It is refused, or it takes too long.
    pub(crate) async fn attached(&mut self) -> anyhow::Result<()> {
        let until = self.clock.now() + PATIENCE;
        while let Some(event) = self.run(until).await {
            match event {
                Event::Attached { .. } => return Ok(()),
                Event::Refused(refusal) => bail!("refused: {}: {}", refusal.code, refusal.message),
                Event::Closed { code, message } => bail!("closed: {code}: {message}"),
                Event::Detached => bail!("the connection broke before the Welcome"),
                Event::PathSilent
                | Event::Message { .. }
                | Event::Datagram { .. }
                | Event::Acked { .. }
                | Event::Lost { .. }
                | Event::LaneWritable { .. }
                | Event::LaneLost { .. } => {}
            }
        }
        bail!("no Welcome within {PATIENCE}")
    }

    /// The next message of lane 1.
    ///
    /// # Errors
    /// The session ends, or nothing comes.
    pub(crate) async fn topic_message(&mut self) -> anyhow::Result<Bytes> {
        let until = self.clock.now() + PATIENCE;
        while let Some(event) = self.run(until).await {
            match event {
                Event::Message { lane: LANE_TOPICS, payload } => return Ok(payload),
                Event::Closed { code, message } => bail!("closed: {code}: {message}"),
                Event::Detached => bail!("the connection broke"),
                Event::Attached { .. }
                | Event::Refused(_)
                | Event::PathSilent
                | Event::Message { .. }
                | Event::Datagram { .. }
                | Event::Acked { .. }
                | Event::Lost { .. }
                | Event::LaneWritable { .. }
                | Event::LaneLost { .. } => {}
            }
        }
        bail!("no message within {PATIENCE}")
    }

    /// Asks for a topic, from a position on when there is one.
    pub(crate) fn subscribe(&mut self, id: u32, topic: &str, since: Option<Position>) {
        let ask = Subscribe { topic: topic.to_owned(), since, ..Subscribe::default() };
        let request = TopicRequest { id, kind: Some(topic_request::Kind::Subscribe(ask)) };
        // A session that is closed meanwhile is noticed by who waits for the answer.
        let _ = self.engine.send(self.clock.now(), LANE_TOPICS, request.encode_to_vec().into());
    }

    fn put(&mut self, output: Output) -> Option<Event> {
        let wire = |wires: &mut Vec<(PipeId, Wire)>, pipe| wires.iter().position(|(known, _)| *known == pipe);
        match output {
            Output::Frame { pipe, lane, payload } => {
                if let Some(at) = wire(&mut self.wires, pipe) {
                    self.wires[at].1.frame(lane, &payload);
                }
            }
            Output::Datagram { pipe, bytes } => {
                if let Some(at) = wire(&mut self.wires, pipe) {
                    self.wires[at].1.datagram(bytes);
                }
            }
            Output::ClosePipe { pipe, code, .. } => {
                if let Some(at) = wire(&mut self.wires, pipe) {
                    tokio::spawn(self.wires.remove(at).1.close(code));
                }
            }
            Output::Event(event) => return Some(event),
        }
        None
    }

    fn take(&mut self, at: usize, arrival: Arrival) {
        let (now, pipe) = (self.clock.now(), self.wires[at].0);
        match arrival {
            Arrival::Frame(lane, payload) => self.engine.handle_frame(now, pipe, lane, payload),
            Arrival::Datagram(bytes) => self.engine.handle_datagram(now, pipe, bytes),
            Arrival::Closed(code) => {
                self.wires.remove(at);
                self.engine.handle_pipe_closed(now, pipe, code);
            }
        }
    }
}

/// What arrives next on any of the wires; waits for ever when there is none.
async fn next(wires: &mut [(PipeId, Wire)]) -> (usize, Arrival) {
    match wires {
        [] => std::future::pending().await,
        [(_, one)] => (0, one.next().await),
        [(_, older), (_, newer), ..] => tokio::select! {
            arrival = older.next() => (0, arrival),
            arrival = newer.next() => (1, arrival),
        },
    }
}

/// The answer to [`Client::subscribe`] inside a message of lane 1; `None`: it is a publication.
///
/// # Errors
/// The topic was refused, or the message cannot be read.
pub(crate) fn subscribed(message: &Bytes) -> anyhow::Result<Option<Subscribed>> {
    if message.first() != Some(&0) {
        return Ok(None);
    }
    let reply = TopicReply::decode(message.slice(1..))?.kind.context("an empty reply")?;
    let topic_reply::Kind::Subscribed(subscribed) = reply else { bail!("a topic was refused: {reply:?}") };
    Ok(Some(subscribed))
}
