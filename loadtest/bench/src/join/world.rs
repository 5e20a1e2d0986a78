//! The room, its players, and the ways between them.

use std::collections::VecDeque;
use std::time::Instant;

use amphi_server_core::{Room, RoomCommand, RoomConfig, RoomOutput};
use amphi_shared_replica::Game;
use amphi_shared_session::{Config, Event, Output, PipeId, PipeInfo, PipeKind, ServerParams, Session, parse_hello};
use amphi_shared_wire::{
    AppId, LANE_BULK, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Lane, MatchId, Micros, Seed, SessionId, TickClock, UserId,
};
use anyhow::{Context, bail};
use bytes::Bytes;

use super::TICK_HZ;
use super::plane::Plane;
use super::player::Player;
use crate::latency::spread;

const PIPE: PipeInfo = PipeInfo { id: PipeId(1), kind: PipeKind::Streams, max_datagram: 1_150, early: false };
/// How long everything takes from one end to the other.
const WAY: Micros = Micros::from_millis(25);
/// What takes longer does not come.
const TICKS_MAX: usize = 20_000;

enum Packet {
    Frame(Lane, Bytes),
    Datagram(Bytes),
}

impl Packet {
    fn of(output: Output) -> anyhow::Result<Self> {
        match output {
            Output::Frame { lane, payload, .. } => Ok(Self::Frame(lane, payload)),
            Output::Datagram { bytes, .. } => Ok(Self::Datagram(bytes)),
            Output::ClosePipe { code, message, .. } => bail!("closed: {code:?}: {message}"),
            Output::Event(event) => bail!("an event on its way: {event:?}"),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Frame(_, bytes) | Self::Datagram(bytes) => bytes.len(),
        }
    }

    fn arrive(self, now: Micros, session: &mut Session) {
        match self {
            Self::Frame(lane, payload) => session.handle_frame(now, PIPE.id, lane, payload),
            Self::Datagram(bytes) => session.handle_datagram(now, PIPE.id, bytes),
        }
    }
}

/// One direction of all players: arrival, whose it is, and what.
type Way = VecDeque<(Micros, usize, Packet)>;

/// A player as the host knows it.
struct Seated {
    session: Session,
    seat: u8,
}

/// Ticks of the room, and how long players waited in them.
pub(super) struct Ticks {
    took_ms: Vec<f64>,
    pub(super) gap_ms: f64,
}

impl Ticks {
    pub(super) fn len(&self) -> usize {
        self.took_ms.len()
    }

    pub(super) fn worst_ms(&self) -> f64 {
        self.at_ms(1.0)
    }

    pub(super) fn at_ms(&self, share: f64) -> f64 {
        spread::at(&self.took_ms, share)
    }
}

/// Everything there is.
pub(super) struct World {
    plane: Plane,
    game: Game,
    clock: TickClock,
    room: Room,
    /// By player; `None` before the Hello has come.
    seated: Vec<Option<Seated>>,
    players: Vec<Player>,
    up: Way,
    down: Way,
    /// When the last tick was over.
    free_at: Micros,
    took_ms: Vec<f64>,
}

impl World {
    pub(super) fn new(plane: Plane) -> anyhow::Result<Self> {
        let game = Game::new("plane", plane);
        let clock = TickClock { tick0: Micros::from_secs(1_000), tick_hz: TICK_HZ };
        let config = RoomConfig {
            match_id: MatchId::from_bits(1),
            app: AppId::default(),
            mode: game.mode("plane").context("the mode is gone")?.at(TICK_HZ),
            seats: Vec::new(),
            tick_clock: clock,
            seed: Seed(1),
        };
        let room = Room::new(&game, config)?;
        let (up, down) = (Way::new(), Way::new());
        let (seated, players) = (Vec::new(), Vec::new());
        Ok(Self { plane, game, clock, room, seated, players, up, down, free_at: clock.tick0, took_ms: Vec::new() })
    }

    pub(super) fn player(&self, who: usize) -> &Player {
        &self.players[who]
    }

    pub(super) fn all_hold_everything(&self) -> bool {
        self.players.iter().all(Player::holds_everything)
    }

    /// A further player connects. The number of it.
    pub(super) fn admit(&mut self) -> anyhow::Result<usize> {
        let now = self.clock.start_of(self.room.tick());
        let who = self.players.len();
        self.players.push(Player::new(now, self.plane, self.game.schema(), PIPE));
        self.seated.push(None);
        self.hear_player(now, who)?;
        Ok(who)
    }

    /// The ticks since the last call.
    pub(super) fn forget_ticks(&mut self) -> Ticks {
        let gap = self.players.iter_mut().map(Player::take_gap).max().unwrap_or(Micros(0));
        Ticks { took_ms: core::mem::take(&mut self.took_ms), gap_ms: gap.0 as f64 / 1e3 }
    }

    pub(super) fn run_until(&mut self, done: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        for _ in 0..TICKS_MAX {
            if done(self) {
                return Ok(());
            }
            self.tick()?;
        }
        bail!("not done after {TICKS_MAX} ticks")
    }

    /// Lets everything happen up to the next tick of the room, and that.
    pub(super) fn tick(&mut self) -> anyhow::Result<()> {
        // A room that is behind hears what has come meanwhile, as a worker does.
        let now = self.clock.start_of(self.room.tick().plus(1)).max(self.free_at);
        self.arrive(now)?;
        let began = Instant::now();
        self.serve(now)?;
        let took = began.elapsed();
        self.took_ms.push(took.as_secs_f64() * 1e3);
        self.free_at = now + Micros(took.as_micros() as u64);
        for who in 0..self.players.len() {
            self.hear_seated(self.free_at, who)?;
            let player = &mut self.players[who];
            player.walk(now, self.room.tick());
            player.session.handle_timeout(now);
            self.hear_player(now, who)?;
        }
        Ok(())
    }

    /// What a room worker does in a tick.
    fn serve(&mut self, now: Micros) -> anyhow::Result<()> {
        if let Some(fault) = self.room.step(now).fault {
            bail!("the room is lost: {fault}");
        }
        while let Some(output) = self.room.poll_output() {
            let RoomOutput::Send { seat, lane, payload } = output else { continue };
            if let Some(seated) = self.seated.iter_mut().flatten().find(|seated| seated.seat == seat) {
                seated.session.send(now, lane, payload)?;
            }
        }
        for Seated { session, seat } in self.seated.iter_mut().flatten() {
            session.handle_timeout(now);
            let snapshot = self.room.encode_snapshot(*seat, session.datagram_room());
            if let Some(seq) = snapshot.and_then(|bytes| session.send_datagram(now, LANE_SNAPSHOT, bytes)) {
                self.room.snapshot_sent(*seat, seq);
            }
            let part = self.room.encode_part(*seat);
            if part.is_some_and(|part| session.send(now, LANE_BULK, part).is_ok()) {
                self.room.part_sent(*seat);
            }
        }
        Ok(())
    }

    /// What is on its way arrives, in its order, up to a moment.
    fn arrive(&mut self, until: Micros) -> anyhow::Result<()> {
        loop {
            let [up, down] = [&self.up, &self.down].map(|way| way.front().map_or(Micros(u64::MAX), |(at, ..)| *at));
            if up.min(down) > until {
                return Ok(());
            }
            let way = if up <= down { &mut self.up } else { &mut self.down };
            let Some((now, who, packet)) = way.pop_front() else { return Ok(()) };
            if up <= down {
                match (&mut self.seated[who], packet) {
                    (Some(seated), packet) => packet.arrive(now, &mut seated.session),
                    (None, Packet::Frame(_, hello)) => self.greet(now, who, hello)?,
                    (None, Packet::Datagram(_)) => {}
                }
                self.hear_seated(now, who)?;
            } else {
                self.players[who].count(packet.len());
                packet.arrive(now, &mut self.players[who].session);
                self.hear_player(now, who)?;
            }
        }
    }

    fn greet(&mut self, now: Micros, who: usize, hello: Bytes) -> anyhow::Result<()> {
        let hello = parse_hello(hello).ok().context("a Hello cannot be read")?;
        let user = UserId::from_bits(who as u128 + 1);
        let seat = self.room.open_seat(None, user).context("no seat is free")?;
        let join = RoomCommand::Join { seat, user: user.to_string(), name: format!("P{who}") };
        self.room.push(now, join).map_err(|code| anyhow::anyhow!("{code}"))?;
        let params = ServerParams {
            session: SessionId::from_bits(who as u128 + 1),
            secret: [who as u8; 16],
            clock_id: 1,
            tick: Some(self.clock),
            capabilities: Vec::new(),
        };
        self.seated[who] =
            Some(Seated { session: Session::accept(now, Config::default(), params, &hello, PIPE), seat });
        Ok(())
    }

    /// Takes what the host's session of a player says.
    fn hear_seated(&mut self, now: Micros, who: usize) -> anyhow::Result<()> {
        let Some(Seated { session, seat }) = &mut self.seated[who] else { return Ok(()) };
        while let Some(output) = session.poll_output() {
            match output {
                Output::Event(Event::Datagram { lane: LANE_INPUT, payload }) => {
                    self.room.handle_input(now, *seat, &payload);
                }
                Output::Event(Event::Message { lane: LANE_ROOM, payload }) => self.room.handle_message(*seat, &payload),
                Output::Event(Event::Attached { .. }) => self.room.on_attached(now, *seat),
                Output::Event(Event::Acked { seq }) => self.room.on_acked(*seat, seq),
                Output::Event(Event::Lost { seq }) => self.room.on_lost(*seat, seq),
                Output::Event(Event::Closed { code, message }) => bail!("closed: {code}: {message}"),
                Output::Event(_) => {}
                output @ (Output::Frame { .. } | Output::Datagram { .. } | Output::ClosePipe { .. }) => {
                    self.down.push_back((now + WAY, who, Packet::of(output)?));
                }
            }
        }
        Ok(())
    }

    /// Takes what a player's session says.
    fn hear_player(&mut self, now: Micros, who: usize) -> anyhow::Result<()> {
        let player = &mut self.players[who];
        while let Some(output) = player.session.poll_output() {
            match output {
                Output::Event(event) => player.hear(now, event)?,
                output @ (Output::Frame { .. } | Output::Datagram { .. } | Output::ClosePipe { .. }) => {
                    self.up.push_back((now + WAY, who, Packet::of(output)?));
                }
            }
        }
        Ok(())
    }
}
