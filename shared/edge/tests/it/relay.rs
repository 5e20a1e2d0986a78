//! A connection that is carried on to another service.

use amphi_shared_edge::dial::Dialer;
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::relay::{Leg, carry};
use amphi_shared_edge::session::{PipeEventKind, PipeKind, Refusal};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, FRAME_BYTES_MAX};
use amphi_shared_wire::{Code, LANE_CONTROL, LANE_DATAGRAM, LANE_PIPE, LANE_ROOM};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::client::{Quic, Ws, hello, refusal};
use crate::server::{Server, patient};

/// A client at `front`, which carries it on to `service`.
async fn carried(front: &mut Server, service: &Server) -> (Ws, JoinHandle<Code>) {
    let client = Ws::greeted(front.addr()).await;
    let incoming = patient(front.listening.incoming.recv()).await.unwrap();
    let endpoint = Endpoint::from(&service.listening.endpoints("127.0.0.1", "")[0]);
    let dialer = Dialer::new(front.clock).unwrap();
    let leg = Leg::dial(&dialer, &endpoint).await.unwrap();
    let relay = tokio::spawn(async move {
        let _dialer = dialer;
        carry(incoming, leg, std::future::pending()).await
    });
    (client, relay)
}

#[tokio::test]
async fn messages_and_datagrams_pass_unread_until_the_service_closes() {
    let (mut front, mut service) = (Server::start(), Server::start());
    let (mut client, relay) = carried(&mut front, &service).await;
    let incoming = patient(service.listening.incoming.recv()).await.unwrap();
    assert_eq!((incoming.kind, incoming.max_datagram), (PipeKind::Ordered, DATAGRAM_BYTES_NATIVE_MAX));
    assert_eq!(incoming.first, hello());
    let (pipe, handle) = service.take(incoming);
    let largest = vec![7; FRAME_BYTES_MAX];
    for round in 0..200_u8 {
        client.write(LANE_ROOM, &[round]).await;
        client.write(LANE_DATAGRAM, &[round, round]).await;
        assert_eq!(service.frame(pipe).await, (LANE_ROOM, Bytes::copy_from_slice(&[round])));
        assert_eq!(service.event(pipe).await, PipeEventKind::Datagram(Bytes::copy_from_slice(&[round, round])));
        handle.datagram(Bytes::copy_from_slice(&[round]));
        handle.frame(LANE_CONTROL, Bytes::copy_from_slice(&[round])).unwrap();
        assert_eq!(client.read().await, (LANE_DATAGRAM, Bytes::copy_from_slice(&[round])));
        assert_eq!(client.read().await, (LANE_CONTROL, Bytes::copy_from_slice(&[round])));
    }
    client.write(LANE_ROOM, &largest).await;
    assert_eq!(service.frame(pipe).await.1.len(), FRAME_BYTES_MAX);
    handle.frame(LANE_ROOM, largest.into()).unwrap();
    assert_eq!(client.read().await.1.len(), FRAME_BYTES_MAX);
    handle.frame(LANE_ROOM, Bytes::from_static(b"last words")).unwrap();
    handle.close(Code::MatchEnded, "over");
    assert_eq!(client.read().await, (LANE_ROOM, Bytes::from_static(b"last words")));
    assert_eq!(client.closed().await, 4_000 + Code::MatchEnded.number() as u16);
    assert_eq!(patient(relay).await.unwrap(), Code::MatchEnded);
    assert_eq!(service.closed(pipe).await, Some(Code::MatchEnded));
}

#[tokio::test]
async fn the_service_hears_how_the_client_ended_and_the_client_why_it_was_refused() {
    let (mut front, mut service) = (Server::start(), Server::start());
    let (client, relay) = carried(&mut front, &service).await;
    let (pipe, _handle) = service.accept().await;
    drop(client);
    assert_eq!(service.closed(pipe).await, Some(Code::Silent));
    assert_eq!(patient(relay).await.unwrap(), Code::Silent);

    let (mut client, relay) = carried(&mut front, &service).await;
    let incoming = patient(service.listening.incoming.recv()).await.unwrap();
    incoming.refuse(Refusal::new(Code::TokenUsed, "again"));
    assert_eq!(refusal(&client.read().await.1), Code::TokenUsed.number());
    assert_eq!(client.closed().await, 4_000 + Code::TokenUsed.number() as u16);
    assert_eq!(patient(relay).await.unwrap(), Code::TokenUsed);
}

#[tokio::test]
async fn each_side_waits_for_the_other() {
    const MESSAGES: usize = 400;
    let (mut front, mut service) = (Server::start(), Server::start());
    let (mut client, _relay) = carried(&mut front, &service).await;
    let (pipe, handle) = service.accept().await;
    // Many times what all queues between them hold.
    let sent = async {
        for n in 0..MESSAGES {
            while !handle.has_room() {
                tokio::task::yield_now().await;
            }
            handle.frame(LANE_ROOM, vec![n as u8; 32 * 1_024].into()).unwrap();
        }
    };
    let read = async {
        for n in 0..MESSAGES {
            let (lane, payload) = client.read().await;
            assert_eq!((lane, payload.len(), payload[0]), (LANE_ROOM, 32 * 1_024, n as u8));
        }
    };
    patient(async { tokio::join!(sent, read) }).await;
    drop(client);
    assert_eq!(service.closed(pipe).await, Some(Code::Silent));
}

#[tokio::test]
async fn an_ordered_pipe_is_alone_on_its_connection() {
    let server = Server::start();
    for lanes in [[0, LANE_PIPE], [LANE_PIPE, 0], [LANE_PIPE, LANE_PIPE]] {
        let client = Quic::native(server.addr()).await;
        let mut streams = Vec::new();
        for lane in lanes {
            streams.push(client.lane(lane).await);
        }
        assert_eq!(client.closed().await, Code::LaneInvalid.number());
    }
}
