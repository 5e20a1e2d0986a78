//! What a topic holds, for those who ask once.

use amphi_shared_wire::limits::{HISTORY_READS_WAITING_MAX, TOPIC_OPEN_MS_MAX};

use super::*;

type Seen = (u64, Result<HistoryView, Code>);

impl Harness {
    fn look(&mut self, ticket: u64, topic: &str, since: Option<Position>) -> Result<(), Code> {
        let (app, ask) = (AppId::default(), Subscribe { topic: topic.to_owned(), since });
        self.hub.look(self.now, ticket, (&app, None), (ask, 2)).map_err(|denied| denied.code)
    }

    fn seen(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(output) = self.hub.poll_output() {
            match output {
                HubOutput::History { ticket, view } => seen.push((ticket, view.map_err(|denied| denied.code))),
                other @ (HubOutput::Send { .. }
                | HubOutput::Broadcast { .. }
                | HubOutput::SendText { .. }
                | HubOutput::BroadcastText { .. }
                | HubOutput::Published { .. }) => panic!("{other:?}"),
            }
        }
        seen
    }
}

#[test]
fn who_asks_gets_what_the_topic_holds_and_becomes_no_reader() {
    let mut harness = Harness::new();
    for n in 1..=3 {
        harness.ask(n, say(CHAT, "x", ""));
    }
    harness.look(7, CHAT, None).unwrap();
    harness.ask_broker();
    let seen = harness.seen();
    let (7, Ok(view)) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!((view.newest.offset, view.publications.len(), view.recovered, view.more), (3, 2, true, false));
    harness.look(8, CHAT, Some(Position { offset: 0, ..view.newest })).unwrap();
    let seen = harness.seen();
    let (8, Ok(part)) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!((part.publications.len(), part.recovered, part.more), (2, true, true), "answered from the tail");
    harness.ask(4, say(CHAT, "nobody hears it", ""));
    assert_eq!(harness.seen(), []);
    assert_eq!(harness.look(9, "no:such:topic", None), Err(Code::TopicUnknown));
    harness.wait(600);
    assert_eq!(harness.hub.topics(), 0, "it is not followed for longer than for a reader");
}

#[test]
fn who_asks_waits_for_a_broker_no_longer_than_a_subscriber() {
    let mut harness = Harness::new();
    for ticket in 0..HISTORY_READS_WAITING_MAX as u64 {
        harness.look(ticket, CHAT, None).unwrap();
    }
    assert_eq!(harness.look(0, VIEW, None), Err(Code::Overloaded));
    harness.now += Micros::from_millis(TOPIC_OPEN_MS_MAX);
    harness.hub.handle_timeout(harness.now);
    let seen = harness.seen();
    assert_eq!(seen.len(), HISTORY_READS_WAITING_MAX);
    assert!(seen.iter().all(|(_, view)| *view == Err(Code::Unavailable)));
    harness.look(1, CHAT, None).unwrap();
    harness.ask_broker();
    assert!(matches!(harness.seen()[..], [(1, Ok(_))]), "there is room again");
}
