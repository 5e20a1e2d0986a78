//! WebSocket byte by byte: what a client may do, and what it may not.

use amphi_shared_edge::endpoint::to_hex;
use amphi_shared_edge::session::{PipeEventKind, PipeId, Transport};
use amphi_shared_edge::{Origins, Refused};
use amphi_shared_wire::limits::UPGRADE_HELLO_BYTES_MAX;
use amphi_shared_wire::{Code, Micros};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::client::{Ws, hello, probe, refusal};
use crate::server::{Server, patient};

const FIN: u8 = 0x80;
const UPGRADE: &str = "GET /session HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: other, amphi.v1\r\n\r\n";

/// A frame of a client, masked.
fn frame(start: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 77, 177, 17];
    let length = match payload.len() {
        short @ 0..126 => vec![0x80 | short as u8],
        long => [&[0x80 | 126], (long as u16).to_be_bytes().as_slice()].concat(),
    };
    let masked = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]);
    [start].into_iter().chain(length).chain(mask).chain(masked).collect()
}

/// A client that writes bytes.
struct Raw(TcpStream);

impl Raw {
    /// Upgrades, and writes `early` in the same breath.
    async fn open(server: &Server, early: &[u8]) -> Self {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&[UPGRADE.as_bytes(), early].concat()).await.unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            patient(stream.read_exact(&mut byte)).await.unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(head.contains("sec-websocket-protocol: amphi.v1\r\n"), "{head}");
        Self(stream)
    }

    /// One that has said Hello together with its upgrade.
    async fn greeted(server: &mut Server) -> (Self, PipeId, amphi_shared_edge::session::PipeHandle) {
        let early = frame(FIN | 2, &[&[0], hello().as_ref()].concat());
        let raw = Self::open(server, &early).await;
        let (pipe, handle) = server.accept().await;
        (raw, pipe, handle)
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Opcode and payload of the next frame, which is short.
    async fn read(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 2];
        patient(self.0.read_exact(&mut start)).await.unwrap();
        assert!(start[0] & 0xf0 == FIN && start[1] < 126, "{start:?}");
        let mut payload = vec![0; usize::from(start[1])];
        patient(self.0.read_exact(&mut payload)).await.unwrap();
        (start[0] & 0x0f, payload)
    }

    /// The close code, after which the server closes its half.
    async fn closed(&mut self) -> u16 {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, 8);
        assert_eq!(patient(self.0.read(&mut [0])).await.unwrap(), 0, "nothing follows a close");
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

/// The subprotocols of a client whose upgrade holds this Hello.
fn with_hello(hello: &[u8]) -> String {
    format!("amphi.v1, amphi.v1+hello, amphi.hello.{}", URL_SAFE_NO_PAD.encode(hello))
}

#[tokio::test]
async fn the_hello_may_come_inside_the_upgrade() {
    let mut server = Server::start();
    let upgrade = UPGRADE.replace("other, amphi.v1", &with_hello(&hello()));
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    assert_eq!((incoming.transport, &incoming.first), (Transport::WebSocket, &hello()));
    let (pipe, handle) = server.take(incoming);
    handle.frame(0, Bytes::from_static(b"welcome")).unwrap();
    let mut answer = vec![0; 1_024];
    let mut length = 0;
    while !answer[..length].ends_with(b"welcome") {
        let read = patient(stream.read(&mut answer[length..])).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
        length += read;
    }
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.contains("sec-websocket-protocol: amphi.v1+hello\r\n"), "{answer}");
    // It is an open session from here on.
    stream.write_all(&frame(FIN | 2, b"\x02hi")).await.unwrap();
    assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"hi")));
}

#[tokio::test]
async fn an_upgrade_with_a_hello_is_read_as_the_vectors_say() {
    let mut server = Server::start();
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/session/upgrades.json")).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let protocols = case["json"]["subprotocols"].as_array().unwrap();
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.as_str().unwrap()).collect();
        let _client = Ws::open(server.addr(), &protocols.join(", "), None).await.unwrap();
        let incoming = patient(server.listening.incoming.recv()).await.unwrap();
        assert_eq!(to_hex(&incoming.first), case["hex"].as_str().unwrap(), "{}", case["name"]);
    }
}

#[tokio::test]
async fn a_hello_inside_the_upgrade_that_cannot_be_read_is_refused_on_lane_0() {
    let server = Server::start();
    let too_long = "A".repeat(UPGRADE_HELLO_BYTES_MAX / 3 * 4 + 1);
    for (protocols, code) in [
        (with_hello(b"\x00\xff"), Code::HandshakeInvalid),
        (with_hello(b""), Code::HandshakeInvalid),
        ("amphi.v1, amphi.v1+hello, amphi.hello.!".to_owned(), Code::HandshakeInvalid),
        (format!("amphi.v1, amphi.v1+hello, amphi.hello.{too_long}"), Code::FrameTooLarge),
    ] {
        let mut ws = Ws::open(server.addr(), &protocols, None).await.unwrap();
        let (lane, refused) = ws.read().await;
        assert_eq!((lane, refusal(&refused)), (0, code.number()));
        assert_eq!(u32::from(ws.closed().await), 4_000 + code.number());
    }
    assert_eq!(server.counters().refused(Refused::Hello), 3);
    assert_eq!(server.counters().refused(Refused::Oversize), 1);
}

#[tokio::test]
async fn the_origin_is_judged_before_the_hello() {
    let only = Origins::Only(vec!["https://play.example".into()]);
    let mut server = Server::with(Default::default(), only);
    for hello in [hello().as_ref(), b"\xff"] {
        let refused = Ws::open(server.addr(), &with_hello(hello), Some("https://evil.example")).await;
        assert!(refused.is_err());
    }
    assert_eq!(server.counters().refused(Refused::Origin), 2);
    assert_eq!(server.counters().refused(Refused::Hello), 0);
    let _client = Ws::open(server.addr(), &with_hello(&hello()), Some("https://play.example")).await.unwrap();
    server.accept().await;
}

#[tokio::test]
async fn a_hello_that_is_offered_without_its_subprotocol_is_not_read() {
    let mut server = Server::start();
    let protocols = with_hello(&hello()).replace(" amphi.v1+hello,", "");
    let mut ws = Ws::open(server.addr(), &protocols, None).await.unwrap();
    ws.write(0, &hello()).await;
    server.accept().await;
}

#[tokio::test]
async fn fragments_and_pings_may_come_in_any_pieces() {
    let mut server = Server::start();
    let (mut raw, pipe, _handle) = Raw::greeted(&mut server).await;
    let bytes = [frame(2, b"\x02he"), frame(FIN | 9, b"are you there"), frame(0, b"ll"), frame(FIN, b"o")].concat();
    for byte in bytes.chunks(1) {
        raw.write(byte).await;
    }
    assert_eq!(raw.read().await, (10, b"are you there".to_vec()));
    assert_eq!(server.frame(pipe).await, (2, Bytes::from_static(b"hello")));
    raw.write(&frame(FIN | 8, &4_100_u16.to_be_bytes())).await;
    assert_eq!(raw.closed().await, 4_100);
    assert_eq!(server.closed(pipe).await, Some(Code::Bye));
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told() {
    let mut server = Server::start();
    let wrong: [&[u8]; 6] = [
        &[FIN | 2, 1, 2],
        &frame(FIN | 0x40 | 2, b"\x02"),
        &frame(FIN | 3, b""),
        &frame(FIN, b"\x02"),
        &frame(9, b""),
        &frame(FIN | 8, b"x"),
    ];
    for bytes in wrong {
        let (mut raw, pipe, _handle) = Raw::greeted(&mut server).await;
        raw.write(bytes).await;
        assert_eq!(server.closed(pipe).await, Some(Code::FrameInvalid));
        assert_eq!(raw.closed().await, 4_105);
    }
    assert_eq!(server.counters().refused(Refused::Frame), wrong.len() as u64);
    for upgrade in [
        UPGRADE.replace("version: 13", "version: 12"),
        UPGRADE.replace("key: dGhl", "key: "),
        UPGRADE.replace("upgrade: websocket", "upgrade: h2c"),
    ] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(upgrade.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        patient(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400");
    }
}

#[tokio::test]
async fn a_client_that_only_asks_and_never_reads_costs_no_memory_and_is_limited() {
    let mut server = Server::start();
    let (mut raw, pipe, _handle) = Raw::greeted(&mut server).await;
    let pings = frame(FIN | 9, &[1; 125]).repeat(10_000);
    // The server may close before all of it is written.
    let _ = raw.0.write_all(&pings).await;
    assert_eq!(server.closed(pipe).await, Some(Code::RateLimited));
}

#[tokio::test]
async fn clock_probes_that_need_no_owner_are_limited_as_well() {
    let mut server = Server::start();
    let early = frame(FIN | 2, &[&[0], hello().as_ref()].concat());
    let mut raw = Raw::open(&server, &early).await;
    let (pipe, _handle) = server.accept_resting().await;
    let probes = frame(FIN | 2, &[&[0], probe(1).as_ref()].concat()).repeat(10_000);
    // The server may close before all of it is written.
    let _ = raw.0.write_all(&probes).await;
    assert_eq!(server.closed(pipe).await, Some(Code::RateLimited));
}

#[tokio::test]
async fn a_client_waits_while_its_owner_is_behind() {
    let mut server = Server::start();
    let mut client = Ws::greeted(server.addr()).await;
    let incoming = patient(server.listening.incoming.recv()).await.unwrap();
    let (mailbox, mut events) = mpsc::channel(1);
    let _handle = incoming.accept(PipeId(1), mailbox);
    for n in 0..100 {
        client.write(2, &[n]).await;
    }
    client.socket.close(None).await.unwrap();
    for n in 0..100 {
        let event = patient(events.recv()).await.unwrap();
        assert_eq!(event.kind, PipeEventKind::Frame { lane: 2, payload: vec![n].into() });
    }
    assert_eq!(patient(events.recv()).await.unwrap().kind, PipeEventKind::Closed(None));
}

#[tokio::test]
async fn a_message_that_waits_too_long_closes_its_reader() {
    let mut server = Server::start();
    let _client = Ws::greeted(server.addr()).await;
    let (pipe, handle) = server.accept().await;
    let started = server.clock.now();
    // Less than the queue takes, and more than the two kernels do.
    for _ in 0..16 {
        handle.frame(2, Bytes::from(vec![0; 60_000])).unwrap();
    }
    assert_eq!(server.closed(pipe).await, Some(Code::SlowReader));
    let waited = server.clock.now().since(started);
    assert!((Micros::from_millis(5_000)..Micros::from_millis(9_000)).contains(&waited), "{waited:?}");
    assert_eq!(server.counters().refused(Refused::SlowReaderAge), 1);
    assert_eq!(server.counters().refused(Refused::SlowReader), 0);
}
