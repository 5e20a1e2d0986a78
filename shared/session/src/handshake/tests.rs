use amphi_shared_wire::Micros;
use proptest::prelude::*;

use super::*;
use crate::{Config, Output, PipeId, PipeInfo, PipeKind, Session};

fn hello(change: impl FnOnce(&mut proto::Hello)) -> Result<ClientHello, Code> {
    let mut hello = proto::Hello { protocol_min: 1, protocol_max: 1, token: "t".to_owned(), ..proto::Hello::default() };
    change(&mut hello);
    parse_hello(encode_link(link::Kind::Hello(hello))).map_err(|refusal| refusal.code)
}

#[test]
fn versions_meet_or_the_refusal_says_what_is_spoken() {
    assert_eq!(hello(|_| {}).map(|h| h.protocol), Ok(1));
    assert_eq!(hello(|h| h.protocol_max = 9).map(|h| h.protocol), Ok(1));
    assert_eq!(hello(|h| (h.protocol_min, h.protocol_max) = (2, 9)), Err(Code::ProtocolUnsupported));
    assert_eq!(hello(|h| (h.protocol_min, h.protocol_max) = (0, 0)), Err(Code::ProtocolUnsupported));
    assert_eq!(hello(|h| (h.protocol_min, h.protocol_max) = (3, 1)), Err(Code::ProtocolUnsupported));
    let refused = proto::Link::decode(Refusal::from(Code::ProtocolUnsupported).encode().slice(1..)).unwrap();
    let Some(link::Kind::Refused(refused)) = refused.kind else { panic!("{refused:?}") };
    assert_eq!((refused.code, refused.protocol_min, refused.protocol_max), (101, PROTOCOL_MIN, PROTOCOL_MAX));
}

#[test]
fn every_field_is_bounded() {
    let resume = |change: fn(&mut proto::Resume)| {
        let mut resume = proto::Resume {
            session: SessionId::from_bits(5).to_string(),
            secret: vec![1; 16].into(),
            generation: 2,
            ..proto::Resume::default()
        };
        change(&mut resume);
        hello(|h| h.resume = Some(resume)).map(|h| h.resume.map(|r| r.generation))
    };
    assert_eq!(hello(|h| h.app = "No".to_owned()), Err(Code::MessageInvalid));
    assert_eq!(hello(|h| h.token = "t".repeat(5_000)), Err(Code::TokenInvalid));
    assert_eq!(hello(|h| h.token = "t".repeat(9_000)), Err(Code::FrameTooLarge));
    assert_eq!(hello(|h| h.game = "g".repeat(65)), Err(Code::MessageInvalid));
    assert_eq!(hello(|h| h.tables_known = vec![1; 65]), Err(Code::MessageInvalid));
    assert_eq!(hello(|h| h.capabilities = vec!["c".repeat(65)]), Err(Code::MessageInvalid));
    assert_eq!(resume(|_| {}), Ok(Some(2)));
    assert_eq!(resume(|r| r.session = "ses_1".to_owned()), Err(Code::SessionUnknown));
    assert_eq!(resume(|r| r.secret = vec![1; 15].into()), Err(Code::SessionSecret));
    let twice = |r: &mut proto::Resume| r.received = vec![proto::LanePosition { lane: 2, next_seq: 1 }; 2];
    assert_eq!(resume(twice), Err(Code::MessageInvalid));
    assert_eq!(resume(|r| r.lost = vec![proto::LaneLost { lane: 1, code: 115 }]), Err(Code::MessageInvalid));
}

#[test]
fn what_is_no_hello_is_refused() {
    let code = |bytes: &'static [u8]| parse_hello(Bytes::from_static(bytes)).map_err(|refusal| refusal.code);
    assert_eq!(code(b""), Err(Code::HandshakeInvalid));
    assert_eq!(code(b"\x01"), Err(Code::HandshakeInvalid));
    assert_eq!(code(b"\x00\xff\xff"), Err(Code::HandshakeInvalid));
    assert_eq!(code(b"GET / HTTP/1.1\r\n"), Err(Code::HandshakeInvalid));
    let ping = encode_link(link::Kind::Ping(proto::Ping { t0_us: 1 }));
    assert_eq!(parse_hello(ping).map_err(|refusal| refusal.code), Err(Code::HandshakeInvalid));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_hello(bytes.clone().into());
        let mut link = vec![0, 0x0a, bytes.len() as u8];
        link.extend(bytes);
        let _ = parse_hello(link.into());
    }

    #[test]
    fn what_a_client_asks_is_what_a_server_reads(
        token in "[a-zA-Z0-9._-]{0,200}",
        build in "[a-z0-9.]{0,20}",
        schema_hash: u64,
        tables_known in prop::collection::vec(any::<u64>(), 0..8),
        capabilities in prop::collection::vec("[a-z-]{1,12}", 0..4),
    ) {
        let request = ConnectRequest { token, build, schema_hash, tables_known, capabilities, ..ConnectRequest::default() };
        let mut client = Session::connect(Config::default(), request.clone());
        client.dial(Micros(0), PipeInfo { id: PipeId(1), kind: PipeKind::Ordered, max_datagram: 1_000, early: false });
        let Some(Output::Frame { payload, .. }) = client.poll_output() else { panic!("no Hello") };
        let hello = parse_hello(payload).unwrap();
        prop_assert_eq!(hello.resume, None);
        prop_assert_eq!(
            (hello.token, hello.build, hello.schema_hash, hello.tables_known, hello.capabilities),
            (request.token, request.build, request.schema_hash, request.tables_known, request.capabilities)
        );
    }
}
