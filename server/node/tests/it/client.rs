//! A client: the session engine over a real connection.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::session::{PipeEvent, PipeEventKind};
use amphi_shared_replica::{Snapshot, SnapshotDecoder, decode_message, encode_inputs, encode_message};
use amphi_shared_session::{Config, ConnectRequest, Event, Output, PipeId, Session};
use amphi_shared_wire::proto::{self, Joined, RoomMessage, player_message, room_message};
use amphi_shared_wire::{Code, LANE_BULK, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Tick};
use prost::Message;
use tokio::sync::mpsc;

use crate::game::{Count, Counted, Push};
use crate::pipe::{Pipe, Transport};
use crate::world::{World, patient};

pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) decoder: SnapshotDecoder,
    clock: Clock,
    events: VecDeque<Event>,
    pipes: BTreeMap<PipeId, Pipe>,
    pipes_made: u32,
    mailbox: mpsc::Sender<PipeEvent>,
    arrivals: mpsc::Receiver<PipeEvent>,
}

impl Client {
    /// A client that has said Hello with this token.
    pub(crate) async fn hello(world: &World, transport: Transport, token: String) -> Self {
        let request = ConnectRequest {
            token,
            game: world.game.name().into(),
            schema_hash: world.game.schema().hash(),
            ..Default::default()
        };
        Self::with(world, transport, request).await
    }

    pub(crate) async fn with(world: &World, transport: Transport, request: ConnectRequest) -> Self {
        let (mailbox, arrivals) = mpsc::channel(4_096);
        let mut client = Self {
            session: Session::connect(Config::default(), request),
            decoder: SnapshotDecoder::new(world.game.schema().clone()),
            clock: world.clock,
            events: VecDeque::new(),
            pipes: BTreeMap::new(),
            pipes_made: 0,
            mailbox,
            arrivals,
        };
        client.dial(world, transport).await;
        client
    }

    /// A client that has joined.
    pub(crate) async fn join(world: &World, transport: Transport, token: String) -> (Self, Joined) {
        let mut client = Self::hello(world, transport, token).await;
        let joined = client.joined().await;
        (client, joined)
    }

    /// Opens another connection and resumes on it.
    pub(crate) async fn dial(&mut self, world: &World, transport: Transport) {
        self.pipes_made += 1;
        let id = PipeId(self.pipes_made);
        let (pipe, info) = Pipe::open(world, transport, id, self.mailbox.clone()).await;
        self.pipes.insert(id, pipe);
        self.session.dial(self.clock.now(), info);
        self.flush().await;
    }

    /// Loses its connections; the session engine of the server hears of a broken one, not of an end.
    pub(crate) async fn cut(&mut self) {
        for (id, pipe) in std::mem::take(&mut self.pipes) {
            pipe.close(None).await;
            self.session.handle_pipe_closed(self.clock.now(), id, None);
        }
        self.flush().await;
        self.events.clear();
    }

    /// The next event of the session.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            self.flush().await;
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let due = self.session.poll_timeout().map_or(Duration::from_secs(60), |(due, _)| self.clock.until(due));
            let arrival = patient(async {
                tokio::select! {
                    arrival = self.arrivals.recv() => arrival,
                    () = tokio::time::sleep(due) => None,
                }
            });
            let (arrival, now) = (arrival.await, self.clock.now());
            let Some(PipeEvent { pipe, kind, .. }) = arrival else {
                self.session.handle_timeout(now);
                continue;
            };
            match kind {
                PipeEventKind::Frame { lane, payload } => self.session.handle_frame(now, pipe, lane, payload),
                PipeEventKind::Datagram(bytes) => self.session.handle_datagram(now, pipe, bytes),
                PipeEventKind::Confirmed => {}
                PipeEventKind::Closed(code) => {
                    self.pipes.remove(&pipe);
                    self.session.handle_pipe_closed(now, pipe, code);
                }
            }
        }
    }

    /// Waits for an event that gives an answer; others are dropped.
    pub(crate) async fn until<T>(&mut self, mut answer: impl FnMut(Event) -> Option<T>) -> T {
        patient(async {
            loop {
                if let Some(found) = answer(self.event().await) {
                    return found;
                }
            }
        })
        .await
    }

    /// The next message of the room.
    pub(crate) async fn room_message(&mut self) -> room_message::Kind {
        self.until(|event| match event {
            Event::Message { lane: LANE_ROOM, payload } => RoomMessage::decode(payload).unwrap().kind,
            other => {
                assert!(!matches!(other, Event::Closed { .. } | Event::Refused(_)), "{other:?}");
                None
            }
        })
        .await
    }

    pub(crate) async fn joined(&mut self) -> Joined {
        match self.room_message().await {
            room_message::Kind::Joined(joined) => joined,
            other => panic!("expected Joined: {other:?}"),
        }
    }

    /// The next snapshot that can be decoded.
    pub(crate) async fn snapshot(&mut self) -> Snapshot {
        loop {
            let payload = self
                .until(|event| match event {
                    Event::Datagram { lane: LANE_SNAPSHOT, payload } => Some(payload),
                    other => {
                        assert!(!matches!(other, Event::Closed { .. } | Event::Refused(_)), "{other:?}");
                        None
                    }
                })
                .await;
            if let Ok(snapshot) = self.decoder.decode(&payload) {
                return snapshot;
            }
        }
    }

    /// The code of the refusal.
    /// Reads snapshots and parts until it knows so many entities. How many parts there were.
    pub(crate) async fn whole_world(&mut self, entities: usize) -> usize {
        let mut parts = 0;
        while self.decoder.entities().count() < entities {
            let part = self
                .until(|event| match event {
                    Event::Datagram { lane: LANE_SNAPSHOT, payload } => Some((payload, false)),
                    Event::Message { lane: LANE_BULK, payload } => Some((payload, true)),
                    other => {
                        assert!(!matches!(other, Event::Closed { .. } | Event::Refused(_)), "{other:?}");
                        None
                    }
                })
                .await;
            let (payload, true) = part else {
                self.decoder.decode(&part.0).unwrap();
                continue;
            };
            let proto::WorldPart { number, snapshot } = proto::WorldPart::decode(payload).unwrap();
            let dropped = self.decoder.decode_part(&snapshot).is_err();
            self.say(player_message::Kind::PartRead(proto::PartRead { number, dropped })).await;
            parts += 1;
        }
        parts
    }

    pub(crate) async fn refused(&mut self) -> Code {
        self.until(|event| match event {
            Event::Refused(refusal) => Some(refusal.code),
            other => {
                assert!(!matches!(other, Event::Attached { .. }), "{other:?}");
                None
            }
        })
        .await
    }

    /// What the session ends with.
    pub(crate) async fn closed(&mut self) -> Code {
        self.until(|event| match event {
            Event::Closed { code, .. } => Some(code),
            _ => None,
        })
        .await
    }

    /// Sends inputs for ticks up to `newest`.
    pub(crate) async fn push(&mut self, newest: Tick, pushes: &[Push]) {
        let payload = encode_inputs(newest, pushes).into();
        let _ = self.session.send_datagram(self.clock.now(), LANE_INPUT, payload);
        self.flush().await;
    }

    /// Asks the game something; the message goes out with the next connection when there is none.
    pub(crate) async fn ask(&mut self, id: u32, count: Count) {
        let request = proto::Request { id, kind: 1, body: encode_message(&count).into() };
        self.say(player_message::Kind::Request(request)).await;
    }

    async fn say(&mut self, kind: player_message::Kind) {
        let message = proto::PlayerMessage { kind: Some(kind) };
        self.session.send(self.clock.now(), LANE_ROOM, message.encode_to_vec().into()).unwrap();
        self.flush().await;
    }

    /// The next answer: to which request, its code, and what it says.
    pub(crate) async fn answer(&mut self) -> (u32, u32, Option<Counted>) {
        loop {
            if let room_message::Kind::Answer(answer) = self.room_message().await {
                let said = (answer.code == 0).then(|| decode_message(&answer.body).unwrap());
                return (answer.request, answer.code, said);
            }
        }
    }

    async fn flush(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Frame { pipe, lane, payload } => {
                    if let Some(pipe) = self.pipes.get_mut(&pipe) {
                        pipe.frame(lane, payload).await;
                    }
                }
                Output::Datagram { pipe, bytes } => {
                    if let Some(pipe) = self.pipes.get_mut(&pipe) {
                        pipe.datagram(bytes).await;
                    }
                }
                Output::ClosePipe { pipe, code, .. } => {
                    if let Some(pipe) = self.pipes.remove(&pipe) {
                        pipe.close(Some(code)).await;
                    }
                }
                Output::Event(event) => self.events.push_back(event),
            }
        }
    }
}
