//! Rooms of a tiny game: people come and go, packets are lost, and the journal tells the same story again.

use std::sync::Arc;

use amphi_shared_replica::{
    Begin, GameEvents, Input, Inputs, MatchBoard, Mode, ReplicaApp, Replicate, Request, Requests, Row, Seats, SimRng,
    SimTick, Simulate, SnapshotDecoder, TablesError, Trainer, ViewDecoder, VisibleTo, authority, decode_message,
    encode_inputs, encode_message,
};
use amphi_shared_wire::proto::ViewFrame;
use amphi_shared_wire::{BitReader, BitWriter, OutOfBits, Rng};
use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{ReplayError, replay};

mod touching;

/// Pawns walk on a line; bots walk at random. The first to stand at 100 wins.
#[derive(Clone)]
struct Line;

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
struct Place {
    x: i32,
}

/// Said every 20 ticks.
#[derive(Debug, PartialEq, Replicate)]
struct Chime {
    tick: u32,
}

/// Jumps to a place.
#[derive(Clone, Copy, Debug, PartialEq, Replicate)]
struct Leap {
    x: i32,
}

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Replicate)]
struct Leapt {
    from: i32,
    to: i32,
}

impl Request for Leap {
    type Answer = Leapt;
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Step(i8);

impl Input for Step {
    fn encode(&self, writer: &mut BitWriter) {
        writer.bits(u32::from(self.0 as u8), 8);
    }
    fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
        Ok(Self(reader.bits(8)? as u8 as i8))
    }
    fn sanitise(self) -> Self {
        Self(self.0.clamp(-2, 2))
    }
    fn decayed(&self) -> Self {
        Self(0)
    }
}

impl Plugin for Line {
    fn build(&self, app: &mut App) {
        app.replicate::<Place>();
        app.input::<Step>().event::<Chime>().request::<Leap>();
        app.modes(&[Mode { name: "duel", teams: 2, team_size: 2, duration_s: 4 }]);
        app.add_systems(Begin, |mut commands: Commands<'_, '_>, seats: Res<'_, Seats>| {
            for (seat, _) in seats.iter() {
                commands.spawn((seat, Place { x: 0 }));
            }
        });
        app.add_systems(Simulate, (bots.run_if(authority), walk, leap, judge).chain());
    }
}

fn bots(seats: Res<'_, Seats>, mut inputs: ResMut<'_, Inputs<Step>>, mut rng: ResMut<'_, SimRng>) {
    for (seat, _) in seats.iter().filter(|(_, state)| state.bot) {
        inputs.set(seat, Step(rng.0.below(3) as i8 - 1));
    }
}

fn walk(inputs: Res<'_, Inputs<Step>>, mut pawns: Query<'_, '_, (&Seat, &mut Place)>) {
    for (seat, mut place) in &mut pawns {
        place.x += i32::from(inputs.get(*seat).0);
    }
}

fn leap(
    leaps: Res<'_, Requests<Leap>>,
    mut pawns: Query<'_, '_, (&Seat, &mut Place)>,
    mut events: ResMut<'_, GameEvents>,
) {
    for asked in leaps.iter() {
        let Some((_, mut place)) = pawns.iter_mut().find(|(seat, _)| **seat == asked.seat) else { continue };
        let from = std::mem::replace(&mut place.x, asked.request.x);
        // Nobody answers a leap to where one stands.
        if from != asked.request.x {
            events.answer(asked, &Leapt { from, to: asked.request.x });
        }
    }
}

fn judge(
    pawns: Query<'_, '_, (&Seat, &Place)>,
    tick: Res<'_, SimTick>,
    mut board: ResMut<'_, MatchBoard>,
    mut events: ResMut<'_, GameEvents>,
) {
    for (seat, place) in &pawns {
        board.player_scores[usize::from(seat.0)] = place.x;
        if place.x >= 100 {
            board.finished = true;
        }
    }
    if tick.0.0.is_multiple_of(20) {
        events.send(&Chime { tick: tick.0.0 });
    }
}

const CLOCK: TickClock = TickClock { tick0: Micros(1_000_000), tick_hz: 60 };

fn game() -> Game {
    Game::new("line", Line)
}

/// The game with these code tables.
#[derive(Clone)]
struct Tabled(&'static [u8]);

impl Plugin for Tabled {
    fn build(&self, app: &mut App) {
        app.add_plugins(Line);
        app.tables(self.0);
    }
}

fn tables() -> &'static [u8] {
    let mut trainer = Trainer::new(Arc::clone(game().schema()));
    let mut room = room(5);
    for tick in 1..=100 {
        room.step(CLOCK.start_of(Tick(tick)));
        trainer.note(room.world.sim.mirror());
    }
    trainer.finish().to_bytes().to_vec().leak()
}

fn user(n: u128) -> UserId {
    UserId::from_bits(n)
}

fn room(seed: u64) -> Room {
    room_of(&game(), seed)
}

fn room_of(game: &Game, seed: u64) -> Room {
    let mode = game.mode("duel").unwrap().at(60);
    let config = RoomConfig {
        match_id: MatchId::from_bits(1),
        app: AppId::default(),
        mode,
        seats: Vec::new(),
        tick_clock: CLOCK,
        seed: Seed(seed),
    };
    Room::new(game, config).unwrap()
}

fn join(room: &mut Room, n: u128) -> u8 {
    let seat = room.open_seat(None, user(n)).unwrap();
    room.push(Micros(0), RoomCommand::Join { seat, user: user(n).to_string(), name: format!("P{n}") }).unwrap();
    seat
}

fn inputs(newest: u32, steps: &[i8]) -> Vec<u8> {
    let steps: Vec<Step> = steps.iter().map(|s| Step(*s)).collect();
    encode_inputs(Tick(newest), &steps)
}

/// Everything a room has said, sorted.
#[derive(Default)]
struct Said {
    journal: Vec<u8>,
    messages: Vec<(u8, RoomMessage)>,
    frames: Vec<(bool, ViewFrame)>,
    results: Vec<MatchResult>,
}

impl Said {
    fn drain(&mut self, room: &mut Room) {
        while let Some(output) = room.poll_output() {
            match output {
                RoomOutput::Journal(bytes) => self.journal.extend_from_slice(&bytes),
                RoomOutput::Send { seat, lane, payload } => {
                    assert_eq!(lane, LANE_ROOM);
                    self.messages.push((seat, RoomMessage::decode(payload).unwrap()));
                }
                RoomOutput::View { keyframe, payload, .. } => {
                    self.frames.push((keyframe, ViewFrame::decode(payload).unwrap()));
                }
                RoomOutput::Ended(result) => self.results.push(result),
            }
        }
    }

    fn kinds(&self, seat: u8) -> Vec<&'static str> {
        let mine = self.messages.iter().filter(|(to, _)| *to == seat);
        mine.filter_map(|(_, message)| message.kind.as_ref())
            .map(|kind| match kind {
                room_message::Kind::Joined(_) => "joined",
                room_message::Kind::MatchEnded(_) => "ended",
                room_message::Kind::Event(_) => "event",
                room_message::Kind::Roster(_) => "roster",
                room_message::Kind::RolledBack(_) => "rolled back",
                room_message::Kind::Answer(_) => "answer",
                room_message::Kind::Tables(_) => "tables",
            })
            .collect()
    }
}

#[test]
fn a_person_is_greeted_plays_and_leaves_a_bot_behind() {
    let (mut room, mut said) = (room(1), Said::default());
    let seat = join(&mut room, 7);
    room.step(CLOCK.start_of(Tick(1)));
    said.drain(&mut room);
    assert_eq!(said.kinds(seat), ["joined", "roster"]);

    room.handle_input(CLOCK.start_of(Tick(1)), seat, &inputs(3, &[1, 2]));
    for tick in 2..=3 {
        room.step(CLOCK.start_of(Tick(tick)));
    }
    let at = |room: &Room| room.world.sim.board().player_scores[usize::from(seat)];
    assert_eq!(at(&room), 3);
    let snapshot = room.encode_snapshot(seat, 1_000).unwrap();
    let mut decoder = SnapshotDecoder::new(Arc::clone(game().schema()));
    let header = decoder.decode(&snapshot).unwrap().header;
    assert_eq!((header.tick, header.applied, header.margin, header.late), (Tick(3), Some(Tick(3)), Some(4), 0));

    // The last input is held for three ticks, then it decays.
    for tick in 4..=10 {
        room.step(CLOCK.start_of(Tick(tick)));
    }
    assert_eq!(at(&room), 3 + 3 * 2);

    room.push(Micros(0), RoomCommand::Leave { seat }).unwrap();
    room.step(CLOCK.start_of(Tick(11)));
    said.drain(&mut room);
    assert!(room.report().roster[usize::from(seat)].bot);
    assert!(room.encode_snapshot(seat, 1_000).is_none());
    room.end(Micros(9), "drained");
    said.drain(&mut room);
    let result = &said.results[0];
    assert_eq!((result.outcome.as_str(), result.ended_us), ("drained", 9));
    let person = result.players.iter().find(|p| !p.bot).unwrap();
    assert_eq!((person.user.clone(), person.score, person.present_permille), (user(7).to_string(), 9, 909));
}

fn ask(id: u32, x: i32) -> Vec<u8> {
    let request = proto::Request { id, kind: 1, body: encode_message(&Leap { x }).into() };
    proto::PlayerMessage { kind: Some(player_message::Kind::Request(request)) }.encode_to_vec()
}

#[test]
fn a_request_is_answered_once_to_whoever_asked_and_runs_again_in_a_replay() {
    let (mut room, mut said) = (room(8), Said::default());
    let (one, two) = (join(&mut room, 1), join(&mut room, 2));
    room.handle_message(one, &ask(7, 40));
    room.handle_message(two, &ask(7, -40));
    for tick in 1..=20 {
        room.step(CLOCK.start_of(Tick(tick)));
    }
    room.end(Micros(9), "drained");
    said.drain(&mut room);
    let answers = |seat: u8| -> Vec<(u32, u32, Leapt)> {
        let mine = said.messages.iter().filter(|(to, _)| *to == seat);
        let answer = |(_, message): &(u8, RoomMessage)| match &message.kind {
            Some(room_message::Kind::Answer(proto::Answer { request, code, body })) => {
                Some((*request, *code, decode_message(body).unwrap()))
            }
            _ => None,
        };
        mine.filter_map(answer).collect()
    };
    assert_eq!(answers(one), [(7, 0, Leapt { from: 0, to: 40 })]);
    assert_eq!(answers(two), [(7, 0, Leapt { from: 0, to: -40 })]);
    assert_eq!(said.kinds(one).iter().filter(|kind| **kind == "event").count(), 1);
    assert_eq!(replay(&game(), &said.journal).unwrap().first_difference, None);
    assert_eq!((room.stats().requests, room.stats().requests_refused), (2, 0));
}

#[test]
fn the_next_person_on_a_seat_hears_no_answer_of_the_one_before() {
    let (mut room, mut said) = (room(9), Said::default());
    let seat = join(&mut room, 1);
    room.handle_message(seat, &ask(1, 40));
    room.push(Micros(0), RoomCommand::Leave { seat }).unwrap();
    assert_eq!(join(&mut room, 2), seat);
    room.handle_message(seat, &ask(1, 41));
    room.step(CLOCK.start_of(Tick(1)));
    said.drain(&mut room);
    let answers: Vec<Leapt> = said
        .messages
        .iter()
        .filter_map(|(_, message)| match &message.kind {
            Some(room_message::Kind::Answer(answer)) => Some(decode_message(&answer.body).unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [Leapt { from: 40, to: 41 }]);
}

#[test]
fn bad_requests_are_refused_with_a_code_and_change_nothing() {
    let (mut room, mut said) = (room(10), Said::default());
    let seat = join(&mut room, 1);
    let request = |id: u32, kind: u32, body: Vec<u8>| {
        let request = proto::Request { id, kind, body: body.into() };
        proto::PlayerMessage { kind: Some(player_message::Kind::Request(request)) }.encode_to_vec()
    };
    room.handle_message(seat, &request(1, 0, vec![2]));
    room.handle_message(seat, &request(2, 2, vec![2]));
    room.handle_message(seat, &request(3, u32::MAX, vec![2]));
    room.handle_message(seat, &request(4, 1, vec![0x80]));
    room.handle_message(seat, &request(5, 1, vec![0; REQUEST_BYTES_MAX + 1]));
    for id in 0..=REQUESTS_PER_TICK_MAX as u32 {
        room.handle_message(seat, &request(6 + id, 1, vec![2]));
    }
    room.handle_message(seat, &[0xff; 9]);
    room.handle_message(200, &ask(1, 1));
    said.drain(&mut room);
    let codes: Vec<(u32, u32)> = said
        .messages
        .iter()
        .filter_map(|(to, message)| match &message.kind {
            Some(room_message::Kind::Answer(answer)) if *to == seat => Some((answer.request, answer.code)),
            _ => None,
        })
        .collect();
    let invalid = Code::RequestInvalid.number();
    let limited = Code::RateLimited.number();
    let last = 6 + REQUESTS_PER_TICK_MAX as u32;
    assert_eq!(codes, [(1, invalid), (2, invalid), (3, invalid), (4, invalid), (5, invalid), (last, limited)]);
    assert_eq!(room.stats().requests, REQUESTS_PER_TICK_MAX as u64);
    assert_eq!(room.stats().requests_refused, 8);
}

#[test]
fn a_session_that_goes_on_is_shown_the_match_at_once_and_told_nothing_twice() {
    let (mut room, mut said) = (room(1), Said::default());
    let seat = join(&mut room, 7);
    assert_eq!(room.encode_snapshot(seat, 1_000), None, "nobody reads a snapshot before the greeting");
    let mut decoder = SnapshotDecoder::new(Arc::clone(game().schema()));
    let mut show = |room: &mut Room, seq: u16| {
        let snapshot = room.encode_snapshot(seat, 1_000).unwrap();
        room.snapshot_sent(seat, seq);
        let decoded = decoder.decode(&snapshot).unwrap();
        (decoded.header.tick, decoded.restarted, snapshot.len())
    };
    for tick in 1..=16 {
        room.step(CLOCK.start_of(Tick(tick)));
        show(&mut room, tick as u16);
        room.on_acked(seat, tick as u16);
    }
    said.drain(&mut room);
    said.messages.clear();
    let (mirror, mut fresh) = (room.world.sim.mirror(), Recipient::new());
    let whole = room.encoder.encode(mirror, &mut fresh, SnapshotHeader::default(), None, 1_000).unwrap().len();

    // The host has not noticed that the client was away.
    room.on_resumed(Micros(0), seat);
    let (tick, restarted, bytes) = show(&mut room, 17);
    assert_eq!((tick, restarted), (Tick(16), false));
    assert!(bytes < whole, "{bytes} bytes build on what the client has, a first snapshot takes {whole}");
    room.step(CLOCK.start_of(Tick(17)));
    said.drain(&mut room);
    let told = |said: &Said| said.kinds(seat).into_iter().filter(|kind| *kind != "event").collect::<Vec<_>>();
    assert_eq!(told(&said), [""; 0]);

    room.on_detached(Micros(0), seat);
    room.step(CLOCK.start_of(Tick(18)));
    room.on_resumed(Micros(0), seat);
    room.step(CLOCK.start_of(Tick(19)));
    said.drain(&mut room);
    assert_eq!(told(&said), ["roster", "roster"]);

    // A page that was reloaded.
    room.on_attached(Micros(0), seat);
    assert_eq!(room.encode_snapshot(seat, 1_000), None);
    room.step(CLOCK.start_of(Tick(20)));
    said.drain(&mut room);
    assert_eq!(told(&said), ["roster", "roster", "joined"]);
    assert!(show(&mut room, 20).1, "it starts over");
}

#[test]
fn a_client_that_has_read_the_tables_gets_its_rows_in_them() {
    let game = Game::new("line", Tabled(tables()));
    let tables = game.tables().unwrap().unwrap();
    let hash = tables.hash();
    let mut decoder = SnapshotDecoder::new(Arc::clone(game.schema()));
    decoder.add_tables(TRAINED_SET, Arc::clone(tables));
    let (mut room, mut said) = (room_of(&game, 1), Said::default());
    let seat = join(&mut room, 1);
    room.on_attached(Micros(0), seat);
    let ready = |room: &mut Room, hash| {
        let kind = Some(player_message::Kind::TablesReady(proto::TablesReady { hash }));
        room.handle_message(seat, &proto::PlayerMessage { kind }.encode_to_vec());
    };
    let mut tick = 0;
    let mut set = |room: &mut Room| {
        tick += 1;
        room.step(CLOCK.start_of(Tick(tick)));
        let snapshot = room.encode_snapshot(seat, 1_000).unwrap();
        room.snapshot_sent(seat, tick as u16);
        room.on_acked(seat, tick as u16);
        decoder.decode(&snapshot).unwrap().header.tables
    };

    // Before it was given any.
    ready(&mut room, hash);
    assert_eq!((set(&mut room), room.stats().tables_refused), (0, 1));
    said.drain(&mut room);
    assert_eq!(said.kinds(seat), ["joined", "tables", "roster"]);

    ready(&mut room, hash ^ 1);
    assert_eq!((set(&mut room), room.stats().tables_refused), (0, 2));
    ready(&mut room, hash);
    assert_eq!((set(&mut room), set(&mut room)), (TRAINED_SET, TRAINED_SET));

    // A page that was reloaded has none.
    room.on_attached(Micros(0), seat);
    assert_eq!(set(&mut room), 0);
    ready(&mut room, hash);
    assert_eq!((set(&mut room), room.stats().tables_refused), (TRAINED_SET, 2));
}

#[test]
fn tables_of_another_schema_are_left_alone() {
    let mut bytes = tables().to_vec();
    bytes[5] ^= 1;
    let game = Game::new("line", Tabled(bytes.leak()));
    assert_eq!(game.tables().unwrap_err(), TablesError::Schema);
    let (mut room, mut said) = (room_of(&game, 1), Said::default());
    let seat = join(&mut room, 1);
    room.on_attached(Micros(0), seat);
    room.step(CLOCK.start_of(Tick(1)));
    said.drain(&mut room);
    assert_eq!(said.kinds(seat), ["joined", "roster"]);
}

#[test]
fn a_person_who_comes_back_counts_once() {
    let (mut room, mut said) = (room(6), Said::default());
    for visit in 0..3 {
        let seat = join(&mut room, 7);
        for tick in 1..=10 {
            room.step(CLOCK.start_of(Tick(visit * 20 + tick)));
        }
        room.push(Micros(0), RoomCommand::Leave { seat }).unwrap();
        for tick in 11..=20 {
            room.step(CLOCK.start_of(Tick(visit * 20 + tick)));
        }
    }
    join(&mut room, 7);
    room.end(Micros(9), "drained");
    said.drain(&mut room);
    let people: Vec<_> = said.results[0].players.iter().filter(|p| !p.bot).map(|p| p.present_permille).collect();
    assert_eq!(people, [500]);
}

#[test]
fn a_match_ends_by_score_or_by_time_and_then_takes_nothing() {
    let (mut room, mut said) = (room(2), Said::default());
    let seat = join(&mut room, 1);
    for tick in 1..=60 {
        room.handle_input(CLOCK.start_of(Tick(tick - 1)), seat, &inputs(tick, &[127]));
        room.step(CLOCK.start_of(Tick(tick)));
    }
    said.drain(&mut room);
    assert_eq!(said.results.len(), 1);
    assert_eq!(said.results[0].outcome, "finished");
    assert_eq!(room.tick(), Tick(50));
    assert_eq!(said.kinds(seat).last(), Some(&"ended"));
    assert!(said.frames.last().unwrap().1.result.is_some());
    assert_eq!(room.push(Micros(0), RoomCommand::Leave { seat }), Err(Code::MatchEnded));

    let mut quiet = self::room(3);
    for tick in 1..=240 {
        quiet.step(CLOCK.start_of(Tick(tick)));
    }
    let mut said = Said::default();
    said.drain(&mut quiet);
    assert_eq!((said.results.len(), quiet.tick()), (1, Tick(240)));
    assert_eq!(quiet.report().state, "ended");
}

#[test]
fn hostile_commands_and_inputs_change_nothing() {
    let mut room = room(4);
    let seat = join(&mut room, 1);
    let taken = RoomCommand::Join { seat, user: String::new(), name: String::new() };
    assert_eq!(room.push(Micros(0), taken), Err(Code::SeatTaken));
    for command in [
        RoomCommand::Join { seat: 200, user: String::new(), name: String::new() },
        RoomCommand::Leave { seat: 200 },
        RoomCommand::Input { seat, bytes: vec![1] },
        RoomCommand::End { outcome: String::new() },
    ] {
        assert_eq!(room.push(Micros(0), command), Err(Code::RequestInvalid));
    }
    for payload in [&[][..], &[255; 3], &[255; 2_000]] {
        room.handle_input(Micros(0), seat, payload);
    }
    room.handle_input(Micros(0), 200, &inputs(1, &[1]));
    for _ in 0..10_000 {
        room.handle_input(CLOCK.start_of(Tick(0)), seat, &inputs(u32::MAX, &[1; 32]));
        room.handle_input(CLOCK.start_of(Tick(0)), seat, &inputs(40, &[-128; 32]));
    }
    let stats = room.stats();
    assert_eq!((stats.inputs, stats.commands_refused), (32, 5));
    assert!(stats.inputs_early >= 320_000 && stats.inputs_invalid >= 2);
    for _ in 0..ROOM_COMMANDS_MAX {
        let _ = room.push(Micros(0), RoomCommand::Presence { seat, connected: true });
    }
    assert_eq!(room.push(Micros(0), RoomCommand::Leave { seat }), Err(Code::Overloaded));
    room.step(Micros(0));
    assert_eq!(room.push(Micros(0), RoomCommand::Leave { seat }), Ok(()));
}

#[test]
fn a_replay_of_another_build_is_refused_by_name() {
    let (mut room, mut said) = (room(5), Said::default());
    room.step(Micros(0));
    said.drain(&mut room);
    let other = game().with_version("9.9.9");
    let Err(ReplayError::Build { game, build, .. }) = replay(&other, &said.journal) else { panic!("it was read") };
    assert_eq!((game.as_str(), build.as_str()), ("line", "0.1.0"));
}

/// A client behind a network that loses, doubles and reorders.
struct Client {
    seat: u8,
    decoder: SnapshotDecoder,
    seq: u16,
    flying: Vec<(u32, u16, Bytes)>,
}

impl Client {
    /// Goes on over another connection: of what is under way some arrives, and none of it is acknowledged.
    fn resume(&mut self, room: &mut Room, (now, rng): (Micros, &mut Rng)) {
        for (_, seq, bytes) in std::mem::take(&mut self.flying) {
            if rng.chance(500) {
                // One that is too old is dropped whole.
                let _ = self.decoder.decode(&bytes);
            }
            room.on_lost(self.seat, seq);
        }
        room.on_resumed(now, self.seat);
        if let Some(snapshot) = room.encode_snapshot(self.seat, 900) {
            self.seq = self.seq.wrapping_add(1);
            room.snapshot_sent(self.seat, self.seq);
            self.flying.push((0, self.seq, snapshot));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever people do and networks lose: clients agree with the mirror whenever a snapshot tells all, spectators
    /// always do, and the journal gives the same hashes again.
    #[test]
    fn everyone_sees_the_same_match(seed: u64) {
        let mut rng: Rng = Seed(seed).rng();
        let (mut room, mut said) = (room(seed), Said::default());
        let mut clients: Vec<Client> = Vec::new();
        let mut view = ViewDecoder::new(Arc::clone(game().schema()));
        let mut last_hash = 0;
        for tick in 1..=200_u32 {
            let now = CLOCK.start_of(Tick(tick));
            if clients.len() < 4 && rng.chance(50) {
                let seat = join(&mut room, u128::from(tick));
                let decoder = SnapshotDecoder::new(Arc::clone(game().schema()));
                clients.push(Client { seat, decoder, seq: 0, flying: Vec::new() });
            }
            if !clients.is_empty() && rng.chance(20) {
                let gone = clients.swap_remove(rng.below(clients.len() as u64) as usize);
                room.push(now, RoomCommand::Leave { seat: gone.seat }).unwrap();
            }
            for client in &mut clients {
                if rng.chance(700) {
                    let steps: Vec<i8> = (0..5).map(|_| rng.below(5) as i8 - 2).collect();
                    room.handle_input(now, client.seat, &inputs(tick + rng.below(4) as u32, &steps));
                }
                if rng.chance(10) {
                    room.on_attached(now, client.seat);
                }
                if rng.chance(20) {
                    client.resume(&mut room, (now, &mut rng));
                }
            }
            last_hash = room.step(now).hash;
            said.drain(&mut room);
            for client in &mut clients {
                let Some(snapshot) = room.encode_snapshot(client.seat, 900) else { continue };
                client.seq = client.seq.wrapping_add(1);
                room.snapshot_sent(client.seat, client.seq);
                client.flying.push((tick + rng.below(6) as u32, client.seq, snapshot));
                let (due, wait): (Vec<_>, Vec<_>) = std::mem::take(&mut client.flying).into_iter().partition(|f| f.0 <= tick);
                client.flying = wait;
                for (_, seq, bytes) in due {
                    if rng.chance(200) {
                        room.on_lost(client.seat, seq);
                        continue;
                    }
                    // One that is too old is dropped whole and not acknowledged.
                    if client.decoder.decode(&bytes).is_ok() {
                        room.on_acked(client.seat, seq);
                    }
                }
            }
            for (keyframe, frame) in said.frames.drain(..) {
                view.decode(Tick(frame.tick), &frame.rows, keyframe).unwrap();
                let mirror = room.world.sim.mirror();
                let real: Vec<(u32, Row)> = mirror.order().iter().map(|s| (mirror.id(*s).0, mirror.row(*s))).collect();
                let seen: Vec<(u32, Row)> = view.entities().map(|(id, row)| (id.0, row.clone())).collect();
                prop_assert_eq!(&seen, &real);
            }
        }
        said.drain(&mut room);
        let report = replay(&game(), &said.journal).unwrap();
        prop_assert_eq!((report.first_difference, report.ticks), (None, room.tick().0));
        if said.results.is_empty() {
            prop_assert_eq!(report.hash, last_hash);
        }
    }
}

/// Each team has a plan; some pawns hide.
#[derive(Clone)]
struct Sides;

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
#[replica(seen_by = "team")]
struct Plan(u8);

#[derive(Clone, Component, Copy, Debug, PartialEq, Replicate)]
#[replica(seen_by = "owner")]
struct Hand(u8);

impl Plugin for Sides {
    fn build(&self, app: &mut App) {
        app.replicate::<Place>().replicate::<Plan>().replicate::<Hand>().input::<Step>();
        app.modes(&[Mode { name: "duel", teams: 2, team_size: 2, duration_s: 9 }]);
        app.add_systems(Begin, |mut commands: Commands<'_, '_>, seats: Res<'_, Seats>| {
            for (seat, _) in seats.iter() {
                commands.spawn((seat, Place { x: 0 }, Plan(0), Hand(seat.0)));
            }
            // For the second team alone.
            commands.spawn((Place { x: 9 }, VisibleTo(0b1100)));
        });
        app.add_systems(Simulate, |tick: Res<'_, SimTick>, mut pawns: Query<'_, '_, (&Seat, &mut Plan)>| {
            pawns.iter_mut().for_each(|(seat, mut plan)| plan.0 = tick.0.0 as u8 ^ seat.0);
        });
    }
}

#[test]
fn two_teams_keep_their_secrets() {
    let game = Game::new("sides", Sides);
    let config = RoomConfig {
        match_id: MatchId::from_bits(1),
        app: AppId::default(),
        mode: game.mode("duel").unwrap().at(60),
        seats: Vec::new(),
        tick_clock: CLOCK,
        seed: Seed(1),
    };
    let (mut room, mut said) = (Room::new(&game, config).unwrap(), Said::default());
    let mut decoders: Vec<SnapshotDecoder> = (0..4).map(|_| SnapshotDecoder::new(Arc::clone(game.schema()))).collect();
    let seats: Vec<u8> = (1..=4).map(|n| join(&mut room, n)).collect();
    let mut view = ViewDecoder::new(Arc::clone(game.schema()));
    for tick in 1..=60 {
        room.step(CLOCK.start_of(Tick(tick)));
        for (seat, decoder) in seats.iter().zip(&mut decoders) {
            decoder.decode(&room.encode_snapshot(*seat, 900).unwrap()).unwrap();
            room.snapshot_sent(*seat, tick as u16);
            room.on_acked(*seat, tick as u16);
            let mirror = room.world.sim.mirror();
            let may = mirror
                .order()
                .iter()
                .filter_map(|slot| Some((mirror.id(*slot), mirror.row_for(*slot, Some(Seat(*seat)))?)));
            let seen = decoder.entities().map(|(id, _, row)| (id, row.clone()));
            assert!(seen.eq(may), "seat {seat} in tick {tick}");
        }
        said.drain(&mut room);
        said.frames
            .drain(..)
            .for_each(|(keyframe, frame)| drop(view.decode(Tick(frame.tick), &frame.rows, keyframe).unwrap()));
    }
    let schema = game.schema();
    let shown = |rows: &mut dyn Iterator<Item = &Row>| {
        let masks: Vec<[bool; 2]> =
            rows.map(|row| ["Plan", "Hand"].map(|name| row.mask >> schema.component(name).unwrap() & 1 == 1)).collect();
        let count = |at: usize| masks.iter().filter(|mask| mask[at]).count();
        (masks.len(), count(0), count(1))
    };
    let seen = |n: usize| shown(&mut decoders[n].entities().map(|(_, _, row)| row));
    for (n, seat) in seats.iter().enumerate() {
        assert_eq!(seen(n), (if *seat < 2 { 4 } else { 5 }, 2, 1), "seat {seat}");
    }
    assert_eq!(shown(&mut view.entities().map(|(_, row)| row)), (4, 0, 0));
}
