//! Attaches that come in early data and are not binding before their pipe is confirmed.

use super::*;

const RESUMED: Event = Event::Attached { resumed: true, seamless: true, generation: 2, topics: Vec::new() };

/// The Hello that waits on a pipe, as an attacker records it.
fn record(pair: &Pair, pipe: usize) -> ClientHello {
    match pair.wires[pipe].to_server.front() {
        Some(Output::Frame { payload, .. }) => parse_hello(payload.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn replay(pair: &mut Pair, hello: &ClientHello) -> (usize, Result<(), Refusal>) {
    let pipe = pair.wires.len();
    pair.wires.push(Wire::default());
    let (now, info) = (pair.now, PipeInfo { early: true, ..pair.info(pipe) });
    let result = pair.server().attach(now, hello, info);
    pair.drain();
    (pipe, result)
}

#[test]
fn an_early_attach_is_answered_at_once_and_binds_at_confirmation() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.server_sends(LANE_ROOM, "kept").unwrap();
    pair.cut(0);
    pair.server_events.clear();
    pair.client_events.clear();
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    assert_eq!((pair.server().generation(), &pair.server_events[..]), (1, &[RESUMED][..]));
    pair.server_sends(LANE_ROOM, "at once").unwrap();
    pair.server_sends(1, "a topic").unwrap();
    let now = pair.now;
    pair.server().send_datagram(now, 16, Bytes::from_static(b"snapshot")).unwrap();
    pair.drain();
    while pair.down(pipe) {}
    assert_eq!(pair.client_got(), ["2:kept", "2:at once", "1:a topic"]);
    assert!(pair.client_events.iter().any(|e| matches!(e, Event::Datagram { lane: 16, .. })));
    pair.client_sends(LANE_ROOM, "up").unwrap();
    pair.confirm(pipe);
    pair.settle();
    assert_eq!((pair.server().generation(), pair.server_got()), (2, vec!["2:up".to_owned()]));
    assert_eq!(pair.server_events.len(), 1, "it was told once: {:?}", pair.server_events);
    pair.pass(Micros::from_millis(200));
    assert_eq!(pair.client.retained_messages() + pair.server().retained_messages(), 0);
}

#[test]
fn the_older_pipe_works_on_until_then_and_nothing_comes_twice() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    assert!(pair.server_events.is_empty());
    // Both directions of the older pipe, after the Welcome has left.
    for text in ["a", "b"] {
        pair.client_sends(LANE_ROOM, text).unwrap();
        pair.server_sends(3, text).unwrap();
    }
    while pair.up(0) || pair.down(0) {}
    assert_eq!(pair.server_got(), ["2:a", "2:b"]);
    assert_eq!(pair.client_got(), ["3:a", "3:b"]);
    pair.client_sends(LANE_ROOM, "c").unwrap();
    while pair.down(pipe) {}
    pair.confirm(pipe);
    pair.server_sends(3, "c").unwrap();
    pair.settle();
    assert_eq!((pair.server_got(), pair.client_got()), (vec!["2:c".to_owned()], vec!["3:c".to_owned()]));
    assert_eq!(pair.server_events, [RESUMED]);
    assert_eq!(pair.server().stats().messages_repeated, 2);
    pair.pass(Micros::from_millis(200));
    assert_eq!(pair.client.retained_messages() + pair.server().retained_messages(), 0);
}

#[test]
fn what_a_broken_early_pipe_had_to_repeat_is_not_expected_on_the_next() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    pair.client_sends(LANE_ROOM, "on the older pipe").unwrap();
    while pair.up(0) {}
    pair.confirm(pipe);
    pair.cut(pipe);
    pair.dial();
    pair.settle();
    pair.client_sends(LANE_ROOM, "next").unwrap();
    pair.settle();
    assert_eq!(pair.server_got(), ["2:on the older pipe", "2:next"]);
    assert_eq!(pair.server().stats().messages_repeated, 0);
}

#[test]
fn no_ack_overtakes_the_welcome_of_an_early_attach() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    for i in 0..70 {
        pair.client_sends(LANE_ROOM, &format!("{i}")).unwrap();
    }
    while pair.up(0) {}
    pair.stall(Micros::from_secs(1));
    while pair.down(0) || pair.down(pipe) {}
    assert!(pair.client.is_attached() && !pair.client.is_dialing());
    pair.confirm(pipe);
    pair.settle();
    assert_eq!(pair.server_got().len(), 70);
    pair.pass(Micros::from_millis(200));
    assert_eq!(pair.client.retained_messages(), 0);
}

#[test]
fn an_early_pipe_that_dies_leaves_no_trace() {
    for with_older in [true, false] {
        let mut pair = Pair::attached(PipeKind::Streams);
        if !with_older {
            pair.cut(0);
        }
        pair.client_events.clear();
        pair.server_events.clear();
        let pipe = pair.dial_early();
        pair.client_sends(LANE_ROOM, "1").unwrap();
        pair.server_sends(3, "1").unwrap();
        assert!(pair.up(pipe));
        pair.server_sends(3, "2").unwrap();
        // Part of the answer is read, then the pipe breaks.
        assert!(pair.down(pipe) && pair.down(pipe));
        pair.client_sends(LANE_ROOM, "2").unwrap();
        pair.early = None;
        pair.cut(pipe);
        pair.settle();
        pair.dial();
        pair.settle();
        assert_eq!(pair.server_got(), ["2:1", "2:2"], "{with_older}");
        assert_eq!(pair.client_got(), ["3:1", "3:2"], "{with_older}");
        let server: Vec<bool> = pair.server_events.iter().map(|e| matches!(e, Event::Attached { .. })).collect();
        assert_eq!(server.last(), Some(&true));
        pair.pass(Micros::from_millis(200));
        assert_eq!(pair.client.retained_messages() + pair.server().retained_messages(), 0);
    }
}

#[test]
fn replays_take_nothing_and_the_real_client_gets_through() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let pipe = pair.dial_early();
    let hello = record(&pair, pipe);
    for _ in 0..5 {
        assert_eq!(replay(&mut pair, &hello).1, Ok(()));
    }
    pair.server_sends(LANE_ROOM, "old path").unwrap();
    while pair.down(0) {}
    assert_eq!(pair.client_got(), ["2:old path"]);
    // The same Hello, not early: its early data was not accepted.
    pair.early = None;
    pair.settle();
    assert_eq!((pair.server().generation(), pair.client.is_attached()), (2, true));
    assert_eq!(replay(&mut pair, &hello).1.map_err(|r| r.code), Err(Code::GenerationStale));
    pair.server_sends(LANE_ROOM, "new path").unwrap();
    pair.settle();
    assert_eq!(pair.client_got(), ["2:new path"]);
    assert!(pair.server().early.is_empty());
}

#[test]
fn a_replay_without_the_client_ends_after_five_seconds() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let recorded = pair.dial_early();
    let hello = record(&pair, recorded);
    pair.early = None;
    pair.cut(recorded);
    pair.cut(0);
    pair.server_events.clear();
    let (pipe, _) = replay(&mut pair, &hello);
    assert_eq!(pair.server_events, [RESUMED]);
    pair.stall(Micros::from_secs(5));
    assert_eq!(pair.server_events, [RESUMED, Event::Detached]);
    let last = pair.wires[pipe].to_client.back();
    assert!(matches!(last, Some(Output::ClosePipe { code: Code::HandshakeTimeout, .. })));
}

#[test]
fn a_loss_is_not_told_before_it_binds() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.server_sends(LANE_ROOM, "old").unwrap();
    pair.cut(0);
    assert!(pair.server().give_up(LANE_ROOM, Code::Overloaded));
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    assert!(pair.wires[pipe].to_client.is_empty(), "the answer waits");
    pair.confirm(pipe);
    pair.settle();
    assert!(pair.client_events.contains(&Event::LaneLost { lane: LANE_ROOM, code: Code::Overloaded }));
    assert_eq!(pair.server().generation(), 2);
}

#[test]
fn early_data_holds_a_hello_and_nothing_else() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    let now = pair.now;
    pair.server().handle_frame(now, PipeId(pipe as u32), LANE_ROOM, Bytes::from_static(b"input"));
    pair.drain();
    let last = pair.wires[pipe].to_client.back();
    assert!(matches!(last, Some(Output::ClosePipe { code: Code::HandshakeInvalid, .. })));
    assert!(pair.server_got().is_empty() && pair.server().is_attached());
}

#[test]
fn a_close_reaches_a_client_that_has_moved_to_the_early_pipe() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let pipe = pair.dial_early();
    assert!(pair.up(pipe));
    while pair.down(pipe) {}
    let now = pair.now;
    pair.server_sends(LANE_ROOM, "last words").unwrap();
    pair.server().close(now, Code::MatchEnded, "");
    pair.drain();
    pair.settle();
    assert_eq!(pair.client_got(), ["2:last words"]);
    assert!(matches!(pair.client_events.last(), Some(Event::Closed { code: Code::MatchEnded, .. })));
    pair.stall(Micros::from_secs(1));
    assert!(matches!(pair.server_events.last(), Some(Event::Closed { code: Code::MatchEnded, .. })));
}
