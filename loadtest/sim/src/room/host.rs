//! The host's side: a room, and a session per player.

use std::collections::VecDeque;

use amphi_server_core::{Room, RoomCommand, RoomConfig, RoomOutput, RoomStats};
use amphi_shared_replica::{Game, NetId, Row, ViewDecoder};
use amphi_shared_session::{ClientHello, Config, Event, Output, PipeInfo, Refusal, ServerParams, Session};
use amphi_shared_wire::proto::ViewFrame;
use amphi_shared_wire::{
    AppId, Code, LANE_BULK, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, MatchId, Micros, Seed, SessionId, Tick, TickClock,
    UserId,
};
use prost::Message;

use super::hostile::Counts;
use super::ledger::Ledger;

/// How long the seat of somebody without a connection is kept; longer than the longest time away.
pub(crate) const SEAT_KEPT: Micros = Micros::from_secs(8);
/// How long the host hears nothing of somebody until their connection counts as dead.
pub(crate) const SILENT_AFTER: Micros = Micros::from_secs(4);
/// Frames of the view that are remembered: about a second of them, more than any path delays a snapshot.
const TRUTHS: usize = 32;

/// One person at the host.
pub(crate) struct Seated {
    pub(crate) session: Session,
    seat: u8,
}

/// A room with its sessions, and what its spectators see.
pub(crate) struct Host {
    room: Room,
    clock: TickClock,
    /// By player.
    pub(crate) seated: Vec<Option<Seated>>,
    /// Sessions that were ever greeted.
    greeted: u128,
    /// Why sessions ended, by player.
    pub(crate) ends: Vec<(usize, Code)>,
    pub(crate) ledger: Ledger,
    view: ViewDecoder,
    /// The newest frames of the view, whole, oldest first.
    truths: VecDeque<(Tick, Vec<(NetId, Row)>)>,
}

impl Host {
    pub(crate) fn new(game: &Game, players: usize, start: Micros, seed: Seed) -> Result<Self, String> {
        let clock = TickClock { tick0: start, tick_hz: 60 };
        let mode = game.modes().first().ok_or("the game has no mode")?;
        let config = RoomConfig {
            match_id: MatchId::from_bits(1),
            app: AppId::default(),
            mode: mode.at(clock.tick_hz),
            seats: Vec::new(),
            tick_clock: clock,
            seed,
        };
        let room = Room::new(game, config).map_err(|error| error.to_string())?;
        let view = ViewDecoder::new(game.schema().clone());
        Ok(Self {
            room,
            clock,
            seated: (0..players).map(|_| None).collect(),
            greeted: 0,
            ends: Vec::new(),
            ledger: Ledger::default(),
            view,
            truths: VecDeque::new(),
        })
    }

    /// When the next tick starts.
    pub(crate) fn due(&self) -> Micros {
        self.clock.start_of(self.room.tick().plus(1))
    }

    /// A Hello of player `who` has arrived.
    pub(crate) fn greet(
        &mut self,
        now: Micros,
        who: usize,
        hello: &ClientHello,
        pipe: PipeInfo,
    ) -> Result<(), Refusal> {
        if hello.resume.is_some() {
            let seated = self.seated[who].as_mut().ok_or(Code::SessionUnknown)?;
            return seated.session.attach(now, hello, pipe);
        }
        // Whoever starts anew has left.
        if let Some(before) = self.seated[who].take() {
            self.leave(now, before.seat);
        }
        self.greeted += 1;
        let user = UserId::from_bits(self.greeted);
        let seat = self.room.open_seat(None, user).ok_or(Code::MatchFull)?;
        self.room.push(now, RoomCommand::Join { seat, user: user.to_string(), name: format!("P{who}") })?;
        let params = ServerParams {
            session: SessionId::from_bits(self.greeted),
            secret: [self.greeted as u8; 16],
            clock_id: 1,
            tick: Some(self.clock),
            capabilities: Vec::new(),
        };
        let config = Config { resume_window: SEAT_KEPT, silent_after: SILENT_AFTER, ..Config::default() };
        let session = Session::accept(now, config, params, hello, pipe);
        self.seated[who] = Some(Seated { session, seat });
        Ok(())
    }

    /// Simulates a tick and sends its snapshots.
    pub(crate) fn tick(&mut self, now: Micros) -> Result<(), String> {
        if let Some(fault) = self.room.step(now).fault {
            return Err(format!("the room is lost: {fault}"));
        }
        self.ledger.note(self.room.mirror());
        while let Some(output) = self.room.poll_output() {
            match output {
                RoomOutput::Send { seat, lane, payload } => {
                    if let Some(seated) = self.seated.iter_mut().flatten().find(|seated| seated.seat == seat) {
                        seated.session.send(now, lane, payload).map_err(|error| format!("lane {lane}: {error}"))?;
                    }
                }
                RoomOutput::View { keyframe, payload, .. } => self.watch(keyframe, &payload)?,
                RoomOutput::Journal(_) | RoomOutput::Ended(_) => {}
            }
        }
        (0..self.seated.len()).for_each(|who| self.show(now, who));
        Ok(())
    }

    /// Sends player `who` the state of the last tick.
    fn show(&mut self, now: Micros, who: usize) {
        let Some(seated) = &mut self.seated[who] else { return };
        let budget = seated.session.datagram_room();
        let snapshot = (budget > 0).then(|| self.room.encode_snapshot(seated.seat, budget)).flatten();
        let sent = snapshot.and_then(|bytes| seated.session.send_datagram(now, LANE_SNAPSHOT, bytes));
        if let Some(seq) = sent {
            self.room.snapshot_sent(seated.seat, seq);
        }
        let part = self.room.encode_part(seated.seat);
        if part.is_some_and(|part| seated.session.send(now, LANE_BULK, part).is_ok()) {
            self.room.part_sent(seated.seat);
        }
    }

    /// Takes what the session of `who` says; its events go to the room, the rest back to the caller.
    pub(crate) fn poll(&mut self, now: Micros, who: usize) -> Option<Output> {
        loop {
            let seated = self.seated[who].as_mut()?;
            let seat = seated.seat;
            match seated.session.poll_output()? {
                Output::Event(event) => self.hear(now, who, seat, event),
                output @ (Output::Frame { .. } | Output::Datagram { .. } | Output::ClosePipe { .. }) => {
                    return Some(output);
                }
            }
        }
    }

    /// What was true at a tick of about the last second, as the view told it; it tells only some ticks.
    pub(crate) fn truth(&self, tick: Tick) -> Option<&[(NetId, Row)]> {
        self.truths.iter().find(|(seen, _)| *seen == tick).map(|(_, rows)| &rows[..])
    }

    /// True when a person holds the seat.
    pub(crate) fn is_persons(&self, seat: u8) -> bool {
        self.room.report().roster.iter().any(|entry| entry.seat == u32::from(seat) && !entry.bot)
    }

    /// What is counted about player `who`.
    pub(crate) fn counts(&self, who: usize) -> Counts {
        let session = self.seated[who].as_ref().map(|seated| &seated.session);
        Counts {
            datagrams: session.map(Session::datagram_stats).unwrap_or_default(),
            room: self.room.stats(),
            open: session.is_some_and(|session| session.is_attached() && !session.is_closed()),
        }
    }

    /// Plain counters of the room.
    pub(crate) fn room_stats(&self) -> RoomStats {
        self.room.stats()
    }

    fn leave(&mut self, now: Micros, seat: u8) {
        // A seat that is free already is nobody's business.
        let _ = self.room.push(now, RoomCommand::Leave { seat });
    }

    fn hear(&mut self, now: Micros, who: usize, seat: u8, event: Event) {
        match event {
            Event::Attached { seamless: true, .. } => {
                self.room.on_resumed(now, seat);
                self.show(now, who);
            }
            Event::Attached { resumed: true, .. } => self.room.on_attached(now, seat),
            Event::Detached => self.room.on_detached(now, seat),
            Event::Datagram { lane: LANE_INPUT, payload } => self.room.handle_input(now, seat, &payload),
            Event::Message { lane: LANE_ROOM, payload } => self.room.handle_message(seat, &payload),
            Event::Acked { seq } => self.room.on_acked(seat, seq),
            Event::Lost { seq } => self.room.on_lost(seat, seq),
            Event::Closed { code, .. } => {
                self.leave(now, seat);
                self.seated[who] = None;
                self.ends.push((who, code));
            }
            Event::Attached { .. }
            | Event::PathSilent
            | Event::Message { .. }
            | Event::Datagram { .. }
            | Event::LaneWritable { .. }
            | Event::LaneLost { .. }
            | Event::Refused(_) => {}
        }
    }

    fn watch(&mut self, keyframe: bool, payload: &[u8]) -> Result<(), String> {
        let frame = ViewFrame::decode(payload).map_err(|error| format!("a view frame: {error}"))?;
        self.view.decode(Tick(frame.tick), &frame.rows, keyframe).map_err(|error| format!("a view frame: {error}"))?;
        if self.truths.len() == TRUTHS {
            self.truths.pop_front();
        }
        self.truths.push_back((Tick(frame.tick), self.view.entities().map(|(id, row)| (id, row.clone())).collect()));
        Ok(())
    }
}
