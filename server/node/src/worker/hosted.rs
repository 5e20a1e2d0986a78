//! A room with the people in it: ticks, snapshots, journal, views, sessions.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use amphi_server_core::{Room, RoomCommand, RoomConfig, RoomOutput, RoomStats};
use amphi_shared_auth::random_bytes;
use amphi_shared_edge::session::{PipeEvent, PipeId};
use amphi_shared_edge::telemetry;
use amphi_shared_session::{Event, Refusal, ServerParams};
use amphi_shared_wire::proto::{Control, MatchResult, Notice, RoomReport, control};
use amphi_shared_wire::{
    Code, LANE_CONTROL, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, MatchId, Micros, SessionId, TickClock, TraceId, UserId,
};
use prost::Message;
use tokio::sync::mpsc;
use tracing::Span;

use super::player::Player;
use super::{Join, Links, Resume};
use crate::journal::Journal;
use crate::pace::Pace;
use crate::profile::{self, Rates, TickPlot, phase};
use crate::publisher::ViewFrame;
use crate::reporter::Update;
use crate::tick_times::TickTimes;

/// When a person who found every seat taken may try again, ms.
const FULL_RETRY_MS: u32 = 5_000;

/// A room, and everything the worker keeps beside it.
pub(crate) struct HostedRoom {
    match_id: MatchId,
    room: Room,
    pace: Pace,
    times: TickTimes,
    /// What the metrics have been told.
    counted: RoomStats,
    rates: Rates,
    journal: Journal,
    players: BTreeMap<SessionId, Player>,
    ended_sessions: Vec<SessionId>,
    /// News that the fleet has not been told yet.
    news: bool,
    result: Option<MatchResult>,
    /// The result when the game fails: what is known without asking its world.
    if_lost: MatchResult,
    /// From here to the end, in the match's own trace.
    span: Span,
}

impl HostedRoom {
    pub(crate) fn new(mut room: Room, config: &RoomConfig, journal: Journal) -> Self {
        let RoomConfig { match_id, app, mode, tick_clock: ticks, .. } = config;
        let if_lost = MatchResult {
            match_id: match_id.to_string(),
            version: 1,
            app: app.to_string(),
            mode: mode.name.clone(),
            started_us: ticks.tick0.0,
            outcome: "lost".to_owned(),
            ..Default::default()
        };
        let trace = TraceId::from(*match_id);
        let span = tracing::info_span!("room", trace_id = %trace, %match_id, mode = mode.name);
        telemetry::set_trace(&span, trace);
        Self {
            match_id: *match_id,
            rates: Rates::start(&mut room, *ticks),
            room,
            pace: Pace::new(*ticks),
            times: TickTimes::default(),
            counted: RoomStats::default(),
            journal,
            players: BTreeMap::new(),
            ended_sessions: Vec::new(),
            news: true,
            result: None,
            if_lost,
            span,
        }
    }

    pub(crate) fn match_id(&self) -> MatchId {
        self.match_id
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// When its ticks start.
    pub(crate) fn ticks(&self) -> TickClock {
        self.pace.clock()
    }

    /// When this room wants to run again.
    pub(super) fn due(&self) -> Micros {
        self.pace.due()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.result.is_some()
    }

    /// Seats a person, or refuses; says which.
    pub(super) fn join(
        &mut self,
        now: Micros,
        join: Join,
        pipe: (PipeId, &mpsc::Sender<PipeEvent>),
        links: &mut Links,
    ) -> bool {
        let Join { token, session, replaces, incoming } = join;
        let user = token.user;
        if replaces.is_some_and(|old| self.players.get(&old).is_none_or(Player::is_heard)) {
            incoming.refuse(Code::TokenUsed.into());
            return false;
        }
        let seat = match self.take_seat(now, user, token.team, &token.name) {
            Ok(seat) => seat,
            Err(refusal) => {
                incoming.refuse(refusal);
                return false;
            }
        };
        let params = ServerParams {
            session,
            secret: random_bytes(),
            clock_id: links.clock.id(),
            tick: Some(self.ticks()),
            capabilities: Vec::new(),
        };
        let span = tracing::info_span!(
            "session", trace_id = %token.trace, match_id = %self.match_id, %session, %user, seat
        );
        telemetry::set_trace(&span, token.trace);
        span.in_scope(|| tracing::info!("player joined"));
        self.players.insert(session, Player::accept(now, params, incoming, pipe, (user, seat, span)));
        links.metrics.joins.increment(1);
        links.metrics.sessions.increment(1.0);
        self.news = true;
        self.pump(now, links);
        true
    }

    /// Goes on with a session over another connection, or refuses; says which.
    pub(super) fn resume(
        &mut self,
        now: Micros,
        resume: Resume,
        pipe: (PipeId, &mpsc::Sender<PipeEvent>),
        links: &Links,
    ) -> bool {
        let Resume { session, incoming, .. } = resume;
        let Some(player) = self.players.get_mut(&session) else {
            incoming.refuse(Code::SessionUnknown.into());
            return false;
        };
        let resumed = player.resume(now, incoming, pipe).is_ok();
        if resumed {
            player.span.in_scope(|| tracing::info!("player back"));
            links.metrics.resumes.increment(1);
        }
        self.flush(now, links);
        // Whoever went on where they stood need not wait for the next tick.
        if let Some(player) = self.players.get_mut(&session).filter(|_| resumed) {
            send_snapshot((&mut self.room, player), now, links);
            self.flush_player(now, session, links);
        }
        resumed
    }

    /// Takes in what arrived, as of the moment it arrived: inputs are judged by that, not by when they are read.
    pub(super) fn handle_event(&mut self, session: SessionId, event: PipeEvent, links: &mut Links) {
        let at = event.at;
        if let Some(player) = self.players.get_mut(&session) {
            player.handle_event(links.clock.now(), event);
            self.guard(links, |room, links| room.flush_player(at, session, links));
        }
    }

    /// Runs the ticks that are due, and everything between them.
    pub(super) fn run(&mut self, links: &mut Links) {
        let now = links.clock.now();
        for player in self.players.values_mut() {
            player.handle_timeout(now);
        }
        self.guard(links, |room, links| room.flush(now, links));
        let (overruns, delay) = (self.pace.overruns(), self.pace.delay());
        let run = self.pace.take(now);
        if self.pace.delay() != delay {
            // Whoever plays follows; inputs for the old moments would come too early.
            self.players.values_mut().for_each(|player| player.set_tick_clock(self.pace.clock()));
        }
        for _ in 0..run {
            if self.has_ended() {
                break;
            }
            self.guard(links, Self::tick);
        }
        links.metrics.overruns.increment(self.pace.overruns() - overruns);
        self.count(links);
        if self.news {
            self.tell(links);
        }
    }

    /// Ends the room because its host goes away.
    pub(super) fn drain(&mut self, now: Micros, links: &mut Links) {
        if self.has_ended() {
            return;
        }
        let notice = Notice { code: Code::Draining.number(), message: "this host goes away".to_owned() };
        let control = Control { kind: Some(control::Kind::Notice(notice)) };
        for player in self.players.values_mut() {
            player.send(now, LANE_CONTROL, control.encode_to_vec().into());
        }
        self.room.end(now, "drained");
        self.pump(now, links);
        self.close_all(now, Code::Draining);
        self.flush(now, links);
    }

    pub(super) fn take_ended_sessions(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.ended_sessions)
    }

    /// Whether the room has ended, its people are gone and the fleet is told.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended() && self.players.is_empty() && !self.news
    }

    /// How the room is, for the fleet.
    pub(super) fn report(&self) -> RoomReport {
        let (tick_us_p50, tick_us_p99) = self.times.percentiles();
        RoomReport {
            tick_us_p50,
            tick_us_p99,
            overruns: self.pace.overruns(),
            result: self.result.clone(),
            ..self.room.report()
        }
    }

    /// A seat for this person: the one they have, else one of a bot.
    fn take_seat(&mut self, now: Micros, user: UserId, team: Option<u8>, name: &str) -> Result<u8, Refusal> {
        if self.has_ended() {
            return Err(Code::MatchEnded.into());
        }
        if let Some(seat) = self.take_over(now, user) {
            self.room.on_attached(now, seat);
            return Ok(seat);
        }
        let seat = self
            .room
            .open_seat(team, user)
            .ok_or(Refusal { retry_after_ms: FULL_RETRY_MS, ..Refusal::from(Code::MatchFull) })?;
        let (user, name) = (user.to_string(), name.to_owned());
        self.room.push(now, RoomCommand::Join { seat, user, name })?;
        Ok(seat)
    }

    /// The seat of an earlier session of this person, which ends.
    fn take_over(&mut self, now: Micros, user: UserId) -> Option<u8> {
        let player = self.players.values_mut().find(|player| player.user == user && player.seat.is_some())?;
        player.close(now, Code::GenerationStale, "this person has joined again");
        player.seat.take()
    }

    /// One tick: simulate, journal, then tell.
    fn tick(&mut self, links: &mut Links) {
        let _tick = phase!("tick");
        let started = links.clock.now();
        let step = phase!("step");
        let fault = self.room.step(started).fault;
        profile::end(step);
        if let Some(fault) = fault {
            self.span.in_scope(|| tracing::error!(%fault, "the game cannot go on"));
            links.metrics.rooms_lost.increment(1);
        }
        {
            let _journal = phase!("journal and events");
            self.pump(started, links);
        }
        self.send_snapshots(started, links);
        {
            let _send = phase!("send");
            self.flush(started, links);
        }
        let took_us = links.clock.now().since(started).0;
        self.times.record(took_us);
        links.metrics.tick_us.record(took_us as f64);
    }

    /// What the room says. Nothing leaves before the journal has it.
    fn pump(&mut self, now: Micros, links: &mut Links) {
        let mut said = Vec::new();
        while let Some(output) = self.room.poll_output() {
            match output {
                RoomOutput::Journal(record) => self.append(&record, links),
                other @ (RoomOutput::Send { .. } | RoomOutput::View { .. } | RoomOutput::Ended(_)) => said.push(other),
            }
        }
        for output in said {
            match output {
                RoomOutput::Send { seat, lane, payload } => {
                    if let Some(player) = self.players.values_mut().find(|player| player.seat == Some(seat)) {
                        player.send(now, lane, payload);
                    }
                }
                RoomOutput::View { view, keyframe, payload } => {
                    links.views.push(ViewFrame { match_id: self.match_id, view, keyframe, payload });
                }
                RoomOutput::Ended(result) => self.end(now, result),
                RoomOutput::Journal(_) => {}
            }
        }
        self.flush(now, links);
    }

    fn end(&mut self, now: Micros, result: MatchResult) {
        self.span.in_scope(|| tracing::info!(outcome = result.outcome, "match ended"));
        self.result = Some(result);
        self.news = true;
        self.close_all(now, Code::MatchEnded);
    }

    /// The game panicked: what its world holds cannot be trusted, and nobody asks it any more.
    fn lose(&mut self, links: &Links) {
        self.span.in_scope(|| tracing::error!("a room was lost to a fault"));
        links.metrics.rooms_lost.increment(1);
        let now = links.clock.now();
        self.result = Some(MatchResult { ended_us: now.0, ..self.if_lost.clone() });
        self.news = true;
        self.close_all(now, Code::Internal);
        self.players.values_mut().for_each(|player| player.seat = None);
        self.flush(now, links);
    }

    fn close_all(&mut self, now: Micros, code: Code) {
        for player in self.players.values_mut() {
            player.close(now, code, code.help());
        }
    }

    fn send_snapshots(&mut self, now: Micros, links: &Links) {
        let _encode = phase!("encode");
        let mut plot = TickPlot { players: self.players.len(), entities: self.room.entities(), ..TickPlot::default() };
        for player in self.players.values_mut() {
            let bytes = send_snapshot((&mut self.room, player), now, links);
            plot.snapshots += u64::from(bytes > 0);
            plot.snapshot_bytes += bytes;
            plot.note_margin(player.seat.and_then(|seat| self.room.input_margin(seat)));
        }
        profile::plot(plot);
        self.rates.tick(&self.room);
    }

    /// Hands bytes to the network and events of the sessions to the room, until neither says more.
    fn flush(&mut self, now: Micros, links: &Links) {
        let sessions: Vec<SessionId> = self.players.keys().copied().collect();
        for session in sessions {
            self.flush_player(now, session, links);
        }
    }

    fn flush_player(&mut self, now: Micros, session: SessionId, links: &Links) {
        let Some(player) = self.players.get_mut(&session) else {
            return;
        };
        let (seat, events) = (player.seat, player.flush(now));
        links.metrics.slow_readers.increment(player.take_slow_readers());
        let mut closed = false;
        for event in &events {
            if let Event::Closed { code, .. } = event {
                closed = true;
                links.metrics.add_closed(*code);
                player.span.in_scope(|| tracing::info!(%code, "player left"));
            }
        }
        for event in events {
            if let Some(seat) = seat {
                handle_session_event(&mut self.room, now - self.pace.delay(), seat, event);
            }
        }
        if closed {
            self.players.remove(&session);
            self.ended_sessions.push(session);
            self.news = true;
            links.metrics.sessions.decrement(1.0);
        }
    }

    /// Runs what calls the game. A fault in it ends this room, not its worker.
    fn guard(&mut self, links: &mut Links, run: impl FnOnce(&mut Self, &mut Links)) {
        if catch_unwind(AssertUnwindSafe(|| run(self, links))).is_err() {
            self.lose(links);
        }
    }

    fn append(&mut self, record: &[u8], links: &Links) {
        if let Err(error) = self.journal.append(record) {
            self.span.in_scope(|| tracing::error!(%error, "the journal cannot be written"));
            links.metrics.journal_errors.increment(1);
        }
    }

    fn count(&mut self, links: &Links) {
        let stats = self.room.stats();
        links.metrics.add_room(std::mem::replace(&mut self.counted, stats), stats);
    }

    fn tell(&mut self, links: &Links) {
        let update = Update::Changed(Box::new(self.report()));
        // A full queue: the next tick tries again.
        self.news = links.reports.try_send(update).is_err();
    }
}

impl fmt::Debug for HostedRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostedRoom({}, {} sessions)", self.match_id, self.players.len())
    }
}

/// Sends the state of the last tick, if there is somebody to read it; says how many bytes.
fn send_snapshot((room, player): (&mut Room, &mut Player), now: Micros, links: &Links) -> u64 {
    let (Some(seat), budget) = (player.seat, player.datagram_room()) else {
        return 0;
    };
    let Some(snapshot) = (budget > 0).then(|| room.encode_snapshot(seat, budget)).flatten() else {
        return 0;
    };
    let bytes = snapshot.len() as u64;
    let sent = player.send_datagram(now, LANE_SNAPSHOT, snapshot);
    if let Some(seq) = sent {
        room.snapshot_sent(seat, seq);
        links.metrics.snapshots.increment(1);
        links.metrics.snapshot_bytes.increment(bytes);
    }
    let part = room.encode_part(seat);
    if part.is_some_and(|part| player.send_part(now, part)) {
        room.part_sent(seat);
    }
    if sent.is_some() { bytes } else { 0 }
}

/// What a session says to its room. `now` is the room's: a room that skipped moments is behind by them.
fn handle_session_event(room: &mut Room, now: Micros, seat: u8, event: Event) {
    match event {
        Event::Datagram { lane: LANE_INPUT, payload } => room.handle_input(now, seat, &payload),
        Event::Message { lane: LANE_ROOM, payload } => room.handle_message(seat, &payload),
        Event::Acked { seq } => room.on_acked(seat, seq),
        Event::Lost { seq } => room.on_lost(seat, seq),
        Event::Attached { seamless: true, .. } => room.on_resumed(now, seat),
        Event::Attached { .. } => room.on_attached(now, seat),
        Event::Detached => room.on_detached(now, seat),
        Event::Closed { .. } => leave(room, now, seat),
        // Clients send nothing else to a room.
        Event::Datagram { .. } | Event::Message { .. } => {}
        Event::PathSilent | Event::LaneWritable { .. } | Event::LaneLost { .. } | Event::Refused(_) => {}
    }
}

/// A room that has ended takes no commands, and needs none.
fn leave(room: &mut Room, now: Micros, seat: u8) {
    if let Err(code) = room.push(now, RoomCommand::Leave { seat }) {
        tracing::debug!(%code, seat, "a seat was not given back");
    }
}
