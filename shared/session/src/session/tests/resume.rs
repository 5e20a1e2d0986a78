//! Sessions that go on over other pipes.

use super::*;
use crate::TopicPosition;

#[test]
fn nothing_is_lost_doubled_or_reordered_when_a_pipe_breaks() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.client_sends(LANE_ROOM, "1").unwrap();
    pair.client_sends(LANE_ROOM, "2").unwrap();
    assert!(pair.up(0));
    pair.server_sends(3, "a").unwrap();
    pair.server_sends(0, "b").unwrap();
    assert!(pair.down(0));
    pair.cut(0);
    assert!(pair.client_events.contains(&Event::Detached) && pair.server_events.contains(&Event::Detached));
    pair.client_sends(LANE_ROOM, "3").unwrap();
    pair.server_sends(3, "c").unwrap();
    pair.dial();
    pair.settle();
    assert_eq!(pair.server_got(), ["2:1", "2:2", "2:3"]);
    assert_eq!(pair.client_got(), ["3:a", "0:b", "3:c"]);
    assert!(pair.client_events.contains(&Event::Attached {
        resumed: true,
        seamless: true,
        generation: 2,
        topics: Vec::new()
    }));
    pair.pass(Micros::from_millis(200));
    assert_eq!(pair.client.retained_messages() + pair.server().retained_messages(), 0);
}

#[test]
fn a_parallel_dial_takes_over_without_a_gap() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.dial();
    // The old pipe still brings messages after the Hello has left, and no ack may overtake it.
    for i in 0..70 {
        pair.server_sends(LANE_ROOM, &format!("{i}")).unwrap();
    }
    while pair.down(0) {}
    assert!(pair.wires[0].to_server.is_empty());
    pair.client_sends(LANE_ROOM, "up").unwrap();
    pair.settle();
    assert_eq!(pair.client_got(), (0..70).map(|i| format!("2:{i}")).collect::<Vec<_>>());
    assert_eq!(pair.server_got(), ["2:up"]);
    assert_eq!(pair.client.stats().messages_repeated, 70);
    // The server leaves the old pipe before its Welcome is read.
    assert_eq!(
        pair.client_events,
        [Event::Detached, Event::Attached { resumed: true, seamless: true, generation: 2, topics: Vec::new() }]
    );
    pair.pass(Micros::from_millis(200));
    assert_eq!(pair.server().retained_messages(), 0);
}

#[test]
fn an_overtaken_hello_is_refused_and_the_old_pipe_goes_on() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    let slow = pair.dial();
    let hello = pair.wires[slow].to_server.pop_front().unwrap();
    pair.server_sends(LANE_ROOM, "meanwhile").unwrap();
    pair.stall(Micros::from_secs(5));
    assert!(!pair.client.is_dialing());
    pair.settle();
    pair.pass(Micros::from_millis(200));
    assert_eq!(pair.server().retained_messages(), 0);
    pair.deliver_up(slow, hello);
    assert_eq!(pair.refusals.pop().map(|r| r.code), Some(Code::GenerationStale));
    pair.server_sends(LANE_ROOM, "still here").unwrap();
    pair.settle();
    assert_eq!(pair.client_got(), ["2:meanwhile", "2:still here"]);
}

#[test]
fn a_lost_welcome_changes_nothing() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.server_sends(LANE_ROOM, "a").unwrap();
    pair.cut(0);
    let lost = pair.dial();
    while pair.up(lost) {}
    pair.client_sends(LANE_ROOM, "b").unwrap();
    pair.cut(lost);
    pair.dial();
    pair.settle();
    assert_eq!((pair.client_got(), pair.server_got()), (vec!["2:a".to_owned()], vec!["2:b".to_owned()]));
    assert_eq!(pair.server().generation(), 3);
}

#[test]
fn lanes_that_overtake_the_welcome_wait_for_it() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.cut(0);
    pair.server_sends(LANE_ROOM, "a").unwrap();
    let pipe = pair.dial();
    assert!(pair.up(pipe));
    let welcome = pair.wires[pipe].to_client.pop_front().unwrap();
    while pair.down(pipe) {}
    assert!(pair.client_got().is_empty() && !pair.client.is_attached());
    pair.deliver_down(pipe, welcome);
    pair.settle();
    assert_eq!(pair.client_got(), ["2:a"]);
}

#[test]
fn resumes_without_proof_are_refused() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let hello = |change: fn(&mut ResumeRequest), pair: &mut Pair| {
        let mut resume = ResumeRequest {
            session: pair.server().id().unwrap(),
            secret: pair.server().secret().unwrap(),
            generation: 2,
            received: Vec::new(),
            welcomed: 1,
            lost: Vec::new(),
            topics: Vec::new(),
        };
        change(&mut resume);
        let mut hello = parse_hello(first_frame(&mut Session::connect(Config::default(), request()))).unwrap();
        hello.resume = Some(resume);
        let (now, info) = (pair.now, pair.info(0));
        pair.server().attach(now, &hello, info).map_err(|refusal| refusal.code)
    };
    assert_eq!(hello(|r| r.secret[3] ^= 1, &mut pair), Err(Code::SessionSecret));
    assert_eq!(hello(|r| r.session = SessionId::from_bits(1), &mut pair), Err(Code::SessionUnknown));
    assert_eq!(hello(|r| r.generation = 1, &mut pair), Err(Code::GenerationStale));
    assert_eq!(hello(|r| r.received = vec![(LANE_ROOM, 1)], &mut pair), Err(Code::MessageInvalid));
    assert!(pair.server().is_attached() && pair.server().generation() == 1);
    assert_eq!(hello(|_| {}, &mut pair), Ok(()));
}

fn first_frame(client: &mut Session) -> Bytes {
    client.dial(Micros(0), PipeInfo { id: PipeId(0), kind: PipeKind::Streams, max_datagram: 1_000, early: false });
    match client.poll_output() {
        Some(Output::Frame { payload, .. }) => payload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_without_memory_finds_its_session_and_hears_what_is_gone() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.server_sends(LANE_ROOM, "joined").unwrap();
    pair.client_sends(0, "hello").unwrap();
    pair.client.send_datagram(pair.now, 17, Bytes::from_static(b"input")).unwrap();
    pair.settle();
    pair.pass(Micros::from_millis(200));
    pair.server_sends(3, "kept from the first on").unwrap();
    let saved = pair.client.saved();
    pair.cut(0);
    pair.client = Session::connect(Config::default(), ConnectRequest { resume: saved, ..request() });
    pair.server_events.clear();
    pair.client_events.clear();
    pair.client_sends(0, "again").unwrap();
    pair.dial();
    pair.settle();
    let lost = |lane| Event::LaneLost { lane, code: Code::LaneLost };
    assert_eq!(pair.server_got(), ["0:again"]);
    assert_eq!(
        pair.server_events,
        [Event::Attached { resumed: true, seamless: false, generation: 2, topics: Vec::new() }, lost(0), lost(2)]
    );
    assert_eq!(pair.client_got(), ["3:kept from the first on"]);
    assert_eq!(
        pair.client_events,
        [Event::Attached { resumed: true, seamless: false, generation: 2, topics: Vec::new() }, lost(2)]
    );
    assert_eq!(pair.server_sends(LANE_ROOM, "joined again"), Ok(0));
    pair.client.send_datagram(pair.now, 17, Bytes::from_static(b"input")).unwrap();
    pair.settle();
    assert_eq!(pair.client_got(), ["2:joined again"]);
    assert!(pair.server_events.iter().any(|e| matches!(e, Event::Datagram { lane: 17, .. })));
}

#[test]
fn a_lane_that_was_given_up_starts_anew_however_often_the_welcome_is_lost() {
    for lost_welcomes in 0..3 {
        let mut pair = Pair::attached(PipeKind::Streams);
        pair.server_sends(LANE_ROOM, "old").unwrap();
        assert!(!pair.server().give_up(LANE_ROOM, Code::Overloaded));
        pair.settle();
        pair.cut(0);
        pair.server_sends(LANE_ROOM, "dropped").unwrap();
        assert!(pair.server().give_up(LANE_ROOM, Code::Overloaded));
        assert!(pair.client.give_up(3, Code::LaneLost));
        assert_eq!(pair.server_sends(LANE_ROOM, "new"), Ok(0));
        for _ in 0..lost_welcomes {
            let pipe = pair.dial();
            assert!(pair.up(pipe));
            pair.cut(pipe);
        }
        pair.server_events.clear();
        // This Welcome is read, but the server does not hear of it before the pipe breaks.
        let pipe = pair.dial();
        assert!(pair.up(pipe));
        while pair.down(pipe) {}
        let seamless = |events: &[Event]| events.iter().any(|e| matches!(e, Event::Attached { seamless: true, .. }));
        assert!(!seamless(&pair.server_events) && !seamless(&pair.client_events));
        pair.cut(pipe);
        pair.dial();
        pair.settle();
        assert!(seamless(&pair.server_events), "both sides know by now what was lost");
        assert_eq!(pair.client_got(), ["2:old", "2:new"]);
        let lost: Vec<_> = pair.client_events.iter().filter(|e| matches!(e, Event::LaneLost { .. })).collect();
        assert_eq!(lost, [&Event::LaneLost { lane: LANE_ROOM, code: Code::Overloaded }]);
    }
}

#[test]
fn a_new_session_instead_of_the_old_one_drops_what_was_kept() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.client_sends(LANE_ROOM, "old").unwrap();
    pair.cut(0);
    pair.server = None;
    pair.server_events.clear();
    pair.dial();
    pair.settle();
    assert!(pair.client_events.contains(&Event::Attached {
        resumed: false,
        seamless: false,
        generation: 1,
        topics: Vec::new()
    }));
    assert!(pair.client_events.contains(&Event::LaneLost { lane: LANE_ROOM, code: Code::LaneLost }));
    assert_eq!(pair.client_sends(LANE_ROOM, "new"), Ok(0));
    pair.settle();
    assert_eq!(pair.server_got(), ["2:new"]);
}

#[test]
fn another_client_with_the_secret_ends_this_one() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let saved = pair.client.saved();
    let mut thief = Session::connect(Config::default(), ConnectRequest { resume: saved, ..request() });
    let hello = parse_hello(first_frame(&mut thief)).unwrap();
    let (now, info) = (pair.now, pair.info(1));
    pair.wires.push(Wire::default());
    pair.server().attach(now, &hello, info).unwrap();
    pair.drain();
    while pair.down(0) {}
    assert!(pair.client.is_closed());
    assert!(matches!(pair.client_events.last(), Some(Event::Closed { code: Code::GenerationStale, .. })));
}

#[test]
fn a_resume_names_the_topics_that_fit() {
    let topic = |n: usize| TopicPosition { topic: format!("{n:03}:{}", "t".repeat(124)), since: Some((u64::MAX, 7)) };
    let mut pair = Pair::attached(PipeKind::Ordered);
    for (count, token) in [(3, 10), (64, 10), (64, 4_000)] {
        let topics: Vec<TopicPosition> = (0..count).map(topic).collect();
        pair.client.restore(topics.clone());
        pair.client.set_token("t".repeat(token));
        pair.server_events.clear();
        pair.cut(pair.wires.len() - 1);
        pair.dial();
        pair.settle();
        let restored = pair.server_events.iter().find_map(|event| match event {
            Event::Attached { topics, .. } => Some(topics.clone()),
            Event::Detached
            | Event::PathSilent
            | Event::Message { .. }
            | Event::Datagram { .. }
            | Event::Acked { .. }
            | Event::Lost { .. }
            | Event::LaneWritable { .. }
            | Event::LaneLost { .. }
            | Event::Refused(_)
            | Event::Closed { .. } => None,
        });
        let restored = restored.expect("the Hello was taken");
        assert!(topics.starts_with(&restored));
        assert!(restored.len() == count || restored.len() * 150 + token > 7_500, "{} of {count}", restored.len());
    }
}
