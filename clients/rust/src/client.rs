//! The client: one session, one seat, three times.

use std::borrow::Cow;
use std::collections::VecDeque;

use amphi_shared_replica::{
    Game, GameError, Input, NetId, Replicate, Request, Row, Seat, Snapshot, decode_message, encode_message,
};
use amphi_shared_session::{
    Config, ConnectRequest, Event, InputLead, Output, PipeId, PipeInfo, Refusal, Saved, SendError, Session,
};
use amphi_shared_wire::proto::{self, PlayerMessage, RoomMessage, player_message, room_message};
use amphi_shared_wire::{AppId, Code, LANE_BULK, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Lane, Micros, Tick, TickClock};
use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use crate::effects::Effects;
use crate::playout::Playout;
use crate::predict::{Known, Predictor};
use crate::received::Received;

/// Ticks that are caught up at once; beyond, the input tick jumps.
const CATCH_UP_MAX: u32 = 4;

/// What a client is made with.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The app of match and player.
    pub app: AppId,
    /// A connect token for the match.
    pub token: String,
    /// An earlier session of this seat, to go on with.
    pub resume: Option<Saved>,
    /// Settings of the session engine.
    pub session: Config,
}

/// Why a client cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The game does not build a world, or a row does not fit it.
    #[error(transparent)]
    Game(#[from] GameError),
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutput {
    /// Send a message on a reliable lane.
    Frame {
        /// The pipe.
        pipe: PipeId,
        /// 0 to 8.
        lane: Lane,
        /// The message.
        payload: Bytes,
    },
    /// Send a datagram.
    Datagram {
        /// The pipe.
        pipe: PipeId,
        /// Session header, lane and payload.
        bytes: Bytes,
    },
    /// Close a pipe.
    ClosePipe {
        /// The pipe.
        pipe: PipeId,
        /// Why.
        code: Code,
        /// In words.
        message: String,
    },
    /// Something for the game.
    Event(ClientEvent),
}

/// What happened to the player.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The session has a connection.
    Attached {
        /// An earlier session goes on.
        resumed: bool,
    },
    /// The connection is gone: dial again, the seat waits.
    Detached,
    /// Nothing was heard for a while: dial a second pipe in parallel.
    PathSilent,
    /// The room has greeted this player.
    Joined(Joined),
    /// Who sits where has changed.
    Roster(Vec<proto::Seat>),
    /// The game says something; [`Said::read`] gives it a type.
    Game(Said),
    /// The game answers [`Client::request`].
    Answer {
        /// What [`Client::request`] returned.
        request: u32,
        /// The body of the answer, see [`decode_message`], or why there is none.
        answer: Result<Bytes, Code>,
    },
    /// The match is over.
    Ended(proto::MatchResult),
    /// The host said no.
    Refused(Refusal),
    /// The session has ended.
    Closed {
        /// Why.
        code: Code,
        /// In words.
        message: String,
    },
}

/// An event or effect of the game.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When.
    pub tick: Tick,
    /// Kind in the schema, from 1.
    pub kind: u32,
    /// See [`decode_message`].
    pub body: Bytes,
    /// The own prediction says it; the server's word is not shown again.
    pub predicted: bool,
}

impl Said {
    /// The event, if it is one of this type.
    pub fn read<E: Replicate>(&self, game: &Game) -> Option<E> {
        let event = game.schema().event(self.kind)?;
        (event.name == E::NAME).then(|| decode_message(&self.body).ok()).flatten()
    }
}

/// What the room said when it greeted this player.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The match.
    pub match_id: String,
    /// The own seat.
    pub seat: u8,
    /// The mode.
    pub mode: String,
    /// Who sits where.
    pub roster: Vec<proto::Seat>,
}

/// An entity as it should be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRow<'a> {
    /// The entity.
    pub id: NetId,
    /// What a picture of the entity goes by. It is `id` of all but what the own player's input spawned in the prediction: that has
    /// a provisional id until the server has named it, and this stays.
    pub shown_as: NetId,
    /// The row that is in force.
    pub row: Cow<'a, Row>,
    /// Where the numbers of the row are between it and the next one, or beyond it: one for each, in its unit. Nothing where they
    /// are as the row has them.
    pub steps: Option<Vec<f64>>,
}

/// Plain counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Snapshots read.
    pub snapshots: u64,
    /// Bytes of their payloads.
    pub snapshot_bytes: u64,
    /// Snapshots in trained tables.
    pub snapshots_trained: u64,
    /// Parts of the world read, which came beside the snapshots.
    pub parts: u64,
    /// Snapshots that could not be read.
    pub snapshots_invalid: u64,
    /// Predictions that the server corrected.
    pub mispredictions: u64,
    /// Predicted ticks.
    pub ticks: u64,
    /// Inputs that came too late, as the server counts them, modulo 256.
    pub inputs_late: u8,
    /// Least margin of inputs in the last snapshot that measured one, in quarters of a tick.
    pub margin: i8,
    /// Entities that the own player's input spawned in the prediction …
    pub spawns: u64,
    /// … that the server spawned, too …
    pub spawns_confirmed: u64,
    /// … and that were taken away, because it did not.
    pub spawns_dropped: u64,
}

/// A player in a match. `I` is the game's input type.
pub struct Client<I: Input> {
    game: Game,
    session: Session,
    received: Received,
    predictor: Option<Predictor<I>>,
    playout: Playout,
    lead: Option<InputLead>,
    input: I,
    ticked: Option<Tick>,
    /// Newest tick whose input was sent.
    sent: Option<Tick>,
    /// Number of the last request.
    asked: u32,
    effects: Effects,
    outputs: VecDeque<ClientOutput>,
    stats: ClientStats,
}

impl<I: Input> Client<I> {
    /// A client without a connection: dial one.
    pub fn new(game: &Game, config: ClientConfig) -> Self {
        let request = ConnectRequest {
            token: config.token,
            app: config.app,
            game: game.name().to_owned(),
            build: game.version().to_owned(),
            schema_hash: game.schema().hash(),
            tables_known: Vec::new(),
            capabilities: Vec::new(),
            resume: config.resume,
            topics: Vec::new(),
        };
        Self {
            session: Session::connect(config.session, request),
            received: Received::new(game.schema().clone()),
            game: game.clone(),
            predictor: None,
            playout: Playout::default(),
            lead: None,
            input: I::default(),
            ticked: None,
            sent: None,
            asked: 0,
            effects: Effects::default(),
            outputs: VecDeque::new(),
            stats: ClientStats::default(),
        }
    }

    /// A fresh connection: the handshake goes out on it.
    pub fn dial(&mut self, now: Micros, pipe: PipeInfo) {
        self.session.dial(now, pipe);
        self.pump(now);
    }

    /// A message has arrived on a reliable lane.
    pub fn handle_frame(&mut self, now: Micros, pipe: PipeId, lane: Lane, payload: Bytes) {
        self.session.handle_frame(now, pipe, lane, payload);
        self.pump(now);
    }

    /// A datagram has arrived.
    pub fn handle_datagram(&mut self, now: Micros, pipe: PipeId, bytes: Bytes) {
        self.session.handle_datagram(now, pipe, bytes);
        self.pump(now);
    }

    /// A connection is gone.
    pub fn handle_pipe_closed(&mut self, now: Micros, pipe: PipeId, code: Option<Code>) {
        self.session.handle_pipe_closed(now, pipe, code);
        self.pump(now);
    }

    /// What the player wants from now on.
    pub fn set_input(&mut self, input: I) {
        self.input = input;
    }

    /// Predicts the ticks that are due and sends their inputs. To be called at least once per tick.
    ///
    /// # Errors
    /// The game's world cannot go on.
    pub fn advance(&mut self, now: Micros) -> Result<(), ClientError> {
        if self.session.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.session.handle_timeout(now);
        }
        let ready = self.session.is_attached() && self.session.clock().is_set();
        if let (true, Some(clock), Some(lead)) = (ready, self.session.tick_clock(), &mut self.lead) {
            lead.advance(now, self.session.clock().offset_us(now));
            let target = clock.at(self.session.clock().server_time(now) + lead.lead());
            self.predict_to(target)?;
            self.send_inputs(now);
        }
        self.pump(now);
        Ok(())
    }

    /// Asks something of the game. The answer comes as [`ClientEvent::Answer`] with the number returned here; one that is
    /// sent without a connection goes out with the next.
    ///
    /// # Errors
    /// [`SendError`] when too much waits for the room already.
    pub fn request<R: Request>(&mut self, now: Micros, request: &R) -> Result<u32, SendError> {
        let kind = self.game.schema().request(R::NAME).unwrap_or(0);
        self.request_body(now, kind, encode_message(request).into())
    }

    /// As [`Self::request`], for a caller that does not know the type: a kind of the schema, and what [`encode_message`]
    /// makes of the request.
    ///
    /// # Errors
    /// [`SendError`] when too much waits for the room already.
    pub fn request_body(&mut self, now: Micros, kind: u32, body: Bytes) -> Result<u32, SendError> {
        let id = self.asked.wrapping_add(1);
        let request = proto::Request { id, kind, body };
        let message = PlayerMessage { kind: Some(player_message::Kind::Request(request)) };
        self.session.send(now, LANE_ROOM, message.encode_to_vec().into())?;
        self.asked = id;
        self.pump(now);
        Ok(id)
    }

    /// Leaves the match: the seat goes back to a bot.
    pub fn close(&mut self, now: Micros) {
        self.session.close(now, Code::Bye, "the player left");
        self.pump(now);
    }

    /// The next thing to do; `None` when all is said.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::advance`] is next needed: the next input tick, or sooner.
    pub fn poll_timeout(&self, now: Micros) -> Option<Micros> {
        let session = self.session.poll_timeout().map(|(at, _)| at);
        let tick = self.next_tick_at(now);
        session.into_iter().chain(tick).min()
    }

    /// A component of the own player, predicted.
    pub fn own<C: Replicate>(&self) -> Option<C> {
        self.read(&self.predictor.as_ref()?.row()?)
    }

    /// A component of the own player, as it should be shown: corrections glide.
    pub fn own_shown<C: Replicate>(&self) -> Option<C> {
        self.read(&self.predictor.as_ref()?.shown()?)
    }

    /// A component of what is predicted beside the own entity, by id: others and things that the own player can touch, at
    /// the own player's time and not where [`shown`](Self::shown) shows them.
    pub fn nearby<C: Replicate>(&self) -> Vec<(NetId, C)> {
        self.predictor.as_ref().map(Predictor::nearby).unwrap_or_default()
    }

    /// The own entity.
    pub fn own_id(&self) -> Option<NetId> {
        self.predictor.as_ref()?.own()
    }

    /// The own seat.
    pub fn seat(&self) -> Option<u8> {
        Some(self.predictor.as_ref()?.seat().0)
    }

    /// A component of every entity that has it, as it should be shown now: by id, and then what the own player has spawned, as
    /// it is predicted.
    pub fn shown<C: Replicate>(&self, now: Micros) -> Vec<(NetId, C)> {
        let Some(clock) = self.session.tick_clock() else { return Vec::new() };
        let at = self.session.clock().server_time(now) - self.playout.delay();
        let others = self.received.entities().filter(|(id, _, row)| !self.has_spawned(*id, row));
        let sample = |id| Some((id, self.playout.sample(self.game.schema(), id, (at, clock))?));
        let spawned = self.spawned_rows().filter_map(|shown| Some((shown.id, self.read(&shown.row)?)));
        others.filter_map(|(id, _, _)| sample(id)).chain(spawned).collect()
    }

    /// Every entity as it should be shown now: by id, and then what the own player has spawned. What is predicted of that and
    /// of the own entity is as [`Self::own_shown`] has it.
    pub fn shown_rows(&self, now: Micros) -> impl Iterator<Item = ShownRow<'_>> {
        let at = self.session.tick_clock().map(|clock| {
            let time = self.session.clock().server_time(now) - self.playout.delay();
            (time, clock)
        });
        let own = self.predictor.as_ref().and_then(|predictor| Some((predictor.own()?, predictor.shown()?)));
        let schema = self.game.schema();
        let rows = at.into_iter().flat_map(move |at| self.playout.rows(schema, at));
        let others = rows.filter(|(id, row, _)| !self.has_spawned(*id, row));
        let others = others.map(move |(id, row, steps)| match &own {
            Some((own, predicted)) if *own == id => {
                let row = Cow::Owned(row.with_predicted(schema, predicted));
                ShownRow { id, shown_as: id, row, steps: None }
            }
            Some(_) | None => ShownRow { id, shown_as: id, row: Cow::Borrowed(row), steps },
        });
        others.chain(self.spawned_rows())
    }

    /// A component of every entity that has it, by id, as received last. What is reckoned has not gone on since.
    pub fn received<C: Replicate>(&self) -> Vec<(NetId, C)> {
        self.received.entities().filter_map(|(id, _, row)| Some((id, self.read(&row)?))).collect()
    }

    /// Every entity by id, with the tick of the row received last and the row. What is reckoned has not gone on since.
    pub fn received_rows(&self) -> impl Iterator<Item = (NetId, Tick, Cow<'_, Row>)> {
        self.received.entities()
    }

    /// The newest tick received.
    pub fn tick(&self) -> Tick {
        self.received.tick()
    }

    /// What a program that loses its memory needs to find this session again.
    pub fn saved(&self) -> Option<Saved> {
        self.session.saved()
    }

    /// The session engine.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Plain counters.
    pub fn stats(&self) -> ClientStats {
        let spawns = self.predictor.as_ref().map(Predictor::spawn_counts).unwrap_or_default();
        ClientStats {
            spawns: spawns.predicted,
            spawns_confirmed: spawns.confirmed,
            spawns_dropped: spawns.dropped,
            ..self.stats
        }
    }

    /// The entity is shown as [`Self::spawned_rows`] has it.
    fn has_spawned(&self, id: NetId, row: &Row) -> bool {
        self.predictor.as_ref().is_some_and(|predictor| predictor.has_spawned(id, row))
    }

    /// What the own player has spawned, as it is predicted; the rest of what the server has named is as received last.
    fn spawned_rows(&self) -> impl Iterator<Item = ShownRow<'_>> {
        let spawned = self.predictor.iter().flat_map(Predictor::spawned);
        spawned.map(|(id, shown_as, predicted)| {
            let received = self.received.row(id);
            let row = received.map(|(_, row)| row.with_predicted(self.game.schema(), &predicted));
            ShownRow { id, shown_as, row: Cow::Owned(row.unwrap_or(predicted)), steps: None }
        })
    }

    fn predict_to(&mut self, target: Tick) -> Result<(), ClientError> {
        let Some(predictor) = &mut self.predictor else { return Ok(()) };
        let last = self.ticked.unwrap_or(target.minus(1));
        let first = if target.diff(last) > i64::from(CATCH_UP_MAX) { target.minus(1) } else { last };
        for tick in first.0 + 1..=target.0 {
            let said = predictor.advance(Tick(tick), self.input.clone())?;
            for (kind, body) in self.effects.predicted(self.game.schema(), predictor.seat(), Tick(tick), said) {
                let said = Said { tick: Tick(tick), kind, body: body.into(), predicted: true };
                self.outputs.push_back(ClientOutput::Event(ClientEvent::Game(said)));
            }
            self.stats.ticks += 1;
            self.ticked = Some(Tick(tick));
        }
        Ok(())
    }

    /// Once per predicted tick, with everything that the server has not applied.
    fn send_inputs(&mut self, now: Micros) {
        let Some((newest, inputs)) = self.predictor.as_ref().and_then(Predictor::unacked) else { return };
        if self.sent.replace(newest) != Some(newest) {
            // Without a path it is not sent; the next one repeats it.
            let payload = self.received.encode_inputs(newest, &inputs);
            let _ = self.session.send_datagram(now, LANE_INPUT, payload.into());
        }
    }

    fn next_tick_at(&self, now: Micros) -> Option<Micros> {
        // No tick is due without a connection.
        let clock = self.session.tick_clock().filter(|_| self.session.is_attached())?;
        let next = self.ticked?.plus(1);
        let server = clock.start_of(next) - self.lead.as_ref()?.lead();
        let local = self.session.clock().local_time(now, server);
        Some(local.max(now))
    }

    fn read<C: Replicate>(&self, row: &Row) -> Option<C> {
        let schema = self.game.schema();
        row.component(schema, schema.component(C::NAME)?).map(C::read)
    }

    fn pump(&mut self, now: Micros) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Frame { pipe, lane, payload } => self.say(ClientOutput::Frame { pipe, lane, payload }),
                Output::Datagram { pipe, bytes } => self.say(ClientOutput::Datagram { pipe, bytes }),
                Output::ClosePipe { pipe, code, message } => self.say(ClientOutput::ClosePipe { pipe, code, message }),
                Output::Event(event) => self.handle_event(now, event),
            }
        }
    }

    fn say(&mut self, output: ClientOutput) {
        self.outputs.push_back(output);
    }

    fn tell(&mut self, event: ClientEvent) {
        self.outputs.push_back(ClientOutput::Event(event));
    }

    fn handle_event(&mut self, now: Micros, event: Event) {
        match event {
            Event::Attached { resumed, .. } => {
                if !resumed {
                    self.forget();
                }
                self.tell(ClientEvent::Attached { resumed });
            }
            Event::Detached => self.tell(ClientEvent::Detached),
            Event::PathSilent => self.tell(ClientEvent::PathSilent),
            Event::Message { lane: LANE_ROOM, payload } => self.handle_room(now, payload),
            Event::Message { lane: LANE_BULK, payload } => self.handle_part(now, payload),
            Event::Datagram { lane: LANE_SNAPSHOT, payload } => self.handle_snapshot(now, &payload),
            Event::Refused(refusal) => self.tell(ClientEvent::Refused(refusal)),
            Event::Closed { code, message } => self.tell(ClientEvent::Closed { code, message }),
            Event::Message { .. }
            | Event::Datagram { .. }
            | Event::Acked { .. }
            | Event::Lost { .. }
            | Event::LaneWritable { .. }
            | Event::LaneLost { .. } => {}
        }
    }

    fn forget(&mut self) {
        self.received.clear();
        self.playout.clear();
        self.predictor = None;
        self.ticked = None;
        self.effects = Effects::default();
    }

    fn handle_room(&mut self, now: Micros, payload: Bytes) {
        // A newer host may say what this client does not know.
        let Some(kind) = RoomMessage::decode(payload).ok().and_then(|message| message.kind) else { return };
        match kind {
            room_message::Kind::Joined(joined) => self.handle_joined(now, joined),
            room_message::Kind::Roster(changed) => self.tell(ClientEvent::Roster(changed.roster)),
            room_message::Kind::Event(event) => {
                let seat = self.predictor.as_ref().map(Predictor::seat);
                let proto::GameEvent { tick, kind, body } = event;
                if !self.effects.confirmed(self.game.schema(), seat, Tick(tick), kind, &body) {
                    self.tell(ClientEvent::Game(Said { tick: Tick(tick), kind, body, predicted: false }));
                }
            }
            room_message::Kind::Answer(proto::Answer { request, code, body }) => {
                let answer = if code == 0 { Ok(body) } else { Err(Code::from_number(code).unwrap_or(Code::Internal)) };
                self.tell(ClientEvent::Answer { request, answer });
            }
            room_message::Kind::MatchEnded(ended) => {
                if let Some(result) = ended.result {
                    self.tell(ClientEvent::Ended(result));
                }
            }
            room_message::Kind::Tables(tables) => self.take_tables(now, &tables),
            room_message::Kind::RolledBack(_) => {}
        }
    }

    /// Says that snapshots may be written in these tables. Without that word they go on in the plain codes.
    fn take_tables(&mut self, now: Micros, tables: &proto::Tables) {
        if self.received.add_tables(tables) {
            let ready = player_message::Kind::TablesReady(proto::TablesReady { hash: tables.hash });
            // The lane is full when a game asks a lot: then the codes stay plain.
            let _ = self.session.send(now, LANE_ROOM, PlayerMessage { kind: Some(ready) }.encode_to_vec().into());
        }
    }

    fn handle_joined(&mut self, now: Micros, joined: proto::Joined) {
        let tick_hz = self.session.tick_clock().map_or(60, |clock| clock.tick_hz);
        let early = match self.received.begin(&joined.schema_json, tick_hz) {
            Ok(early) => early,
            Err(message) => return self.refuse(now, message),
        };
        let seat = Seat(u8::try_from(joined.seat).unwrap_or(u8::MAX));
        let same = self.predictor.as_ref().is_some_and(|predictor| predictor.seat() == seat);
        if let (false, Some(clock)) = (same, self.session.tick_clock()) {
            // A mode that this build does not know has the same statics.
            let mode = self.game.mode(&joined.mode).or_else(|| self.game.modes().first().copied());
            let predictor = mode.and_then(|mode| Predictor::new(&self.game, mode.at(clock.tick_hz), seat).ok());
            self.predictor = predictor;
            self.ticked = None;
        }
        self.tell(ClientEvent::Joined(Joined {
            match_id: joined.match_id,
            seat: seat.0,
            mode: joined.mode,
            roster: joined.roster,
        }));
        early.iter().for_each(|snapshot| self.handle_snapshot(now, snapshot));
    }

    /// The host's build of the game is one that this build cannot play with.
    fn refuse(&mut self, now: Micros, message: String) {
        self.session.close(now, Code::SchemaUnsupported, "the schemas do not fit");
        self.tell(ClientEvent::Refused(Refusal::new(Code::SchemaUnsupported, message)));
    }

    fn handle_snapshot(&mut self, now: Micros, payload: &Bytes) {
        let Some(clock) = self.session.tick_clock() else { return };
        let snapshot = match self.received.decode(payload) {
            Some(Ok(snapshot)) => snapshot,
            Some(Err(_)) => {
                self.stats.snapshots_invalid += 1;
                return;
            }
            None => return,
        };
        let header = snapshot.header;
        self.stats.snapshots += 1;
        self.stats.snapshots_trained += u64::from(header.tables != 0);
        self.stats.snapshot_bytes += payload.len() as u64;
        self.stats.inputs_late = header.late;
        self.control_lead(now, clock, (header.margin, header.late));
        if snapshot.restarted {
            self.playout.clear();
        }
        self.playout.start_snapshot(self.session.clock().server_time(now), clock, header.tick);
        for id in snapshot.gone.iter().chain(&snapshot.hidden) {
            self.playout.remove(*id);
        }
        self.show_rows(&snapshot, Some(header.tick));
        self.reconcile(header.tick, header.applied);
    }

    /// A part of the world that was too large for datagrams.
    fn handle_part(&mut self, now: Micros, payload: Bytes) {
        let Ok(part) = proto::WorldPart::decode(payload) else {
            self.stats.snapshots_invalid += 1;
            return;
        };
        let snapshot = self.received.decode_part(&part.snapshot);
        let read = proto::PartRead { number: part.number, dropped: snapshot.is_none() };
        if let Some(snapshot) = snapshot {
            self.stats.parts += 1;
            self.show_rows(&snapshot, None);
        }
        let message = PlayerMessage { kind: Some(player_message::Kind::PartRead(read)) };
        // While the lane is full the part counts as unread, and no further one comes.
        let _ = self.session.send(now, LANE_ROOM, message.encode_to_vec().into());
    }

    /// Hands the rows of a snapshot of this tick, or of a part of the world, to the playout.
    fn show_rows(&mut self, snapshot: &Snapshot, tick: Option<Tick>) {
        let Some(clock) = self.session.tick_clock() else { return };
        let by = (&**self.game.schema(), clock.tick_hz);
        for id in &snapshot.changed {
            if let Some((tick, row)) = self.received.row(*id) {
                self.playout.push(by, *id, tick, row.into_owned());
            }
        }
        self.playout.end_rows(by, tick);
    }

    fn control_lead(&mut self, now: Micros, clock: TickClock, (margin, late): (Option<i8>, u8)) {
        let rtt = self.session.rtt().unwrap_or(Micros(0));
        let lead = self.lead.get_or_insert_with(|| InputLead::new(clock.period(), rtt));
        if let Some(margin) = margin {
            self.stats.margin = margin;
            lead.on_margin(now, margin, late, rtt);
        }
    }

    fn reconcile(&mut self, tick: Tick, applied: Option<Tick>) {
        let Some(predictor) = &mut self.predictor else { return };
        let (schema, seat) = (self.game.schema(), [i32::from(predictor.seat().0)]);
        // Component 0 of every schema is the seat.
        let has_spawned = |row: &Row| row.spawned(schema).is_some_and(|key| [i32::from(key.seat)] == seat);
        let is_own = |row: &Row| row.component(schema, 0) == Some(&seat) || has_spawned(row);
        let all = predictor.has_nearby();
        let known: Vec<_> = self.received.entities().filter(|(_, _, row)| all || is_own(row)).collect();
        let tick_hz = self.session.tick_clock().map_or(60, |clock| clock.tick_hz);
        // What is reckoned has gone on since it was told.
        let gone_on = known.into_iter().map(|(id, told, mut row)| {
            if schema.is_reckoned(row.mask) && row.since < tick {
                row.to_mut().go_on(schema, tick, tick_hz);
            }
            (id, told, row)
        });
        let known: Vec<_> = gone_on.collect();
        let known: Vec<_> = known.iter().map(|(id, tick, row)| Known { id: *id, tick: *tick, row }).collect();
        // A row that the game's world does not take leaves the prediction as it is.
        if let Ok(true) = predictor.reconcile(tick, applied, &known) {
            self.stats.mispredictions += 1;
        }
    }
}
