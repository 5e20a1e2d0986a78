//! One history: virtual time, a room, two players, the pipes between them.

use amphi_clients_rust::{Client, ClientOutput};
use amphi_shared_replica::{Game, Input, NetId, Replicate, Row};
use amphi_shared_session::{Output, PipeId, PipeKind, Session, parse_hello};
use amphi_shared_wire::{Code, LANE_CONTROL, Micros, Rng, Seed};

use super::host::Host;
use super::player::Player;
use crate::net::{Arrival, End, Link, Net, Pipes, Strike};
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
/// How long a dial may wait for its pipe.
const OPENING_MAX: Micros = Micros::from_secs(1);
/// What players do in a room, and what must hold.
pub(crate) trait Play: Default {
    type Input: Input;
    /// The path of each player.
    const LINK: Link;
    /// Connections break, stall and change in the storm.
    const STRIKES: bool;
    /// How long a player wants the same.
    const TURN_EVERY: Micros;

    /// The game; its first mode has two seats.
    fn game() -> Game;

    /// What a player wants next; nothing when all are to stand still.
    fn turn(&mut self, rng: &mut Rng, still: bool) -> Self::Input;

    /// Looks at what a player is shown, whenever something has happened.
    fn watch(&mut self, who: usize, client: &Client<Self::Input>, now: Micros) -> Result<(), String>;

    /// The player who stands still knows what is true.
    fn check(world: &World<Self>, who: usize) -> Result<(), String>;
}

/// Everything in one history.
pub(crate) struct World<P: Play> {
    play: P,
    start: Micros,
    now: Micros,
    game: Game,
    host: Host,
    players: [Player<P::Input>; 2],
    net: Pipes,
    /// Who dialled a pipe, by its number.
    owners: Vec<usize>,
    load_rng: Rng,
    fault_rng: Rng,
    dial_rng: Rng,
    storm: bool,
    still: bool,
    turns_at: Micros,
    strikes_at: Micros,
    faults: Faults,
    delivered: u64,
    history: Seed,
}

impl<P: Play> World<P> {
    pub(crate) fn new(seed: Seed) -> Result<Self, Violation> {
        let start = Micros::from_secs(1_763_000_000);
        let game = P::game();
        let host = Host::new(&game, start, seed).map_err(|what| Violation { at: Micros(0), what })?;
        let players = [PipeKind::Streams, PipeKind::Ordered].map(|kind| Player::new(&game, start, kind));
        Ok(Self {
            play: P::default(),
            start,
            now: start,
            game,
            host,
            players,
            net: Pipes::new(seed, [P::LINK; 2]),
            owners: Vec::new(),
            load_rng: seed.split("load").rng(),
            fault_rng: seed.split("faults").rng(),
            dial_rng: seed.split("dials").rng(),
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
        match self.go() {
            Ok(()) => Ok(Report {
                faults: self.faults,
                messages: self.players.iter().map(|p| p.client.session().stats().messages_in).sum(),
                datagrams: self.delivered,
                attaches: self.players.iter().map(|p| p.client.session().stats().attaches).sum(),
                corrections: self.players.iter().map(|p| p.client.stats().mispredictions).sum(),
                virtual_time: self.now.since(self.start),
                history: self.history.0,
                ..Report::default()
            }),
            Err(what) => Err(Violation { at: self.now - self.start, what }),
        }
    }

    fn go(&mut self) -> Result<(), String> {
        self.pass(CALM)?;
        (self.storm, self.strikes_at) = (P::STRIKES, self.now);
        self.pass(STORM)?;
        self.storm = false;
        self.net.calm(self.now);
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
        P::check(self, who)
    }

    /// What the players do.
    pub(crate) fn play(&self) -> &P {
        &self.play
    }

    /// The client of a player.
    pub(crate) fn client(&self, who: usize) -> &Client<P::Input> {
        &self.players[who].client
    }

    /// A component of what spectators saw of the tick that a player holds.
    pub(crate) fn truth<C: Replicate>(&self, who: usize) -> Result<Vec<(NetId, C)>, String> {
        let tick = self.client(who).tick();
        let truth = self.host.truth(tick);
        let truth = truth.ok_or_else(|| format!("spectators saw nothing of tick {tick}, which player {who} holds"))?;
        Ok(self.read(truth))
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
                self.play.watch(who, &self.players[who].client, self.now)?;
            }
        }
        self.now = until;
        Ok(())
    }

    fn next(&self) -> Option<Micros> {
        let clients = self.players.iter().filter_map(|player| player.client.poll_timeout(self.now));
        let sessions = self.host.seated.iter().flatten().filter_map(|s| s.session.poll_timeout()).map(|(at, _)| at);
        let dials = self.players.iter().filter_map(|player| player.dials_at);
        let strikes = self.storm.then_some(self.strikes_at);
        let others = [Some(self.turns_at), Some(self.host.due()), strikes].into_iter().flatten();
        clients.chain(self.net.next()).chain(sessions).chain(dials).chain(others).min()
    }

    /// Does what is due now, one thing.
    fn do_next(&mut self) -> Result<(), String> {
        let now = self.now;
        if self.host.due() <= now {
            return self.host.tick(now);
        }
        if let Some((pipe, end, arrival)) = self.net.poll(now, &mut self.faults) {
            self.arrive(pipe, end, arrival);
            return Ok(());
        }
        for who in 0..self.players.len() {
            if self.players[who].dials_at.is_some_and(|at| at <= now) {
                self.dial(who);
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

    /// Everyone wants something else.
    fn turn(&mut self) {
        self.turns_at = self.now + P::TURN_EVERY;
        for player in &mut self.players {
            player.client.set_input(self.play.turn(&mut self.load_rng, self.still));
        }
    }

    fn strike(&mut self) {
        self.strikes_at = self.now + Micros(STRIKE_EVERY_US / 4 + self.fault_rng.below(STRIKE_EVERY_US));
        let who = self.fault_rng.below(2) as usize;
        let rng = &mut self.fault_rng;
        let strike = match rng.below(6) {
            0 => Strike::Break { arrives_permille: rng.below(1_001) as u32 },
            1 => {
                let client = rng.chance(500);
                Strike::HalfOpen { client, server: !client }
            }
            2 => Strike::Stall(Micros(50_000 + rng.below(1_500_000))),
            3 => Strike::Blackout(Micros(50_000 + rng.below(1_500_000))),
            4 => Strike::Address { latency: Micros(2_000 + rng.below(40_000)) },
            _ => {
                self.faults.switches += 1;
                let player = &mut self.players[who];
                player.kind = match player.kind {
                    PipeKind::Streams => PipeKind::Ordered,
                    PipeKind::Ordered => PipeKind::Streams,
                };
                player.dials_at = Some(self.now);
                return;
            }
        };
        self.net.strike(self.now, who, &strike, &mut self.faults);
    }

    /// A player dials, and gives up what it dialled before.
    fn dial(&mut self, who: usize) {
        let player = &mut self.players[who];
        if let Some(pipe) = player.opening.take() {
            self.net.close(self.now, pipe, End::Client, Code::HandshakeTimeout);
        }
        player.opening = Some(self.net.dial(self.now, who, player.kind));
        player.dials_at = Some(self.now + OPENING_MAX);
        self.owners.push(who);
    }

    fn arrive(&mut self, pipe: PipeId, end: End, arrival: Arrival) {
        let now = self.now;
        let who = self.owners[pipe.0 as usize];
        self.delivered += u64::from(matches!(arrival, Arrival::Datagram(_)));
        if end == End::Server {
            return self.arrive_at_host(who, pipe, arrival);
        }
        let player = &mut self.players[who];
        let opening = player.opening == Some(pipe);
        match arrival {
            Arrival::Opened(info) if opening => {
                (player.opening, player.dials_at) = (None, None);
                player.client.dial(now, info);
            }
            Arrival::Opened(_) | Arrival::Confirmed => {}
            Arrival::Frame(lane, payload) => player.client.handle_frame(now, pipe, lane, payload),
            Arrival::Closed(_) if opening => (player.opening, player.dials_at) = (None, None),
            Arrival::Closed(code) => player.client.handle_pipe_closed(now, pipe, code),
            Arrival::Datagram(bytes) => {
                player.client.handle_datagram(now, pipe, bytes);
                self.remember(who);
            }
        }
    }

    fn arrive_at_host(&mut self, who: usize, pipe: PipeId, arrival: Arrival) {
        let now = self.now;
        match arrival {
            Arrival::Frame(lane, payload) => {
                let hello = if lane == LANE_CONTROL { parse_hello(payload.clone()).ok() } else { None };
                let (Some(hello), Some(info)) = (hello, self.net.info(pipe)) else {
                    return self.with(who, |session| session.handle_frame(now, pipe, lane, payload));
                };
                if let Err(refusal) = self.host.greet(now, who, &hello, info) {
                    // A pipe that is gone already needs no refusal.
                    let _ = self.net.frame(now, pipe, End::Server, (LANE_CONTROL, refusal.encode()));
                    self.net.close(now, pipe, End::Server, refusal.code);
                }
            }
            Arrival::Datagram(bytes) => self.with(who, |session| session.handle_datagram(now, pipe, bytes)),
            Arrival::Closed(code) => self.with(who, |session| session.handle_pipe_closed(now, pipe, code)),
            Arrival::Opened(_) | Arrival::Confirmed => {}
        }
    }

    /// Takes what a client and its session say.
    fn drain(&mut self, who: usize) -> Result<(), String> {
        let now = self.now;
        while let Some(output) = self.players[who].poll(now, &mut self.dial_rng)? {
            let output = match output {
                ClientOutput::Frame { pipe, lane, payload } => Output::Frame { pipe, lane, payload },
                ClientOutput::Datagram { pipe, bytes } => Output::Datagram { pipe, bytes },
                ClientOutput::ClosePipe { pipe, code, message } => Output::ClosePipe { pipe, code, message },
                ClientOutput::Event(_) => continue,
            };
            self.carry(End::Client, output)?;
        }
        while let Some(output) = self.host.poll(now, who) {
            self.carry(End::Server, output)?;
        }
        Ok(())
    }

    fn carry(&mut self, from: End, output: Output) -> Result<(), String> {
        let now = self.now;
        match output {
            Output::Frame { pipe, lane, payload } => {
                let sent = self.net.frame(now, pipe, from, (lane, payload));
                return sent.map_err(|error| format!("the {from} sends on lane {lane}: {error}"));
            }
            Output::Datagram { pipe, bytes } => self.net.datagram(now, pipe, from, bytes, &mut self.faults),
            Output::ClosePipe { pipe, code, .. } => self.net.close(now, pipe, from, code),
            Output::Event(_) => {}
        }
        Ok(())
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
