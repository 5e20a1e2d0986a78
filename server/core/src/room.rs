//! A running match.

use std::collections::{BTreeSet, VecDeque};

use amphi_shared_replica::{
    Game, GameError, GameEvent, MatchMode, NetId, Recipient, Seat, SeatState, Sim, SimMode, SnapshotEncoder,
    SnapshotHeader,
};
use amphi_shared_wire::limits::ROOM_COMMANDS_MAX;
use amphi_shared_wire::proto::{self, RoomMessage, room_message};
use amphi_shared_wire::{AppId, Code, LANE_ROOM, Lane, MatchId, Micros, Seed, Tick, TickClock, UserId};
use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::journal::Record;
use crate::roster::{self, Roster};
use crate::seat_inputs::{Arrival, Played, SeatInputs};
use crate::spectators::Spectators;
use crate::{RoomCommand, RoomStats};

/// Number of the one view a room has.
const VIEW: u32 = 0;

/// A seat that was promised to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatPlan {
    /// Team, from 0.
    pub team: u8,
    /// User id as text.
    pub user: String,
    /// Display name.
    pub name: String,
}

/// What a room is made of.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The match.
    pub match_id: MatchId,
    /// The application it belongs to.
    pub app: AppId,
    /// Teams, size, length, tick rate.
    pub mode: MatchMode,
    /// Who is expected; bots sit everywhere until they come.
    pub seats: Vec<SeatPlan>,
    /// When ticks start.
    pub tick_clock: TickClock,
    /// Of all randomness in the match.
    pub seed: Seed,
}

/// Why a room could not be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the room cannot be built: {0}")]
pub struct RoomError(#[from] pub GameError);

/// What leaves a room.
#[derive(Clone, Debug, PartialEq)]
pub enum RoomOutput {
    /// A message for the person on a seat.
    Send {
        /// Number of the seat.
        seat: u8,
        /// A reliable lane.
        lane: Lane,
        /// The message.
        payload: Bytes,
    },
    /// A frame for everyone who watches.
    View {
        /// Number of the view.
        view: u32,
        /// It builds on nothing.
        keyframe: bool,
        /// A `ViewFrame`.
        payload: Bytes,
    },
    /// Bytes to append to the journal. What comes after it may leave only when they are written.
    Journal(Bytes),
    /// The match is over; the last output.
    Ended(proto::MatchResult),
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// The tick that was simulated.
    pub tick: Tick,
    /// Hash of the state after it.
    pub hash: u64,
    /// Commands that were applied before it.
    pub commands: usize,
    /// The match is over.
    pub ended: bool,
}

/// One running match: the world, who sits in it, and what they know of it.
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    game: Game,
    sim: Sim,
    roster: Roster,
    seats: Vec<SeatDesk>,
    /// Seats whose person has to be told where they are.
    unwelcomed: BTreeSet<u8>,
    commands: Vec<RoomCommand>,
    encoder: SnapshotEncoder,
    spectators: Spectators,
    outputs: VecDeque<RoomOutput>,
    result: Option<proto::MatchResult>,
    stats: RoomStats,
}

/// What a room keeps for the person on a seat.
#[derive(Debug, Default)]
struct SeatDesk {
    inputs: SeatInputs,
    recipient: Recipient,
    /// The room lane has begun: snapshots may follow.
    welcomed: bool,
}

impl Room {
    /// A room at tick 0, with bots on all seats.
    pub fn new(game: &Game, config: RoomConfig) -> Result<Self, RoomError> {
        Self::build(game, config, SimMode::Authority)
    }

    pub(crate) fn build(game: &Game, config: RoomConfig, mode: SimMode) -> Result<Self, RoomError> {
        let sim = game.build(mode, config.mode.clone(), config.seed)?;
        let states = &sim.seats().0;
        let mut room = Self {
            roster: Roster::new(states, &config.seats),
            seats: states.iter().map(|_| SeatDesk::default()).collect(),
            spectators: Spectators::new(config.mode.tick_hz),
            game: game.clone(),
            config,
            sim,
            unwelcomed: BTreeSet::new(),
            commands: Vec::new(),
            encoder: SnapshotEncoder::new(),
            outputs: VecDeque::new(),
            result: None,
            stats: RoomStats::default(),
        };
        let start = room.start_record();
        room.outputs.push_back(RoomOutput::Journal(start.encode().into()));
        Ok(room)
    }

    /// Queues a command for the next tick, or refuses it with nothing changed.
    pub fn push(&mut self, _now: Micros, command: RoomCommand) -> Result<(), Code> {
        let checked = self.check(&command);
        if checked.is_err() {
            self.stats.commands_refused += 1;
            return checked;
        }
        match &command {
            RoomCommand::Join { seat, .. } => self.roster.take(*seat),
            RoomCommand::Leave { seat } => self.roster.free(*seat),
            RoomCommand::Presence { .. } | RoomCommand::Input { .. } => {}
        }
        self.commands.push(command);
        Ok(())
    }

    /// Takes a datagram of the input lane. Whatever it holds, nothing breaks; what is useless is counted.
    pub fn handle_input(&mut self, now: Micros, seat: u8, payload: &[u8]) {
        if self.result.is_some() || !self.roster.is_taken(seat) {
            return;
        }
        let inputs = match self.sim.input_port().map(|port| port.read_datagram(payload)) {
            Some(Ok(inputs)) => inputs,
            Some(Err(_)) | None => {
                self.stats.inputs_invalid += 1;
                return;
            }
        };
        self.stats.input_datagrams += 1;
        let now_tick = self.sim.tick();
        for (tick, bytes) in inputs {
            let desk = &mut self.seats[usize::from(seat)];
            match desk.inputs.arrive(now, self.config.tick_clock, now_tick, tick) {
                Arrival::Fresh => {
                    // A full queue has counted it; the tick then plays without this input.
                    let _ = self.push(now, RoomCommand::Input { seat, tick: tick.0, bytes });
                }
                Arrival::Known => {}
                Arrival::Late => self.stats.inputs_late += 1,
                Arrival::Ahead => self.stats.inputs_ahead += 1,
            }
        }
    }

    /// The seat that this person may take: the one kept for them, else a bot's (of the team, when one is given).
    pub fn open_seat(&self, team: Option<u8>, user: UserId) -> Option<u8> {
        let elapsed_s = self.sim.tick().0 / self.config.mode.tick_hz;
        self.roster.open_seat(&self.sim.seats().0, team, &user.to_string(), elapsed_s)
    }

    /// Simulates the next tick: commands, inputs, world, then everything that has to be said about it.
    pub fn step(&mut self, now: Micros) -> StepReport {
        let commands = std::mem::take(&mut self.commands);
        if self.result.is_some() {
            return StepReport { tick: self.sim.tick(), hash: self.sim.state_hash(), commands: 0, ended: true };
        }
        let roster_before = self.sim.seats().clone();
        commands.iter().for_each(|command| self.apply(command));
        self.play_inputs();
        let stepped = self.sim.step();
        let (tick, hash) = (self.sim.tick(), self.sim.state_hash());
        self.roster.count(&self.sim.seats().0);

        let record = Record::Tick { tick: tick.0, hash, commands };
        let count = if let Record::Tick { commands, .. } = &record { commands.len() } else { 0 };
        self.outputs.push_back(RoomOutput::Journal(record.encode().into()));
        self.encoder.start_tick(self.sim.mirror());
        self.welcome();
        if *self.sim.seats() != roster_before {
            let roster = roster::to_proto(&self.sim.seats().0);
            self.broadcast(room_message::Kind::Roster(proto::RosterChanged { roster }));
        }
        self.tell_events(tick);
        match stepped {
            Err(_) => self.finish(now, "lost"),
            Ok(()) if self.sim.board().finished || tick.0 >= self.config.mode.duration_ticks() => {
                self.finish(now, "finished");
            }
            Ok(()) => self.show(None),
        }
        StepReport { tick, hash, commands: count, ended: self.result.is_some() }
    }

    /// Ends the match before its time, with this outcome (`drained`).
    pub fn end(&mut self, outcome: &str) {
        if self.result.is_none() {
            self.finish(self.config.tick_clock.start_of(self.sim.tick()), outcome);
        }
    }

    /// The newest snapshot for the person on a seat, at most `budget_bytes` long; `None` while there is none to send.
    pub fn encode_snapshot(&mut self, seat: u8, budget_bytes: usize) -> Option<Bytes> {
        let own = self.own(seat);
        let desk = self.seats.get_mut(usize::from(seat)).filter(|desk| desk.welcomed)?;
        let header = SnapshotHeader {
            applied: desk.inputs.applied(),
            margin: desk.inputs.margin(),
            late: desk.inputs.late(),
            ..SnapshotHeader::default()
        };
        let bytes = self.encoder.encode(self.sim.mirror(), &mut desk.recipient, header, own, budget_bytes)?;
        self.stats.snapshot_bytes += bytes.len() as u64;
        Some(bytes.into())
    }

    /// The snapshot encoded last for this seat left as this datagram.
    pub fn snapshot_sent(&mut self, seat: u8, seq: u16) {
        if let Some(desk) = self.seats.get_mut(usize::from(seat)) {
            desk.recipient.sent(seq);
            desk.inputs.margin_told();
        }
    }

    /// The person on this seat has received a datagram.
    pub fn on_acked(&mut self, seat: u8, seq: u16) {
        if let Some(desk) = self.seats.get_mut(usize::from(seat)) {
            desk.recipient.on_acked(seq);
        }
    }

    /// A datagram to the person on this seat was lost.
    pub fn on_lost(&mut self, seat: u8, seq: u16) {
        if let Some(desk) = self.seats.get_mut(usize::from(seat)) {
            desk.recipient.on_lost(seq);
        }
    }

    /// The next thing that leaves the room.
    pub fn poll_output(&mut self) -> Option<RoomOutput> {
        self.outputs.pop_front()
    }

    /// How the match is. The node adds how long ticks take.
    pub fn report(&self) -> proto::RoomReport {
        let left = self.config.mode.duration_ticks().saturating_sub(self.sim.tick().0);
        let running = self.result.is_none();
        proto::RoomReport {
            match_id: self.config.match_id.to_string(),
            state: if running { "running" } else { "ended" }.to_owned(),
            tick: self.sim.tick().0,
            tick_hz: self.config.mode.tick_hz,
            roster: roster::to_proto(&self.sim.seats().0),
            team_scores: self.sim.board().team_scores.clone(),
            ends_in_ms: if running {
                (u64::from(left) * 1_000 / u64::from(self.config.mode.tick_hz)) as u32
            } else {
                0
            },
            mode: self.config.mode.name.clone(),
            result: self.result.clone(),
            ..proto::RoomReport::default()
        }
    }

    /// The last simulated tick.
    pub fn tick(&self) -> Tick {
        self.sim.tick()
    }

    /// The world, to read.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Counters.
    pub fn stats(&self) -> RoomStats {
        RoomStats { events_dropped: self.sim.events_dropped(), ..self.stats }
    }

    /// The match is over.
    pub fn has_ended(&self) -> bool {
        self.result.is_some()
    }

    fn check(&self, command: &RoomCommand) -> Result<(), Code> {
        if self.result.is_some() {
            return Err(Code::MatchEnded);
        }
        if self.commands.len() >= ROOM_COMMANDS_MAX {
            return Err(Code::Overloaded);
        }
        let seat = command.seat();
        if usize::from(seat) >= self.seats.len() || !command.is_bounded() {
            return Err(Code::RequestInvalid);
        }
        match (command, self.roster.is_taken(seat)) {
            (RoomCommand::Join { .. }, true) => Err(Code::SeatTaken),
            (RoomCommand::Leave { .. } | RoomCommand::Presence { .. } | RoomCommand::Input { .. }, false) => {
                Err(Code::RequestInvalid)
            }
            (RoomCommand::Join { .. }, false)
            | (RoomCommand::Leave { .. } | RoomCommand::Presence { .. } | RoomCommand::Input { .. }, true) => Ok(()),
        }
    }

    fn apply(&mut self, command: &RoomCommand) {
        let seat = command.seat();
        let desk = &mut self.seats[usize::from(seat)];
        let state = &mut self.sim.seats_mut().0[usize::from(seat)];
        match command {
            RoomCommand::Join { user, name, .. } => {
                let person =
                    SeatState { bot: false, connected: true, name: name.clone(), user: user.clone(), ..*state };
                *state = person;
                desk.inputs = SeatInputs::default();
                self.unwelcomed.insert(seat);
                self.reset_input(seat);
            }
            RoomCommand::Leave { .. } => {
                let name = format!("Bot {}", u32::from(seat) + 1);
                *state = SeatState { bot: true, connected: false, name, user: String::new(), ..*state };
                desk.welcomed = false;
                self.unwelcomed.remove(&seat);
                self.reset_input(seat);
            }
            RoomCommand::Presence { connected, .. } => {
                state.connected = *connected && !state.bot;
                if state.connected {
                    self.unwelcomed.insert(seat);
                }
            }
            RoomCommand::Input { tick, bytes, .. } => {
                desk.inputs.put(self.sim.tick(), Tick(*tick), bytes.clone());
            }
        }
    }

    fn reset_input(&mut self, seat: u8) {
        if let Some(port) = self.sim.input_port() {
            port.reset(self.sim.world_mut(), Seat(seat));
        }
    }

    fn play_inputs(&mut self) {
        let Some(port) = self.sim.input_port() else { return };
        let tick = self.sim.tick().plus(1);
        for (i, desk) in self.seats.iter_mut().enumerate() {
            if self.sim.seats().0[i].bot {
                continue;
            }
            let seat = Seat(i as u8);
            let world = self.sim.world_mut();
            match desk.inputs.play(tick) {
                Played::Input(bytes) => match port.set(world, seat, &bytes) {
                    Ok(()) => self.stats.inputs_applied += 1,
                    Err(_) => self.stats.inputs_invalid += 1,
                },
                Played::Decayed => {
                    port.decay(world, seat);
                    self.stats.inputs_missing += 1;
                }
                Played::Nothing => {
                    port.reset(world, seat);
                    self.stats.inputs_missing += 1;
                }
            }
        }
    }

    fn welcome(&mut self) {
        for seat in std::mem::take(&mut self.unwelcomed) {
            let joined = proto::Joined {
                match_id: self.config.match_id.to_string(),
                seat: u32::from(seat),
                entity: self.own(seat).map_or(0, |id| id.0),
                tick: self.sim.tick().0,
                schema_json: self.sim.schema().to_json().to_owned(),
                roster: roster::to_proto(&self.sim.seats().0),
                mode: self.config.mode.name.clone(),
            };
            let desk = &mut self.seats[usize::from(seat)];
            desk.welcomed = true;
            desk.recipient.reset();
            let payload = RoomMessage { kind: Some(room_message::Kind::Joined(joined)) }.encode_to_vec().into();
            self.outputs.push_back(RoomOutput::Send { seat, lane: LANE_ROOM, payload });
        }
    }

    fn tell_events(&mut self, tick: Tick) {
        for GameEvent { kind, body } in self.sim.take_events() {
            let event = proto::GameEvent { tick: tick.0, kind, body: body.into() };
            self.spectators.note(event.clone());
            self.broadcast(room_message::Kind::Event(event));
        }
    }

    fn broadcast(&mut self, kind: room_message::Kind) {
        let payload: Bytes = RoomMessage { kind: Some(kind) }.encode_to_vec().into();
        for (seat, _) in self.seats.iter().enumerate().filter(|(_, desk)| desk.welcomed) {
            let payload = payload.clone();
            self.outputs.push_back(RoomOutput::Send { seat: seat as u8, lane: LANE_ROOM, payload });
        }
    }

    fn show(&mut self, result: Option<proto::MatchResult>) {
        if result.is_none() && !self.spectators.is_due(self.sim.tick()) {
            return;
        }
        let about = proto::ViewMatch {
            match_id: self.config.match_id.to_string(),
            mode: self.config.mode.name.clone(),
            roster: roster::to_proto(&self.sim.seats().0),
            team_scores: self.sim.board().team_scores.clone(),
            tick0_us: self.config.tick_clock.tick0.0,
            tick_hz: self.config.tick_clock.tick_hz,
            ends_at_tick: self.config.mode.duration_ticks(),
        };
        let (keyframe, payload) = self.spectators.frame(&self.sim, about, result);
        self.outputs.push_back(RoomOutput::View { view: VIEW, keyframe, payload });
    }

    fn finish(&mut self, now: Micros, outcome: &str) {
        let board = self.sim.board();
        let result = proto::MatchResult {
            match_id: self.config.match_id.to_string(),
            version: 1,
            app: self.config.app.to_string(),
            mode: self.config.mode.name.clone(),
            team_scores: board.team_scores.clone(),
            players: self.roster.results(&self.sim.seats().0, &board.player_scores, self.sim.tick().0),
            started_us: self.config.tick_clock.tick0.0,
            ended_us: now.0,
            outcome: outcome.to_owned(),
        };
        let record = Record::End { tick: self.sim.tick().0, outcome: outcome.to_owned() };
        self.outputs.push_back(RoomOutput::Journal(record.encode().into()));
        self.broadcast(room_message::Kind::MatchEnded(proto::MatchEnded { result: Some(result.clone()) }));
        self.show(Some(result.clone()));
        self.outputs.push_back(RoomOutput::Ended(result.clone()));
        self.result = Some(result);
        self.commands.clear();
    }

    fn own(&self, seat: u8) -> Option<NetId> {
        self.sim.entity_of_seat(Seat(seat))
    }

    fn start_record(&self) -> Record {
        let config = &self.config;
        Record::Start {
            game: self.game.name().to_owned(),
            version: self.game.version().to_owned(),
            schema_hash: self.sim.schema().hash(),
            match_id: config.match_id.to_bits(),
            app: config.app.to_string(),
            mode: config.mode.clone(),
            seats: config.seats.clone(),
            tick0_us: config.tick_clock.tick0.0,
            seed: config.seed.0,
        }
    }
}
