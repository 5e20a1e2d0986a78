//! A match: people in seats, ticks, and what everyone is told.

mod result;

use std::collections::VecDeque;
use std::sync::Arc;

use amphi_shared_replica::{
    Game, GameError, GameEvent, MatchMode, Measured, Mirror, Recipient, Seat, SimMode, SnapshotEncoder, SnapshotHeader,
    TRAINED_SET, Tables,
};
use amphi_shared_wire::limits::{
    JOIN_PART_BYTES_MAX, REQUEST_BYTES_MAX, REQUESTS_OPEN_MAX, REQUESTS_PER_TICK_MAX, ROOM_COMMANDS_MAX, SEATS_MAX,
};
use amphi_shared_wire::proto::{
    self, MatchResult, PlayerResult, RoomMessage, RoomReport, ViewMatch, player_message, room_message,
};
use amphi_shared_wire::{AppId, Code, LANE_ROOM, Lane, MatchId, Micros, Seed, Tick, TickClock, UserId};
use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use crate::RoomCommand;
use crate::input_buffer::{Arrival, InputBuffer};
use crate::journal::{JournalHeader, JournalRecord, frame};
use crate::occupant::{Occupants, SeatPlan};
use crate::view::View;
use crate::world::World;

/// How long a seat is kept for someone who was planned for it, s.
const KEPT_S: u32 = 20;
/// People who left and are remembered for the result. Beyond: the oldest is forgotten.
const DEPARTED_MAX: usize = 4 * SEATS_MAX;
/// The whole match, seen from nowhere in particular.
const VIEW_ALL: u32 = 0;

/// What a room is made with.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The match.
    pub match_id: MatchId,
    /// Its app.
    pub app: AppId,
    /// Its mode.
    pub mode: MatchMode,
    /// People whose seats are kept for a while.
    pub seats: Vec<SeatPlan>,
    /// When ticks start.
    pub tick_clock: TickClock,
    /// Where the match's randomness comes from.
    pub seed: Seed,
}

/// Why a room cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RoomError {
    /// The game does not build a world.
    #[error(transparent)]
    Game(#[from] GameError),
}

/// What a room wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomOutput {
    /// Append this to the journal before anything that follows leaves the process.
    Journal(Bytes),
    /// Tell the person on a seat.
    Send {
        /// Number of the seat.
        seat: u8,
        /// The lane.
        lane: Lane,
        /// The message.
        payload: Bytes,
    },
    /// Publish a frame of a view.
    View {
        /// Number of the view.
        view: u32,
        /// Older frames are not needed any more.
        keyframe: bool,
        /// A `ViewFrame`.
        payload: Bytes,
    },
    /// The match is over.
    Ended(MatchResult),
}

/// What a step did.
#[derive(Debug)]
pub struct StepReport {
    /// The tick that was simulated.
    pub tick: Tick,
    /// Hash of the state after it.
    pub hash: u64,
    /// Why the world cannot go on; the match has ended with the outcome `lost`.
    pub fault: Option<GameError>,
}

/// Plain counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomStats {
    /// Inputs that found their tick.
    pub inputs: u64,
    /// Inputs that came too late.
    pub inputs_late: u64,
    /// Inputs for ticks too far ahead.
    pub inputs_early: u64,
    /// Datagrams on the input lane that could not be read.
    pub inputs_invalid: u64,
    /// Commands refused.
    pub commands_refused: u64,
    /// Events and answers of the game that were too many or too large, and were dropped.
    pub events_dropped: u64,
    /// Pairs of bodies that touch each other that were left out, because they were too many or would have joined too many.
    pub touching_left_out: u64,
    /// Requests handed to the game.
    pub requests: u64,
    /// Requests refused, and messages on the room lane that could not be read.
    pub requests_refused: u64,
    /// Clients that said to have read tables which they were not given.
    pub tables_refused: u64,
    /// Parts of the world sent on the bulk lane.
    pub parts: u64,
    /// Clients that said to have read a part which was never sent.
    pub parts_refused: u64,
}

/// A person on a seat.
#[derive(Default)]
struct Player {
    inputs: InputBuffer,
    /// As the newest snapshot told it.
    margin: Option<i8>,
    recipient: Recipient,
    /// Waits for the greeting: the client knows nothing, or not everything it was told.
    greet: bool,
    /// It was sent the code tables since it was greeted.
    has_tables: bool,
    /// Requests that wait for the next tick.
    asking: usize,
    /// Requests without an answer: the room's number and the client's, oldest first.
    open: VecDeque<(u32, u32)>,
    /// What the roster was told last.
    connected: bool,
    user: String,
    name: String,
    joined: Tick,
}

/// Someone who left before the end.
struct Departed {
    result: PlayerResult,
    ticks: u32,
}

/// One match.
///
/// Contract: call one of the methods that change it, then drain [`Self::poll_output`], then call the next. Journal
/// outputs come before what depends on them.
pub struct Room {
    config: RoomConfig,
    game: Game,
    world: World,
    seats: Occupants,
    players: Vec<Option<Player>>,
    commands: Vec<RoomCommand>,
    encoder: SnapshotEncoder,
    view: View,
    departed: VecDeque<Departed>,
    /// Number of the last request.
    requested: u32,
    outputs: VecDeque<RoomOutput>,
    ended: bool,
    stats: RoomStats,
}

impl Room {
    /// A room at tick 0, with a bot on every seat. Its first output is the journal's header.
    ///
    /// # Errors
    /// The game does not build a world for this mode.
    pub fn new(game: &Game, config: RoomConfig) -> Result<Self, RoomError> {
        let world = World::new(game, SimMode::Authority, config.mode.clone(), config.seed)?;
        let header = JournalHeader {
            match_id: config.match_id.to_string(),
            app: config.app.to_string(),
            game: game.name().to_owned(),
            build: game.version().to_owned(),
            schema_hash: game.schema().hash(),
            mode: config.mode.clone(),
            seed: config.seed.0,
            tick0_us: config.tick_clock.tick0.0,
        };
        let seats = config.mode.seats();
        Ok(Self {
            seats: Occupants::new(&config.mode, &config.seats),
            players: (0..seats).map(|_| None).collect(),
            commands: Vec::new(),
            encoder: tables(game)
                .map_or_else(SnapshotEncoder::new, |tables| SnapshotEncoder::with_tables(tables.clone())),
            view: View::new(config.mode.tick_hz, game.schema().to_json().to_owned()),
            departed: VecDeque::new(),
            requested: 0,
            outputs: VecDeque::from([RoomOutput::Journal(frame(&header))]),
            ended: false,
            stats: RoomStats::default(),
            game: game.clone(),
            world,
            config,
        })
    }

    /// A seat for this person: the one that is kept for them, else one of a bot.
    pub fn open_seat(&self, team: Option<u8>, user: UserId) -> Option<u8> {
        let keeping = self.tick().0 < KEPT_S * self.config.mode.tick_hz;
        self.seats.open(team, user, keeping)
    }

    /// Takes a command for the next tick.
    ///
    /// # Errors
    /// `MatchEnded`, `Overloaded`, or `SeatTaken` and `RequestInvalid` for a seat that is not free or does not exist.
    pub fn push(&mut self, _now: Micros, command: RoomCommand) -> Result<(), Code> {
        let checked = self.check(&command);
        if let Err(code) = checked {
            self.stats.commands_refused += 1;
            return Err(code);
        }
        let next = self.tick().plus(1);
        match &command {
            RoomCommand::Join { seat, user, name } => {
                self.seats.join(*seat, user);
                let player = Player { user: user.clone(), name: name.clone(), joined: next, ..Player::default() };
                self.players[usize::from(*seat)] = Some(Player { greet: true, connected: true, ..player });
            }
            RoomCommand::Leave { seat } => self.remove(*seat),
            RoomCommand::Presence { .. }
            | RoomCommand::Input { .. }
            | RoomCommand::Request { .. }
            | RoomCommand::End { .. } => {}
        }
        self.commands.push(command);
        Ok(())
    }

    /// A datagram of the input lane has arrived from the person on a seat.
    pub fn handle_input(&mut self, now: Micros, seat: u8, payload: &[u8]) {
        let current = self.tick();
        let clock = self.config.tick_clock;
        let Some(port) = self.world.sim.input_port() else { return };
        let Some(Some(player)) = self.players.get_mut(usize::from(seat)) else { return };
        let Ok(inputs) = port.read_datagram(payload) else {
            self.stats.inputs_invalid += 1;
            return;
        };
        for (tick, bytes) in inputs {
            match player.inputs.arrive((now, clock), current, tick, bytes) {
                Arrival::Kept => self.stats.inputs += 1,
                Arrival::Late => self.stats.inputs_late += 1,
                Arrival::Early => self.stats.inputs_early += 1,
                Arrival::Repeated => {}
            }
        }
    }

    /// A message of the room lane has arrived from the person on a seat. A request that cannot be taken is answered with a
    /// code.
    pub fn handle_message(&mut self, seat: u8, payload: &[u8]) {
        let message = proto::PlayerMessage::decode(payload).map(|message| message.kind);
        let request = match message {
            Ok(Some(player_message::Kind::Request(request))) => request,
            Ok(Some(player_message::Kind::TablesReady(ready))) => return self.take_tables_ready(seat, ready.hash),
            Ok(Some(player_message::Kind::PartRead(read))) => return self.take_part_read(seat, &read),
            // A newer client may say what this host does not know.
            Ok(None) => return,
            Err(_) => {
                self.stats.requests_refused += 1;
                return;
            }
        };
        let id = request.id;
        match self.take_request(seat, request) {
            Ok(()) => self.stats.requests += 1,
            Err(code) => {
                self.stats.requests_refused += 1;
                let answer = proto::Answer { request: id, code: code.number(), body: Bytes::new() };
                self.send(seat, room_message::Kind::Answer(answer));
            }
        }
    }

    /// The session on a seat has attached, and its client knows nothing or not all that it was told: it is greeted, and
    /// told everything anew.
    pub fn on_attached(&mut self, now: Micros, seat: u8) {
        let Some(Some(player)) = self.players.get_mut(usize::from(seat)) else { return };
        player.recipient.reset();
        player.greet = true;
        player.has_tables = false;
        self.presence(now, seat, true);
    }

    /// The session on a seat goes on where it stood, and its client knows all that it was told: nothing is said twice.
    pub fn on_resumed(&mut self, now: Micros, seat: u8) {
        self.presence(now, seat, true);
    }

    /// The session on a seat has no connection; the seat stays.
    pub fn on_detached(&mut self, now: Micros, seat: u8) {
        self.presence(now, seat, false);
    }

    /// The client on a seat has the snapshot with this number.
    pub fn on_acked(&mut self, seat: u8, seq: u16) {
        if let Some(Some(player)) = self.players.get_mut(usize::from(seat)) {
            player.recipient.on_acked(seq);
        }
    }

    /// The snapshot with this number did not arrive.
    pub fn on_lost(&mut self, seat: u8, seq: u16) {
        if let Some(Some(player)) = self.players.get_mut(usize::from(seat)) {
            player.recipient.on_lost(seq);
        }
    }

    /// Simulates the next tick. After the end of the match it does nothing.
    pub fn step(&mut self, now: Micros) -> StepReport {
        let tick = self.tick().plus(1);
        if self.ended {
            return StepReport { tick: self.tick(), hash: 0, fault: None };
        }
        let commands = self.take_commands(tick);
        let fault = self.world.step(&commands).err();
        let roster = commands.iter().any(changes_roster);
        let hash = self.world.sim.state_hash();
        let record = JournalRecord { tick: tick.0, commands, hash: Some(hash) };
        self.outputs.push_back(RoomOutput::Journal(frame(&record)));
        self.encoder.start_tick(self.world.sim.mirror());
        self.greet();
        if roster {
            let roster = proto::RosterChanged { roster: self.roster() };
            self.broadcast(room_message::Kind::Roster(roster));
        }
        self.send_events(tick);
        if fault.is_some() {
            self.finish(now, "lost");
        } else if self.is_over() {
            self.finish(now, "finished");
        } else {
            self.publish(None);
        }
        StepReport { tick, hash, fault }
    }

    /// Ends the match from outside, for example with the outcome `drained`.
    pub fn end(&mut self, now: Micros, outcome: &str) {
        if self.ended {
            return;
        }
        let mut commands = std::mem::take(&mut self.commands);
        commands.push(RoomCommand::End { outcome: outcome.to_owned() });
        let record = JournalRecord { tick: self.tick().0, commands, hash: None };
        self.outputs.push_back(RoomOutput::Journal(frame(&record)));
        self.finish(now, outcome);
    }

    /// The snapshot of the last tick for a seat, at most `budget_bytes` long; `None` when no person sits there, when
    /// they are still to be greeted, or when not even the header fits. Call [`Self::snapshot_sent`] when it leaves.
    pub fn encode_snapshot(&mut self, seat: u8, budget_bytes: usize) -> Option<Bytes> {
        let player = self.players.get_mut(usize::from(seat))?.as_mut().filter(|player| !player.greet)?;
        player.margin = player.inputs.take_margin();
        let header = SnapshotHeader {
            applied: player.inputs.applied(),
            margin: player.margin,
            late: player.inputs.late(),
            ..SnapshotHeader::default()
        };
        let mirror = self.world.sim.mirror();
        self.encoder
            .encode(mirror, &mut player.recipient, header, Some(Seat(seat)), budget_bytes)
            .map(Bytes::copy_from_slice)
    }

    /// The snapshot encoded last for this seat has left in the datagram with this number.
    pub fn snapshot_sent(&mut self, seat: u8, seq: u16) {
        if let Some(Some(player)) = self.players.get_mut(usize::from(seat)) {
            player.recipient.sent(seq);
        }
    }

    /// What the client on a seat has nothing of yet and its snapshot had no room for, as a message of the bulk lane; `None`
    /// when little is left over, or enough is under way. To be called after the snapshot of a tick has left; call
    /// [`Self::part_sent`] when the part has.
    pub fn encode_part(&mut self, seat: u8) -> Option<Bytes> {
        let player = self.players.get_mut(usize::from(seat))?.as_mut().filter(|player| !player.greet)?;
        let mirror = self.world.sim.mirror();
        let recipient = &mut player.recipient;
        let (number, rows) = self.encoder.encode_part(mirror, recipient, Some(Seat(seat)), JOIN_PART_BYTES_MAX)?;
        let part = proto::WorldPart { number, snapshot: Bytes::copy_from_slice(rows) };
        Some(part.encode_to_vec().into())
    }

    /// The part encoded last for this seat has left.
    pub fn part_sent(&mut self, seat: u8) {
        if let Some(Some(player)) = self.players.get_mut(usize::from(seat)) {
            player.recipient.part_sent();
            self.stats.parts += 1;
        }
    }

    /// The next thing to do; `None` when all is said.
    pub fn poll_output(&mut self) -> Option<RoomOutput> {
        self.outputs.pop_front()
    }

    /// How the room is, for the fleet. Tick times and overruns are measured by the driver.
    pub fn report(&self) -> RoomReport {
        let stats = self.stats();
        let left = u64::from(self.ends_at().0.saturating_sub(self.tick().0));
        RoomReport {
            match_id: self.config.match_id.to_string(),
            state: if self.ended { "ended" } else { "running" }.to_owned(),
            tick: self.tick().0,
            tick_hz: self.config.mode.tick_hz,
            roster: self.roster(),
            team_scores: self.world.sim.board().team_scores.clone(),
            ends_in_ms: if self.ended { 0 } else { (left * 1_000 / u64::from(self.config.mode.tick_hz)) as u32 },
            mode: self.config.mode.name.clone(),
            inputs: stats.inputs,
            inputs_late: stats.inputs_late,
            inputs_early: stats.inputs_early,
            inputs_invalid: stats.inputs_invalid,
            commands_refused: stats.commands_refused,
            events_dropped: stats.events_dropped,
            ..RoomReport::default()
        }
    }

    /// The last simulated tick.
    pub fn tick(&self) -> Tick {
        self.world.sim.tick()
    }

    /// Entities that are sent, as of the last tick.
    pub fn entities(&self) -> usize {
        self.world.sim.mirror().order().len()
    }

    /// How early the inputs of the person on a seat came before the newest snapshot, the least of them, in quarters of a
    /// tick; `None` when none came.
    pub fn input_margin(&self, seat: u8) -> Option<i8> {
        self.players.get(usize::from(seat))?.as_ref()?.margin
    }

    /// From the next tick on, counts what the components cost in snapshots: see [`Self::measured`].
    pub fn start_measuring(&mut self) {
        self.encoder.start_measuring();
    }

    /// What the components have cost since the start of the measuring.
    pub fn measured(&self) -> Option<&Measured> {
        self.encoder.measured()
    }

    /// Names of the components that are sent, by number.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.game.schema().components().iter().map(|component| component.name)
    }

    /// The quantised world, as of the last tick.
    pub fn mirror(&self) -> &Mirror {
        self.world.sim.mirror()
    }

    /// Plain counters.
    pub fn stats(&self) -> RoomStats {
        let sim = &self.world.sim;
        RoomStats { events_dropped: sim.events_dropped(), touching_left_out: sim.touching_left_out(), ..self.stats }
    }

    fn check(&self, command: &RoomCommand) -> Result<(), Code> {
        if self.ended {
            return Err(Code::MatchEnded);
        }
        if self.commands.len() >= ROOM_COMMANDS_MAX {
            return Err(Code::Overloaded);
        }
        match command {
            RoomCommand::Join { seat, .. } if !self.seats.exists(*seat) => Err(Code::RequestInvalid),
            RoomCommand::Join { seat, .. } if self.seats.is_person(*seat) => Err(Code::SeatTaken),
            RoomCommand::Leave { seat } | RoomCommand::Presence { seat, .. } if !self.seats.is_person(*seat) => {
                Err(Code::RequestInvalid)
            }
            // These come from messages and from `end`, with their own checks.
            RoomCommand::Input { .. } | RoomCommand::Request { .. } | RoomCommand::End { .. } => {
                Err(Code::RequestInvalid)
            }
            RoomCommand::Join { .. } | RoomCommand::Leave { .. } | RoomCommand::Presence { .. } => Ok(()),
        }
    }

    fn take_request(&mut self, seat: u8, request: proto::Request) -> Result<(), Code> {
        if self.ended {
            return Err(Code::MatchEnded);
        }
        let proto::Request { id, kind, body } = request;
        let port = self.world.sim.request_port(kind).ok_or(Code::RequestInvalid)?;
        if body.len() > REQUEST_BYTES_MAX || port.check(&body).is_err() {
            return Err(Code::RequestInvalid);
        }
        let Some(Some(player)) = self.players.get_mut(usize::from(seat)) else { return Err(Code::RequestInvalid) };
        if player.asking == REQUESTS_PER_TICK_MAX {
            return Err(Code::RateLimited);
        }
        if self.commands.len() >= ROOM_COMMANDS_MAX {
            return Err(Code::Overloaded);
        }
        player.asking += 1;
        // The game answers to a number of the room's: it cannot reach whoever takes the seat next.
        self.requested = self.requested.wrapping_add(1);
        if player.open.len() == REQUESTS_OPEN_MAX {
            player.open.pop_front();
        }
        player.open.push_back((self.requested, id));
        self.commands.push(RoomCommand::Request { seat, id: self.requested, kind, body: body.into() });
        Ok(())
    }

    /// Tells the roster, when it does not know. A refused command leaves it with an old state; play is not touched.
    fn presence(&mut self, now: Micros, seat: u8, connected: bool) {
        let known = self.players.get(usize::from(seat)).and_then(Option::as_ref).map(|player| player.connected);
        if known.is_none_or(|known| known == connected) {
            return;
        }
        let told = self.push(now, RoomCommand::Presence { seat, connected }).is_ok();
        if let (true, Some(Some(player))) = (told, self.players.get_mut(usize::from(seat))) {
            player.connected = connected;
        }
    }

    fn remove(&mut self, seat: u8) {
        self.seats.leave(seat);
        let Some(player) = self.players.get_mut(usize::from(seat)).and_then(Option::take) else { return };
        let ticks = self.ticks_present(&player);
        let result = self.player_result(seat, &player);
        if self.departed.len() == DEPARTED_MAX {
            self.departed.pop_front();
        }
        self.departed.push_back(Departed { result, ticks });
    }

    /// Commands of the next tick, inputs last.
    fn take_commands(&mut self, tick: Tick) -> Vec<RoomCommand> {
        let mut commands = std::mem::take(&mut self.commands);
        for (seat, player) in self.players.iter_mut().enumerate() {
            let Some(player) = player else { continue };
            player.asking = 0;
            if let Some(bytes) = player.inputs.take(tick) {
                commands.push(RoomCommand::Input { seat: seat as u8, bytes });
            }
        }
        commands
    }

    fn greet(&mut self) {
        for seat in 0..self.players.len() as u8 {
            let Some(Some(player)) = self.players.get_mut(usize::from(seat)) else { continue };
            if !std::mem::take(&mut player.greet) {
                continue;
            }
            let joined = proto::Joined {
                match_id: self.config.match_id.to_string(),
                seat: u32::from(seat),
                entity: self.world.sim.entity_of_seat(Seat(seat)).map_or(0, |id| id.0),
                tick: self.tick().0,
                schema_json: self.game.schema().to_json().to_owned(),
                roster: self.roster(),
                mode: self.config.mode.name.clone(),
            };
            self.send(seat, room_message::Kind::Joined(joined));
            self.send_tables(seat);
        }
    }

    fn send_tables(&mut self, seat: u8) {
        let Some(tables) = tables(&self.game).cloned() else { return };
        if let Some(Some(player)) = self.players.get_mut(usize::from(seat)) {
            player.has_tables = true;
        }
        let data = Bytes::copy_from_slice(tables.to_bytes());
        let message = proto::Tables { set: u32::from(TRAINED_SET), hash: tables.hash(), data };
        self.send(seat, room_message::Kind::Tables(message));
    }

    fn take_part_read(&mut self, seat: u8, read: &proto::PartRead) {
        let Some(Some(player)) = self.players.get_mut(usize::from(seat)) else { return };
        if !player.recipient.on_part(read.number, read.dropped) {
            self.stats.parts_refused += 1;
        }
    }

    /// From here on the client gets its rows in the tables, if it was given those.
    fn take_tables_ready(&mut self, seat: u8, hash: u64) {
        let known = tables(&self.game).is_some_and(|tables| tables.hash() == hash);
        let player = self.players.get_mut(usize::from(seat)).and_then(Option::as_mut);
        match player.filter(|player| known && player.has_tables) {
            Some(player) => player.recipient.use_tables(TRAINED_SET),
            None => self.stats.tables_refused += 1,
        }
    }

    fn send_events(&mut self, tick: Tick) {
        for said in self.world.sim.take_events() {
            match said {
                GameEvent::Event { kind, body, to } => {
                    let event = proto::GameEvent { tick: tick.0, kind, body: body.into() };
                    match to {
                        Some(Seat(seat)) => self.send_to_person(seat, room_message::Kind::Event(event)),
                        None => {
                            self.view.note(&event);
                            self.broadcast(room_message::Kind::Event(event));
                        }
                    }
                }
                GameEvent::Answer { to: Seat(seat), request, body } => self.answer(seat, request, body),
            }
        }
    }

    fn answer(&mut self, seat: u8, number: u32, body: Vec<u8>) {
        let Some(Some(player)) = self.players.get_mut(usize::from(seat)) else { return };
        let Some(at) = player.open.iter().position(|(open, _)| *open == number) else { return };
        if let Some((_, request)) = player.open.remove(at) {
            let answer = proto::Answer { request, code: 0, body: body.into() };
            self.send(seat, room_message::Kind::Answer(answer));
        }
    }

    fn publish(&mut self, result: Option<&MatchResult>) {
        let state = || ViewMatch {
            match_id: self.config.match_id.to_string(),
            mode: self.config.mode.name.clone(),
            roster: roster(&self.world),
            team_scores: self.world.sim.board().team_scores.clone(),
            tick0_us: self.config.tick_clock.tick0.0,
            tick_hz: self.config.mode.tick_hz,
            ends_at_tick: self.config.mode.duration_ticks(),
        };
        if let Some((keyframe, payload)) = self.view.frame(self.world.sim.mirror(), state, result) {
            self.outputs.push_back(RoomOutput::View { view: VIEW_ALL, keyframe, payload });
        }
    }

    fn finish(&mut self, now: Micros, outcome: &str) {
        self.ended = true;
        let result = self.result(now, outcome);
        self.publish(Some(&result));
        self.broadcast(room_message::Kind::MatchEnded(proto::MatchEnded { result: Some(result.clone()) }));
        self.outputs.push_back(RoomOutput::Ended(result));
    }

    fn is_over(&self) -> bool {
        self.world.sim.board().finished || self.tick() >= self.ends_at()
    }

    fn ends_at(&self) -> Tick {
        Tick(self.config.mode.duration_ticks())
    }

    fn roster(&self) -> Vec<proto::Seat> {
        roster(&self.world)
    }

    fn send(&mut self, seat: u8, kind: room_message::Kind) {
        let payload = RoomMessage { kind: Some(kind) }.encode_to_vec().into();
        self.outputs.push_back(RoomOutput::Send { seat, lane: LANE_ROOM, payload });
    }

    /// Tells the person on a seat; a bot hears nothing.
    fn send_to_person(&mut self, seat: u8, kind: room_message::Kind) {
        if self.players.get(usize::from(seat)).is_some_and(Option::is_some) {
            self.send(seat, kind);
        }
    }

    /// Tells everyone; encoded once.
    fn broadcast(&mut self, kind: room_message::Kind) {
        let payload = Bytes::from(RoomMessage { kind: Some(kind) }.encode_to_vec());
        for seat in (0..self.players.len()).filter(|seat| self.players[*seat].is_some()) {
            self.outputs.push_back(RoomOutput::Send { seat: seat as u8, lane: LANE_ROOM, payload: payload.clone() });
        }
    }
}

/// The game's tables, if it has any that fit.
fn tables(game: &Game) -> Option<&Arc<Tables>> {
    game.tables().ok().flatten()
}

fn changes_roster(command: &RoomCommand) -> bool {
    match command {
        RoomCommand::Join { .. } | RoomCommand::Leave { .. } | RoomCommand::Presence { .. } => true,
        RoomCommand::Input { .. } | RoomCommand::Request { .. } | RoomCommand::End { .. } => false,
    }
}

fn roster(world: &World) -> Vec<proto::Seat> {
    let seat = |(seat, state): (Seat, &amphi_shared_replica::SeatState)| proto::Seat {
        seat: u32::from(seat.0),
        team: u32::from(state.team),
        name: state.name.clone(),
        user: state.user.clone(),
        bot: state.bot,
        connected: state.connected,
    };
    world.sim.seats().iter().map(seat).collect()
}

#[cfg(test)]
mod tests;
