//! One history: virtual time, a room, two players, the pipes between them.

use amphi_clients_rust::ClientOutput;
use amphi_server_arena::movement::PlayerBody;
use amphi_server_arena::{Arena, ArenaInput, Pose};
use amphi_shared_replica::{Game, NetId, Replicate, Row};
use amphi_shared_session::{Output, PipeKind, Session, parse_hello};
use amphi_shared_wire::{LANE_CONTROL, Micros, Rng, Seed};

use super::host::Host;
use super::player::Player;
use crate::net::{End, Item, Pipe};
use crate::{Faults, Report, Violation};

/// Players join and play before the first fault.
const CALM: Micros = Micros::from_secs(1);
/// How long faults strike.
const STORM: Micros = Micros::from_secs(12);
/// How long everyone has to come back; longer than the longest time away.
const PEACE: Micros = Micros::from_secs(6);
/// How long players stand still, so that prediction and truth meet.
const STILL: Micros = Micros::from_secs(2);
/// How long a player may take to hold one whole tick: what a replaced snapshot carried comes again.
const WHOLE_TICK_MAX: Micros = Micros::from_secs(3);
/// Time between two faults.
const STRIKE_EVERY_US: u64 = 1_000_000;
/// How long a player runs into one direction.
const TURN_EVERY: Micros = Micros::from_millis(400);

/// Everything in one history.
pub(crate) struct World {
    start: Micros,
    now: Micros,
    game: Game,
    host: Host,
    players: [Player; 2],
    load_rng: Rng,
    fault_rng: Rng,
    net_rng: Rng,
    storm: bool,
    still: bool,
    turns_at: Micros,
    strikes_at: Micros,
    faults: Faults,
    delivered: u64,
    history: Seed,
}

impl World {
    pub(crate) fn new(seed: Seed) -> Result<Self, Violation> {
        let start = Micros::from_secs(1_763_000_000);
        let game = Game::new("arena", Arena);
        let host = Host::new(&game, start, seed).map_err(|what| Violation { at_ms: 0, what })?;
        let players = [PipeKind::Streams, PipeKind::Ordered].map(|kind| Player::new(&game, start, kind));
        Ok(Self {
            start,
            now: start,
            game,
            host,
            players,
            load_rng: seed.split("load").rng(),
            fault_rng: seed.split("faults").rng(),
            net_rng: seed.split("net").rng(),
            storm: false,
            still: false,
            turns_at: start,
            strikes_at: start,
            faults: Faults::default(),
            delivered: 0,
            history: seed,
        })
    }

    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        match self.play() {
            Ok(()) => Ok(Report {
                faults: self.faults,
                messages: self.players.iter().map(|p| p.client.session().stats().messages_in).sum(),
                datagrams: self.delivered,
                attaches: self.players.iter().map(|p| p.client.session().stats().attaches).sum(),
                virtual_time: self.now.since(self.start),
                history: self.history.0,
            }),
            Err(what) => Err(Violation { at_ms: self.now.since(self.start).as_millis(), what }),
        }
    }

    fn play(&mut self) -> Result<(), String> {
        self.pass(CALM)?;
        (self.storm, self.strikes_at) = (true, self.now);
        self.pass(STORM)?;
        self.storm = false;
        self.pass(PEACE)?;
        self.still = true;
        self.pass(STILL)?;
        for who in 0..self.players.len() {
            let patience = self.now + WHOLE_TICK_MAX;
            while let Err(what) = self.check(who) {
                if self.now >= patience {
                    return Err(what);
                }
                self.pass(Micros::from_millis(4))?;
            }
        }
        Ok(())
    }

    /// The player is back, can read every snapshot, holds what was true at its tick, and predicts it.
    fn check(&self, who: usize) -> Result<(), String> {
        let player = &self.players[who];
        let Some(seat) = player.seat else { return Err(format!("player {who} never joined")) };
        if !player.client.session().is_attached() || !self.host.is_persons(seat) {
            return Err(format!("player {who} has not come back to seat {seat}"));
        }
        let stats = player.client.stats();
        if stats.snapshots == 0 || stats.snapshots_invalid > 0 {
            return Err(format!("player {who} could not read {} snapshots", stats.snapshots_invalid));
        }
        self.compare(who)?;
        let own = player.client.own::<PlayerBody>();
        let received = player.client.received::<PlayerBody>();
        let truth = player.client.own_id().and_then(|id| received.iter().find(|(known, _)| *known == id));
        // Not its height: a prediction knows no crate to stand on.
        let ground = |body: PlayerBody| [body.x, body.z];
        if own.is_none() || own.map(ground) != truth.map(|(_, body)| ground(*body)) {
            return Err(format!("player {who} stands at {own:?}, truly at {truth:?}"));
        }
        Ok(())
    }

    /// A player has received what spectators saw of the same tick, also while the ball still rolls.
    fn compare(&self, who: usize) -> Result<(), String> {
        let client = &self.players[who].client;
        let Some(truth) = self.host.truth(client.tick()) else {
            return Err(format!("spectators saw nothing of tick {}, which player {who} holds", client.tick()));
        };
        let same = self.read::<PlayerBody>(truth) == client.received() && self.read::<Pose>(truth) == client.received();
        if same { Ok(()) } else { Err(format!("player {who} sees another world at tick {}", client.tick())) }
    }

    fn read<C: Replicate>(&self, rows: &[(NetId, Row)]) -> Vec<(NetId, C)> {
        let schema = self.game.schema();
        let Some(component) = schema.component(C::NAME) else { return Vec::new() };
        rows.iter().filter_map(|(id, row)| Some((*id, C::read(row.component(schema, component)?)))).collect()
    }

    fn pass(&mut self, span: Micros) -> Result<(), String> {
        let until = self.now + span;
        while let Some(at) = self.next().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.do_next()?;
            for who in 0..self.players.len() {
                self.drain(who)?;
            }
        }
        self.now = until;
        Ok(())
    }

    fn next(&self) -> Option<Micros> {
        let pipes = self.players.iter().flat_map(|player| &player.pipes);
        let arrivals = pipes.filter_map(Pipe::next_arrival).map(|(at, _)| at);
        let clients = self.players.iter().filter_map(|player| player.client.poll_timeout(self.now));
        let sessions = self.host.seated.iter().flatten().filter_map(|s| s.session.poll_timeout()).map(|(at, _)| at);
        let dials = self.players.iter().filter_map(|player| player.dials_at);
        let strikes = self.storm.then_some(self.strikes_at);
        let others = [Some(self.turns_at), Some(self.host.due()), strikes].into_iter().flatten();
        arrivals.chain(clients).chain(sessions).chain(dials).chain(others).min()
    }

    /// Does what is due now, one thing.
    fn do_next(&mut self) -> Result<(), String> {
        let now = self.now;
        if self.host.due() <= now {
            return self.host.tick(now);
        }
        for who in 0..self.players.len() {
            let pipes = self.players[who].pipes.iter().enumerate();
            let arrival = pipes.filter_map(|(i, pipe)| Some((pipe.next_arrival()?, i))).min();
            if let Some(((_, end), pipe)) = arrival.filter(|((at, _), _)| *at <= now) {
                return self.arrive(who, pipe, end);
            }
            if self.players[who].dials_at.is_some_and(|at| at <= now) {
                self.players[who].dial(now, &mut self.net_rng);
                return Ok(());
            }
        }
        if self.storm && self.strikes_at <= now {
            self.strike();
            return Ok(());
        }
        if self.turns_at <= now {
            self.turn();
        }
        for player in &mut self.players {
            player.client.advance(now).map_err(|error| error.to_string())?;
        }
        self.host.seated.iter_mut().flatten().for_each(|seated| seated.session.handle_timeout(now));
        Ok(())
    }

    /// Everyone turns and runs somewhere else.
    fn turn(&mut self) {
        self.turns_at = self.now + TURN_EVERY;
        for player in &mut self.players {
            let running = ArenaInput {
                move_x: self.load_rng.below(255) as i8,
                move_y: 127,
                yaw: self.load_rng.below(65_536) as u16,
                ..ArenaInput::default()
            };
            let running = running.with_buttons(self.load_rng.chance(200), false, false);
            player.client.set_input(if self.still { ArenaInput::default() } else { running });
        }
    }

    fn strike(&mut self) {
        self.strikes_at = self.now + Micros(STRIKE_EVERY_US / 4 + self.fault_rng.below(STRIKE_EVERY_US));
        let player = &mut self.players[self.fault_rng.below(2) as usize];
        let Some(pipe) = player.pipes.last_mut() else {
            return;
        };
        match self.fault_rng.below(4) {
            0 => {
                self.faults.breaks += 1;
                pipe.break_up(self.now, &mut self.fault_rng);
            }
            1 => {
                self.faults.half_open += 1;
                pipe.go_dark(if self.fault_rng.chance(500) { End::Client } else { End::Server });
            }
            2 => {
                self.faults.stalls += 1;
                pipe.stall(self.now + Micros(50_000 + self.fault_rng.below(1_500_000)));
            }
            _ => {
                self.faults.switches += 1;
                player.kind = match player.kind {
                    PipeKind::Streams => PipeKind::Ordered,
                    PipeKind::Ordered => PipeKind::Streams,
                };
                player.dials_at = Some(self.now);
            }
        }
    }

    fn arrive(&mut self, who: usize, index: usize, end: End) -> Result<(), String> {
        let now = self.now;
        let pipe = &mut self.players[who].pipes[index];
        let id = pipe.info.id;
        let Some(item) = pipe.arrive(now, end) else {
            return Ok(());
        };
        self.delivered += u64::from(matches!(item, Item::Datagram(_)));
        if end == End::Server {
            self.arrive_at_host(who, index, item);
            return Ok(());
        }
        let client = &mut self.players[who].client;
        match item {
            Item::Frame(lane, payload) => client.handle_frame(now, id, lane, payload),
            Item::Closed(code) => client.handle_pipe_closed(now, id, code),
            Item::Datagram(bytes) => {
                client.handle_datagram(now, id, bytes);
                self.remember(who);
            }
        }
        Ok(())
    }

    fn arrive_at_host(&mut self, who: usize, index: usize, item: Item) {
        let (now, info) = (self.now, self.players[who].pipes[index].info);
        match item {
            Item::Frame(lane, payload) => {
                let hello = if lane == LANE_CONTROL { parse_hello(payload.clone()).ok() } else { None };
                let Some(hello) = hello else {
                    return self.with(who, |session| session.handle_frame(now, info.id, lane, payload));
                };
                if let Err(refusal) = self.host.greet(now, who, &hello, info) {
                    let pipe = &mut self.players[who].pipes[index];
                    pipe.frame(now, End::Client, LANE_CONTROL, refusal.encode(), &mut self.net_rng);
                    pipe.close(now, End::Server, Some(refusal.code));
                }
            }
            Item::Datagram(bytes) => self.with(who, |session| session.handle_datagram(now, info.id, bytes)),
            Item::Closed(code) => self.with(who, |session| session.handle_pipe_closed(now, info.id, code)),
        }
    }

    /// Takes what a client and its session say.
    fn drain(&mut self, who: usize) -> Result<(), String> {
        let now = self.now;
        while let Some(output) = self.players[who].poll(now, &mut self.net_rng)? {
            let output = match output {
                ClientOutput::Frame { pipe, lane, payload } => Output::Frame { pipe, lane, payload },
                ClientOutput::Datagram { pipe, bytes } => Output::Datagram { pipe, bytes },
                ClientOutput::ClosePipe { pipe, code, message } => Output::ClosePipe { pipe, code, message },
                ClientOutput::Event(_) => continue,
            };
            self.carry(who, End::Client, output);
        }
        while let Some(output) = self.host.poll(now, who) {
            self.carry(who, End::Server, output);
        }
        Ok(())
    }

    fn carry(&mut self, who: usize, from: End, output: Output) {
        let now = self.now;
        let (Output::Frame { pipe, .. } | Output::Datagram { pipe, .. } | Output::ClosePipe { pipe, .. }) = output
        else {
            return;
        };
        let Some(pipe) = self.players[who].pipes.iter_mut().find(|p| p.info.id == pipe) else {
            return;
        };
        match output {
            Output::Frame { lane, payload, .. } => pipe.frame(now, from.other(), lane, payload, &mut self.net_rng),
            Output::Datagram { bytes, .. } => {
                pipe.datagram(now, from.other(), bytes, self.storm, (&mut self.net_rng, &mut self.faults));
            }
            Output::ClosePipe { code, .. } => pipe.close(now, from, Some(code)),
            Output::Event(_) => {}
        }
    }

    /// Adds what a player knows to the history.
    fn remember(&mut self, who: usize) {
        let client = &self.players[who].client;
        let stats = client.stats();
        let seen = [self.now.0, who as u64, u64::from(client.tick().0), stats.snapshots, stats.mispredictions];
        self.history = seen.into_iter().fold(self.history, Seed::nth);
    }

    fn with(&mut self, who: usize, act: impl FnOnce(&mut Session)) {
        if let Some(seated) = &mut self.host.seated[who] {
            act(&mut seated.session);
        }
    }
}
