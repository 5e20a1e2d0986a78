//! `shared/vectors/session`: bytes as hex, and beside them what they mean.
//!
//! `AMPHI_WRITE_VECTORS=1 cargo nextest run -p amphi-shared-session` writes them anew. Protobuf messages stand in
//! canonical Protobuf JSON (64-bit numbers as strings, bytes as base64, defaults left out), payloads in hex.

use std::path::PathBuf;

use amphi_shared_session::{Refusal, parse_hello};
use amphi_shared_wire::proto::{self, control, link, payload};
use amphi_shared_wire::{
    Code, Datagram, DatagramHeader, StreamDecoder, decode_pipe_frame, decode_varint, encode_pipe_frame,
    encode_stream_message, encode_varint,
};
use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};

const SESSION: &str = "ses_01ks8zrx000000000000000005";

/// One vector: its name, its bytes, its meaning.
type Case = (&'static str, Vec<u8>, Value);

#[allow(clippy::disallowed_methods, reason = "vectors are files, written on request")]
fn check(name: &str, about: &str, cases: Vec<Case>) {
    let mut text = format!("{{\"about\":{},\n\"cases\":[\n", json!(about));
    for (i, (name, bytes, meaning)) in cases.iter().enumerate() {
        let comma = if i + 1 == cases.len() { "" } else { "," };
        let case = json!({ "name": name, "hex": hex(bytes), "json": meaning });
        text.push_str(&format!("{case}{comma}\n"));
    }
    text.push_str("]}\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/session").join(name);
    if std::env::var_os("AMPHI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a vector lies in a folder")).expect("the folder can be made");
        std::fs::write(&path, &text).expect("the vector can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, text, "{name} differs; a changed format needs a new protocol version");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A `Link` as payload of lane 0; it reads back as itself.
fn link(kind: link::Kind) -> Vec<u8> {
    let message = proto::Link { kind: Some(kind) };
    let bytes = message.encode_to_vec();
    assert_eq!(proto::Link::decode(bytes.as_slice()), Ok(message));
    [&[0], bytes.as_slice()].concat()
}

fn position(lane: u32, next_seq: u64) -> proto::LanePosition {
    proto::LanePosition { lane, next_seq }
}

fn hello() -> proto::Hello {
    proto::Hello {
        protocol_min: 1,
        protocol_max: 2,
        app: "default".to_owned(),
        game: "duel".to_owned(),
        build: "0.1.0".to_owned(),
        schema_hash: 0x0123_4567_89ab_cdef,
        tables_known: vec![7, u64::MAX],
        capabilities: vec!["relay".to_owned()],
        token: "eyJ0.e30.c2ln".to_owned(),
        resume: Some(proto::Resume {
            session: SESSION.to_owned(),
            secret: Bytes::from_static(b"0123456789abcdef"),
            generation: 3,
            received: vec![position(0, 1), position(2, 300)],
            welcomed: 2,
            lost: vec![proto::LaneLost { lane: 8, code: 115 }],
            topics: Vec::new(),
        }),
    }
}

#[test]
fn hellos() {
    let home = proto::Hello { protocol_min: 1, protocol_max: 1, token: "t".to_owned(), ..proto::Hello::default() };
    let read = parse_hello(link(link::Kind::Hello(hello())).into()).unwrap();
    let resume = read.resume.unwrap();
    assert_eq!(
        (read.protocol, read.schema_hash, resume.session.to_string().as_str()),
        (1, 0x0123_4567_89ab_cdef, SESSION)
    );
    assert_eq!((resume.received, resume.welcomed, resume.lost), (vec![(0, 1), (2, 300)], 2, vec![(8, Code::LaneLost)]));
    let resumed = json!({ "hello": {
        "protocolMin": 1, "protocolMax": 2, "app": "default", "game": "duel", "build": "0.1.0",
        "schemaHash": "81985529216486895", "tablesKnown": ["7", "18446744073709551615"], "capabilities": ["relay"],
        "token": "eyJ0.e30.c2ln",
        "resume": {
            "session": SESSION, "secret": "MDEyMzQ1Njc4OWFiY2RlZg==", "generation": 3,
            "received": [{ "nextSeq": "1" }, { "lane": 2, "nextSeq": "300" }], "welcomed": 2,
            "lost": [{ "lane": 8, "code": 115 }],
        },
    }});
    let topic = |topic: &str, epoch, offset| proto::TopicPosition { topic: topic.to_owned(), epoch, offset };
    let resume = proto::Resume {
        session: SESSION.to_owned(),
        secret: Bytes::from_static(b"0123456789abcdef"),
        generation: 4,
        welcomed: 3,
        topics: vec![topic("match:mch_1:chat", 0x0123_4567_89ab_cdef, 41), topic("lobby", 0, 0)],
        ..proto::Resume::default()
    };
    let restore = proto::Hello { resume: Some(resume), ..home.clone() };
    let read = parse_hello(link(link::Kind::Hello(restore.clone())).into()).unwrap().resume.unwrap();
    let since: Vec<_> = read.topics.iter().map(|t| (t.topic.as_str(), t.since)).collect();
    assert_eq!(since, [("match:mch_1:chat", Some((0x0123_4567_89ab_cdef, 41))), ("lobby", None)]);
    let restored = json!({ "hello": {
        "protocolMin": 1, "protocolMax": 1, "token": "t",
        "resume": {
            "session": SESSION, "secret": "MDEyMzQ1Njc4OWFiY2RlZg==", "generation": 4, "welcomed": 3,
            "topics": [
                { "topic": "match:mch_1:chat", "epoch": "81985529216486895", "offset": "41" },
                { "topic": "lobby" },
            ],
        },
    }});
    let cases = vec![
        (
            "home",
            link(link::Kind::Hello(home)),
            json!({ "hello": { "protocolMin": 1, "protocolMax": 1, "token": "t" } }),
        ),
        ("resume", link(link::Kind::Hello(hello())), resumed),
        ("resume with topics", link(link::Kind::Hello(restore)), restored),
    ];
    check("hellos.json", "Payloads of lane 0 that start a connection: byte 0, then a Link.", cases);
}

#[test]
fn refused_hellos() {
    let hello = |change: fn(&mut proto::Hello)| {
        let mut hello = hello();
        change(&mut hello);
        link(link::Kind::Hello(hello))
    };
    let cases = [
        ("empty", Vec::new()),
        ("control byte", vec![1, 0]),
        ("no protobuf", vec![0, 0xff, 0xff]),
        ("another link", link(link::Kind::Ping(proto::Ping { t0_us: 1 }))),
        ("a newer protocol only", hello(|h| (h.protocol_min, h.protocol_max) = (2, 3))),
        ("app", hello(|h| h.app = "No App".to_owned())),
        ("session id", hello(|h| h.resume.as_mut().unwrap().session = "ses_1".to_owned())),
        ("short secret", hello(|h| h.resume.as_mut().unwrap().secret = Bytes::from_static(b"short"))),
        ("position of lane 1", hello(|h| h.resume.as_mut().unwrap().received = vec![position(1, 1)])),
    ];
    let cases = cases.map(|(name, bytes)| {
        let code = parse_hello(bytes.clone().into()).unwrap_err().code;
        (name, bytes, json!({ "code": code.number(), "name": code.name() }))
    });
    check(
        "refused_hellos.json",
        "Payloads of lane 0 that are no good start, and the code of the refusal.",
        cases.into(),
    );
}

#[test]
fn links() {
    let welcome = proto::Welcome {
        protocol: 1,
        capabilities: vec!["relay".to_owned()],
        session: SESSION.to_owned(),
        secret: Bytes::from_static(b"0123456789abcdef"),
        generation: 3,
        clock_id: 9,
        limits: Some(proto::Limits { frame_bytes_max: 65_536, datagram_bytes_max: 1_000, resume_window_ms: 60_000 }),
        tick0_us: 1_763_000_000_000_000,
        tick_hz: 60,
        resumed: true,
        received: vec![position(0, 2)],
        lost: vec![proto::LaneLost { lane: 2, code: 115 }],
    };
    let welcomed = json!({ "welcome": {
        "protocol": 1, "capabilities": ["relay"], "session": SESSION, "secret": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "generation": 3, "clockId": "9",
        "limits": { "frameBytesMax": 65_536, "datagramBytesMax": 1_000, "resumeWindowMs": 60_000 },
        "tick0Us": "1763000000000000", "tickHz": 60, "resumed": true, "received": [{ "nextSeq": "2" }],
        "lost": [{ "lane": 2, "code": 115 }],
    }});
    let refusal = Refusal { code: Code::Overloaded, message: "try later".to_owned(), retry_after_ms: 250 };
    let refused = json!({ "refused": {
        "code": 117, "message": "try later", "retryAfterMs": 250, "protocolMin": 1, "protocolMax": 1,
    }});
    let ack = proto::Ack { received: vec![position(0, 1), position(2, 70), position(8, u64::MAX)] };
    let acked = json!({ "ack": { "received": [
        { "nextSeq": "1" }, { "lane": 2, "nextSeq": "70" }, { "lane": 8, "nextSeq": "18446744073709551615" },
    ]}});
    let pong = proto::Pong { t0_us: 1_000, t1_us: 5_000_000, t2_us: 5_000_010, tick0_us: 0 };
    let close = proto::Close { code: 100, message: "bye".to_owned(), retry_after_ms: 0, sent: vec![position(2, 5)] };
    let cases = vec![
        ("welcome", link(link::Kind::Welcome(welcome)), welcomed),
        ("refused", refusal.encode().to_vec(), refused),
        ("ack", link(link::Kind::Ack(ack)), acked),
        ("ping", link(link::Kind::Ping(proto::Ping { t0_us: 1_000 })), json!({ "ping": { "t0Us": "1000" } })),
        (
            "pong",
            link(link::Kind::Pong(pong)),
            json!({ "pong": { "t0Us": "1000", "t1Us": "5000000", "t2Us": "5000010" } }),
        ),
        (
            "close",
            link(link::Kind::Close(close)),
            json!({ "close": { "code": 100, "message": "bye", "sent": [{ "lane": 2, "nextSeq": "5" }] } }),
        ),
    ];
    check("links.json", "Payloads of lane 0 that belong to one connection: byte 0, then a Link.", cases);
}

#[test]
fn controls() {
    let endpoint = proto::Endpoint {
        transport: "ws".to_owned(),
        url: "ws://127.0.0.1:7001/session".to_owned(),
        cert_sha256: vec![Bytes::from_static(&[0xab; 32])],
        region: "local".to_owned(),
    };
    let moved = proto::MatchMoved { match_id: "mch_01ks8zrx000000000000000009".to_owned(), endpoints: vec![endpoint] };
    let notice = proto::Notice { code: 116, message: "the server restarts".to_owned() };
    let refresh = proto::Refresh { token: "eyJ0.e30.c2ln".to_owned() };
    let refreshed = proto::Refreshed { expires_us: 1_763_000_600_000_000, ..proto::Refreshed::default() };
    let kept = proto::Refreshed {
        expires_us: 1_763_000_000_000_000,
        code: 201,
        message: "no".to_owned(),
        ..proto::Refreshed::default()
    };
    let control = |kind| [&[1], proto::Control { kind: Some(kind) }.encode_to_vec().as_slice()].concat();
    let moved_json = json!({ "matchMoved": {
        "matchId": "mch_01ks8zrx000000000000000009",
        "endpoints": [{
            "transport": "ws", "url": "ws://127.0.0.1:7001/session",
            "certSha256": ["q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="], "region": "local",
        }],
    }});
    let cases = vec![
        ("match moved", control(control::Kind::MatchMoved(moved)), moved_json),
        (
            "notice",
            control(control::Kind::Notice(notice)),
            json!({ "notice": { "code": 116, "message": "the server restarts" } }),
        ),
        ("refresh", control(control::Kind::Refresh(refresh)), json!({ "refresh": { "token": "eyJ0.e30.c2ln" } })),
        (
            "refreshed",
            control(control::Kind::Refreshed(refreshed)),
            json!({ "refreshed": { "expiresUs": "1763000600000000" } }),
        ),
        (
            "not refreshed",
            control(control::Kind::Refreshed(kept)),
            json!({ "refreshed": { "expiresUs": "1763000000000000", "code": 201, "message": "no" } }),
        ),
    ];
    check("controls.json", "Sequenced payloads of lane 0: byte 1, then a Control.", cases);
}

#[test]
fn pipe_frames() {
    let frames = [
        ("control", 0, &[0, 1][..]),
        ("empty on lane 2", 2, &[]),
        ("a datagram", 63, &[1, 0, 0, 0, 0, 0, 0, 0, 17, 5]),
    ];
    let cases = frames.map(|(name, lane, payload)| {
        let frame = encode_pipe_frame(lane, payload);
        assert_eq!(decode_pipe_frame(frame.clone()), Ok((lane, Bytes::from(payload))));
        (name, frame.to_vec(), json!({ "lane": lane, "payload": hex(payload) }))
    });
    check("pipe_frames.json", "WebSocket messages: u8 lane, payload.", cases.into());
}

#[test]
fn streams() {
    let long: Vec<u8> = (0..200_u8).collect();
    let streams: [(&str, u8, Vec<&[u8]>); 3] = [
        ("control", 0, vec![&[0, 8, 1]]),
        ("three messages", 2, vec![b"a", b"", b"bc"]),
        ("two bytes of length", 8, vec![&long]),
    ];
    let cases = streams.map(|(name, lane, messages)| {
        let mut bytes = vec![lane];
        messages.iter().for_each(|message| encode_stream_message(message, &mut bytes));
        let mut decoder = StreamDecoder::new();
        decoder.push(&bytes[1..]);
        for message in &messages {
            assert_eq!(decoder.poll().unwrap().as_deref(), Some(*message));
        }
        let messages: Vec<String> = messages.into_iter().map(hex).collect();
        (name, bytes, json!({ "lane": lane, "messages": messages }))
    });
    let about = "The client's bytes on a lane's stream: u8 lane, then messages (varint length, payload).";
    check("streams.json", about, cases.into());
}

#[test]
fn datagrams() {
    let datagrams = [
        ("first input", 1, 0, 0, 17, &[9, 8, 7][..]),
        ("snapshot with acks", 65_535, 40, 0b1011, 16, b"snapshot"),
        ("ack only", 0, 65_535, u32::MAX, 0, &[]),
        ("unordered", 2, 1, 1 << 31, 32, &[0]),
    ];
    let cases = datagrams.map(|(name, seq, ack, ack_bits, lane, payload)| {
        let header = DatagramHeader { seq, ack, ack_bits };
        let datagram = Datagram { header, lane, payload: Bytes::from(payload) };
        let bytes = datagram.encode();
        assert_eq!(Datagram::decode(bytes.clone()), Ok(datagram));
        (
            name,
            bytes.to_vec(),
            json!({ "seq": seq, "ack": ack, "ackBits": ack_bits, "lane": lane, "payload": hex(payload) }),
        )
    });
    check(
        "datagrams.json",
        "Datagrams: u16 seq, u16 ack, u32 ack_bits (little-endian), u8 lane, payload.",
        cases.into(),
    );
}

#[test]
fn publications() {
    let publications = [
        (
            "chat line",
            1,
            41,
            0,
            payload::Kind::Json("{\"text\":\"hi\"}".to_owned()),
            json!({ "json": "{\"text\":\"hi\"}" }),
        ),
        (
            "keyframe",
            300,
            70_000,
            1,
            payload::Kind::Binary(Bytes::from_static(&[1, 2, 255])),
            json!({ "binary": "AQL/" }),
        ),
        ("text", 2, 1, 0, payload::Kind::Text("grüß dich".to_owned()), json!({ "text": "grüß dich" })),
    ];
    let cases = publications.map(|(name, alias, offset, flags, kind, payload)| {
        let mut bytes = vec![1];
        encode_varint(alias, &mut bytes);
        encode_varint(offset, &mut bytes);
        let header = bytes.len();
        bytes.push(flags);
        proto::Payload { kind: Some(kind) }.encode(&mut bytes).unwrap();
        let (read, length) = decode_varint(&bytes[1..]).unwrap().unwrap();
        assert_eq!((read, decode_varint(&bytes[1 + length..])), (alias, Ok(Some((offset, header - 1 - length)))));
        (name, bytes, json!({ "alias": alias, "offset": offset, "keyframe": flags & 1 == 1, "payload": payload }))
    });
    let about = "Publications on lane 1: byte 1, varint alias, varint offset, u8 flags, Payload message.";
    check("publications.json", about, cases.into());
}
