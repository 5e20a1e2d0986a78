//! What is answered without a session, and what is not.

use super::*;

const NOW: Micros = Micros(1_763_000_000_000_123);

#[test]
fn a_probe_is_answered_with_its_own_time_and_ours() {
    let probe = encode_link(link::Kind::Ping(proto::Ping { t0_us: 77 }));
    let answer = answer_probe(NOW, &probe).unwrap();
    let expected = proto::Pong { t0_us: 77, t1_us: NOW.0, t2_us: NOW.0, tick0_us: 0 };
    assert_eq!(proto::Link::decode(&answer[1..]).unwrap().kind, Some(link::Kind::Pong(expected)));
    assert_eq!(answer[0], KIND_LINK);
    // The shortest there is: the time is 0.
    assert!(answer_probe(NOW, &[KIND_LINK, PING_FIELD, 0]).is_some());
}

#[test]
fn everything_else_is_for_the_session() {
    let ack = encode_link(link::Kind::Ack(proto::Ack::default()));
    let close = encode_link(link::Kind::Close(proto::Close::default()));
    let probe = encode_link(link::Kind::Ping(proto::Ping { t0_us: 77 }));
    // Of the kinds in one message the last one counts.
    let two_kinds = [&probe, &ack[1..]].concat();
    let control = [&[crate::handshake::KIND_CONTROL], &probe[1..]].concat();
    let cut = &probe[..probe.len() - 1];
    for message in [&ack[..], &close, &two_kinds, &control, cut, &[], &[KIND_LINK], &[KIND_LINK, PING_FIELD]] {
        assert_eq!(answer_probe(NOW, message), None, "{message:?}");
    }
}
