//! Peers that break the protocol, and random peers.

use amphi_shared_wire::proto::{self, link};
use amphi_shared_wire::{Datagram, DatagramHeader, LANE_INPUT, LANE_SNAPSHOT};
use proptest::prelude::*;

use super::*;
use crate::handshake::encode_link;

fn closed_after(lane: Lane, payload: Bytes) -> Option<Code> {
    let mut pair = Pair::attached(PipeKind::Streams);
    let now = pair.now;
    pair.server().handle_frame(now, PipeId(0), lane, payload);
    pair.drain();
    match pair.server_events.last() {
        Some(Event::Closed { code, .. }) => Some(*code),
        _ => None,
    }
}

#[test]
fn every_violation_has_its_code() {
    let link = |kind| encode_link(kind);
    let ack =
        |lane, next_seq| link(link::Kind::Ack(proto::Ack { received: vec![proto::LanePosition { lane, next_seq }] }));
    assert_eq!(closed_after(9, Bytes::new()), Some(Code::LaneInvalid));
    assert_eq!(closed_after(16, Bytes::new()), Some(Code::LaneInvalid));
    assert_eq!(closed_after(2, Bytes::from(vec![0; FRAME_BYTES_MAX + 1])), Some(Code::FrameTooLarge));
    assert_eq!(closed_after(8, Bytes::from(vec![0; BULK_CHUNK_BYTES_MAX + 1])), Some(Code::FrameTooLarge));
    assert_eq!(closed_after(0, Bytes::new()), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, Bytes::from_static(&[2, 1])), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, Bytes::from_static(&[0, 0xff])), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, link(link::Kind::Welcome(proto::Welcome::default()))), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, link(link::Kind::Hello(proto::Hello::default()))), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, ack(2, 1)), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, ack(1, 0)), Some(Code::MessageInvalid));
    assert_eq!(closed_after(0, ack(2, 0)), None);
    assert_eq!(closed_after(0, Bytes::from_static(&[0])), None, "a link of a kind this build does not know");
}

/// What becomes of a session whose client acknowledges this datagram, when `sent` have left.
fn closed_after_ack(sent: u16, ack: u16) -> (Option<Code>, u64) {
    let mut pair = Pair::attached(PipeKind::Streams);
    let now = pair.now;
    for _ in 0..sent {
        pair.server().send_datagram(now, LANE_SNAPSHOT, Bytes::new()).unwrap();
    }
    let header = DatagramHeader { seq: 1, ack, ack_bits: u32::MAX };
    let bytes = Datagram { header, lane: LANE_INPUT, payload: Bytes::new() }.encode();
    pair.server().handle_datagram(now, PipeId(0), bytes);
    pair.drain();
    let closed = |event: &Event| if let Event::Closed { code, .. } = event { Some(*code) } else { None };
    let code = pair.server_events.iter().find_map(closed);
    (code, pair.server().datagram_stats().acks_unsent)
}

#[test]
fn who_acknowledges_what_was_never_sent_is_closed() {
    assert_eq!(closed_after_ack(0, 0), (None, 0));
    assert_eq!(closed_after_ack(3, 3), (None, 0));
    assert_eq!(closed_after_ack(0, 1), (Some(Code::AckInvalid), 1));
    assert_eq!(closed_after_ack(3, 4), (Some(Code::AckInvalid), 1));
    assert_eq!(closed_after_ack(3, 0x7000), (Some(Code::AckInvalid), 1));
}

#[test]
fn other_pipes_have_no_say() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let now = pair.now;
    pair.server().handle_frame(now, PipeId(7), 99, Bytes::new());
    pair.server().handle_datagram(now, PipeId(7), Bytes::new());
    pair.server().handle_pipe_closed(now, PipeId(7), Some(Code::Bye));
    assert!(pair.server().is_attached());
    assert_eq!(pair.server().stats().stale_in, 2);
}

#[test]
fn a_server_that_floods_before_its_welcome_is_left() {
    let mut pair = Pair::new(PipeKind::Streams);
    let pipe = pair.dial();
    for _ in 0..20_000 {
        pair.client.handle_frame(pair.now, PipeId(pipe as u32), LANE_ROOM, Bytes::new());
    }
    pair.drain();
    let last = pair.wires[pipe].to_server.back();
    assert!(matches!(last, Some(Output::ClosePipe { code: Code::Overloaded, .. })));
}

#[derive(Clone, Debug)]
enum Hostile {
    Frame(Lane, Vec<u8>),
    Link(Vec<u8>),
    Datagram(Vec<u8>),
    Header(u16, u16, u32, Lane),
    Pass(u64),
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        (0_u8..10, bytes()).prop_map(|(lane, bytes)| Hostile::Frame(lane, bytes)),
        bytes().prop_map(Hostile::Link),
        bytes().prop_map(Hostile::Datagram),
        (any::<u16>(), any::<u16>(), any::<u32>(), 0_u8..40).prop_map(|(s, a, b, l)| Hostile::Header(s, a, b, l)),
        (0_u64..3_000_000).prop_map(Hostile::Pass),
    ]
}

fn strike(session: &mut Session, now: &mut Micros, hostile: Hostile) {
    match hostile {
        Hostile::Frame(lane, bytes) => session.handle_frame(*now, PipeId(0), lane, bytes.into()),
        Hostile::Link(mut bytes) => {
            bytes.insert(0, 0);
            session.handle_frame(*now, PipeId(0), LANE_CONTROL, bytes.into());
        }
        Hostile::Datagram(bytes) => session.handle_datagram(*now, PipeId(0), bytes.into()),
        Hostile::Header(seq, ack, ack_bits, lane) => {
            let header = DatagramHeader { seq, ack, ack_bits };
            let datagram = Datagram { header, lane, payload: Bytes::new() };
            session.handle_datagram(*now, PipeId(0), datagram.encode());
        }
        Hostile::Pass(span) => {
            *now += Micros(span);
            session.handle_timeout(*now);
        }
    }
    session.send_datagram(*now, 20, Bytes::new());
    let _ = session.send(*now, 3, Bytes::from_static(b"x"));
}

proptest! {
    #[test]
    fn random_peers_do_no_harm(strikes in prop::collection::vec(hostile(), 1..60), attach: bool) {
        let mut pair = if attach { Pair::attached(PipeKind::Streams) } else { Pair::new(PipeKind::Streams) };
        if !attach {
            pair.dial();
        }
        let mut now = pair.now;
        for hostile in strikes {
            strike(&mut pair.client, &mut now, hostile.clone());
            if let Some(server) = &mut pair.server {
                strike(server, &mut now, hostile);
            }
            for session in std::iter::once(&mut pair.client).chain(pair.server.as_mut()) {
                let mut closed = false;
                while let Some(output) = session.poll_output() {
                    prop_assert!(!closed, "output after Closed: {output:?}");
                    closed = matches!(output, Output::Event(Event::Closed { .. }));
                }
                prop_assert!(session.retained_bytes() <= 256 * 1024);
                prop_assert!(session.poll_timeout().is_none_or(|(at, _)| at.0 > 0));
            }
        }
    }
}
