//! Going away in order.

use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_session::Event;
use amphi_shared_wire::proto::{Control, CreateRoomReply, Drain, control};
use amphi_shared_wire::{Code, LANE_CONTROL, MatchId};
use prost::Message;

use crate::client::Client;
use crate::pipe::Transport;
use crate::world::{World, patient};

#[tokio::test]
async fn a_host_without_rooms_ends_at_once() {
    let mut world = World::start();
    world.shutdown.trigger();
    patient(world.host.wait()).await;
    world.hear(|heard| heard.reports.iter().find(|report| report.draining).map(drop)).await;
}

#[tokio::test]
async fn at_the_deadline_people_are_told_and_the_result_says_drained() {
    let mut world = World::start();
    let match_id = world.open().await;
    let token = world.token(match_id, 7);
    let (mut client, _) = Client::join(&world, Transport::Quic, token).await;
    let drain = Drain { deadline_ms: 0 };
    world.fleet().call::<_, CreateRoomReply>("/internal/v1/drain", &drain).await.unwrap();
    let notice = client
        .until(|event| match event {
            Event::Message { lane: LANE_CONTROL, payload } => Control::decode(payload).unwrap().kind,
            _ => None,
        })
        .await;
    assert!(matches!(notice, control::Kind::Notice(notice) if notice.code == Code::Draining.number()));
    client.closed().await;
    patient(world.host.wait()).await;
    let room = world.hear_room(match_id, |room| room.result.is_some()).await;
    assert_eq!(room.result.unwrap().outcome, "drained");
}

#[tokio::test]
async fn a_draining_host_finishes_its_matches_and_takes_no_more() {
    let mut world = World::start();
    world.create(MatchId::from_bits(5), "blink").await.unwrap();
    world.host.orphaned().await;
    let refused = world.create(MatchId::from_bits(6), "2v2").await.unwrap_err();
    assert!(matches!(refused, ServiceFailure::Refused { code: Code::Draining, .. }), "{refused}");
    patient(world.host.wait()).await;
    let room = world.hear_room(MatchId::from_bits(5), |room| room.result.is_some()).await;
    assert_eq!(room.result.unwrap().outcome, "finished");
}

#[tokio::test]
async fn a_host_takes_as_many_rooms_as_it_may() {
    let mut world = World::start();
    world.open().await;
    world.open().await;
    let refused = world.create(MatchId::from_bits(6), "2v2").await.unwrap_err();
    assert!(matches!(refused, ServiceFailure::Refused { code: Code::HostFull, .. }), "{refused}");
    world.shutdown.stop();
    patient(world.host.wait()).await;
}
