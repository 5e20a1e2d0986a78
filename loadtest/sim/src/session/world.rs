//! One history: virtual time, both engines, the pipes between them.

use amphi_shared_session::{
    Config, ConnectRequest, Event, Output, PipeId, PipeKind, Refusal, ServerParams, Session, parse_hello,
};
use amphi_shared_wire::limits::RESUME_BYTES_MAX;
use amphi_shared_wire::{Code, LANE_CONTROL, Lane, Micros, Rng, Seed, SessionId};
use bytes::Bytes;

use super::load::kept_lanes;
use super::model::Model;
use crate::net::{End, Item, Pipe};
use crate::{Faults, Report, Violation};

/// How long faults strike.
const STORM: Micros = Micros::from_secs(60);
/// How long both sides say things without faults; longer than the longest silence that goes unnoticed.
const PEACE: Micros = Micros::from_secs(40);
/// How long everything may take to arrive.
const REST: Micros = Micros::from_secs(6);
/// Things that may happen at one moment.
const BUSY_MAX: u32 = 20_000;

/// Everything in one history.
pub(crate) struct World {
    start: Micros,
    pub(crate) now: Micros,
    pub(crate) load_rng: Rng,
    pub(crate) fault_rng: Rng,
    net_rng: Rng,
    pub(crate) client: Session,
    server: Option<Session>,
    params: ServerParams,
    client_config: Config,
    pub(crate) pipes: Vec<Pipe>,
    pipes_made: u32,
    pub(crate) kind: PipeKind,
    pub(crate) forgetful: bool,
    /// Gives up a lane when it has no pipe.
    pub(crate) gives_up: Option<End>,
    storm: bool,
    talking: bool,
    client_says_at: Micros,
    server_says_at: Micros,
    strikes_at: Micros,
    redials_at: Option<Micros>,
    pub(crate) model: Model,
    pub(crate) faults: Faults,
    history: u64,
}

impl World {
    pub(crate) fn new(seed: Seed) -> Self {
        let mut rng = seed.split("world").rng();
        let start = Micros::from_secs(1_763_000_000);
        // Half of the clients look for a second path at once, half wait for the pipe to be dead.
        let path_silent_after = rng.chance(500).then_some(Micros::from_millis(300));
        let client_config = Config { path_silent_after, ..Config::default() };
        let params = ServerParams {
            session: SessionId::generate(start, &mut rng),
            secret: [7; 16],
            clock_id: 1,
            tick: None,
            capabilities: Vec::new(),
        };
        Self {
            start,
            now: start,
            load_rng: seed.split("load").rng(),
            fault_rng: seed.split("faults").rng(),
            net_rng: seed.split("net").rng(),
            client: Session::connect(client_config.clone(), ConnectRequest::default()),
            server: None,
            params,
            client_config,
            pipes: Vec::new(),
            pipes_made: 0,
            kind: if rng.chance(500) { PipeKind::Streams } else { PipeKind::Ordered },
            forgetful: rng.chance(250),
            gives_up: None,
            storm: false,
            talking: false,
            client_says_at: start,
            server_says_at: start,
            strikes_at: start,
            redials_at: Some(start),
            model: Model::default(),
            faults: Faults::default(),
            history: seed.0,
        }
    }

    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        match self.play() {
            Ok(()) => Ok(Report {
                faults: self.faults,
                messages: self.model.messages,
                datagrams: self.model.delivered,
                attaches: self.client.stats().attaches,
                virtual_time: self.now.since(self.start),
                history: self.history,
            }),
            Err(what) => Err(Violation { at_ms: self.now.since(self.start).as_millis(), what }),
        }
    }

    fn play(&mut self) -> Result<(), String> {
        self.pass(Micros::from_secs(2))?;
        (self.storm, self.talking) = (true, true);
        (self.client_says_at, self.server_says_at, self.strikes_at) = (self.now, self.now, self.now);
        self.pass(STORM)?;
        self.storm = false;
        self.pass(PEACE)?;
        self.talking = false;
        for lane in kept_lanes() {
            self.send(End::Client, lane, 8)?;
            self.send(End::Server, lane, 8)?;
        }
        self.pass(REST)?;
        // Where nobody speaks, a client that looks for a second path changes its pipe now and then.
        let patience = self.now + Micros::from_secs(1);
        while !self.client.is_attached() && self.now < patience {
            self.pass(Micros::from_millis(10))?;
        }
        self.check_peace()?;
        self.end()
    }

    fn check_peace(&mut self) -> Result<(), String> {
        self.model.check_settled()?;
        for end in [End::Client, End::Server] {
            let Some(session) = self.session(end) else {
                return Err("the server never accepted".to_owned());
            };
            if !session.is_attached() || session.is_closed() {
                return Err(format!("the {end:?} is not attached in peace"));
            }
            if (session.retained_messages(), session.retained_bytes()) != (0, 0) {
                return Err(format!("the {end:?} still keeps {} messages in peace", session.retained_messages()));
            }
        }
        let server = self.server.as_ref().map(Session::generation);
        let client = self.client.generation();
        // A dial that never came through has a number too.
        if server.is_none_or(|server| server > client) {
            return Err(format!("generation {client} at the client, {server:?} at the server"));
        }
        Ok(())
    }

    /// One side says a last word and closes; the other must hear both.
    fn end(&mut self) -> Result<(), String> {
        let end = if self.fault_rng.chance(500) { End::Client } else { End::Server };
        for lane in kept_lanes() {
            self.send(end, lane, 500)?;
        }
        let now = self.now;
        if let Some(session) = self.session(end) {
            session.close(now, Code::Bye, "the end");
        }
        self.drain()?;
        self.pass(Micros::from_secs(3))?;
        let codes = [self.model.closed_with(End::Client), self.model.closed_with(End::Server)];
        if codes != [Some(Code::Bye); 2] {
            return Err(format!("the sessions ended with {codes:?}"));
        }
        self.model.check_settled()
    }

    /// Lets time pass.
    fn pass(&mut self, span: Micros) -> Result<(), String> {
        let until = self.now + span;
        let mut busy = 0;
        while let Some(at) = self.next().filter(|at| *at <= until) {
            busy = if at <= self.now { busy + 1 } else { 0 };
            if busy > BUSY_MAX {
                return Err("time stands still".to_owned());
            }
            self.now = self.now.max(at);
            self.do_next()?;
        }
        self.now = until;
        Ok(())
    }

    /// When something happens next.
    fn next(&self) -> Option<Micros> {
        let arrival = self.pipes.iter().filter_map(Pipe::next_arrival).map(|(at, _)| at).min();
        let timers = [Some(&self.client), self.server.as_ref()].into_iter().flatten();
        let timer = timers.filter_map(Session::poll_timeout).map(|(at, _)| at).min();
        let says = self.talking.then(|| self.client_says_at.min(self.server_says_at));
        let strikes = self.storm.then_some(self.strikes_at);
        [arrival, timer, says, strikes, self.redials_at].into_iter().flatten().min()
    }

    /// Does what is due now, one thing.
    fn do_next(&mut self) -> Result<(), String> {
        let now = self.now;
        if self.redials_at.is_some_and(|at| at <= now) {
            self.redials_at = None;
            return self.dial();
        }
        let arrivals = self.pipes.iter().enumerate().filter_map(|(i, pipe)| Some((pipe.next_arrival()?, i)));
        if let Some(((_, end), pipe)) = arrivals.min().filter(|((at, _), _)| *at <= now) {
            return self.arrive(pipe, end);
        }
        if self.storm && self.strikes_at <= now {
            let pause = self.strike()?;
            self.strikes_at = now + pause;
            return self.drain();
        }
        if self.talking && self.client_says_at <= now {
            let pause = self.say(End::Client)?;
            self.client_says_at = now + pause;
            return Ok(());
        }
        if self.talking && self.server_says_at <= now {
            let pause = self.say(End::Server)?;
            self.server_says_at = now + pause;
            return Ok(());
        }
        self.client.handle_timeout(now);
        if let Some(server) = &mut self.server {
            server.handle_timeout(now);
        }
        self.drain()
    }

    /// The client dials on a fresh pipe.
    pub(crate) fn dial(&mut self) -> Result<(), String> {
        if self.client.is_closed() {
            return Ok(());
        }
        self.pipes.retain(|pipe| !pipe.is_over());
        let id = PipeId(self.pipes_made);
        self.pipes_made += 1;
        let latency = Micros(2_000 + self.net_rng.below(80_000));
        let pipe = Pipe::new(id, self.kind, latency);
        self.client.dial(self.now, pipe.info);
        self.pipes.push(pipe);
        self.drain()
    }

    /// The client loses its memory: a reloaded page.
    pub(crate) fn forget(&mut self) -> Result<(), String> {
        let Some(saved) = self.client.saved() else {
            return Ok(());
        };
        let now = self.now;
        self.pipes.iter_mut().for_each(|pipe| pipe.close(now, End::Client, None));
        let request = ConnectRequest { resume: Some(saved), ..ConnectRequest::default() };
        self.client = Session::connect(self.client_config.clone(), request);
        self.faults.forgets += 1;
        self.model.client_forgets();
        self.drain()
    }

    fn arrive(&mut self, index: usize, end: End) -> Result<(), String> {
        let now = self.now;
        let Some(item) = self.pipes[index].arrive(now, end) else {
            return Ok(());
        };
        let id = self.pipes[index].info.id;
        match (item, end) {
            (Item::Frame(lane, payload), End::Server) => self.server_frame(index, lane, payload),
            (Item::Frame(lane, payload), End::Client) => self.client.handle_frame(now, id, lane, payload),
            (Item::Datagram(bytes), _) => self.with(end, |session| session.handle_datagram(now, id, bytes)),
            (Item::Closed(code), _) => self.with(end, |session| session.handle_pipe_closed(now, id, code)),
        }
        self.drain()
    }

    /// The server's edge: a Hello is parsed and handed over, everything else goes to the session.
    fn server_frame(&mut self, index: usize, lane: Lane, payload: Bytes) {
        let (now, info) = (self.now, self.pipes[index].info);
        let hello = if lane == LANE_CONTROL { parse_hello(payload.clone()).ok() } else { None };
        let Some(hello) = hello else {
            return self.with(End::Server, |session| session.handle_frame(now, info.id, lane, payload));
        };
        if self.storm && self.fault_rng.chance(100) {
            self.faults.refusals += 1;
            return self
                .refuse(index, &Refusal { code: Code::Overloaded, message: String::new(), retry_after_ms: 100 });
        }
        match &mut self.server {
            None => self.server = Some(Session::accept(now, Config::default(), self.params.clone(), &hello, info)),
            Some(server) => {
                if let Err(refusal) = server.attach(now, &hello, info) {
                    self.refuse(index, &refusal);
                }
            }
        }
        if self.storm && self.fault_rng.chance(100) {
            // Before the Welcome has left.
            self.faults.handshake_breaks += 1;
            self.pipes[index].break_up(now, &mut self.fault_rng);
        }
    }

    fn refuse(&mut self, index: usize, refusal: &Refusal) {
        let pipe = &mut self.pipes[index];
        pipe.frame(self.now, End::Client, LANE_CONTROL, refusal.encode(), &mut self.net_rng);
        pipe.close(self.now, End::Server, Some(refusal.code));
    }

    /// Takes everything both engines say.
    pub(crate) fn drain(&mut self) -> Result<(), String> {
        for end in [End::Client, End::Server] {
            while let Some(output) = self.session(end).and_then(Session::poll_output) {
                if self.model.closed_with(end).is_some() {
                    return Err(format!("the {end:?} speaks after its end: {output:?}"));
                }
                self.take(end, output)?;
            }
            let retained = self.session(end).map_or(0, |session| session.retained_bytes());
            if retained > RESUME_BYTES_MAX {
                return Err(format!("the {end:?} keeps {retained} bytes"));
            }
        }
        let idle = !self.client.is_attached() && !self.client.is_dialing() && !self.client.is_closed();
        if idle && self.redials_at.is_none() {
            self.redials_at = Some(self.now + Micros(20_000 + self.net_rng.below(500_000)));
        }
        Ok(())
    }

    fn take(&mut self, end: End, output: Output) -> Result<(), String> {
        let (now, to) = (self.now, end.other());
        match output {
            Output::Frame { pipe, lane, payload } => {
                let Some(index) = self.index(pipe) else { return Ok(()) };
                self.pipes[index].frame(now, to, lane, payload, &mut self.net_rng);
            }
            Output::Datagram { pipe, bytes } => {
                let Some(index) = self.index(pipe) else { return Ok(()) };
                let dice = (&mut self.net_rng, &mut self.faults);
                self.pipes[index].datagram(now, to, bytes, self.storm, dice);
            }
            Output::ClosePipe { pipe, code, .. } => {
                let Some(index) = self.index(pipe) else { return Ok(()) };
                self.pipes[index].close(now, end, Some(code));
            }
            Output::Event(event) => self.hear(end, event)?,
        }
        Ok(())
    }

    fn hear(&mut self, end: End, event: Event) -> Result<(), String> {
        self.remember(end, &event);
        match event {
            Event::Message { lane, payload } => self.model.arrived(end, lane, number(&payload)?)?,
            Event::Datagram { lane, payload } => self.model.datagram_arrived(end, lane, number(&payload)?)?,
            Event::Acked { seq } => self.model.fate(end.other(), seq, true)?,
            Event::Lost { seq } => self.model.fate(end.other(), seq, false)?,
            Event::LaneWritable { lane } => self.model.writable(end.other(), lane)?,
            Event::LaneLost { lane, .. } => self.lane_lost(end, lane)?,
            Event::PathSilent => {
                if !self.client.is_dialing() {
                    self.redials_at = Some(self.now);
                }
            }
            Event::Refused(refusal) => self.check_refusal(refusal.code)?,
            Event::Closed { code, .. } => self.model.closed(end, code),
            Event::Detached if self.gives_up == Some(end) => {
                self.gives_up = None;
                self.give_up(end);
            }
            Event::Attached { .. } | Event::Detached => {}
        }
        Ok(())
    }

    /// A dial may come at a bad time, be overtaken, or come after the end; nothing else is refused.
    fn check_refusal(&self, code: Code) -> Result<(), String> {
        let ended = self.server.as_ref().is_some_and(Session::is_closed);
        let expected =
            matches!(code, Code::Overloaded | Code::GenerationStale) || (ended && code == Code::SessionUnknown);
        if expected { Ok(()) } else { Err(format!("refused with {code:?}")) }
    }

    /// A lane is lost only where the model knows why.
    fn lane_lost(&mut self, end: End, lane: Lane) -> Result<(), String> {
        if self.faults.give_ups == 0 && self.faults.forgets == 0 {
            return Err(format!("lane {lane} was lost at the {end:?} for no reason"));
        }
        self.model.allow_gap(end, lane);
        Ok(())
    }

    /// Adds what one side saw to the history.
    fn remember(&mut self, end: End, event: &Event) {
        let (name, lane, bytes) = match event {
            Event::Message { lane, payload } => ("message", *lane, &payload[..]),
            Event::Datagram { lane, payload } => ("datagram", *lane, &payload[..]),
            Event::Acked { seq } => ("acked", 0, &seq.to_le_bytes()[..]),
            Event::Lost { seq } => ("lost", 0, &seq.to_le_bytes()[..]),
            Event::LaneWritable { lane } => ("writable", *lane, &[][..]),
            Event::LaneLost { lane, .. } => ("lane lost", *lane, &[][..]),
            Event::Attached { generation, .. } => ("attached", 0, &generation.to_le_bytes()[..]),
            Event::Detached => ("detached", 0, &[][..]),
            Event::PathSilent => ("path silent", 0, &[][..]),
            Event::Refused(_) => ("refused", 0, &[][..]),
            Event::Closed { .. } => ("closed", 0, &[][..]),
        };
        let head = bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let seen = Seed(self.history).split(name).nth(self.now.0).nth(end as u64).nth(u64::from(lane));
        self.history = seen.nth(head).nth(bytes.len() as u64).0;
    }

    pub(crate) fn session(&mut self, end: End) -> Option<&mut Session> {
        match end {
            End::Client => Some(&mut self.client),
            End::Server => self.server.as_mut(),
        }
    }

    fn with(&mut self, end: End, act: impl FnOnce(&mut Session)) {
        if let Some(session) = self.session(end) {
            act(session);
        }
    }

    fn index(&self, pipe: PipeId) -> Option<usize> {
        self.pipes.iter().position(|p| p.info.id == pipe)
    }
}

/// The number a payload starts with.
fn number(payload: &Bytes) -> Result<u64, String> {
    let head = payload.get(..8).and_then(|head| head.try_into().ok());
    head.map(u64::from_le_bytes).ok_or_else(|| "a payload changed on its way".to_owned())
}
