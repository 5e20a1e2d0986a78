//! Hostile clients: the others play on.

use amphi_shared_edge::Refused;
use amphi_shared_wire::{Code, LANE_INPUT, Tick};

use crate::client::Client;
use crate::game::Push;
use crate::pipe::Transport;
use crate::world::World;

/// Plays on for this many ticks, each of which must be run.
async fn check_ticks(client: &mut Client, ticks: u32) {
    let first = client.snapshot().await.header.tick;
    let mut last = first;
    while last < first.plus(ticks) {
        last = client.snapshot().await.header.tick;
    }
}

#[tokio::test]
async fn a_flood_of_inputs_does_not_delay_the_others() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 1);
    let (mut good, _) = Client::join(&world, Transport::Quic, token).await;
    let token = world.token(match_id, 2);
    let (mut bad, _) = Client::join(&world, Transport::Ws, token).await;
    let start = bad.snapshot().await.header.tick;
    for i in 0..10_000 {
        bad.push(Tick(start.0.wrapping_add(i)), &[Push(100); 32]).await;
    }
    check_ticks(&mut good, 120).await;
    // A flood is dropped at the door; what passes is within the rate. The flooder itself stays.
    let token = world.token(match_id, 3);
    let (mut quic, _) = Client::join(&world, Transport::Quic, token).await;
    let floods = (0..1_000_000).take_while(|_| world.host.counters().refused(Refused::Datagrams) == 0);
    for i in floods {
        quic.push(Tick(start.0.wrapping_add(i)), &[Push(100); 32]).await;
        if i % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(world.host.counters().refused(Refused::Datagrams) > 0);
    check_ticks(&mut good, 120).await;
}

#[tokio::test]
async fn rubbish_inputs_are_ignored() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 1);
    let (mut client, _) = Client::join(&world, Transport::Quic, token).await;
    for payload in [&[][..], &[0xff; 40], &[0; 900]] {
        let _ = client.session.send_datagram(world.clock.now(), LANE_INPUT, payload.to_vec().into());
        check_ticks(&mut client, 4).await;
    }
    client.push(Tick(u32::MAX), &[Push(1); 32]).await;
    client.push(Tick(0), &[Push(1); 32]).await;
    check_ticks(&mut client, 30).await;
}

#[tokio::test]
async fn a_client_that_never_reads_stalls_nobody() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 1);
    let (mut good, _) = Client::join(&world, Transport::Quic, token).await;
    for (user, transport) in [(2, Transport::Ws), (3, Transport::Quic)] {
        let token = world.token(match_id, user);
        // It says Hello and never looks at what comes.
        std::mem::forget(Client::hello(&world, transport, token).await);
    }
    check_ticks(&mut good, 240).await;
}

#[tokio::test]
async fn a_fault_in_a_game_ends_its_room_and_no_other() {
    let mut world = World::start();
    let (faulty, healthy) = (world.open().await, world.open().await);
    let token = world.token(healthy, 1);
    let (mut good, _) = Client::join(&world, Transport::Quic, token).await;
    let token = world.token(faulty, 2);
    let (mut bad, _) = Client::join(&world, Transport::Quic, token).await;
    let tick = bad.snapshot().await.header.tick;
    bad.push(tick.plus(20), &[Push(i8::MIN); 20]).await;
    assert_eq!(bad.closed().await, Code::Internal);
    let room = world.hear_room(faulty, |room| room.result.is_some()).await;
    assert_eq!(room.result.unwrap().outcome, "lost");
    check_ticks(&mut good, 60).await;
}
