//! What hostile clients get: a numbered code where a reply is possible, a count, and never a stall for the others.

use amphi_shared_edge::Refused;
use amphi_shared_edge::session::{Overflow, PipeEventKind, PipeHandle, PipeId};
use amphi_shared_wire::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, MESSAGES_BURST_MAX};
use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{Code, Seed, encode_varint};
use bytes::Bytes;
use futures_util::SinkExt;
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{LaneClient, Quic, Ws, connect, hello, refusal};
use crate::server::Server;

/// A good client that still gets answers.
async fn check_others(server: &mut Server) {
    let mut good = Ws::greeted(server.addr()).await;
    let (pipe, handle) = server.accept().await;
    good.write(2, b"still there?").await;
    assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"still there?")));
    handle.frame(2, Bytes::from_static(b"yes")).unwrap();
    assert_eq!(good.read().await, (2, Bytes::from_static(b"yes")));
}

async fn quic_session(server: &mut Server) -> (Quic, LaneClient, PipeId, PipeHandle) {
    let client = Quic::native(server.addr()).await;
    let mut control = client.lane(0).await;
    control.write(&hello()).await;
    let (pipe, handle) = server.accept().await;
    (client, control, pipe, handle)
}

/// Says `first` over QUIC and over WebSocket and expects a refusal.
async fn check_refused(first: &[u8], code: Code, kind: Refused) {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    let mut control = client.lane(0).await;
    control.write(first).await;
    assert_eq!(refusal(&control.read().await), code.number());
    assert_eq!(client.closed().await, code.number());
    let mut ws = Ws::open(server.addr(), "amphi.v1", None).await.unwrap();
    ws.write(0, first).await;
    assert_eq!(refusal(&ws.read().await.1), code.number());
    assert_eq!(u32::from(ws.closed().await), 4_000 + code.number());
    assert_eq!(server.counters().refused(kind), 2);
    check_others(&mut server).await;
}

#[tokio::test]
async fn random_bytes_on_the_udp_port_are_counted() {
    let mut server = Server::start();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut rng = Seed(4).rng();
    for length in 1..200 {
        let mut noise: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
        noise[0] &= if length % 2 == 0 { 0xff } else { !0x40 };
        socket.send_to(&noise, server.addr()).await.unwrap();
    }
    server.refused(Refused::UdpNoise).await;
    check_others(&mut server).await;
    let _ = quic_session(&mut server).await;
}

#[tokio::test]
async fn a_wrong_alpn_is_refused() {
    let mut server = Server::start();
    for alpn in [&[b"http/0.9".as_slice()][..], &[]] {
        let (_endpoint, connection) = connect(server.addr(), alpn).await;
        assert!(connection.is_err());
    }
    server.refused(Refused::Alpn).await;
    check_others(&mut server).await;
}

#[tokio::test]
async fn an_unknown_protocol_version_is_refused() {
    let hello = proto::Hello { protocol_min: 98, protocol_max: 99, ..Default::default() };
    let link = proto::Link { kind: Some(link::Kind::Hello(hello)) };
    let first = [&[0], link.encode_to_vec().as_slice()].concat();
    check_refused(&first, Code::ProtocolUnsupported, Refused::Protocol).await;
    let server = Server::start();
    assert!(Ws::open(server.addr(), "amphi.v9", None).await.is_err());
    assert_eq!(server.counters().refused(Refused::Protocol), 1);
}

#[tokio::test]
async fn a_first_message_that_is_no_hello_is_refused() {
    check_refused(&[0, 0xff, 0xff, 0xff], Code::HandshakeInvalid, Refused::Hello).await;
    check_refused(b"GET / HTTP/1.1", Code::HandshakeInvalid, Refused::Hello).await;
    check_refused(b"", Code::HandshakeInvalid, Refused::Hello).await;
}

#[tokio::test]
async fn a_hello_that_is_too_long_is_refused() {
    check_refused(&vec![0; HELLO_BYTES_MAX + 1], Code::FrameTooLarge, Refused::Oversize).await;
}

#[tokio::test]
async fn the_first_message_must_be_on_lane_0() {
    let server = Server::start();
    let client = Quic::native(server.addr()).await;
    client.lane(9).await.write(&hello()).await;
    assert_eq!(client.closed().await, Code::LaneInvalid.number());
    let mut ws = Ws::open(server.addr(), "amphi.v1", None).await.unwrap();
    ws.write(2, &hello()).await;
    assert_eq!(ws.closed().await, 4_103);
}

#[tokio::test]
async fn an_oversized_frame_closes_the_connection() {
    let mut server = Server::start();
    let (client, mut control, pipe, _handle) = quic_session(&mut server).await;
    let mut header = Vec::new();
    encode_varint(FRAME_BYTES_MAX as u64 + 1, &mut header);
    control.send.write_all(&header).await.unwrap();
    assert_eq!(server.closed(pipe).await, Some(Code::FrameTooLarge));
    assert_eq!(client.closed().await, Code::FrameTooLarge.number());
    let mut ws = Ws::greeted(server.addr()).await;
    let (pipe, _handle) = server.accept().await;
    // The server may close before all of it is written.
    let _ = ws.socket.send(Message::Binary(vec![2; 1_000_000].into())).await;
    assert_eq!(server.closed(pipe).await, Some(Code::FrameTooLarge));
    assert_eq!(server.counters().refused(Refused::Oversize), 2);
    check_others(&mut server).await;
}

#[tokio::test]
async fn lanes_that_do_not_exist_close_the_connection() {
    let mut server = Server::start();
    let (client, _control, pipe, _handle) = quic_session(&mut server).await;
    let _lane = client.lane(40).await;
    assert_eq!(server.closed(pipe).await, Some(Code::LaneInvalid));
    let (client, _control, pipe, _handle) = quic_session(&mut server).await;
    let _twice = client.lane(0).await;
    assert_eq!(server.closed(pipe).await, Some(Code::LaneInvalid));
    let mut ws = Ws::greeted(server.addr()).await;
    let (pipe, _handle) = server.accept().await;
    ws.write(40, b"").await;
    assert_eq!(server.closed(pipe).await, Some(Code::LaneInvalid));
    assert_eq!(ws.closed().await, 4_108);
    let mut ws = Ws::greeted(server.addr()).await;
    let (pipe, _handle) = server.accept().await;
    ws.socket.send(Message::Text("{}".into())).await.unwrap();
    assert_eq!(server.closed(pipe).await, Some(Code::FrameInvalid));
    assert_eq!(server.counters().refused(Refused::Frame), 4);
}

#[tokio::test]
async fn ten_thousand_messages_per_second_close_the_connection() {
    let mut server = Server::start();
    let mut ws = Ws::greeted(server.addr()).await;
    let (pipe, _handle) = server.accept().await;
    for _ in 0..10_000 {
        if ws.socket.feed(Message::Binary(vec![2].into())).await.is_err() {
            break;
        }
    }
    let _ = ws.socket.flush().await;
    let mut frames = 0;
    let code = loop {
        match server.event(pipe).await {
            PipeEventKind::Frame { .. } => frames += 1,
            PipeEventKind::Datagram(_) | PipeEventKind::Confirmed => panic!("nobody sent one"),
            PipeEventKind::Closed(code) => break code,
        }
    };
    assert_eq!(code, Some(Code::RateLimited));
    assert!((MESSAGES_BURST_MAX..10_000).contains(&frames), "{frames}");
    check_others(&mut server).await;
}

#[tokio::test]
async fn ten_thousand_datagrams_per_second_are_dropped() {
    let mut server = Server::start();
    let mut ws = Ws::greeted(server.addr()).await;
    let (pipe, _handle) = server.accept().await;
    for _ in 0..10_000 {
        ws.socket.feed(Message::Binary(vec![63, 1].into())).await.unwrap();
    }
    ws.write(2, b"end").await;
    let mut datagrams = 0;
    loop {
        match server.event(pipe).await {
            PipeEventKind::Datagram(_) => datagrams += 1,
            PipeEventKind::Frame { .. } => break,
            other @ (PipeEventKind::Closed(_) | PipeEventKind::Confirmed) => panic!("expected datagrams: {other:?}"),
        }
    }
    assert_eq!(datagrams + server.counters().refused(Refused::Datagrams), 10_000);
    assert!(server.counters().refused(Refused::Datagrams) > 0);
    check_others(&mut server).await;
}

/// Fills the queue towards a client that never reads.
async fn check_slow_reader(server: &mut Server, pipe: PipeId, handle: PipeHandle) {
    let megabyte = Bytes::from(vec![0; 64_000]);
    let overflow = loop {
        if let Err(overflow) = handle.frame(2, megabyte.clone()) {
            break overflow;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(overflow, Overflow);
    handle.close(Code::SlowReader, "");
    check_others(server).await;
    assert_eq!(server.closed(pipe).await, Some(Code::SlowReader));
}

#[tokio::test]
async fn a_client_that_never_reads_stalls_nobody() {
    let mut server = Server::start();
    let (client, _control, pipe, handle) = quic_session(&mut server).await;
    let _room = client.lane(2).await;
    check_slow_reader(&mut server, pipe, handle).await;
    let _ws = Ws::greeted(server.addr()).await;
    let (pipe, handle) = server.accept().await;
    check_slow_reader(&mut server, pipe, handle).await;
    assert_eq!(server.counters().refused(Refused::SlowReader), 2);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    let mut ws = Ws::open(server.addr(), "amphi.v1", None).await.unwrap();
    assert_eq!(client.closed().await, Code::HandshakeTimeout.number());
    assert_eq!(refusal(&ws.read().await.1), Code::HandshakeTimeout.number());
    assert_eq!(ws.closed().await, 4_104);
    assert_eq!(server.counters().refused(Refused::HandshakeTimeout), 2);
    check_others(&mut server).await;
}
