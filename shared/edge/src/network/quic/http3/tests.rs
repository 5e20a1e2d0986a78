use amphi_shared_wire::Seed;
use quinn_proto::Side;

use super::*;

fn connect(stage: Stage, unread: &[u8]) -> Connect {
    let stream = StreamId::new(Side::Client, Dir::Bi, 0);
    Connect { stage, unread: unread.into(), ..Connect::new(stream) }
}

fn close_frame(code: u32) -> Vec<u8> {
    let mut capsule = Vec::new();
    Capsule::CloseWebTransportSession { code, reason: "why".to_owned() }.encode(&mut capsule);
    let mut bytes = vec![0, capsule.len() as u8];
    bytes.extend_from_slice(&capsule);
    bytes
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let mut bytes = Vec::new();
    ConnectRequest::new("https://example.org/session?x=1".parse::<Url>().unwrap()).encode(&mut bytes).unwrap();
    for end in 0..bytes.len() {
        assert!(connect(Stage::Head, &bytes[..end]).request().unwrap().is_none());
    }
    let mut whole = connect(Stage::Head, &bytes);
    let Some(Heard::Request { path, origin }) = whole.request().unwrap() else {
        panic!("it is whole");
    };
    assert_eq!((path.as_str(), origin), ("/session", None));
    assert!(whole.stage == Stage::Deciding && whole.unread.is_empty());
}

#[test]
fn the_end_of_a_session_may_be_cut_anywhere() {
    // A frame that is none of ours, a capsule that says nothing, and the end in two DATA frames.
    let end = close_frame(210);
    let grease = [0x21, 2, 9, 9, 0, 2, 0x17, 0];
    let split = [&[0, 3][..], &end[2..5], &[0, end.len() as u8 - 5], &end[5..]].concat();
    for whole in [[&grease[..], &end].concat(), split] {
        for cut in 0..whole.len() {
            let mut session = connect(Stage::Open, &whole[..cut]);
            assert!(session.capsule().unwrap().is_none());
            session.unread.extend_from_slice(&whole[cut..]);
            assert!(matches!(session.capsule(), Ok(Some(Heard::Closed(Some(210))))), "cut at {cut}");
        }
    }
}

#[test]
fn what_never_ends_is_broken() {
    assert!(connect(Stage::Open, &[0; HEAD_BYTES_MAX * 2]).capsule().is_ok(), "empty frames end");
    let frame = [&[0, 0x80, 1, 0, 0][..], &[0x10; HEAD_BYTES_MAX]].concat();
    assert!(connect(Stage::Open, &frame).capsule().is_err());
    let request = [&[1, 0x80, 1, 0, 0][..], &[0; HEAD_BYTES_MAX]].concat();
    assert!(connect(Stage::Head, &request).request().is_err());
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = Seed(5).rng();
    for length in 0..2_000 {
        let bytes: Vec<u8> = (0..length % 200).map(|_| rng.next_u64() as u8 & 0x47).collect();
        let _ = connect(Stage::Head, &bytes).request();
        let _ = connect(Stage::Head, &bytes).response();
        let _ = connect(Stage::Open, &bytes).capsule();
        let _ = after_stream_head(&bytes);
    }
}

#[test]
fn streams_and_datagrams_name_their_session() {
    let head = stream_head();
    assert!(matches!(after_stream_head(&head[..head.len() - 1]), Ok(None)));
    let stream = [&head[..], &[8, 1]].concat();
    assert!(matches!(after_stream_head(&stream), Ok(Some([8, 1]))));
    assert!(after_stream_head(&[0x40, 0x41, 4, 0]).is_err(), "another session");
    assert!(after_stream_head(&[1, 0, 0]).is_err(), "another request");
    assert_eq!(datagram_payload(datagram(b"x")).ok().unwrap(), "x");
    assert!(datagram_payload(Bytes::from_static(&[1, 2])).is_err());
    assert!(datagram_payload(Bytes::new()).is_err());
}
