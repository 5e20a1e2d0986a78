//! One history: virtual time, the engines at both ends, the network between them.

use std::collections::BTreeMap;

use amphi_shared_session::{Event, Output, PipeId, Refusal, SendError, Session, parse_hello};
use amphi_shared_wire::limits::RESUME_BYTES_MAX;
use amphi_shared_wire::{Code, LANE_CONTROL, LANE_SNAPSHOT, Lane, Micros, Rng, Seed, SessionId};
use bytes::Bytes;

use super::client::Client;
use super::flows::Flows;
use super::node::{Held, Node};
use super::stamp::{STAMP_BYTES, Stamp};
use crate::net::{Arrival, End, Net, Strike};
use crate::plan::{Act, Plan, Skew, What, kept_lanes};
use crate::{Faults, Report, Violation};

/// How long everyone has to find back after the storm; longer than the longest silence that goes unnoticed.
const PEACE: Micros = Micros::from_secs(42);
/// How long everything may take to arrive.
const REST: Micros = Micros::from_secs(8);
/// How long the fate of a datagram may be open.
const FATE_MAX: Micros = Micros::from_secs(2);
/// How long an orderly end may take.
const ENDING: Micros = Micros::from_secs(3);
/// After this the node has forgotten every session: the longest silence and the resume window.
const FORGOTTEN: Micros = Micros::from_secs(100);
/// Longest time from dialling to a pipe.
const OPENING_MAX: Micros = Micros::from_secs(5);
/// Things that may happen at one moment.
const BUSY_MAX: u32 = 20_000;

/// What a pipe may be closed with while both sides keep to the protocol.
const HONEST: [Code; 7] = [
    Code::Bye,
    Code::GenerationStale,
    Code::HandshakeTimeout,
    Code::Overloaded,
    Code::SessionUnknown,
    Code::Silent,
    Code::SlowReader,
];

/// Everything in one history.
pub(crate) struct World<N> {
    net: N,
    /// True time since the start.
    now: Micros,
    clients: Vec<Client>,
    node: Node,
    /// Who dialled a pipe.
    owners: BTreeMap<PipeId, usize>,
    dice: Rng,
    faults: Faults,
    report: Report,
    history: Seed,
}

/// One side of one session.
#[derive(Clone, Copy)]
enum Side {
    Client(usize),
    Server(SessionId),
}

impl<N: Net> World<N> {
    pub(crate) fn new(plan: &Plan, net: N) -> Self {
        let clients = plan.clients.iter().cloned().enumerate();
        Self {
            net,
            now: Micros(0),
            clients: clients.map(|(who, plan)| Client::new(who, plan)).collect(),
            node: Node::new(plan.clock, plan.seed.split("node").rng()),
            owners: BTreeMap::new(),
            dice: plan.seed.split("dice").rng(),
            faults: Faults::default(),
            report: Report::default(),
            history: plan.seed,
        }
    }

    pub(crate) fn run(mut self, plan: &Plan) -> Result<Report, Violation> {
        match self.play(plan) {
            Ok(()) => Ok(Report {
                faults: self.faults,
                attaches: self.clients.iter().map(|client| client.session.stats().attaches).sum(),
                virtual_time: self.now,
                history: self.history.0,
                ..self.report
            }),
            Err(what) => Err(Violation { at: self.now, what }),
        }
    }

    fn play(&mut self, plan: &Plan) -> Result<(), String> {
        for act in &plan.acts {
            self.pass_until(act.at)?;
            self.act(act)?;
        }
        self.pass_until(plan.storm_ends)?;
        self.net.calm(self.now);
        self.pass(PEACE)?;
        for who in 0..self.clients.len() {
            for lane in kept_lanes() {
                self.send(who, End::Client, lane, STAMP_BYTES)?;
                self.send(who, End::Server, lane, STAMP_BYTES)?;
            }
        }
        self.pass(REST)?;
        for who in 0..self.clients.len() {
            self.check_peace(who).map_err(|what| format!("client {who}, in peace: {what}"))?;
            self.close(who)?;
        }
        self.pass(ENDING)?;
        for who in 0..self.clients.len() {
            self.check_end(who).map_err(|what| format!("client {who}, at the end: {what}"))?;
        }
        self.pass(FORGOTTEN)?;
        match self.node.sessions.values().find(|held| held.closed.is_none()) {
            Some(held) => Err(format!("the node still keeps session {} of client {}", held.life, held.who)),
            None => Ok(()),
        }
    }

    /// Both ends know of each other, and everything that was sent has arrived.
    fn check_peace(&self, who: usize) -> Result<(), String> {
        let client = &self.clients[who];
        let held = client.session.id().and_then(|id| self.node.sessions.get(&id)).ok_or("the node knows no session")?;
        for (end, session) in [("client", &client.session), ("server", &held.session)] {
            if !session.is_attached() || session.is_closed() {
                return Err(format!("the {end} is not attached"));
            }
            if (session.retained_messages(), session.retained_bytes()) != (0, 0) {
                return Err(format!("the {end} still keeps {} messages", session.retained_messages()));
            }
        }
        // A dial that never came through has a number too.
        let (ours, theirs) = (client.session.generation(), held.session.generation());
        if theirs > ours {
            return Err(format!("the client is at generation {ours}, the server at {theirs}"));
        }
        let then = self.now - FATE_MAX;
        client.up.check_fates(then).map_err(|what| format!("towards the server, {what}"))?;
        held.down.check_fates(then).map_err(|what| format!("towards the client, {what}"))?;
        self.check_settled(who)
    }

    fn check_settled(&self, who: usize) -> Result<(), String> {
        let client = &self.clients[who];
        client.up.check_settled().map_err(|what| format!("towards the server, {what}"))?;
        let held = client.session.id().and_then(|id| self.node.sessions.get(&id)).ok_or("the node knows no session")?;
        held.down.check_settled().map_err(|what| format!("towards the client, {what}"))
    }

    /// One side says a last word and closes; the other must hear both.
    fn close(&mut self, who: usize) -> Result<(), String> {
        let end = if self.dice.chance(500) { End::Client } else { End::Server };
        for lane in kept_lanes() {
            self.send(who, end, lane, 500)?;
        }
        let Some(side) = self.side(who, end) else { return Ok(()) };
        let now = self.local(side);
        self.with(side, |session| session.close(now, Code::Bye, "the end"));
        self.drain(side)
    }

    fn check_end(&self, who: usize) -> Result<(), String> {
        let client = &self.clients[who];
        let held = client.session.id().and_then(|id| self.node.sessions.get(&id));
        let codes = [client.closed, held.and_then(|held| held.closed)];
        if codes != [Some(Code::Bye); 2] {
            return Err(format!("the sessions ended with {codes:?}"));
        }
        self.check_settled(who)
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        let who = act.who;
        match &act.what {
            What::Send { end, lane, bytes, times } => {
                for _ in 0..*times {
                    self.send(who, *end, *lane, *bytes)?;
                }
                Ok(())
            }
            What::Datagram { end, lane, bytes } => self.send_datagram(who, *end, *lane, *bytes),
            What::Strike(strike) => {
                self.net.strike(self.now, who, strike, &mut self.faults);
                Ok(())
            }
            What::Switch => {
                let client = &mut self.clients[who];
                if client.session.is_attached() && !client.is_dialing() {
                    client.switch();
                    self.faults.switches += 1;
                    self.dial(who);
                }
                Ok(())
            }
            What::Forget => self.forget(who),
            What::Refuse => {
                self.clients[who].refuse_next = true;
                Ok(())
            }
            What::LoseWelcome => {
                self.clients[who].lose_welcome = true;
                self.break_pipe(who);
                Ok(())
            }
            What::GiveUp { end, lane } => {
                self.clients[who].gives_up = Some((*end, *lane));
                self.break_pipe(who);
                Ok(())
            }
        }
    }

    fn break_pipe(&mut self, who: usize) {
        self.net.strike(self.now, who, &Strike::Break { arrives_permille: 500 }, &mut self.faults);
    }

    /// A page is reloaded.
    fn forget(&mut self, who: usize) -> Result<(), String> {
        if self.clients[who].session.is_closed() || !self.clients[who].forget(who) {
            return Ok(());
        }
        self.faults.forgets += 1;
        self.clients[who].opening = None;
        if let Some(held) = self.clients[who].session.id().and_then(|id| self.node.sessions.get_mut(&id)) {
            held.down.receiver_forgets();
        }
        let now = self.now;
        for (pipe, _) in self.owners.iter().filter(|(_, owner)| **owner == who) {
            self.net.close(now, *pipe, End::Client, Code::Bye);
        }
        self.drain(Side::Client(who))
    }

    fn send(&mut self, who: usize, end: End, lane: Lane, bytes: usize) -> Result<(), String> {
        let Some(side) = self.side(who, end) else { return Ok(()) };
        let now = self.local(side);
        let number = self.flows(side, |flows| flows.next_message(lane));
        let stamp = Stamp { life: self.life(side), who: who as u8, to: end.other(), lane, number };
        let sent = self.with(side, |session| session.send(now, lane, stamp.payload(bytes)));
        match sent {
            Ok(_) => self.flows(side, |flows| flows.sent(lane)),
            Err(SendError::Full) => {
                self.faults.full += 1;
                self.flows(side, |flows| flows.full(lane));
            }
            Err(SendError::Closed) if self.closed(side).is_some() => {}
            Err(error) => return Err(format!("the {end} of client {who} sends on lane {lane}: {error}")),
        }
        self.drain(side)
    }

    fn send_datagram(&mut self, who: usize, end: End, lane: Lane, bytes: usize) -> Result<(), String> {
        let Some(side) = self.side(who, end) else { return Ok(()) };
        let (now, sent_at) = (self.local(side), self.now);
        let number = self.flows(side, |flows| flows.next_datagram());
        let stamp = Stamp { life: self.life(side), who: who as u8, to: end.other(), lane, number };
        let seq = self.with(side, |session| {
            let bytes = bytes.min(session.datagram_room());
            session.send_datagram(now, lane, stamp.payload(bytes))
        });
        if let Some(seq) = seq {
            self.flows(side, |flows| flows.datagram_sent(sent_at, seq))
                .map_err(|what| format!("client {who}: {what}"))?;
        }
        self.drain(side)
    }

    fn pass(&mut self, span: Micros) -> Result<(), String> {
        self.pass_until(self.now + span)
    }

    /// Lets time pass.
    fn pass_until(&mut self, until: Micros) -> Result<(), String> {
        let mut busy = 0;
        while let Some(at) = self.next().filter(|at| *at <= until) {
            busy = if at <= self.now { busy + 1 } else { 0 };
            if busy > BUSY_MAX {
                return Err("time stands still".to_owned());
            }
            self.now = self.now.max(at);
            self.do_next()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// When something happens next.
    fn next(&self) -> Option<Micros> {
        let clients = self.clients.iter().filter_map(Client::next);
        clients.chain(self.net.next()).chain(self.node.next()).min()
    }

    /// Does what is due now.
    fn do_next(&mut self) -> Result<(), String> {
        let now = self.now;
        let due = |at: Option<Micros>| at.is_some_and(|at| at <= now);
        while let Some((pipe, end, arrival)) = self.net.poll(now, &mut self.faults) {
            self.arrive(pipe, end, arrival)?;
        }
        for who in 0..self.clients.len() {
            if due(self.clients[who].redials_at) {
                self.redial(who);
            }
            if due(self.clients[who].beats_at) {
                self.clients[who].beat(now);
                self.send_datagram(who, End::Server, LANE_SNAPSHOT, 100)?;
            }
            if due(self.clients[who].timer) {
                self.handle_timeout(Side::Client(who))?;
            }
        }
        if due(self.node.next()) {
            let sessions = self.node.sessions.iter().filter(|(_, held)| due(held.timer));
            let sessions: Vec<SessionId> = sessions.map(|(id, _)| *id).collect();
            sessions.into_iter().try_for_each(|id| self.handle_timeout(Side::Server(id)))?;
        }
        Ok(())
    }

    fn handle_timeout(&mut self, side: Side) -> Result<(), String> {
        let now = self.local(side);
        self.with(side, |session| session.handle_timeout(now));
        self.drain(side)
    }

    /// The client dials, unless it has waited too short a time for the pipe it dialled before.
    fn redial(&mut self, who: usize) {
        let now = self.now;
        let client = &mut self.clients[who];
        client.redials_at = None;
        if let Some((pipe, since)) = client.opening {
            if since + OPENING_MAX > now {
                client.redials_at = Some(since + OPENING_MAX);
                return;
            }
            self.net.close(now, pipe, End::Client, Code::HandshakeTimeout);
        }
        if !self.clients[who].session.is_closed() {
            self.dial(who);
        }
    }

    fn dial(&mut self, who: usize) {
        let client = &mut self.clients[who];
        let pipe = if client.is_early() {
            self.net.dial_early(self.now, who)
        } else {
            self.net.dial(self.now, who, client.kind)
        };
        client.opening = Some((pipe, self.now));
        client.redials_at = Some(self.now + OPENING_MAX);
        self.owners.insert(pipe, who);
    }

    fn arrive(&mut self, pipe: PipeId, end: End, arrival: Arrival) -> Result<(), String> {
        if let Arrival::Closed(code) = &arrival {
            self.note_close(*code)?;
        }
        match end {
            End::Client => self.arrive_at_client(pipe, arrival),
            End::Server => self.arrive_at_node(pipe, arrival),
        }
    }

    fn arrive_at_client(&mut self, pipe: PipeId, arrival: Arrival) -> Result<(), String> {
        let Some(who) = self.owners.get(&pipe).copied() else { return Ok(()) };
        let side = Side::Client(who);
        let now = self.local(side);
        let client = &mut self.clients[who];
        let opening = client.opening.is_some_and(|(id, _)| id == pipe);
        match arrival {
            Arrival::Opened(info) if opening => {
                (client.opening, client.redials_at) = (None, None);
                client.session.dial(now, info);
            }
            Arrival::Opened(_) => self.net.close(self.now, pipe, End::Client, Code::GenerationStale),
            Arrival::Frame(lane, payload) => client.session.handle_frame(now, pipe, lane, payload),
            Arrival::Datagram(bytes) => client.session.handle_datagram(now, pipe, bytes),
            Arrival::Closed(_) if opening => (client.opening, client.redials_at) = (None, None),
            Arrival::Closed(code) => client.session.handle_pipe_closed(now, pipe, code),
            Arrival::Confirmed => {}
        }
        self.drain(side)
    }

    fn arrive_at_node(&mut self, pipe: PipeId, arrival: Arrival) -> Result<(), String> {
        if matches!(arrival, Arrival::Frame(..)) && !self.node.admit(self.now, pipe) {
            return Err(format!("pipe {} says more than a client may, though it only resumes", pipe.0));
        }
        let Some(id) = self.node.pipes.get(&pipe).copied() else {
            return self.greet(pipe, arrival);
        };
        let side = Side::Server(id);
        let now = self.local(side);
        self.with(side, |session| match arrival {
            Arrival::Frame(lane, payload) => session.handle_frame(now, pipe, lane, payload),
            Arrival::Datagram(bytes) => session.handle_datagram(now, pipe, bytes),
            Arrival::Closed(code) => session.handle_pipe_closed(now, pipe, code),
            Arrival::Confirmed => session.handle_pipe_confirmed(now, pipe),
            Arrival::Opened(_) => {}
        });
        self.drain(side)
    }

    /// The first thing on a pipe is a Hello; a client says nothing else before it is welcome.
    fn greet(&mut self, pipe: PipeId, arrival: Arrival) -> Result<(), String> {
        let (Some(who), Some(info)) = (self.net.caller(pipe), self.net.info(pipe)) else { return Ok(()) };
        let payload = match arrival {
            Arrival::Frame(LANE_CONTROL, payload) => payload,
            Arrival::Frame(lane, _) => return Err(format!("client {who} speaks on lane {lane} before it is welcome")),
            Arrival::Datagram(_) | Arrival::Closed(_) | Arrival::Confirmed | Arrival::Opened(_) => return Ok(()),
        };
        let hello = parse_hello(payload).map_err(|refusal| format!("a Hello is refused with {}", refusal.code))?;
        if self.owners.insert(pipe, who).is_none() {
            // Nobody dialled it: a replay.
            return match self.node.greet(self.now, &hello, info) {
                Ok(id) => self.drain(Side::Server(id)),
                Err(refusal) => self.refuse(pipe, &refusal),
            };
        }
        self.faults.early += u64::from(info.early);
        let client = &mut self.clients[who];
        if std::mem::take(&mut client.refuse_next) {
            self.faults.refusals += 1;
            let refusal = Refusal { code: Code::Overloaded, message: String::new(), retry_after_ms: 100 };
            return self.refuse(pipe, &refusal);
        }
        let lose = std::mem::take(&mut client.lose_welcome);
        let fresh = hello.resume.is_none();
        match self.node.greet(self.now, &hello, info) {
            Ok(id) => self.drain(Side::Server(id))?,
            Err(refusal) => self.refuse(pipe, &refusal)?,
        }
        if lose {
            self.faults.handshake_breaks += 1;
            self.faults.first_welcomes += u64::from(fresh);
            self.net.strike(self.now, who, &Strike::Break { arrives_permille: 0 }, &mut self.faults);
        }
        Ok(())
    }

    fn refuse(&mut self, pipe: PipeId, refusal: &Refusal) -> Result<(), String> {
        let frame = (LANE_CONTROL, refusal.encode());
        self.net.frame(self.now, pipe, End::Server, frame).map_err(|error| error.to_string())?;
        self.net.close(self.now, pipe, End::Server, refusal.code);
        Ok(())
    }

    /// Takes everything that one engine says, and checks what must always hold.
    fn drain(&mut self, side: Side) -> Result<(), String> {
        while let Some(output) = self.with(side, Session::poll_output) {
            if let Some(code) = self.closed(side) {
                return Err(format!("the {} speaks after it ended with {code}: {output:?}", self.name(side)));
            }
            self.take(side, output).map_err(|what| format!("{}: {what}", self.name(side)))?;
        }
        self.check_always(side).map_err(|what| format!("{}: {what}", self.name(side)))?;
        let clock = self.clock(side);
        let timer = self.with(side, |session| session.poll_timeout()).map(|(at, _)| clock.when(at));
        match side {
            Side::Server(id) => self.held(id).timer = timer,
            Side::Client(who) => {
                let client = &mut self.clients[who];
                client.timer = timer;
                if client.is_idle() && client.redials_at.is_none() {
                    client.redials_at = Some(self.now + Micros(20_000 + self.dice.below(500_000)));
                }
            }
        }
        Ok(())
    }

    /// Memory stays within its limits, and the bound of the clock's error holds.
    fn check_always(&mut self, side: Side) -> Result<(), String> {
        let (ours, truth) = match side {
            Side::Client(who) => (self.clients[who].plan.clock, self.node.clock),
            Side::Server(id) => (self.node.clock, self.clients[self.node.sessions[&id].who].plan.clock),
        };
        let (now, truth) = (ours.shows(self.now), truth.shows(self.now));
        self.with(side, |session| {
            let retained = session.retained_bytes();
            if retained > RESUME_BYTES_MAX {
                return Err(format!("it keeps {retained} bytes"));
            }
            let Some(bound) = session.clock().error_us(now) else {
                return Ok(());
            };
            let error = session.clock().server_time(now).0.abs_diff(truth.0);
            if error > bound {
                return Err(format!(
                    "its estimate of the peer's clock is {error} µs off, and it believes at most {bound}"
                ));
            }
            Ok(())
        })
    }

    fn take(&mut self, side: Side, output: Output) -> Result<(), String> {
        let now = self.now;
        let (who, from) = match side {
            Side::Client(who) => (who, End::Client),
            Side::Server(id) => (self.node.sessions[&id].who, End::Server),
        };
        if let Output::Frame { pipe, .. } | Output::Datagram { pipe, .. } | Output::ClosePipe { pipe, .. } = &output
            && self.owners.get(pipe) != Some(&who)
        {
            return Err(format!("it uses pipe {}, which is another client's", pipe.0));
        }
        match output {
            Output::Frame { pipe, lane, payload } => {
                if self.net.frame(now, pipe, from, (lane, payload)).is_err() {
                    self.faults.slow_readers += 1;
                    self.net.close(now, pipe, from, Code::SlowReader);
                    let local = self.local(side);
                    self.with(side, |session| session.handle_pipe_closed(local, pipe, Some(Code::SlowReader)));
                }
            }
            Output::Datagram { pipe, bytes } => self.net.datagram(now, pipe, from, bytes, &mut self.faults),
            Output::ClosePipe { pipe, code, .. } => self.net.close(now, pipe, from, code),
            Output::Event(event) => self.hear(side, who, event)?,
        }
        Ok(())
    }

    fn hear(&mut self, side: Side, who: usize, event: Event) -> Result<(), String> {
        self.remember(side, &event);
        match event {
            Event::Message { lane, payload } => {
                let stamp = self.check_stamp(side, lane, &payload)?;
                self.report.messages += 1;
                self.inbound(side).map_or(Ok(()), |flows| flows.arrived(lane, stamp.number))
            }
            Event::Datagram { lane, payload } => {
                let stamp = self.check_stamp(side, lane, &payload)?;
                self.report.datagrams += 1;
                self.inbound(side).map_or(Ok(()), |flows| flows.datagram_arrived(lane, stamp.number))
            }
            Event::Acked { seq } => self.flows(side, |flows| flows.fate(seq, true)),
            Event::Lost { seq } => self.flows(side, |flows| flows.fate(seq, false)),
            Event::LaneWritable { lane } => self.flows(side, |flows| flows.writable(lane)),
            Event::LaneLost { lane, .. } => self.lane_lost(side, who, lane),
            Event::PathSilent => {
                if !self.clients[who].is_dialing() {
                    self.dial(who);
                }
                Ok(())
            }
            Event::Refused(refusal) => self.check_refusal(who, refusal.code),
            Event::Closed { code, .. } => {
                self.end(side, code);
                Ok(())
            }
            Event::Detached => {
                self.detached(side, who);
                Ok(())
            }
            Event::Attached { .. } => Ok(()),
        }
    }

    /// Only what was sent for this session, this end and this lane may arrive there.
    fn check_stamp(&mut self, side: Side, lane: Lane, payload: &Bytes) -> Result<Stamp, String> {
        let stamp = Stamp::read(payload)?;
        let (who, to, life) = match side {
            Side::Client(who) => {
                let id = self.clients[who].session.id();
                (who, End::Client, id.and_then(|id| self.node.sessions.get(&id)).map_or(0, |held| held.life))
            }
            Side::Server(id) => (self.node.sessions[&id].who, End::Server, 0),
        };
        let expected = Stamp { life, who: who as u8, to, lane, number: stamp.number };
        if stamp == expected { Ok(stamp) } else { Err(format!("{stamp:?} arrived, which is not its own")) }
    }

    fn detached(&mut self, side: Side, who: usize) {
        let end = match side {
            Side::Client(_) => End::Client,
            Side::Server(_) => End::Server,
        };
        let Some((_, lane)) = self.clients[who].gives_up.take_if(|(giver, _)| *giver == end) else {
            return;
        };
        if self.with(side, |session| session.give_up(lane, Code::LaneLost)) {
            self.faults.give_ups += 1;
            self.clients[who].may_lose = true;
            self.flows(side, |flows| flows.allow_gap(lane));
        }
    }

    /// A lane is lost only where the plan says why.
    fn lane_lost(&mut self, side: Side, who: usize, lane: Lane) -> Result<(), String> {
        if !self.clients[who].may_lose {
            return Err(format!("lane {lane} was lost for no reason"));
        }
        if let Some(flows) = self.inbound(side) {
            flows.allow_gap(lane);
        }
        Ok(())
    }

    /// A dial may come at a bad time, be overtaken, or come after the end; nothing else is refused.
    fn check_refusal(&self, who: usize, code: Code) -> Result<(), String> {
        let held = self.clients[who].session.id().and_then(|id| self.node.sessions.get(&id));
        let ended = held.is_some_and(|held| held.session.is_closed());
        let expected =
            matches!(code, Code::Overloaded | Code::GenerationStale) || (ended && code == Code::SessionUnknown);
        if expected { Ok(()) } else { Err(format!("it was refused with {code}")) }
    }

    /// Every close has a code, and none of them says that an honest side broke the protocol.
    fn note_close(&mut self, code: Option<Code>) -> Result<(), String> {
        let Some(code) = code else { return Ok(()) };
        *self.report.closes.entry(code.number()).or_default() += 1;
        if HONEST.contains(&code) { Ok(()) } else { Err(format!("a pipe was closed with {code}")) }
    }

    fn end(&mut self, side: Side, code: Code) {
        match side {
            Side::Client(who) => self.clients[who].closed = Some(code),
            Side::Server(id) => {
                self.held(id).closed = Some(code);
                self.node.pipes.retain(|_, session| *session != id);
            }
        }
    }

    /// Adds what one side saw to the history.
    fn remember(&mut self, side: Side, event: &Event) {
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
        let head = bytes.iter().take(STAMP_BYTES).fold(0, |sum: u64, byte| sum.rotate_left(8) ^ u64::from(*byte));
        let side = match side {
            Side::Client(who) => who as u64,
            Side::Server(id) => 256 + u64::from(self.node.sessions[&id].life),
        };
        let seen = self.history.split(name).nth(self.now.0).nth(side).nth(u64::from(lane));
        self.history = seen.nth(head).nth(bytes.len() as u64);
    }

    /// The side that speaks for a client's session at `end`.
    fn side(&self, who: usize, end: End) -> Option<Side> {
        match end {
            End::Client => Some(Side::Client(who)),
            End::Server => {
                let known = self.clients[who].session.id().filter(|id| self.node.sessions.contains_key(id));
                known.or_else(|| self.node.newest_of(who)).map(Side::Server)
            }
        }
    }

    fn clock(&self, side: Side) -> Skew {
        match side {
            Side::Client(who) => self.clients[who].plan.clock,
            Side::Server(_) => self.node.clock,
        }
    }

    /// What the clock of one side shows now.
    fn local(&self, side: Side) -> Micros {
        self.clock(side).shows(self.now)
    }

    fn life(&self, side: Side) -> u32 {
        match side {
            Side::Client(_) => 0,
            Side::Server(id) => self.node.sessions[&id].life,
        }
    }

    fn closed(&self, side: Side) -> Option<Code> {
        match side {
            Side::Client(who) => self.clients[who].closed,
            Side::Server(id) => self.node.sessions[&id].closed,
        }
    }

    fn name(&self, side: Side) -> String {
        match side {
            Side::Client(who) => format!("client {who}"),
            Side::Server(id) => format!("the server of client {}", self.node.sessions[&id].who),
        }
    }

    fn held(&mut self, id: SessionId) -> &mut Held {
        self.node.sessions.get_mut(&id).unwrap_or_else(|| unreachable!("a session at the node is never removed"))
    }

    fn with<T>(&mut self, side: Side, act: impl FnOnce(&mut Session) -> T) -> T {
        match side {
            Side::Client(who) => act(&mut self.clients[who].session),
            Side::Server(id) => act(&mut self.held(id).session),
        }
    }

    /// What one side has sent.
    fn flows<T>(&mut self, side: Side, act: impl FnOnce(&mut Flows) -> T) -> T {
        match side {
            Side::Client(who) => act(&mut self.clients[who].up),
            Side::Server(id) => act(&mut self.held(id).down),
        }
    }

    /// What was sent to one side; `None` while a client knows no session.
    fn inbound(&mut self, side: Side) -> Option<&mut Flows> {
        match side {
            Side::Client(who) => {
                let id = self.clients[who].session.id()?;
                self.node.sessions.get_mut(&id).map(|held| &mut held.down)
            }
            Side::Server(id) => {
                let who = self.held(id).who;
                Some(&mut self.clients[who].up)
            }
        }
    }
}
