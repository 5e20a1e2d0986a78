//! What only QUIC can do: early data, changes of address and certificate, and a client that waits with its reader.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::dial::Dialer;
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::session::{PipeEventKind, PipeId};
use amphi_shared_edge::{Origins, Refused};
use amphi_shared_wire::{Code, Micros, encode_stream_message};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::client::{LaneClient, Quic, config, connect, hello, resume};
use crate::server::{PATIENCE, Server, patient};

/// A client that has been there before, and what it connects with.
async fn returning(server: &mut Server) -> (quinn::Endpoint, quinn::ClientConfig) {
    let config = config(&[b"amphi/1"]);
    let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let connection = patient(endpoint.connect_with(config.clone(), server.addr(), "localhost").unwrap()).await.unwrap();
    let client = Quic::of(endpoint.clone(), connection);
    let mut control = client.lane(0).await;
    control.write(&hello()).await;
    let (pipe, handle) = server.accept().await;
    handle.frame(0, Bytes::from_static(b"welcome")).unwrap();
    // The ticket for the next time travels with it.
    assert_eq!(control.read().await, "welcome");
    drop(handle);
    assert_eq!(server.closed(pipe).await, Some(Code::Bye));
    (endpoint, config)
}

/// Says `first` on lane 0 as early data.
async fn early(server: &Server, from: (quinn::Endpoint, quinn::ClientConfig), first: &[u8]) -> (Quic, LaneClient) {
    let connecting = from.0.connect_with(from.1, server.addr(), "localhost").unwrap();
    let (connection, accepted) = connecting.into_0rtt().unwrap_or_else(|_| panic!("there is no ticket"));
    let client = Quic::of(from.0, connection);
    let mut control = client.lane(0).await;
    control.write(first).await;
    assert!(patient(accepted).await, "the server has taken the early data");
    (client, control)
}

#[tokio::test]
async fn a_resume_may_come_as_early_data() {
    let mut server = Server::start();
    let client = returning(&mut server).await;
    let (_client, mut control) = early(&server, client, &resume()).await;
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    assert!(incoming.early);
    assert!(incoming.hello.resume.is_some());
    let (mailbox, mut events) = mpsc::channel(16);
    let handle = incoming.accept(PipeId(9), mailbox);
    handle.frame(0, Bytes::from_static(b"welcome back")).unwrap();
    assert_eq!(control.read().await, "welcome back");
    control.write(b"thanks").await;
    assert_eq!(patient(events.recv()).await.unwrap().kind, PipeEventKind::Confirmed);
    let thanks = PipeEventKind::Frame { lane: 0, payload: Bytes::from_static(b"thanks") };
    assert_eq!(patient(events.recv()).await.unwrap().kind, thanks);
}

#[tokio::test]
async fn a_join_waits_for_the_end_of_the_handshake() {
    let mut server = Server::start();
    let client = returning(&mut server).await;
    let (_client, mut control) = early(&server, client, &hello()).await;
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    assert!(!incoming.early);
    let (mailbox, mut events) = mpsc::channel(16);
    let handle = incoming.accept(PipeId(9), mailbox);
    handle.frame(0, Bytes::from_static(b"welcome")).unwrap();
    assert_eq!(control.read().await, "welcome");
    control.write(b"thanks").await;
    let thanks = PipeEventKind::Frame { lane: 0, payload: Bytes::from_static(b"thanks") };
    assert_eq!(patient(events.recv()).await.unwrap().kind, thanks);
}

#[tokio::test]
async fn a_ticket_works_once() {
    let mut server = Server::start();
    let (endpoint, config) = returning(&mut server).await;
    let (first, _control) = early(&server, (endpoint.clone(), config.clone()), &resume()).await;
    drop(patient(server.listening.incoming.recv()).await.unwrap());
    patient(first.session.closed()).await;
    // The client drops a ticket when it is used; what it does without one is no early data.
    if let Ok((connection, accepted)) = endpoint.connect_with(config, server.addr(), "localhost").unwrap().into_0rtt() {
        drop(connection);
        let _ = patient(accepted).await;
    }
    assert!(server.listening.incoming.try_recv().is_err());
}

#[tokio::test]
async fn a_client_may_change_its_address() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    let mut control = client.lane(0).await;
    control.write(&hello()).await;
    let (pipe, handle) = server.accept().await;
    for round in 0..3 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.endpoint.rebind(socket).unwrap();
        let up = Bytes::from(format!("up {round}"));
        control.write(&up).await;
        assert_eq!(server.frame(pipe).await, (0, up));
        let down = Bytes::from(format!("down {round}"));
        handle.frame(0, down.clone()).unwrap();
        assert_eq!(control.read().await, down);
        client.session.send_datagram(Bytes::from_static(b"moved")).unwrap();
        assert_eq!(server.event(pipe).await, PipeEventKind::Datagram(Bytes::from_static(b"moved")));
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_and_nobody_is_lost() {
    let mut server = Server::start();
    let lists = |server: &Server| -> Vec<Endpoint> {
        server.listening.endpoints("127.0.0.1", "").iter().map(Into::into).collect()
    };
    let before = lists(&server);
    let dialer = Dialer::new(server.clock).unwrap();
    let (mailbox, _events) = mpsc::channel(16);
    let mut dialled = Vec::new();
    let mut attach = async |server: &mut Server, endpoint: &Endpoint, pipe: u32| {
        let client = dialer.dial(endpoint, &[0, 2], PipeId(pipe), mailbox.clone()).await.ok()?;
        client.handle.frame(0, hello()).unwrap();
        let (pipe, handle) = server.accept().await;
        dialled.push((client, pipe, handle));
        Some(())
    };
    attach(&mut server, &before[0], 1).await.unwrap();

    // The next one is named; who has not heard of it still finds the one it knows.
    server.listening.renew(Certificate::generate(server.clock.now()).unwrap()).unwrap();
    let both = lists(&server);
    assert_eq!(both[0].cert_sha256.len(), 2);
    assert_eq!(both[0].cert_sha256[1], before[0].cert_sha256[0]);
    attach(&mut server, &before[0], 2).await.unwrap();
    attach(&mut server, &both[0], 3).await.unwrap();

    // One that has only half an hour left makes way at once.
    let life = Micros::from_secs(13 * 24 * 3_600);
    let old = server.clock.now() - life + Micros::from_secs(90 * 60);
    server.listening.renew(Certificate::generate(old).unwrap()).unwrap();
    server.listening.renew(Certificate::generate(server.clock.now()).unwrap()).unwrap();
    let after = lists(&server);
    assert_eq!(after[0].cert_sha256.len(), 2);
    assert!(attach(&mut server, &both[0], 4).await.is_none());
    attach(&mut server, &after[0], 5).await.unwrap();
    for (client, pipe, _) in &dialled {
        client.handle.frame(2, Bytes::from_static(b"here")).unwrap();
        assert_eq!(server.frame(*pipe).await, (2, Bytes::from_static(b"here")));
    }
}

#[tokio::test]
async fn a_full_mailbox_makes_the_client_wait_and_loses_nothing() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    let mut control = client.lane(0).await;
    control.write(&hello()).await;
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    let (mailbox, mut events) = mpsc::channel(1);
    let _handle = incoming.accept(PipeId(9), mailbox);
    let mut room = client.lane(2).await;
    for n in 0..200_u8 {
        room.write(&[n]).await;
    }
    client.session.close(Code::Bye.number(), b"");
    let mut frames = Vec::new();
    loop {
        match patient(events.recv()).await.unwrap().kind {
            PipeEventKind::Frame { payload, .. } => frames.push(payload[0]),
            PipeEventKind::Closed(code) => {
                assert_eq!(code, Some(Code::Bye));
                break;
            }
            other @ (PipeEventKind::Datagram(_) | PipeEventKind::Confirmed) => panic!("nobody sent one: {other:?}"),
        }
    }
    assert!(frames.iter().copied().eq(0..frames.len() as u8), "in order: {frames:?}");
}

#[tokio::test]
async fn a_path_says_what_it_takes() {
    let mut server = Server::start();
    let client = Quic::native(server.addr()).await;
    client.lane(0).await.write(&hello()).await;
    let (pipe, handle) = server.accept().await;
    // Larger packets are probed while both sides talk.
    patient(async {
        while handle.max_datagram() <= 1_150 {
            client.session.send_datagram(Bytes::from_static(b"up")).unwrap();
            server.event(pipe).await;
            handle.datagram(Bytes::from_static(b"down"));
            client.session.read_datagram().await.unwrap();
        }
    })
    .await;
    assert!(handle.rtt_us() > 0);
    // More than may be in flight at once waits, until the other side has it: this client runs only while we wait for it.
    let patience = Instant::now() + PATIENCE;
    while !handle.is_congested() {
        assert!(Instant::now() < patience, "what nobody acknowledges may not leave for ever");
        handle.datagram(Bytes::from_static(&[7; 1_000]));
        std::thread::yield_now();
    }
    patient(async {
        while handle.is_congested() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn web_transport_of_other_origins_is_kept_out() {
    let only = Origins::Only(vec!["https://play.example".into()]);
    let mut server = Server::with(Default::default(), only);
    let (endpoint, connection) = connect(server.addr(), &[b"h3"]).await;
    let url: url::Url = format!("https://{}/session", server.addr()).parse().unwrap();
    let mut request = web_transport_quinn::proto::ConnectRequest::new(url.clone());
    request.headers.insert("origin", "https://evil.example".parse().unwrap());
    let refused = patient(web_transport_quinn::Session::connect(connection.unwrap(), request)).await;
    assert!(refused.is_err());
    assert_eq!(server.counters().refused(Refused::Origin), 1);
    let connection = patient(endpoint.connect_with(config(&[b"h3"]), server.addr(), "localhost").unwrap()).await;
    let mut request = web_transport_quinn::proto::ConnectRequest::new(url);
    request.headers.insert("origin", "https://play.example".parse().unwrap());
    let session = patient(web_transport_quinn::Session::connect(connection.unwrap(), request)).await.unwrap();
    let client = Quic { session, endpoint };
    client.lane(0).await.write(&hello()).await;
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    assert_eq!(incoming.origin.as_deref(), Some("https://play.example"));
}

/// Passes packets to a server, up to its first answer, and all of its answers back.
async fn first_packets(server: SocketAddr) -> SocketAddr {
    let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let back = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    back.connect(server).await.unwrap();
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut up, mut down) = ([0; 2_048], [0; 2_048]);
        let (mut client, mut answered) = (None, false);
        loop {
            tokio::select! {
                Ok((length, from)) = front.recv_from(&mut up), if !answered => {
                    client = Some(from);
                    back.send(&up[..length]).await.unwrap();
                }
                Ok(length) = back.recv(&mut down) => {
                    answered = true;
                    front.send_to(&down[..length], client.unwrap()).await.unwrap();
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn a_server_says_its_settings_before_the_handshake_is_over() {
    let server = Server::start();
    let through = first_packets(server.addr()).await;
    let (_endpoint, connection) = connect(through, &[b"h3"]).await;
    // Whatever the client says now does not arrive.
    let mut settings = patient(connection.unwrap().accept_uni()).await.unwrap();
    let settings = patient(web_transport_quinn::proto::Settings::read(&mut settings)).await.unwrap();
    assert!(settings.supports_webtransport() > 0);
}

#[tokio::test]
async fn lanes_may_come_before_the_request_for_their_session_is_answered() {
    let mut server = Server::start();
    let (_endpoint, connection) = connect(server.addr(), &[b"h3"]).await;
    let connection = connection.unwrap();
    let (mut settings, mut request) = (Vec::new(), Vec::new());
    let mut ours = web_transport_quinn::proto::Settings::default();
    ours.enable_webtransport(1);
    ours.encode(&mut settings);
    let url: url::Url = format!("https://{}/session", server.addr()).parse().unwrap();
    web_transport_quinn::proto::ConnectRequest::new(url).encode(&mut request).unwrap();

    let (mut connect, mut answer) = connection.open_bi().await.unwrap();
    let (mut lane, mut welcome) = connection.open_bi().await.unwrap();
    // The head of a WebTransport stream of session 0, and the lane.
    let mut first = vec![0x40, 0x41, 0, 0];
    encode_stream_message(&hello(), &mut first);
    lane.write_all(&first).await.unwrap();
    connect.write_all(&request).await.unwrap();
    connection.open_uni().await.unwrap().write_all(&settings).await.unwrap();
    let (_pipe, handle) = server.accept().await;
    handle.frame(0, Bytes::from_static(b"welcome")).unwrap();
    let chunk = patient(welcome.read_chunk(64, true)).await.unwrap().unwrap();
    assert_eq!(chunk.bytes, b"\x07welcome"[..]);
    let answer = patient(web_transport_quinn::proto::ConnectResponse::read(&mut answer)).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_page_that_leaves_says_why() {
    let mut server = Server::start();
    let client = Quic::web_transport(server.addr(), "/session").await.unwrap();
    client.lane(0).await.write(&hello()).await;
    let (pipe, _handle) = server.accept().await;
    client.session.close(Code::MatchEnded.number(), b"over");
    assert_eq!(server.closed(pipe).await, Some(Code::MatchEnded));
}
