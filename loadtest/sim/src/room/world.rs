//! One history: virtual time, a room, its players, the pipes between them.

use std::collections::VecDeque;

use amphi_clients_rust::{Client, ClientEvent, ClientOutput};
use amphi_shared_replica::{Game, Input, NetId, Replicate, Row};
use amphi_shared_session::{Output, PipeId, PipeKind, Session, parse_hello};
use amphi_shared_wire::{Code, LANE_CONTROL, Micros, Rng, Seed, Tick};
use bytes::Bytes;

use super::cast::{Act, Cast, What};
use super::host::{Host, SEAT_KEPT, SILENT_AFTER};
use super::hostile::Attack;
use super::ledger::{self, Entry, Frame};
use super::player::{Player, Presence};
use crate::net::{Arrival, End, Link, Net, Pipes};
use crate::{Report, Violation};

/// How long everyone has to come back; longer than the longest time away.
const PEACE: Micros = Micros::from_secs(6);
/// How long players stand still, so that prediction and truth meet.
const STILL: Micros = Micros::from_secs(2);
/// How long a player may take to hold one whole tick: what a replaced snapshot carried comes again.
const WHOLE_TICK_MAX: Micros = Micros::from_secs(3);
/// How long a dial may wait for its pipe.
const OPENING_MAX: Micros = Micros::from_secs(1);

/// What players do in a room, and what must hold.
pub(crate) trait Play: Sized {
    type Input: Input;
    /// The path of each player.
    const LINK: Link;
    /// How long a player wants the same.
    const TURN_EVERY: Micros;

    /// The game; its first mode has seats for all.
    fn game() -> Game;

    /// What is remembered of the players.
    fn new(cast: &Cast) -> Self;

    /// A player comes, for the first time or again.
    fn enter(&mut self, _who: usize) {}

    /// What a player wants next, and what they ask for; nothing when all are to stand still.
    fn turn(&mut self, turn: Turn, client: &mut Client<Self::Input>, rng: &mut Rng);

    /// A player is told something.
    fn hear(&mut self, _who: usize, _client: &Client<Self::Input>, _event: &ClientEvent) -> Result<(), String> {
        Ok(())
    }

    /// The components of an entity that a seat may see in a tick, as a bit set.
    fn may_see(&self, _seat: u8, _frame: &Frame, _entry: &Entry) -> u64 {
        u64::MAX
    }

    /// Looks at what a player is shown, whenever something has happened.
    fn watch(&mut self, _watched: &Watched<'_, Self::Input>) -> Result<(), String> {
        Ok(())
    }

    /// The player who stands still knows what is true.
    fn check(world: &World<Self>, who: usize) -> Result<(), String>;

    /// Adds what it counted.
    fn report(&self, _report: &mut Report) {}
}

/// A moment in which a player decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) who: usize,
    pub(crate) now: Micros,
    pub(crate) still: bool,
}

/// A player who is looked at.
pub(crate) struct Watched<'a, I: Input> {
    pub(crate) who: usize,
    pub(crate) client: &'a Client<I>,
    pub(crate) now: Micros,
    pub(crate) host: &'a Host,
    /// Nothing strikes any more, and has not for a while.
    pub(crate) peace: bool,
}

/// Everything in one history.
pub(crate) struct World<P: Play> {
    play: P,
    cast: Cast,
    start: Micros,
    now: Micros,
    game: Game,
    host: Host,
    players: Vec<Player<P::Input>>,
    net: Pipes,
    /// Who dialled a pipe, by its number.
    owners: Vec<usize>,
    acts: VecDeque<Act>,
    load_rng: Rng,
    dial_rng: Rng,
    still: bool,
    peace: bool,
    turns_at: Micros,
    report: Report,
    history: Seed,
}

impl<P: Play> World<P> {
    pub(crate) fn new(cast: &Cast) -> Result<Self, Violation> {
        let start = Micros::from_secs(1_763_000_000);
        let game = P::game();
        let seed = cast.seed;
        let host = Host::new(&game, cast.players.len(), start, seed);
        let host = host.map_err(|what| Violation { at: Micros(0), what })?;
        Ok(Self {
            play: P::new(cast),
            start,
            now: start,
            host,
            players: cast.players.iter().map(|kind| Player::new(&game, *kind)).collect(),
            game,
            net: Pipes::new(seed, cast.players.iter().map(|_| P::LINK)),
            owners: Vec::new(),
            acts: cast.acts.iter().cloned().collect(),
            load_rng: seed.split("load").rng(),
            dial_rng: seed.split("dials").rng(),
            still: false,
            peace: false,
            turns_at: start,
            report: Report::default(),
            history: seed,
            cast: cast.clone(),
        })
    }

    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        if let Err(what) = self.go() {
            return Err(Violation { at: self.now - self.start, what });
        }
        let mut report = self.report;
        for player in &self.players {
            report.messages += player.client.session().stats().messages_in;
            report.attaches += player.client.session().stats().attaches;
            report.corrections += player.client.stats().mispredictions;
            report.predicted_ticks += player.client.stats().ticks;
        }
        report.requests += self.host.room_stats().requests;
        for (_, code) in &self.host.ends {
            *report.closes.entry(code.number()).or_default() += 1;
        }
        self.play.report(&mut report);
        Ok(Report { virtual_time: self.now.since(self.start), history: self.history.0, ..report })
    }

    fn go(&mut self) -> Result<(), String> {
        self.pass(self.cast.storm_ends)?;
        self.net.calm(self.now);
        self.pass(PEACE)?;
        (self.still, self.peace) = (true, true);
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
        if !player.is_here() {
            return self.check_left(who);
        }
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

    /// Nothing is left of a player who is not there, once their seat is not kept any more.
    fn check_left(&self, who: usize) -> Result<(), String> {
        let over_at = self.players[who].over_at.unwrap_or(self.start);
        // What is silent is noticed first.
        let is_kept = self.now < over_at + SILENT_AFTER + SEAT_KEPT + WHOLE_TICK_MAX;
        if self.host.seated[who].is_some() && !is_kept {
            return Err(format!("player {who} is gone, and the host keeps a seat for them"));
        }
        Ok(())
    }

    /// What the players do.
    pub(crate) fn play(&self) -> &P {
        &self.play
    }

    /// The client of a player.
    pub(crate) fn client(&self, who: usize) -> &Client<P::Input> {
        &self.players[who].client
    }

    /// The host.
    pub(crate) fn host(&self) -> &Host {
        &self.host
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
                let player = &self.players[who];
                if player.is_on() {
                    let (client, now, host, peace) = (&player.client, self.now, &self.host, self.peace);
                    self.play.watch(&Watched { who, client, now, host, peace })?;
                }
            }
        }
        self.now = until;
        Ok(())
    }

    fn next(&self) -> Option<Micros> {
        let on = || self.players.iter().filter(|player| player.is_on());
        let clients = on().filter_map(|player| player.client.poll_timeout(self.now));
        let sessions = self.host.seated.iter().flatten().filter_map(|s| s.session.poll_timeout()).map(|(at, _)| at);
        let dials = on().filter_map(|player| player.dials_at);
        let act = self.acts.front().map(|act| self.start + act.at);
        let others = [Some(self.turns_at), Some(self.host.due()), act].into_iter().flatten();
        clients.chain(self.net.next()).chain(sessions).chain(dials).chain(others).min()
    }

    /// Does what is due now, one thing.
    fn do_next(&mut self) -> Result<(), String> {
        let now = self.now;
        if self.host.due() <= now {
            return self.host.tick(now);
        }
        if let Some((pipe, end, arrival)) = self.net.poll(now, &mut self.report.faults) {
            return self.arrive(pipe, end, arrival);
        }
        for who in 0..self.players.len() {
            if self.players[who].is_on() && self.players[who].dials_at.is_some_and(|at| at <= now) {
                self.dial(who);
                return Ok(());
            }
        }
        if self.acts.front().is_some_and(|act| self.start + act.at <= now) {
            return self.acts.pop_front().map_or(Ok(()), |act| self.act(&act));
        }
        if self.turns_at <= now {
            self.turn();
        }
        for player in self.players.iter_mut().filter(|player| player.is_on()) {
            player.client.advance(now).map_err(|error| error.to_string())?;
        }
        self.host.seated.iter_mut().flatten().for_each(|seated| seated.session.handle_timeout(now));
        Ok(())
    }

    /// Everyone wants something else.
    fn turn(&mut self) {
        self.turns_at = self.now + P::TURN_EVERY;
        let (now, still) = (self.now, self.still);
        for (who, player) in self.players.iter_mut().enumerate().filter(|(_, player)| player.is_here()) {
            self.play.turn(Turn { who, now, still }, &mut player.client, &mut self.load_rng);
        }
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        let (now, who) = (self.now, act.who);
        let player = &mut self.players[who];
        match act.what {
            What::Join if player.is_here() || player.presence == Presence::Gone => {}
            What::Join => {
                player.join(&self.game, now);
                self.play.enter(who);
            }
            What::Leave if player.is_here() => {
                player.go(now, Presence::Leaving);
                player.client.close(now);
            }
            What::Leave => {}
            What::Vanish => player.go(now, Presence::Gone),
            What::Strike(strike) => self.net.strike(now, who, &strike, &mut self.report.faults),
            What::Switch if player.is_here() => {
                self.report.faults.switches += 1;
                player.kind = match player.kind {
                    PipeKind::Streams => PipeKind::Ordered,
                    PipeKind::Ordered => PipeKind::Streams,
                };
                player.dials_at = Some(now);
            }
            What::Switch => {}
            What::Attack(attack) => return self.attack(who, attack),
        }
        Ok(())
    }

    /// A player breaks the rules, with bytes that arrive at once. It is counted or ends their session, and the sessions of
    /// all others are what they were.
    fn attack(&mut self, who: usize, attack: Attack) -> Result<(), String> {
        let seated = self.host.seated[who].as_ref().filter(|seated| !seated.session.is_closed());
        let Some(pipe) = seated.and_then(|seated| seated.session.pipe()) else { return Ok(()) };
        let others = self.players.iter().enumerate().filter(|(other, _)| *other != who);
        let others: Vec<Bytes> = others.flat_map(|(_, player)| player.sent.iter().cloned()).collect();
        let messages = attack.messages(&self.players[who].sent, &others);
        let before: Vec<_> = (0..self.players.len()).map(|who| self.host.counts(who)).collect();
        let (sent, ends) = (messages.len(), self.host.ends.len());
        for message in messages {
            self.arrive_at_host(who, pipe.id, message);
            // Its session says what came of it; another one has nothing to say.
            while let Some(output) = self.host.poll(self.now, who) {
                self.carry(End::Server, output)?;
            }
        }
        self.report.attacks += u64::from(sent > 0);
        for (other, before) in before.iter().enumerate() {
            let after = self.host.counts(other);
            if other == who {
                let end = self.host.ends[ends..].first().map(|(_, code)| *code);
                attack.check(sent, *before, after, end)?;
            } else if (after.datagrams, after.open) != (before.datagrams, before.open) {
                return Err(format!("player {who} {attack}, and the session of player {other} notices"));
            }
        }
        Ok(())
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

    fn arrive(&mut self, pipe: PipeId, end: End, arrival: Arrival) -> Result<(), String> {
        let now = self.now;
        let who = self.owners[pipe.0 as usize];
        self.report.datagrams += u64::from(matches!(arrival, Arrival::Datagram(_)));
        if end == End::Server {
            self.arrive_at_host(who, pipe, arrival);
            return Ok(());
        }
        let player = &mut self.players[who];
        if !player.is_on() {
            return Ok(());
        }
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
        self.compare(who)
    }

    /// Everything that a client has come to hold is what the host had in that tick, and for this player; and it holds
    /// nothing that is not for them now.
    fn compare(&mut self, who: usize) -> Result<(), String> {
        let player = &mut self.players[who];
        let stats = player.client.stats();
        let read = stats.snapshots + stats.parts;
        if std::mem::replace(&mut player.read, read) == read {
            return Ok(());
        }
        let Some(seat) = player.client.seat() else { return Ok(()) };
        let (schema, ledger, newest) = (self.game.schema(), &self.host.ledger, player.client.tick());
        let mut before = std::mem::take(&mut player.rows).into_iter().peekable();
        for (id, tick, row) in player.client.received_rows() {
            while before.next_if(|(of, _)| *of < id).is_some() {}
            player.rows.push((id, tick));
            let wrong =
                |what: String| Err(format!("player {who} on seat {seat}, entity {} of tick {tick}: {what}", id.0));
            let sees = |tick: Tick| {
                let frame = ledger.frame(tick);
                let seen = frame.and_then(|frame| Some((frame, frame.entry(id)?)));
                seen.map_or(0, |(frame, entry)| self.play.may_see(seat, frame, entry))
            };
            if sees(newest) == 0 {
                return wrong(format!("it is still there at tick {newest}"));
            }
            if before.next_if(|(of, _)| *of == id).is_some_and(|(_, compared)| compared == tick) {
                continue;
            }
            self.report.rows += 1;
            let entry = ledger.frame(tick).and_then(|frame| frame.entry(id));
            let Some(entry) = entry else { return wrong("it was not there".to_owned()) };
            if let Err(what) = ledger::compare(schema, &row, &entry.told, sees(tick)) {
                return wrong(what);
            }
        }
        Ok(())
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
        while let Some(output) = self.players[who].client.poll_output().filter(|_| self.players[who].is_on()) {
            self.players[who].record(&output);
            let output = match output {
                ClientOutput::Frame { pipe, lane, payload } => Output::Frame { pipe, lane, payload },
                ClientOutput::Datagram { pipe, bytes } => Output::Datagram { pipe, bytes },
                ClientOutput::ClosePipe { pipe, code, message } => Output::ClosePipe { pipe, code, message },
                ClientOutput::Event(event) => {
                    self.hear(who, &event)?;
                    continue;
                }
            };
            self.carry(End::Client, output)?;
        }
        self.players[who].rest(now, &mut self.dial_rng);
        while let Some(output) = self.host.poll(now, who) {
            self.carry(End::Server, output)?;
        }
        Ok(())
    }

    fn hear(&mut self, who: usize, event: &ClientEvent) -> Result<(), String> {
        let player = &mut self.players[who];
        player.note(self.now, event, &mut self.dial_rng)?;
        let fair = self.cast.hostile != Some(who);
        if let ClientEvent::Closed { code, message } = event
            && fair
            && player.presence == Presence::Here
        {
            return Err(format!("player {who} was closed with {code}: {message}"));
        }
        self.play.hear(who, &player.client, event)
    }

    fn carry(&mut self, from: End, output: Output) -> Result<(), String> {
        let now = self.now;
        match output {
            Output::Frame { pipe, lane, payload } => {
                let sent = self.net.frame(now, pipe, from, (lane, payload));
                return sent.map_err(|error| format!("the {from} sends on lane {lane}: {error}"));
            }
            Output::Datagram { pipe, bytes } => self.net.datagram(now, pipe, from, bytes, &mut self.report.faults),
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
