//! Presence: two nodes and what their watchers hold, whatever is lost between them.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::Rng;
use amphi_shared_wire::limits::{FRAME_BYTES_MAX, PRESENCE_LISTED_MAX};
use amphi_shared_wire::proto::{
    ListPresence, Member, PresenceDiff, PresencePage, PresenceState, SetPresence, UnwatchPresence, WatchPresence,
};

use super::*;
use crate::{BrokerFault, NodeId, PresenceRules, TopicClass};

const ROOM: &str = "room:1";

fn class(joins: bool) -> TopicClass {
    let presence = Some(PresenceRules { see: Access::People(Role::Guest), joins });
    TopicClass { presence, ..TopicClass::new("room:**".parse().unwrap()) }
}

fn with_presence(joins: bool) -> Harness {
    Harness::with(HubConfig { classes: vec![class(joins)], topics_max: 10, node: None })
}

fn watch() -> topic_request::Kind {
    topic_request::Kind::WatchPresence(WatchPresence { topic: ROOM.to_owned() })
}

fn enter(meta: &str) -> topic_request::Kind {
    topic_request::Kind::Subscribe(Subscribe { topic: ROOM.to_owned(), since: None, meta: meta.to_owned() })
}

fn states(sent: &[(u64, Sent)]) -> Vec<PresenceState> {
    let state = |(_, sent): &(u64, Sent)| match sent {
        Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::PresenceState(state)), .. }) => Some(state.clone()),
        Sent::Reply(_) | Sent::Publication { .. } => None,
    };
    sent.iter().filter_map(state).collect()
}

fn diffs(sent: &[(u64, Sent)]) -> Vec<PresenceDiff> {
    let diff = |(_, sent): &(u64, Sent)| match sent {
        Sent::Reply(TopicReply { id: 0, kind: Some(topic_reply::Kind::PresenceDiff(diff)) }) => Some(diff.clone()),
        Sent::Reply(_) | Sent::Publication { .. } => None,
    };
    sent.iter().filter_map(diff).collect()
}

fn page(sent: &[(u64, Sent)]) -> PresencePage {
    match &sent[0].1 {
        Sent::Reply(TopicReply { kind: Some(topic_reply::Kind::PresencePage(page)), .. }) => page.clone(),
        Sent::Reply(_) | Sent::Publication { .. } => panic!("no page: {sent:?}"),
    }
}

fn names(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.name.as_str()).collect()
}

#[test]
fn a_watcher_hears_who_is_there_who_comes_and_who_goes() {
    let mut harness = with_presence(false);
    harness.ask(1, enter(r#"{"colour":"red"}"#));
    harness.ask(1, watch());
    let first = states(&harness.wait(1)).remove(0);
    assert_eq!((first.count, first.listed, names(&first.members)), (1, true, vec!["Person 1"]));
    assert_eq!(first.members[0].meta, r#"{"colour":"red"}"#);
    harness.wait(1);
    harness.ask(2, enter(""));
    let joined = diffs(&harness.wait(1)).remove(0);
    assert_eq!((joined.count, names(&joined.joined)), (2, vec!["Person 2"]));
    harness.hub.handle_request(
        harness.now,
        SessionKey(2),
        &person(2, Role::Guest),
        TopicRequest {
            id: 1,
            kind: Some(topic_request::Kind::SetPresence(SetPresence {
                topic: ROOM.to_owned(),
                meta: "\"away\"".to_owned(),
            })),
        },
    );
    let changed = diffs(&harness.wait(1)).remove(0);
    assert_eq!((changed.count, changed.changed[0].meta.as_str()), (2, "\"away\""));
    harness.ask(2, topic_request::Kind::Unsubscribe(Unsubscribe { topic: ROOM.to_owned() }));
    let left = diffs(&harness.wait(1)).remove(0);
    assert_eq!((left.count, left.left), (1, vec![person(2, Role::Guest).user.to_string()]));
}

#[test]
fn a_connection_that_comes_back_is_no_news_and_one_that_does_not_is() {
    let mut harness = with_presence(true);
    harness.ask(1, enter(""));
    harness.ask(2, enter(""));
    harness.wait(1);
    harness.hub.session_closed(harness.now, SessionKey(2));
    assert_eq!(diffs(&harness.wait(1)), []);
    harness.ask(2, enter(""));
    assert_eq!(diffs(&harness.wait(10)), []);
    harness.hub.session_closed(harness.now, SessionKey(2));
    let gone = diffs(&harness.wait(3));
    assert_eq!((gone.len(), gone[0].count), (1, 1));
}

#[test]
fn a_person_with_two_connections_is_one_member() {
    let mut harness = with_presence(true);
    harness.ask(1, enter(""));
    harness.wait(1);
    harness.ask_as(7, &person(1, Role::Guest), enter(""));
    let page = page(&harness.ask(1, topic_request::Kind::ListPresence(list("", 0))));
    assert_eq!((page.count, page.members[0].connections), (1, 2));
    harness.wait(1);
    harness.hub.session_closed(harness.now, SessionKey(7));
    let changed = diffs(&harness.wait(5));
    assert_eq!(changed.last().map(|diff| (diff.count, diff.left.len())), Some((1, 0)));
}

fn list(after: &str, limit: u32) -> ListPresence {
    ListPresence { topic: ROOM.to_owned(), after: after.to_owned(), limit }
}

#[test]
fn a_crowd_is_counted_paged_and_listed_again_when_it_is_small() {
    let mut harness = with_presence(true);
    let crowd = PRESENCE_LISTED_MAX as u64 + 300;
    harness.ask(1, enter(""));
    harness.wait(1);
    for session in 2..=crowd {
        harness.ask(session, enter(""));
    }
    let told = diffs(&harness.wait(3));
    let last = told.last().unwrap();
    assert_eq!((last.count, last.listed, last.joined.len()), (crowd as u32, false, 0));
    let state = states(&harness.ask(1, watch())).remove(0);
    assert!(!state.listed && (1..=20).contains(&state.members.len()));
    let (mut users, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = page(&harness.ask(1, topic_request::Kind::ListPresence(list(&after, 70))));
        users.extend(page.members.into_iter().map(|member| member.user));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(users.len() as u64, crowd);
    for session in 101..=crowd {
        harness.ask(session, topic_request::Kind::Unsubscribe(Unsubscribe { topic: ROOM.to_owned() }));
    }
    let again = states(&harness.wait(2));
    assert_eq!(again.len(), 100, "each of those who are left gets the list");
    assert!(again.iter().all(|state| state.listed && state.members.len() == 100 && state.count == 100));
}

#[test]
fn no_message_is_larger_than_a_frame() {
    let mut harness = with_presence(true);
    let meta = format!("\"{}\"", "x".repeat(254));
    harness.ask(1, enter(&meta));
    harness.wait(1);
    for session in 2..=PRESENCE_LISTED_MAX as u64 {
        harness.ask(session, enter(&meta));
    }
    let mut outputs = Vec::new();
    for _ in 0..10 {
        harness.now += Micros::from_millis(250);
        harness.hub.handle_timeout(harness.now);
        outputs.extend(std::iter::from_fn(|| harness.hub.poll_output()));
    }
    harness.ask_broker();
    assert!(outputs.iter().any(|output| matches!(output, HubOutput::Presence { .. })));
    for output in outputs {
        if let HubOutput::Presence { payload, .. } | HubOutput::Send { payload, .. } = output {
            assert!(payload.len() <= FRAME_BYTES_MAX, "{}", payload.len());
        }
    }
}

#[test]
fn what_may_not_be_is_refused() {
    let staff = Some(PresenceRules { see: Access::People(Role::Moderator), joins: true });
    let classes =
        vec![TopicClass { presence: staff, ..TopicClass::new("room:**".parse().unwrap()) }, TopicClass::match_chat()];
    let mut harness = Harness::with(HubConfig { classes, topics_max: 10, node: None });
    assert_eq!(refused(&harness.ask(1, watch())), Code::PresenceForbidden);
    assert_eq!(refused(&harness.ask(1, enter("{"))), Code::MessageInvalid);
    assert_eq!(refused(&harness.ask(1, enter(&format!("\"{}\"", "x".repeat(255))))), Code::MessageTooLarge);
    harness.ask(1, enter(""));
    assert_eq!(refused(&harness.ask(1, watch())), Code::PresenceForbidden);
    let moderator = person(2, Role::Moderator);
    assert_eq!(refused(&harness.ask_as(2, &moderator, watch())), Code::NotSubscribed);
    harness.ask_as(2, &moderator, enter(""));
    assert_eq!(states(&harness.wait(1)).len(), 1, "the class tells those who may see");
    let wish = topic_request::Kind::ListPresence(list("nobody", 1));
    assert_eq!(refused(&harness.ask_as(2, &moderator, wish)), Code::MessageInvalid);
    let chat = topic_request::Kind::WatchPresence(WatchPresence { topic: CHAT.to_owned() });
    assert_eq!(refused(&harness.ask_as(2, &moderator, chat)), Code::PresenceForbidden);
    let all: Vec<Code> = (0..30)
        .map(|_| harness.ask_as(2, &moderator, watch()))
        .filter(|sent| states(sent).is_empty())
        .map(|sent| refused(&sent))
        .collect();
    assert!(!all.is_empty() && all.iter().all(|code| *code == Code::RateLimited));
    harness.wait(10);
    harness.ask_as(2, &moderator, topic_request::Kind::UnwatchPresence(UnwatchPresence { topic: ROOM.to_owned() }));
    harness.ask(3, enter(""));
    assert_eq!(diffs(&harness.wait(1)), []);
}

/// Two or more nodes over one channel that loses and cuts.
struct Nodes {
    nodes: Vec<NodeUnderTest>,
    broker: MemoryBroker,
    now: Micros,
    rng: Rng,
    /// Who is connected where, and until when its person may still be shown.
    here: BTreeMap<u64, (usize, u64)>,
    is_away: bool,
}

struct NodeUnderTest {
    hub: Hub,
    inbox: VecDeque<BrokerEvent>,
    /// What the watcher of this node holds.
    shown: BTreeMap<String, u32>,
    count: u32,
    is_alive: bool,
    /// It hears what is told to all nodes, and nothing about topics.
    is_cut: bool,
}

/// The session that watches at each node, as a person of its own.
const WATCHER: u64 = 1_000;

impl Nodes {
    fn new(seed: u64, nodes: usize) -> Self {
        let mut nodes = Self {
            nodes: (0..nodes).map(|n| NodeUnderTest::new(seed * 100 + n as u64 + 1)).collect(),
            broker: MemoryBroker::new(10, Seed(seed)),
            now: Micros::from_secs(1_000),
            rng: Seed(seed).split("presence").rng(),
            here: BTreeMap::new(),
            is_away: false,
        };
        (0..nodes.nodes.len()).for_each(|node| nodes.watcher(node));
        nodes
    }

    fn watcher(&mut self, node: usize) {
        self.request(node, WATCHER + node as u64, enter(""));
        self.pass(Micros::from_millis(50));
        self.request(node, WATCHER + node as u64, watch());
    }

    fn request(&mut self, node: usize, session: u64, kind: topic_request::Kind) {
        let request = TopicRequest { id: 9, kind: Some(kind) };
        let who = person(session % 100_000, Role::Guest);
        self.nodes[node].hub.handle_request(self.now, SessionKey(session), &who, request);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        loop {
            while let Some(output) = self.nodes[node].hub.poll_output() {
                self.nodes[node].take(output);
            }
            let Some(request) = self.nodes[node].hub.poll_request() else { return };
            if self.is_away {
                if let BrokerRequest::Read { topic, .. } = request {
                    let view = Err(BrokerFault::Unavailable);
                    self.nodes[node].inbox.push_back(BrokerEvent::Read { topic, view });
                }
                continue;
            }
            self.broker.handle_request(self.now, request);
            while let Some(event) = self.broker.poll_event() {
                match &event {
                    BrokerEvent::Told { topic, .. } => {
                        let hears = |node: &&mut NodeUnderTest| node.is_alive && !(node.is_cut && topic.is_some());
                        let alive = self.nodes.iter_mut().filter(hears);
                        alive.for_each(|node| node.inbox.push_back(event.clone()));
                    }
                    BrokerEvent::Read { .. }
                    | BrokerEvent::Published { .. }
                    | BrokerEvent::Publication { .. }
                    | BrokerEvent::Unsure => self.nodes[node].inbox.push_back(event),
                }
            }
        }
    }

    /// Lets a node tell what has changed.
    fn flush(&mut self, node: usize) {
        self.now += Micros::from_millis(250);
        self.nodes[node].hub.handle_timeout(self.now);
        self.drain(node);
    }

    fn pass(&mut self, span: Micros) {
        let until = self.now + span;
        loop {
            for node in 0..self.nodes.len() {
                while let Some(event) = self.nodes[node].inbox.pop_front() {
                    if self.nodes[node].is_alive {
                        self.nodes[node].hub.handle_broker(self.now, event);
                        self.drain(node);
                    }
                }
            }
            if self.nodes.iter().any(|node| !node.inbox.is_empty()) {
                continue;
            }
            let alive = self.nodes.iter().filter(|node| node.is_alive);
            let due = alive.filter_map(|node| node.hub.poll_timeout()).map(|(at, _)| at).min();
            let Some(at) = due.filter(|at| *at <= until) else { break };
            self.now = at.max(self.now);
            for node in 0..self.nodes.len() {
                if self.nodes[node].is_alive {
                    self.nodes[node].hub.handle_timeout(self.now);
                    self.drain(node);
                }
            }
        }
        self.now = until;
    }

    /// Something that a node told does not arrive at one node, and nothing says so.
    fn lose(&mut self, node: usize) {
        let inbox = &mut self.nodes[node].inbox;
        if let Some(at) = inbox.iter().position(|event| matches!(event, BrokerEvent::Told { .. })) {
            inbox.remove(at);
        }
    }

    /// A connection to the broker ends, and another one begins.
    fn cut(&mut self, node: usize) {
        let cut = |event| match event {
            BrokerEvent::Told { .. } | BrokerEvent::Unsure => None,
            BrokerEvent::Read { topic, .. } => Some(BrokerEvent::Read { topic, view: Err(BrokerFault::Unavailable) }),
            BrokerEvent::Published { .. } | BrokerEvent::Publication { .. } => panic!("nobody here publishes"),
        };
        let inbox = &mut self.nodes[node].inbox;
        *inbox = inbox.drain(..).filter_map(cut).collect();
        inbox.push_back(BrokerEvent::Unsure);
    }

    fn step(&mut self) {
        let (session, node) = (1 + self.rng.below(30), self.rng.below(self.nodes.len() as u64) as usize);
        match self.rng.below(100) {
            0..60 => match self.here.remove(&session) {
                Some((at, key)) if self.rng.chance(500) => {
                    let leave = topic_request::Kind::Unsubscribe(Unsubscribe { topic: ROOM.to_owned() });
                    self.request(at, key, leave);
                }
                Some((at, key)) => {
                    let now = self.now;
                    self.nodes[at].hub.session_closed(now, SessionKey(key));
                    self.drain(at);
                }
                None => {
                    let key = session + 100_000 * (1 + self.rng.below(1_000));
                    self.request(node, key, enter(""));
                    self.here.insert(session, (node, key));
                }
            },
            60..70 => self.lose(node),
            70..75 => self.cut(node),
            _ => {
                let span = Micros::from_millis(self.rng.below(700));
                self.pass(span);
            }
        }
    }

    /// Everyone who is there, as every watcher should know it.
    fn truth(&self) -> BTreeMap<String, u32> {
        let people = self.here.keys().copied();
        let watchers = self.nodes.iter().enumerate().filter(|(_, node)| node.is_alive);
        let all = people.chain(watchers.map(|(node, _)| WATCHER + node as u64));
        all.map(|n| (person(n, Role::Guest).user.to_string(), 1)).collect()
    }

    fn check(&self) {
        for node in self.nodes.iter().filter(|node| node.is_alive) {
            assert_eq!(node.shown, self.truth());
            assert_eq!(node.count as usize, node.shown.len());
        }
    }
}

impl NodeUnderTest {
    fn new(id: u64) -> Self {
        let hub = Hub::new(HubConfig { classes: vec![class(false)], topics_max: 10, node: Some(NodeId(id)) });
        Self { hub, inbox: VecDeque::new(), shown: BTreeMap::new(), count: 0, is_alive: true, is_cut: false }
    }

    fn take(&mut self, output: HubOutput) {
        let (payload, to) = match output {
            HubOutput::Send { session, payload } => (payload, vec![session]),
            HubOutput::Presence { alias, payload } => (payload, self.hub.watchers(alias).collect()),
            HubOutput::SendText { .. }
            | HubOutput::Broadcast { .. }
            | HubOutput::BroadcastText { .. }
            | HubOutput::Published { .. }
            | HubOutput::History { .. }
            | HubOutput::PresenceText { .. }
            | HubOutput::PresenceListed { .. } => panic!("{output:?}"),
        };
        let Sent::Reply(TopicReply { kind: Some(kind), .. }) = read(&payload) else { return };
        if !to.iter().any(|session| session.0 / 100 == WATCHER / 100) {
            return;
        }
        if let topic_reply::Kind::PresenceState(state) = kind {
            self.shown = state.members.into_iter().map(|member| (member.user, member.connections)).collect();
            self.count = state.count;
        } else if let topic_reply::Kind::PresenceDiff(diff) = kind {
            let members = diff.joined.into_iter().chain(diff.changed);
            self.shown.extend(members.map(|member| (member.user, member.connections)));
            self.shown.retain(|user, _| !diff.left.contains(user));
            self.count = diff.count;
        }
    }
}

#[test]
fn every_node_knows_everyone_after_whatever_was_lost() {
    for seed in 0..60 {
        let mut nodes = Nodes::new(seed, 2 + (seed % 2) as usize);
        for _ in 0..300 {
            nodes.step();
        }
        // What was lost silently shows with the next change, so there is one at each node; then what is doubted ends.
        for node in 0..nodes.nodes.len() {
            let session = 100 + node as u64;
            nodes.request(node, session + 100_000, enter(""));
            nodes.here.insert(session, (node, session + 100_000));
        }
        nodes.pass(Micros::from_secs(6));
        nodes.check();
    }
}

#[test]
fn a_lost_message_is_noticed_with_the_next_one() {
    let mut nodes = Nodes::new(1, 2);
    nodes.pass(Micros::from_secs(1));
    nodes.request(0, 100_001, enter(""));
    nodes.nodes[0].hub.handle_timeout(nodes.now + Micros::from_millis(25));
    nodes.drain(0);
    nodes.nodes[1].inbox.clear();
    nodes.here.insert(1, (0, 100_001));
    nodes.request(0, 100_002, enter(""));
    nodes.here.insert(2, (0, 100_002));
    nodes.pass(Micros::from_secs(2));
    nodes.check();
}

#[test]
fn the_members_of_a_dead_node_leave_in_one_diff_within_six_seconds() {
    let mut nodes = Nodes::new(2, 3);
    for session in 1..=20 {
        nodes.request(0, session + 100_000, enter(""));
    }
    nodes.pass(Micros::from_secs(2));
    assert_eq!(nodes.nodes[1].count, 23);
    nodes.nodes[0].is_alive = false;
    nodes.pass(Micros::from_secs(6));
    nodes.check();
    assert_eq!(nodes.nodes[1].hub.counters().nodes_gone, 1);
}

#[test]
fn nobody_is_taken_for_gone_while_the_broker_is_away() {
    let mut nodes = Nodes::new(3, 2);
    nodes.request(0, 100_001, enter(""));
    nodes.here.insert(1, (0, 100_001));
    nodes.pass(Micros::from_secs(2));
    nodes.check();
    nodes.is_away = true;
    nodes.pass(Micros::from_secs(60));
    nodes.check();
    nodes.is_away = false;
    nodes.cut(0);
    nodes.cut(1);
    nodes.pass(Micros::from_secs(10));
    nodes.check();
    assert_eq!(nodes.nodes[1].hub.counters().nodes_gone, 0);
}

#[test]
fn members_of_a_node_that_follows_no_more_end_after_a_doubt() {
    let mut nodes = Nodes::new(5, 2);
    nodes.request(0, 100_001, enter(""));
    nodes.pass(Micros::from_secs(2));
    assert_eq!(nodes.nodes[1].count, 3);
    // Node 1 hears that node 0 lives, and nothing of what it says of the topic, which node 0 then follows no more.
    nodes.nodes[1].is_cut = true;
    for session in [WATCHER, 100_001] {
        nodes.request(0, session, topic_request::Kind::Unsubscribe(Unsubscribe { topic: ROOM.to_owned() }));
    }
    nodes.pass(Micros::from_secs(100));
    assert_eq!((nodes.nodes[0].hub.topics(), nodes.nodes[1].count), (0, 3));
    nodes.nodes[1].is_cut = false;
    nodes.cut(1);
    nodes.pass(Micros::from_secs(6));
    assert_eq!(nodes.nodes[1].count, 1);
}

#[test]
fn members_that_are_held_while_there_is_no_broker_are_told_when_there_is() {
    let mut nodes = Nodes::new(6, 2);
    nodes.pass(Micros::from_secs(2));
    nodes.is_away = true;
    // The node has begun without a broker.
    nodes.nodes[0] = NodeUnderTest::new(77);
    let held = Member { user: person(1, Role::Guest).user.to_string(), name: "Held".to_owned(), ..Member::default() };
    let (now, hour) = (nodes.now, Micros::from_secs(3_600));
    nodes.nodes[0].hub.hold_members(now, (&AppId::default(), ROOM), vec![held], hour).unwrap();
    nodes.drain(0);
    nodes.pass(Micros::from_secs(2));
    nodes.is_away = false;
    nodes.pass(Micros::from_secs(8));
    assert_eq!(nodes.nodes[1].count, 2, "the watcher here and who is held there");
}

#[test]
fn what_is_missing_is_asked_for_until_it_comes() {
    let mut nodes = Nodes::new(8, 2);
    nodes.pass(Micros::from_secs(1));
    for session in 1..=2 {
        nodes.request(0, session + 100_000, enter(""));
        nodes.here.insert(session, (0, session + 100_000));
        nodes.flush(0);
        if session == 1 {
            nodes.nodes[1].inbox.clear();
        }
    }
    // The first questions are lost, and nothing else happens.
    nodes.nodes[0].is_cut = true;
    nodes.pass(Micros::from_millis(1_200));
    nodes.nodes[0].is_cut = false;
    nodes.pass(Micros::from_secs(2));
    nodes.check();
}

#[test]
fn a_crowd_that_comes_in_waves_is_known_everywhere() {
    let mut nodes = Nodes::new(7, 2);
    nodes.pass(Micros::from_secs(2));
    for wave in 0..4 {
        let member = |n: u64| Member {
            user: UserId::from_bits(u128::from(1_000_000 + wave * 5_000 + n)).to_string(),
            name: "Member".to_owned(),
            ..Member::default()
        };
        let (now, hour) = (nodes.now, Micros::from_secs(3_600));
        let members = (0..5_000).map(member).collect();
        nodes.nodes[0].hub.hold_members(now, (&AppId::default(), ROOM), members, hour).unwrap();
        nodes.drain(0);
        nodes.pass(Micros::from_millis(40));
    }
    nodes.pass(Micros::from_secs(5));
    assert_eq!(nodes.nodes[1].count, 20_002);
}

#[test]
fn what_no_node_says_changes_nothing() {
    let mut nodes = Nodes::new(4, 2);
    nodes.pass(Micros::from_secs(1));
    for message in [&b""[..], b"\xff\xff\xff", b"\x09\x01\x02\x03\x04\x05\x06\x07\x08\x22\x04\x1a\x02\x0a\x00"] {
        let topic = TopicKey { app: AppId::default(), name: ROOM.parse().unwrap() };
        let event = BrokerEvent::Told { topic: Some(topic), message: Bytes::copy_from_slice(message) };
        nodes.nodes[0].inbox.push_back(event);
    }
    nodes.pass(Micros::from_secs(1));
    nodes.check();
    assert_eq!(nodes.nodes[0].hub.counters().nodes_unheard, 2);
}
