//! A player in a match over a mobile path, in virtual time.

use std::collections::VecDeque;

use amphi_clients_rust::{Client, ClientConfig, ClientOutput};
use amphi_server_arena::ArenaInput;
use amphi_server_core::{Room, RoomCommand, RoomConfig, RoomOutput};
use amphi_shared_replica::MatchMode;
use amphi_shared_session::{Config, Event, Output, PipeId, PipeInfo, PipeKind, ServerParams, Session, parse_hello};
use amphi_shared_wire::{
    AppId, BitReader, LANE_CONTROL, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Lane, MatchId, Micros, Seed, SessionId,
    TickClock, UserId,
};
use anyhow::{Context, bail};
use bytes::Bytes;

use super::TICK_HZ;
use super::mobile::Trace;
use crate::node;

const PIPE: PipeInfo = PipeInfo { id: PipeId(1), kind: PipeKind::Streams, max_datagram: 1_150, early: false };
/// What is learned about the path at first is not counted.
const WARM_UP: Micros = Micros::from_secs(10);
/// The player turns this often.
const TURN_TICKS: u32 = 24;
/// A tick that is shorter or longer than normal by no more counts as steady.
const STEADY: f64 = 0.02;

/// What happened, behind the warm-up.
pub(super) struct Played {
    pub(super) late_share: f64,
    /// How early each input arrived that was in time.
    pub(super) margins_ms: Vec<f64>,
    /// From the player to the server, of each datagram that brought a new input.
    pub(super) transits_ms: Vec<f64>,
    /// Share of the player's ticks that took a tick, ± 2 %.
    pub(super) steady_share: f64,
}

/// Plays as long as the trace lasts.
///
/// # Errors
/// The match cannot be played.
pub(super) fn play(trace: &Trace) -> anyhow::Result<Played> {
    let mut world = World::new(trace)?;
    let end = world.start + trace.span();
    while world.now < end {
        world.step()?;
    }
    Ok(world.arrived.played())
}

enum Packet {
    Frame(Lane, Bytes),
    Datagram(Bytes),
}

/// One direction: nothing overtakes.
#[derive(Default)]
struct Way {
    /// Arrival, departure, and what it is.
    packets: VecDeque<(Micros, Micros, Packet)>,
}

impl Way {
    fn due(&self) -> Option<Micros> {
        self.packets.front().map(|(at, ..)| *at)
    }
}

/// Inputs as they arrived.
struct Arrived {
    clock: TickClock,
    from: Micros,
    newest: Option<u32>,
    /// Departure of the newest.
    left: Option<Micros>,
    late: u64,
    margins_ms: Vec<f64>,
    transits_ms: Vec<f64>,
    ticks: u64,
    steady: u64,
}

impl Arrived {
    fn note(&mut self, (left, now): (Micros, Micros), payload: &[u8]) -> anyhow::Result<()> {
        let newest = BitReader::new(payload).bits(32).ok().context("an input without a tick")?;
        let before = self.newest.replace(newest).unwrap_or(newest);
        if newest <= before {
            self.newest = Some(before);
            return Ok(());
        }
        let was_left = self.left.replace(left);
        if now < self.from {
            return Ok(());
        }
        self.transits_ms.push(now.since(left).0 as f64 / 1_000.0);
        for tick in before + 1..=newest {
            let margin_us = self.clock.start_of(amphi_shared_wire::Tick(tick)).0 as i64 - now.0 as i64;
            self.late += u64::from(margin_us < 0);
            if margin_us >= 0 {
                self.margins_ms.push(margin_us as f64 / 1_000.0);
            }
        }
        if let Some(before_left) = was_left {
            let took = left.since(before_left).0 as f64 / self.clock.period().0 as f64;
            let ticks = u64::from(newest - before);
            self.ticks += ticks;
            self.steady += if (took / ticks as f64 - 1.0).abs() <= STEADY { ticks } else { 0 };
        }
        Ok(())
    }

    fn played(self) -> Played {
        let inputs = self.late + self.margins_ms.len() as u64;
        Played {
            late_share: self.late as f64 / inputs.max(1) as f64,
            margins_ms: self.margins_ms,
            transits_ms: self.transits_ms,
            steady_share: self.steady as f64 / self.ticks.max(1) as f64,
        }
    }
}

struct World<'a> {
    trace: &'a Trace,
    start: Micros,
    now: Micros,
    clock: TickClock,
    room: Room,
    server: Option<(u8, Session)>,
    client: Client<ArenaInput>,
    turned: u32,
    up: Way,
    down: Way,
    arrived: Arrived,
}

impl<'a> World<'a> {
    fn new(trace: &'a Trace) -> anyhow::Result<Self> {
        let start = Micros::from_secs(1_763_000_000);
        let clock = TickClock { tick0: start, tick_hz: TICK_HZ };
        let game = node::game();
        let mode = game.mode("1v1").context("the sample game has no such mode")?;
        let config = RoomConfig {
            match_id: MatchId::from_bits(1),
            app: AppId::default(),
            // The match outlasts the trace.
            mode: MatchMode { duration_s: 3_600, ..mode.at(TICK_HZ) },
            seats: Vec::new(),
            tick_clock: clock,
            seed: Seed(3),
        };
        let room = Room::new(&game, config)?;
        let request =
            ClientConfig { app: AppId::default(), token: "token".to_owned(), resume: None, session: Config::default() };
        let mut client = Client::new(&game, request);
        client.dial(start, PIPE);
        let arrived = Arrived {
            clock,
            from: start + WARM_UP.min(Micros(trace.span().0 / 2)),
            newest: None,
            left: None,
            late: 0,
            margins_ms: Vec::new(),
            transits_ms: Vec::new(),
            ticks: 0,
            steady: 0,
        };
        let (up, down) = (Way::default(), Way::default());
        Ok(Self { trace, start, now: start, clock, room, server: None, client, turned: 0, up, down, arrived })
    }

    /// Goes on to the next thing that is due, and does it.
    fn step(&mut self) -> anyhow::Result<()> {
        let tick = self.clock.start_of(self.room.tick().plus(1));
        let server = self.server.as_ref().and_then(|(_, session)| session.poll_timeout()).map(|(at, _)| at);
        let others = [self.up.due(), self.down.due(), server, self.client.poll_timeout(self.now)];
        let next = others.into_iter().flatten().chain([tick]).min().unwrap_or(tick);
        self.now = self.now.max(next);
        let now = self.now;
        if self.up.due().is_some_and(|at| at <= now) {
            self.arrive_at_server()?;
        } else if tick <= now {
            self.tick()?;
        } else if self.down.due().is_some_and(|at| at <= now) {
            self.arrive_at_client();
        } else {
            if let Some((_, session)) = &mut self.server {
                session.handle_timeout(now);
            }
            self.client.advance(now)?;
        }
        self.drain()
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        if let Some(fault) = self.room.step(now).fault {
            bail!("the room is lost: {fault}");
        }
        while let Some(output) = self.room.poll_output() {
            if let (RoomOutput::Send { lane, payload, .. }, Some((_, session))) = (output, &mut self.server) {
                session.send(now, lane, payload)?;
            }
        }
        if let Some((seat, session)) = &mut self.server {
            let snapshot = self.room.encode_snapshot(*seat, session.datagram_room());
            let sent = snapshot.and_then(|bytes| session.send_datagram(now, LANE_SNAPSHOT, bytes));
            if let Some(seq) = sent {
                self.room.snapshot_sent(*seat, seq);
            }
        }
        if self.room.tick().0 / TURN_TICKS != self.turned {
            self.turned = self.room.tick().0 / TURN_TICKS;
            let yaw = (self.turned.wrapping_mul(9_973) & 0xffff) as u16;
            self.client.set_input(ArenaInput { move_y: 127, yaw, ..ArenaInput::default() });
        }
        Ok(())
    }

    fn arrive_at_server(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        let Some((_, left, packet)) = self.up.packets.pop_front() else { return Ok(()) };
        match (packet, &mut self.server) {
            (Packet::Frame(LANE_CONTROL, payload), None) => self.greet(payload)?,
            (Packet::Frame(lane, payload), Some((_, session))) => session.handle_frame(now, PIPE.id, lane, payload),
            (Packet::Datagram(bytes), Some((_, session))) => session.handle_datagram(now, PIPE.id, bytes),
            (Packet::Frame(..) | Packet::Datagram(_), None) => {}
        }
        let Some((seat, session)) = &mut self.server else { return Ok(()) };
        let mut outputs = Vec::new();
        while let Some(output) = session.poll_output() {
            match output {
                Output::Event(Event::Datagram { lane: LANE_INPUT, payload }) => {
                    self.arrived.note((left, now), &payload)?;
                    self.room.handle_input(now, *seat, &payload);
                }
                Output::Event(Event::Message { lane: LANE_ROOM, payload }) => self.room.handle_message(*seat, &payload),
                Output::Event(Event::Attached { .. }) => self.room.on_attached(now, *seat),
                Output::Event(Event::Acked { seq }) => self.room.on_acked(*seat, seq),
                Output::Event(Event::Lost { seq }) => self.room.on_lost(*seat, seq),
                Output::Event(Event::Closed { code, message }) => bail!("closed: {code}: {message}"),
                Output::Event(_) => {}
                output @ (Output::Frame { .. } | Output::Datagram { .. } | Output::ClosePipe { .. }) => {
                    outputs.push(output);
                }
            }
        }
        outputs.into_iter().try_for_each(|output| self.send_down(output))
    }

    fn greet(&mut self, payload: Bytes) -> anyhow::Result<()> {
        let hello = parse_hello(payload).ok().context("the Hello cannot be read")?;
        let user = UserId::from_bits(1);
        let seat = self.room.open_seat(None, user).context("no seat is free")?;
        let join = RoomCommand::Join { seat, user: user.to_string(), name: "P".to_owned() };
        self.room.push(self.now, join).map_err(|code| anyhow::anyhow!("{code}"))?;
        let params = ServerParams {
            session: SessionId::from_bits(1),
            secret: [0; 16],
            clock_id: 1,
            tick: Some(self.clock),
            capabilities: Vec::new(),
        };
        self.server = Some((seat, Session::accept(self.now, Config::default(), params, &hello, PIPE)));
        Ok(())
    }

    fn arrive_at_client(&mut self) {
        let now = self.now;
        match self.down.packets.pop_front() {
            Some((.., Packet::Frame(lane, payload))) => self.client.handle_frame(now, PIPE.id, lane, payload),
            Some((.., Packet::Datagram(bytes))) => self.client.handle_datagram(now, PIPE.id, bytes),
            None => {}
        }
    }

    /// Carries what both ends say.
    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some(output) = self.client.poll_output() {
            let packet = match output {
                ClientOutput::Frame { lane, payload, .. } => Packet::Frame(lane, payload),
                ClientOutput::Datagram { bytes, .. } => Packet::Datagram(bytes),
                ClientOutput::ClosePipe { code, message, .. } => bail!("the player leaves: {code}: {message}"),
                ClientOutput::Event(_) => continue,
            };
            Self::carry(&mut self.up, (self.start, self.trace), self.now, packet);
        }
        while let Some(output) = self.server.as_mut().and_then(|(_, session)| session.poll_output()) {
            self.send_down(output)?;
        }
        Ok(())
    }

    fn send_down(&mut self, output: Output) -> anyhow::Result<()> {
        let packet = match output {
            Output::Frame { lane, payload, .. } => Packet::Frame(lane, payload),
            Output::Datagram { bytes, .. } => Packet::Datagram(bytes),
            Output::ClosePipe { code, message, .. } => bail!("the host closes: {code}: {message}"),
            Output::Event(_) => return Ok(()),
        };
        Self::carry(&mut self.down, (self.start, self.trace), self.now, packet);
        Ok(())
    }

    fn carry(way: &mut Way, (start, trace): (Micros, &Trace), now: Micros, packet: Packet) {
        let arrival = start + trace.arrival(now.since(start));
        let last = way.packets.back().map_or(arrival, |(at, ..)| *at);
        way.packets.push_back((arrival.max(last), now, packet));
    }
}
