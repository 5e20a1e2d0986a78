//! What good clients get.

use std::time::Duration;

use amphi_shared_edge::dial::{DialError, Dialer};
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::session::{Broadcast, PipeEventKind, PipeId, Refusal, Transport};
use amphi_shared_edge::{Origins, Refused};
use amphi_shared_wire::limits::DATAGRAM_BYTES_BROWSER_MAX;
use amphi_shared_wire::{Code, Micros, encode_stream_message};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::client::{Quic, Ws, hello, pong, probe, refusal};
use crate::server::{Server, patient};

async fn check_streams(server: &mut Server, client: Quic, transport: Transport) {
    let mut control = client.lane(0).await;
    control.write(&hello()).await;
    let (pipe, handle) = server.accept().await;
    // The server may speak on a lane before the client has opened it.
    handle.frame(2, Bytes::from_static(b"early")).unwrap();
    handle.frame(0, Bytes::from_static(b"welcome")).unwrap();
    assert_eq!(control.read().await, "welcome");
    let mut room = client.lane(2).await;
    room.write(b"").await;
    room.write(b"hello room").await;
    assert_eq!(room.read().await, "early");
    assert_eq!(server.frame(pipe).await, (2, Bytes::new()));
    assert_eq!((server.counters().accepted(transport), server.counters().open(transport)), (1, 1));
    assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"hello room")));
    let limit = if transport == Transport::Quic { 1_500 } else { DATAGRAM_BYTES_BROWSER_MAX };
    assert!((500..=limit).contains(&handle.max_datagram()), "{}", handle.max_datagram());
    client.session.send_datagram(Bytes::from_static(b"up")).unwrap();
    assert_eq!(server.event(pipe).await, PipeEventKind::Datagram(Bytes::from_static(b"up")));
    handle.datagram(Bytes::from_static(b"down"));
    assert_eq!(patient(client.session.read_datagram()).await.unwrap(), "down");
    // What is queued before a close still arrives.
    handle.frame(2, Bytes::from_static(b"last words")).unwrap();
    handle.close(Code::Draining, "going away");
    assert_eq!(room.read().await, "last words");
    assert_eq!(client.closed().await, Code::Draining.number());
    assert_eq!(server.closed(pipe).await, Some(Code::Draining));
}

#[tokio::test]
async fn quic_carries_lanes_and_datagrams() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    check_streams(&mut server, client, Transport::Quic).await;
}

#[tokio::test]
async fn web_transport_carries_lanes_and_datagrams() {
    let mut server = Server::start();
    assert!(Quic::web_transport(server.addr(), "/elsewhere").await.is_err());
    let client = Quic::web_transport(server.addr(), "/session").await.unwrap();
    check_streams(&mut server, client, Transport::WebTransport).await;
}

#[tokio::test]
async fn web_socket_carries_lanes_and_datagrams() {
    let mut server = Server::start();
    let mut client = Ws::greeted(server.addr()).await;
    let (pipe, handle) = server.accept().await;
    handle.frame(0, Bytes::from_static(b"welcome")).unwrap();
    handle.datagram(Bytes::from_static(b"down"));
    assert_eq!(client.read().await, (0, Bytes::from_static(b"welcome")));
    assert_eq!(client.read().await, (63, Bytes::from_static(b"down")));
    client.write(2, b"hello room").await;
    client.write(63, b"up").await;
    assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"hello room")));
    assert_eq!(server.event(pipe).await, PipeEventKind::Datagram(Bytes::from_static(b"up")));
    handle.frame(2, Bytes::from_static(b"last words")).unwrap();
    drop(handle);
    assert_eq!(client.read().await, (2, Bytes::from_static(b"last words")));
    assert_eq!(client.closed().await, 4_100);
    assert_eq!(server.closed(pipe).await, Some(Code::Bye));
    assert_eq!(server.counters().open(Transport::WebSocket), 0);
}

#[tokio::test]
async fn clock_probes_of_a_resting_session_do_not_reach_its_owner() {
    let mut server = Server::start();
    let mut client = Ws::greeted(server.addr()).await;
    let (pipe, handle) = server.accept_resting().await;
    assert_eq!(handle.heard(), Micros(0));
    for t0_us in 1..=3 {
        let before = server.clock.now();
        client.write(0, &probe(t0_us)).await;
        let (lane, answer) = client.read().await;
        let after = server.clock.now();
        let pong = pong(&answer);
        assert_eq!((lane, pong.t0_us, pong.tick0_us), (0, t0_us, 0));
        assert!(before <= Micros(pong.t1_us) && pong.t1_us <= pong.t2_us && Micros(pong.t2_us) <= after);
        assert!(before <= handle.heard() && handle.heard() <= after);
    }
    // Everything else does, on that lane too.
    client.write(0, b"\x01control").await;
    assert_eq!(server.frame(pipe).await, (0, Bytes::from_static(b"\x01control")));

    let mut other = Ws::greeted(server.addr()).await;
    let (pipe, handle) = server.accept().await;
    other.write(0, &probe(1)).await;
    assert_eq!(server.frame(pipe).await, (0, probe(1)));
    assert_eq!(handle.heard(), Micros(0));
}

#[tokio::test]
async fn nor_do_those_that_come_over_quic_or_web_transport() {
    let mut server = Server::start();
    let web = Quic::web_transport(server.addr(), "/session").await.unwrap();
    for client in [Quic::native(server.addr()).await, web] {
        let mut control = client.lane(0).await;
        control.write(&hello()).await;
        let (pipe, handle) = server.accept_resting().await;
        let before = server.clock.now();
        for t0_us in 1..=3 {
            control.write(&probe(t0_us)).await;
            assert_eq!(pong(&control.read().await).t0_us, t0_us);
        }
        assert!(before <= handle.heard() && handle.heard() <= server.clock.now());
        control.write(b"\x01control").await;
        assert_eq!(server.frame(pipe).await, (0, Bytes::from_static(b"\x01control")));
        // An answer is nobody's message: it does not count as one of the owner's that has left.
        assert_eq!(handle.queued_bytes(), 0);
        let mut probes = Vec::new();
        (0..10_000).for_each(|_| encode_stream_message(&probe(1), &mut probes));
        // The server may close before all of it is written.
        let _ = control.send.write_all(&probes).await;
        assert_eq!(server.closed(pipe).await, Some(Code::RateLimited));
    }
}

#[tokio::test]
async fn a_stock_web_socket_carries_text() {
    let mut server = Server::start();
    for (query, protocol, bearer) in [
        ("?token=abc&app=demo", None, None),
        ("?app=demo", None, Some("abc")),
        ("?token=abc&app=demo", Some("amphi.v1+json"), None),
    ] {
        let mut client = Ws::stock(server.addr(), query, protocol, bearer).await.unwrap();
        let incoming = patient(server.listening.incoming.recv()).await.unwrap();
        assert_eq!((incoming.transport, incoming.max_datagram), (Transport::WebSocketJson, 0));
        assert_eq!((incoming.hello.token.as_str(), incoming.hello.app.as_str()), ("abc", "demo"));
        let (pipe, handle) = server.take(incoming);
        handle.frame(0, Bytes::from_static(b"no lane for it")).unwrap();
        handle.frame(1, Bytes::from_static(b"{\"down\":1}")).unwrap();
        assert_eq!(client.read_text().await, "{\"down\":1}");
        client.write_text("{\"up\":1}").await;
        assert_eq!(server.frame(pipe).await, (1, Bytes::from_static(b"{\"up\":1}")));
        client.write(1, b"binary").await;
        assert_eq!(server.closed(pipe).await, Some(Code::FrameInvalid));
        assert_eq!(client.closed().await, 4_105);
    }
    let mut refused = Ws::stock(server.addr(), "", Some("amphi.v1+json"), None).await.unwrap();
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    assert_eq!(incoming.hello.token, "");
    incoming.refuse(Refusal::from(Code::TokenMissing));
    assert_eq!(refused.closed().await, 4_200);
    assert!(Ws::stock(server.addr(), "", None, None).await.is_err());
    assert!(Ws::stock(server.addr(), "?token=abc", Some("chat"), None).await.is_err());
    assert_eq!(server.counters().refused(Refused::Protocol), 2);
}

#[tokio::test]
async fn a_broadcast_reaches_everyone_in_order() {
    let mut server = Server::start();
    let (mut clients, mut handles) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        clients.push(Ws::greeted(server.addr()).await);
        handles.push(server.accept().await.1);
    }
    let payload = Bytes::from(vec![7; 3_000]);
    handles[1].frame(1, Bytes::from_static(b"before")).unwrap();
    let mut broadcast = Broadcast::new(1, [payload.clone(), Bytes::from_static(b"second")]);
    for handle in &handles {
        broadcast.add(handle).unwrap();
    }
    assert_eq!(handles[0].queued_bytes(), 3_006);
    broadcast.send();
    handles[1].frame(1, Bytes::from_static(b"after")).unwrap();
    assert_eq!(clients[1].read().await, (1, Bytes::from_static(b"before")));
    for client in &mut clients {
        assert_eq!(client.read().await, (1, payload.clone()));
        assert_eq!(client.read().await, (1, Bytes::from_static(b"second")));
    }
    assert_eq!(clients[1].read().await, (1, Bytes::from_static(b"after")));
}

#[tokio::test]
async fn streams_may_overtake_the_hello() {
    let mut server = Server::start();
    let client = Quic::web_transport(server.addr(), "/session").await.unwrap();
    let mut room = client.lane(2).await;
    room.write(b"early").await;
    client.lane(0).await.write(&hello()).await;
    let (pipe, handle) = server.accept().await;
    assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"early")));
    handle.frame(2, Bytes::from_static(b"heard")).unwrap();
    assert_eq!(room.read().await, "heard");
}

#[tokio::test]
async fn a_client_that_leaves_says_why() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    client.lane(0).await.write(&hello()).await;
    let (pipe, _handle) = server.accept().await;
    client.session.close(Code::Bye.number(), b"");
    assert_eq!(server.closed(pipe).await, Some(Code::Bye));
}

#[tokio::test]
async fn the_node_may_refuse() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    let mut control = client.lane(0).await;
    control.write(&hello()).await;
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    assert_eq!(incoming.hello.token, "t");
    incoming.refuse(Refusal::from(Code::TokenExpired));
    assert_eq!(refusal(&control.read().await), Code::TokenExpired.number());
    assert_eq!(client.closed().await, Code::TokenExpired.number());
    assert_eq!(server.counters().refused(Refused::ByNode), 1);
    // A connection that the node forgets is refused as well.
    let mut ws = Ws::greeted(server.addr()).await;
    drop(patient(server.listening.incoming.recv()).await.unwrap());
    assert_eq!(refusal(&ws.read().await.1), Code::Unavailable.number());
    assert_eq!(ws.closed().await, 4_901);
}

#[tokio::test]
async fn pages_of_other_origins_may_be_kept_out() {
    let only = Origins::Only(vec!["https://play.example".into()]);
    let mut server = Server::with(Default::default(), only);
    let refused = Ws::open(server.addr(), "amphi.v1", Some("https://evil.example")).await;
    assert!(refused.err().unwrap().to_string().contains("403"));
    assert_eq!(server.counters().refused(Refused::Origin), 1);
    for origin in [Some("https://play.example"), None] {
        let mut ws = Ws::open(server.addr(), "amphi.v1", origin).await.unwrap();
        ws.write(0, &hello()).await;
        let incoming = patient(server.listening.incoming.recv()).await.unwrap();
        assert_eq!(incoming.origin.as_deref(), origin);
    }
}

#[tokio::test]
async fn closing_the_port_closes_every_connection() {
    let mut server = Server::start();
    let mut ws = Ws::greeted(server.addr()).await;
    let (_ws_pipe, _ws_handle) = server.accept().await;
    let quic = Quic::native(server.addr()).await;
    quic.lane(0).await.write(&hello()).await;
    let (_pipe, _handle) = server.accept().await;
    let addr = server.addr();
    server.listening.shutdown(Duration::from_secs(5)).await;
    assert_eq!(ws.closed().await, 4_116);
    assert_eq!(quic.closed().await, Code::Draining.number());
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn an_endpoint_can_be_dialled_when_its_certificate_is_pinned() {
    let mut server = Server::start();
    let endpoints: Vec<Endpoint> = server.listening.endpoints("127.0.0.1", "").iter().map(Into::into).collect();
    let dialer = Dialer::new(server.clock).unwrap();
    for endpoint in &endpoints[..2] {
        let (mailbox, mut events) = mpsc::channel(16);
        let dialled = dialer.dial(endpoint, &[0, 2], PipeId(9), mailbox.clone()).await.unwrap();
        dialled.handle.frame(0, hello()).unwrap();
        let (pipe, handle) = server.accept().await;
        dialled.handle.frame(2, Bytes::from_static(b"up")).unwrap();
        assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"up")));
        handle.frame(2, Bytes::from_static(b"down")).unwrap();
        handle.close(Code::MatchEnded, "");
        let kinds = [patient(events.recv()).await.unwrap().kind, patient(events.recv()).await.unwrap().kind];
        let down = PipeEventKind::Frame { lane: 2, payload: Bytes::from_static(b"down") };
        assert_eq!(kinds, [down, PipeEventKind::Closed(Some(Code::MatchEnded))]);
        let other = Endpoint { cert_sha256: vec!["00".repeat(32)], ..endpoint.clone() };
        let refused = dialer.dial(&other, &[0], PipeId(1), mailbox).await;
        assert!(matches!(refused, Err(DialError::Connection(..))), "{refused:?}");
    }
    let (mailbox, _events) = mpsc::channel(16);
    let refused = dialer.dial(&endpoints[2], &[0], PipeId(1), mailbox).await;
    assert!(matches!(refused, Err(DialError::Endpoint(..))), "{refused:?}");
}

#[tokio::test]
async fn endpoints_name_port_and_certificate() {
    let server = Server::start();
    let port = server.addr().port();
    let endpoints = server.listening.endpoints("::1", "eu");
    let urls: Vec<_> = endpoints.iter().map(|e| (e.transport.as_str(), e.url.clone())).collect();
    assert_eq!(
        urls,
        [
            ("quic", format!("quic://[::1]:{port}")),
            ("webtransport", format!("https://[::1]:{port}/session")),
            ("ws", format!("ws://[::1]:{port}/session")),
        ]
    );
    assert_eq!(endpoints[0].cert_sha256, [server.certificate.sha256().to_vec()]);
    assert_eq!((endpoints[2].cert_sha256.len(), endpoints[2].region.as_str()), (0, "eu"));
}
