//! Datagrams between two engines.

use amphi_shared_wire::limits::DATAGRAMS_BEFORE_WELCOME_MAX;

use super::*;

fn fates(events: &[Event]) -> Vec<Event> {
    events.iter().filter(|e| matches!(e, Event::Acked { .. } | Event::Lost { .. })).cloned().collect()
}

fn send(pair: &mut Pair, lane: Lane, text: &'static str) -> u16 {
    let seq = pair.client.send_datagram(pair.now, lane, Bytes::from_static(text.as_bytes())).unwrap();
    pair.drain();
    seq
}

/// What of the client's waits in the pipe, without frames.
fn datagrams_up(pair: &Pair) -> usize {
    pair.wires[0].to_server.iter().filter(|o| matches!(o, Output::Datagram { .. })).count()
}

#[test]
fn a_datagram_is_acknowledged_within_twenty_milliseconds() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let seq = send(&mut pair, 17, "input");
    pair.settle();
    assert_eq!(pair.server_events, [Event::Datagram { lane: 17, payload: Bytes::from_static(b"input") }]);
    assert!(fates(&pair.client_events).is_empty());
    pair.pass(Micros::from_millis(20));
    assert_eq!(fates(&pair.client_events), [Event::Acked { seq }]);
    assert_eq!(pair.client.datagram_stats().acked, 1);
}

#[test]
fn what_comes_after_a_close_is_neither_delivered_nor_acknowledged() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let now = pair.now;
    pair.server().send_datagram(now, 16, Bytes::from_static(b"snapshot")).unwrap();
    pair.drain();
    pair.client.close(now, Code::Bye, "");
    while pair.down(0) {}
    pair.stall(Micros::from_millis(20));
    assert_eq!((pair.client.datagram_stats().received, datagrams_up(&pair)), (1, 0));
}

#[test]
fn the_newest_datagrams_before_the_welcome_wait_for_it() {
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.cut(0);
    let pipe = pair.dial();
    assert!(pair.up(pipe));
    let now = pair.now;
    for byte in 0..=DATAGRAMS_BEFORE_WELCOME_MAX as u8 {
        pair.server().send_datagram(now, 32, Bytes::copy_from_slice(&[byte])).unwrap();
    }
    pair.drain();
    pair.client_events.clear();
    let welcome = pair.wires[pipe].to_client.pop_front().unwrap();
    while pair.down(pipe) {}
    assert_eq!(pair.client_events, []);
    pair.wires[pipe].to_client.push_back(welcome);
    pair.settle();
    let first = pair.client_events.remove(0);
    assert!(matches!(first, Event::Attached { seamless: true, .. }), "{first:?}");
    let newest = (1..=DATAGRAMS_BEFORE_WELCOME_MAX as u8)
        .map(|byte| Event::Datagram { lane: 32, payload: Bytes::copy_from_slice(&[byte]) });
    assert_eq!(pair.client_events, newest.collect::<Vec<_>>());
}

#[test]
fn three_newer_acks_say_lost_and_so_does_time() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let lost = send(&mut pair, 17, "lost");
    pair.wires[0].to_server.retain(|o| !matches!(o, Output::Datagram { .. }));
    let arrived: Vec<u16> = (0..3).map(|_| send(&mut pair, 17, "arrives")).collect();
    pair.settle();
    pair.pass(Micros::from_millis(20));
    let mut wanted: Vec<Event> = arrived.into_iter().map(|seq| Event::Acked { seq }).collect();
    wanted.push(Event::Lost { seq: lost });
    assert_eq!(fates(&pair.client_events), wanted);

    pair.client_events.clear();
    let late = send(&mut pair, 17, "late");
    pair.stall(Micros::from_secs(1));
    assert_eq!(fates(&pair.client_events), [Event::Lost { seq: late }]);
    pair.settle();
    pair.pass(Micros::from_millis(20));
    assert_eq!(pair.client.datagram_stats().late, 1);
    assert_eq!(fates(&pair.client_events).len(), 1);
}

#[test]
fn on_an_ordered_pipe_two_fly_and_the_newest_waits() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    let seqs: Vec<u16> = (0..6).map(|_| send(&mut pair, 17, "input")).collect();
    send(&mut pair, 32, "other lane");
    assert_eq!(datagrams_up(&pair), 2);
    assert_eq!(fates(&pair.client_events), seqs[2..5].iter().map(|seq| Event::Lost { seq: *seq }).collect::<Vec<_>>());
    pair.stall(Micros::from_secs(2));
    assert_eq!(fates(&pair.client_events).len(), 3, "time alone loses nothing on an ordered pipe");
    pair.settle();
    pair.pass(Micros::from_millis(50));
    let got: Vec<Lane> = pair.server_events.iter().filter_map(lane_of).collect();
    assert_eq!(got, [17, 17, 17, 32]);
    assert_eq!(pair.client.datagram_stats().acked, 4);
    assert_eq!(pair.client.datagram_stats().replaced, 3);
}

fn lane_of(event: &Event) -> Option<Lane> {
    if let Event::Datagram { lane, .. } = event { Some(*lane) } else { None }
}

#[test]
fn a_latest_lane_never_goes_back() {
    let mut pair = Pair::attached(PipeKind::Streams);
    for text in ["1", "2", "3"] {
        send(&mut pair, 17, text);
    }
    send(&mut pair, 32, "unordered");
    let mut held: Vec<Output> = pair.wires[0].to_server.drain(..).collect();
    held.reverse();
    let again = held.clone();
    for output in held.into_iter().chain(again) {
        pair.deliver_up(0, output);
        pair.drain();
    }
    let got: Vec<Event> = pair.server_events.iter().filter(|e| lane_of(e).is_some()).cloned().collect();
    let wanted = [(32, "unordered"), (17, "3")].map(|(lane, text)| Event::Datagram { lane, payload: text.into() });
    assert_eq!(got, wanted);
    pair.settle();
    pair.pass(Micros::from_millis(20));
    assert_eq!(
        fates(&pair.client_events),
        [Event::Acked { seq: 3 }, Event::Acked { seq: 4 }],
        "an ack says: it was used"
    );
}

#[test]
fn a_broken_pipe_loses_what_was_on_it_and_numbers_go_on() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let seq = send(&mut pair, 17, "gone");
    pair.cut(0);
    assert_eq!(fates(&pair.client_events), [Event::Lost { seq }]);
    assert_eq!(pair.client.send_datagram(pair.now, 17, Bytes::new()), None);
    assert_eq!(pair.client.datagram_room(), 0);
    pair.dial();
    pair.settle();
    assert_eq!(send(&mut pair, 17, "next"), seq + 1);
    assert_eq!(pair.client.datagram_room(), 1_000 - 9);
    assert_eq!(pair.client.send_datagram(pair.now, 17, Bytes::from(vec![0; 992])), None);
    assert_eq!(pair.client.send_datagram(pair.now, 2, Bytes::new()), None);
}

#[test]
fn numbers_wrap_around_for_hours() {
    let mut pair = Pair::attached(PipeKind::Streams);
    for i in 0..140_000_u32 {
        send(&mut pair, 17, "input");
        let now = pair.now;
        pair.server().send_datagram(now, 16, Bytes::from_static(b"snapshot")).unwrap();
        pair.settle();
        if i % 1_000 == 0 {
            pair.now += Micros(16_000);
            pair.client_events.clear();
            pair.server_events.clear();
        }
    }
    pair.pass(Micros::from_millis(100));
    assert_eq!(pair.client.datagram_stats().acked, 140_000);
    assert_eq!(pair.server().datagram_stats().acked, 140_000);
    assert_eq!(pair.client.datagram_stats().dropped + pair.client.datagram_stats().lost, 0);
}

#[test]
fn the_newest_eight_unordered_datagrams_wait_on_an_ordered_pipe() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    let seqs: Vec<u16> = (0..12).map(|_| send(&mut pair, 32, "shot")).collect();
    assert_eq!(fates(&pair.client_events), seqs[2..4].iter().map(|seq| Event::Lost { seq: *seq }).collect::<Vec<_>>());
    assert_eq!(pair.client.datagram_stats().overflowed, 2);
    for _ in 0..10 {
        pair.settle();
        pair.pass(Micros::from_millis(50));
    }
    assert_eq!(pair.client.datagram_stats().acked, 10);
}
