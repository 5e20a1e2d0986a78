//! Joining, coming back, and what the fleet and the live role hear of it.

use amphi_shared_auth::ConnectToken;
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::endpoint::to_hex;
use amphi_shared_replica::NetId;
use amphi_shared_session::{ConnectRequest, Event};
use amphi_shared_wire::proto::{RoomReport, ViewFrame, payload, room_message};
use amphi_shared_wire::{AppId, Code, MatchId, Micros, Tick, TokenId, UserId};
use prost::Message;

use crate::client::Client;
use crate::game::{CROWD, Count, Counted, Push};
use crate::pipe::Transport;
use crate::world::World;

/// Joins, moves, and sees itself move.
async fn check_join(transport: Transport) {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut client, joined) = Client::join(&world, transport, token).await;
    assert_eq!((joined.match_id, joined.mode.as_str(), joined.roster.len()), (match_id.to_string(), "2v2", 4));
    let mine = &joined.roster[joined.seat as usize];
    assert_eq!((mine.name.as_str(), mine.bot), ("player 7", false));
    let entity = NetId(joined.entity);
    loop {
        let snapshot = client.snapshot().await;
        client.push(snapshot.header.tick.plus(8), &[Push(3); 16]).await;
        let x = client.decoder.row(entity).map_or(0, |(_, row)| row.values.iter().copied().max().unwrap_or(0));
        if snapshot.header.applied.is_some() && x > 30 {
            break;
        }
    }
    let room = world.hear_room(match_id, |room| room.roster.iter().any(|seat| !seat.bot)).await;
    assert_eq!(room.state, "running");
    let journal = world.dir.path().join("rooms").join(match_id.to_string()).join("journal");
    assert!(std::fs::metadata(journal).unwrap().len() > 0);
}

#[tokio::test]
async fn a_player_joins_over_quic() {
    check_join(Transport::Quic).await;
}

#[tokio::test]
async fn a_player_joins_over_web_socket() {
    check_join(Transport::Ws).await;
}

/// Who joins a big world gets most of it on the bulk lane.
async fn check_crowd(transport: Transport) {
    let mut world = World::start();
    let match_id = world.open_mode("crowd").await;
    let token = world.token(match_id, 7);
    let (mut client, joined) = Client::join(&world, transport, token).await;
    let parts = client.whole_world(CROWD + joined.roster.len()).await;
    assert!(parts > 0);
    let place = |id| client.decoder.row(id).map(|(_, row)| row.values.clone());
    let places: Vec<_> = client.decoder.entities().filter_map(|(id, ..)| place(id)).collect();
    assert!((0..CROWD as i32).all(|n| places.contains(&vec![1_000 * n])));
    // Play goes on.
    while client.snapshot().await.header.applied.is_none() {
        client.push(client.decoder.tick().plus(8), &[Push(1); 16]).await;
    }
}

#[tokio::test]
async fn a_crowd_is_told_over_quic() {
    check_crowd(Transport::Quic).await;
}

#[tokio::test]
async fn a_crowd_is_told_over_web_socket() {
    check_crowd(Transport::Ws).await;
}

#[tokio::test]
async fn a_token_works_once() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut first, _) = Client::join(&world, Transport::Quic, token.clone()).await;
    // Its host has heard of it once an input was applied.
    loop {
        let snapshot = first.snapshot().await;
        if snapshot.header.applied.is_some() {
            break;
        }
        first.push(snapshot.header.tick.plus(8), &[Push(0); 16]).await;
    }
    let mut second = Client::hello(&world, Transport::Ws, token).await;
    assert_eq!(second.refused().await, Code::TokenUsed);
    first.snapshot().await;
}

#[tokio::test]
async fn a_client_that_never_read_its_welcome_tries_again_with_its_token() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let mut lost = Client::hello(&world, Transport::Ws, token.clone()).await;
    let people = |room: &RoomReport| room.roster.iter().filter(|seat| !seat.bot).count();
    world.hear_room(match_id, |room| people(room) == 1).await;
    let (mut client, _) = Client::join(&world, Transport::Quic, token).await;
    client.snapshot().await;
    assert_eq!(lost.closed().await, Code::GenerationStale);
    world.hear_room(match_id, |room| people(room) == 1).await;
}

#[tokio::test]
async fn wrong_tokens_are_refused() {
    let mut world = World::start();
    let match_id = world.open().await;
    let good = ConnectToken {
        id: TokenId::from_bits(1),
        match_id,
        user: UserId::from_bits(7),
        app: AppId::default(),
        name: "Ada".into(),
        team: None,
        trace: TokenId::from_bits(9).into(),
        expires: world.clock.now() + Micros::from_secs(60),
    };
    let check = async |token: ConnectToken, code: Code| {
        for transport in [Transport::Quic, Transport::Ws] {
            let mut client = Client::hello(&world, transport, world.mint(&token)).await;
            assert_eq!(client.refused().await, code);
        }
    };
    check(ConnectToken { match_id: MatchId::from_bits(5), ..good.clone() }, Code::TokenWrongMatch).await;
    check(ConnectToken { expires: world.clock.now() - Micros::from_secs(1), ..good.clone() }, Code::TokenExpired).await;
    check(ConnectToken { app: "shop".parse().unwrap(), ..good.clone() }, Code::TokenWrongApp).await;
    let request = ConnectRequest { token: world.mint(&good), game: "chess".into(), ..Default::default() };
    let mut client = Client::with(&world, Transport::Quic, request).await;
    assert_eq!(client.refused().await, Code::SchemaUnsupported);
}

#[tokio::test]
async fn a_full_match_says_so_and_keeps_the_token() {
    let mut world = World::start();
    let match_id = world.open().await;
    let mut players = Vec::new();
    for user in 0..4 {
        let token = world.token(match_id, user);
        players.push(Client::join(&world, Transport::Quic, token).await);
    }
    let mut seats: Vec<u32> = players.iter().map(|(_, joined)| joined.seat).collect();
    seats.sort_unstable();
    assert_eq!(seats, [0, 1, 2, 3]);
    let token = world.token(match_id, 9);
    let mut late = Client::hello(&world, Transport::Quic, token.clone()).await;
    assert_eq!(late.refused().await, Code::MatchFull);
    let (mut leaving, left) = players.pop().unwrap();
    leaving.session.close(world.clock.now(), Code::Bye, "");
    leaving.closed().await;
    world.hear_room(match_id, |room| room.roster.iter().filter(|seat| seat.bot).count() == 1).await;
    let (_, joined) = Client::join(&world, Transport::Quic, token).await;
    assert_eq!(joined.seat, left.seat);
}

/// Is cut off, misses a message, and comes back.
async fn check_resume(from: Transport, to: Transport) {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut client, joined) = Client::join(&world, from, token).await;
    client.snapshot().await;
    client.cut().await;
    let token = world.token(match_id, 8);
    let (_other, _) = Client::join(&world, Transport::Quic, token).await;
    client.dial(&world, to).await;
    let resumed = client
        .until(|event| match event {
            Event::Attached { resumed, .. } => Some(resumed),
            other => {
                assert!(!matches!(other, Event::LaneLost { .. }), "{other:?}");
                None
            }
        })
        .await;
    assert!(resumed);
    loop {
        let message = client.room_message().await;
        assert!(!matches!(message, room_message::Kind::Joined(_)), "it was greeted before: {message:?}");
        if let room_message::Kind::Roster(roster) = message {
            let names: Vec<_> = roster.roster.iter().map(|seat| seat.name.as_str()).collect();
            assert_eq!(names[joined.seat as usize], "player 7");
            if names.contains(&"player 8") {
                break;
            }
        }
    }
    assert!(!client.snapshot().await.restarted, "snapshots build on what the client has");
}

#[tokio::test]
async fn a_player_comes_back_over_quic_and_misses_nothing() {
    check_resume(Transport::Quic, Transport::Quic).await;
}

#[tokio::test]
async fn a_player_comes_back_over_another_transport() {
    check_resume(Transport::Quic, Transport::Ws).await;
    check_resume(Transport::Ws, Transport::Quic).await;
}

/// Asks, loses its connections before it hears anything, asks on, and comes back.
async fn check_requests(from: Transport, to: Transport) {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut client, _) = Client::join(&world, from, token).await;
    for id in 1..=8 {
        client.ask(id, Count { add: 1 }).await;
    }
    client.cut().await;
    for id in 9..=16 {
        client.ask(id, Count { add: 1 }).await;
    }
    client.dial(&world, to).await;
    for id in 1..=16 {
        assert_eq!(client.answer().await, (id, 0, Some(Counted { sum: id })));
    }
}

#[tokio::test]
async fn requests_are_counted_and_answered_once_over_a_cut() {
    check_requests(Transport::Quic, Transport::Quic).await;
    check_requests(Transport::Quic, Transport::Ws).await;
    check_requests(Transport::Ws, Transport::Quic).await;
}

#[tokio::test]
async fn a_page_that_was_reloaded_is_told_everything_again() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut client, joined) = Client::join(&world, Transport::Ws, token).await;
    client.snapshot().await;
    let resume = client.session.saved();
    client.cut().await;
    let request = ConnectRequest {
        game: world.game.name().into(),
        schema_hash: world.game.schema().hash(),
        resume,
        ..Default::default()
    };
    let mut reloaded = Client::with(&world, Transport::Ws, request).await;
    assert_eq!(reloaded.joined().await.seat, joined.seat);
    reloaded.snapshot().await;
}

#[tokio::test]
async fn joining_again_takes_over_the_own_seat() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut first, joined) = Client::join(&world, Transport::Quic, token).await;
    let token = world.token(match_id, 7);
    let (mut second, again) = Client::join(&world, Transport::Quic, token).await;
    assert_eq!(again.seat, joined.seat);
    assert_eq!(first.closed().await, Code::GenerationStale);
    let tick = second.snapshot().await.header.tick;
    second.push(Tick(tick.0 + 8), &[Push(1)]).await;
    second.snapshot().await;
    world.hear_room(match_id, |room| room.roster.iter().filter(|seat| !seat.bot).count() == 1).await;
}

#[tokio::test]
async fn a_match_ends_with_a_result_that_is_repeated_until_it_is_heard() {
    let world = World::start();
    world.heard.lock().unwrap().fleet_down = true;
    let match_id = MatchId::from_bits(77);
    let created = world.create(match_id, "blink").await.unwrap();
    assert_eq!(world.create(match_id, "blink").await.unwrap(), created, "the same request gets the same answer");
    let result = world
        .hear(|heard| {
            let frames = heard.views.iter().filter_map(|view| match view.payload.as_ref()?.kind.as_ref()? {
                payload::Kind::Binary(bytes) => ViewFrame::decode(bytes.clone()).ok(),
                payload::Kind::Json(_) | payload::Kind::Text(_) => None,
            });
            frames.filter_map(|frame| frame.result).next()
        })
        .await;
    assert_eq!((result.outcome.as_str(), result.match_id), ("finished", match_id.to_string()));
    {
        let mut heard = world.heard.lock().unwrap();
        assert!(heard.views[0].flags == 1 && heard.views[0].topic == format!("match:{match_id}:view:0"));
        heard.fleet_down = false;
    }
    let room = world.hear_room(match_id, |room| room.result.is_some()).await;
    assert_eq!(room.state, "ended");
    let heard = world.heard.lock().unwrap().reports.len();
    world.hear(|now| now.reports.get(heard..)?.iter().find(|report| report.rooms.is_empty()).map(drop)).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_told_to_the_fleet_and_sessions_stay() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut client, _) = Client::join(&world, Transport::Quic, token).await;
    let first = world.host.ready().endpoints[0].cert_sha256.clone();
    let next = Certificate::generate(world.clock.now()).unwrap();
    world.host.renew((&next).into()).await;
    let told = world
        .hear(|heard| {
            let hashes = &heard.reports.last()?.endpoints.first()?.cert_sha256;
            (hashes.len() == 2).then(|| hashes.clone())
        })
        .await;
    assert_eq!(told[0].as_ref(), next.sha256());
    assert_eq!(to_hex(&told[1]), first[0]);
    client.snapshot().await;
}
