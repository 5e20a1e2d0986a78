//! Silence, time and the end of sessions.

use super::*;

fn closed_with(events: &[Event]) -> Option<Code> {
    match events.last() {
        Some(Event::Closed { code, .. }) => Some(*code),
        _ => None,
    }
}

#[test]
fn pings_keep_an_idle_session_and_set_the_clock() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    pair.pass(Micros::from_secs(120));
    assert!(pair.client.is_attached() && pair.server().is_attached());
    assert_eq!(pair.client.clock().rtt_us(), Some(0));
    assert_eq!(pair.client.clock().error_us(pair.now).map(|e| e < 1_100), Some(true));
    assert!(pair.client.stats().pongs_in >= 5 + 22);
}

#[test]
fn a_silent_pipe_is_left_and_the_session_waits_a_minute() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    pair.stall(Micros::from_secs(31));
    assert!(!pair.client.is_attached() && !pair.server().is_attached());
    let closes = |wire: &VecDeque<Output>| matches!(wire.back(), Some(Output::ClosePipe { code: Code::Silent, .. }));
    assert!(closes(&pair.wires[0].to_server) && closes(&pair.wires[0].to_client));
    pair.stall(Micros::from_secs(58));
    assert!(!pair.server().is_closed());
    pair.stall(Micros::from_secs(2));
    assert_eq!(closed_with(&pair.server_events), Some(Code::SessionUnknown));
    assert_eq!(closed_with(&pair.client_events), Some(Code::SessionUnknown));
    assert_eq!(pair.server().poll_timeout(), None);
}

#[test]
fn a_peer_whose_probes_are_answered_elsewhere_is_not_silent() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    let mut now = pair.now;
    let every = Micros::from_secs(5);
    for _ in 0..20 {
        now += every;
        pair.server().handle_heard(now - Micros(1), PipeId(0));
        pair.server().handle_timeout(now);
        assert_eq!(pair.server().poll_output(), None, "it has nothing to ask");
    }
    // Neither another pipe nor what was known already counts.
    let heard = now;
    while pair.server().is_attached() {
        now += every;
        pair.server().handle_heard(now, PipeId(1));
        pair.server().handle_heard(heard - Micros(1), PipeId(0));
        pair.server().handle_timeout(now);
    }
    assert_eq!(now, heard + Micros::from_secs(30));
}

#[test]
fn a_short_silence_asks_for_a_second_path_and_again_after_a_second() {
    let config = Config { path_silent_after: Some(Micros::from_millis(300)), ..Config::default() };
    let mut pair = Pair::with(PipeKind::Streams, config);
    pair.dial();
    pair.settle();
    pair.pass(Micros::from_millis(400));
    pair.client_events.clear();
    pair.stall(Micros::from_millis(350));
    assert_eq!(pair.client_events, [Event::PathSilent]);
    pair.stall(Micros::from_millis(500));
    assert_eq!(pair.client_events, [Event::PathSilent]);
    pair.stall(Micros::from_millis(600));
    assert_eq!(pair.client_events, [Event::PathSilent, Event::PathSilent]);
    pair.server_sends(LANE_ROOM, "heard").unwrap();
    pair.settle();
    pair.client_events.clear();
    pair.stall(Micros::from_millis(350));
    assert_eq!(pair.client_events, [Event::PathSilent]);
}

#[test]
fn an_unanswered_hello_is_given_up_after_five_seconds() {
    let mut pair = Pair::new(PipeKind::Streams);
    let pipe = pair.dial();
    pair.stall(Micros::from_secs(5));
    assert!(!pair.client.is_dialing() && !pair.client.is_closed());
    let last = pair.wires[pipe].to_server.back();
    assert!(matches!(last, Some(Output::ClosePipe { code: Code::HandshakeTimeout, .. })));
}

#[test]
fn an_orderly_close_brings_the_last_messages_though_it_overtakes_them() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.server_sends(LANE_ROOM, "the match has ended").unwrap();
    let now = pair.now;
    pair.server().close(now, Code::Bye, "over");
    pair.drain();
    assert_eq!(pair.server_sends(LANE_ROOM, "too late"), Err(SendError::Closed));
    let close = pair.wires[0].to_client.pop_back().unwrap();
    pair.deliver_down(0, close);
    pair.drain();
    assert!(closed_with(&pair.client_events).is_none());
    pair.settle();
    assert_eq!(pair.client_events[0], Event::Message { lane: LANE_ROOM, payload: "the match has ended".into() });
    assert_eq!(pair.client_events[1], Event::Closed { code: Code::Bye, message: "over".to_owned() });
    assert_eq!(closed_with(&pair.server_events), Some(Code::Bye));
    assert!(pair.server().stats().detaches == 0);
}

#[test]
fn a_close_that_nobody_answers_ends_after_a_second() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    pair.client.close(pair.now, Code::Bye, "");
    pair.stall(Micros::from_millis(999));
    assert!(pair.client_events.is_empty() && pair.client.is_closed());
    pair.stall(Micros::from_millis(1));
    assert_eq!(closed_with(&pair.client_events), Some(Code::Bye));
    assert!(pair.client.poll_timeout().is_none());
}

#[test]
fn both_may_close_at_once() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    let now = pair.now;
    pair.client.close(now, Code::Bye, "");
    pair.server().close(now, Code::Draining, "");
    pair.settle();
    assert_eq!(closed_with(&pair.client_events), Some(Code::Bye));
    assert_eq!(closed_with(&pair.server_events), Some(Code::Draining));
}

#[test]
fn a_close_during_a_parallel_dial_reaches_the_server() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let fresh = pair.dial();
    pair.client_sends(LANE_ROOM, "last words").unwrap();
    pair.client.close(pair.now, Code::Bye, "");
    // The server moves to the fresh pipe before it reads the Close.
    assert!(pair.up(fresh));
    pair.settle();
    assert_eq!(pair.server_got(), ["2:last words"]);
    assert_eq!(
        (closed_with(&pair.client_events), closed_with(&pair.server_events)),
        (Some(Code::Bye), Some(Code::Bye))
    );
}

#[test]
fn a_close_during_the_first_dial_waits_for_the_welcome() {
    let mut pair = Pair::new(PipeKind::Streams);
    pair.dial();
    pair.client.close(pair.now, Code::Bye, "");
    pair.settle();
    assert_eq!(
        (closed_with(&pair.client_events), closed_with(&pair.server_events)),
        (Some(Code::Bye), Some(Code::Bye))
    );
}

#[test]
fn a_closed_session_is_not_resumed() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    let now = pair.now;
    pair.server().close(now, Code::Bye, "");
    pair.drain();
    pair.dial();
    while pair.up(1) {}
    assert_eq!(pair.refusals.pop().map(|r| r.code), Some(Code::SessionUnknown));
}

#[test]
fn a_refusal_that_says_stop_ends_a_client_and_others_do_not() {
    for (code, ends) in [(Code::TokenInvalid, true), (Code::Overloaded, false), (Code::Draining, false)] {
        let mut pair = Pair::new(PipeKind::Ordered);
        let pipe = pair.dial();
        let refusal = Refusal { code, message: "no".to_owned(), retry_after_ms: 250 };
        pair.client.handle_frame(pair.now, PipeId(pipe as u32), LANE_CONTROL, refusal.encode());
        pair.drain();
        assert_eq!(pair.client_events[0], Event::Refused(refusal));
        assert_eq!(pair.client.is_closed(), ends, "{code:?}");
        assert!(matches!(pair.wires[pipe].to_server.back(), Some(Output::ClosePipe { .. })));
    }
}

#[test]
fn a_reader_that_is_ten_seconds_behind_loses_its_pipe_and_nothing_else() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    pair.server_sends(LANE_ROOM, "never read").unwrap();
    pair.stall(Micros::from_millis(9_999));
    assert!(pair.server().is_attached());
    let now = pair.now;
    assert_eq!(pair.server().retained_age(now), Micros::from_millis(9_999));
    pair.stall(Micros::from_millis(1));
    assert!(!pair.server().is_attached() && pair.server().stats().slow_readers == 1);
    let last = pair.wires[0].to_client.back();
    assert!(matches!(last, Some(Output::ClosePipe { code: Code::SlowReader, .. })));
    pair.cut(0);
    // The next pipe has its own ten seconds.
    pair.dial();
    pair.settle();
    assert_eq!((pair.client_got(), pair.server().stats().slow_readers), (vec!["2:never read".to_owned()], 1));
}
