//! Both engines against each other over pipes that the test holds in its hands.

mod datagrams;
mod early;
mod ends;
mod hostile;
mod resume;

use std::collections::VecDeque;

use amphi_shared_wire::{LANE_CONTROL, LANE_ROOM, Seed};

use super::*;
use crate::{ClientHello, PipeKind, Refusal, ServerParams, parse_hello};

/// One pipe: what is on its way to each end.
#[derive(Debug, Default)]
struct Wire {
    to_server: VecDeque<Output>,
    to_client: VecDeque<Output>,
}

/// A client, its server and the pipes between them.
struct Pair {
    now: Micros,
    kind: PipeKind,
    client: Session,
    server: Option<Session>,
    wires: Vec<Wire>,
    /// A pipe whose handshake is not confirmed.
    early: Option<PipeId>,
    client_events: Vec<Event>,
    server_events: Vec<Event>,
    refusals: Vec<Refusal>,
}

fn params(tick: Option<TickClock>) -> ServerParams {
    ServerParams {
        session: SessionId::generate(Micros::from_secs(1), &mut Seed(1).rng()),
        secret: *b"0123456789abcdef",
        clock_id: 9,
        tick,
        capabilities: vec!["views".to_owned(), "relay".to_owned()],
    }
}

fn request() -> ConnectRequest {
    ConnectRequest {
        token: "token".to_owned(),
        capabilities: vec!["relay".to_owned(), "unheard-of".to_owned()],
        ..ConnectRequest::default()
    }
}

impl Pair {
    fn new(kind: PipeKind) -> Self {
        Self::with(kind, Config::default())
    }

    fn with(kind: PipeKind, config: Config) -> Self {
        Self {
            now: Micros::from_secs(1_000),
            kind,
            client: Session::connect(config, request()),
            server: None,
            wires: Vec::new(),
            early: None,
            client_events: Vec::new(),
            server_events: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// A pair that is attached, with nothing on its way and no events.
    fn attached(kind: PipeKind) -> Self {
        let mut pair = Self::new(kind);
        pair.dial();
        pair.settle();
        pair.client_events.clear();
        pair.server_events.clear();
        pair
    }

    fn info(&self, pipe: usize) -> PipeInfo {
        let id = PipeId(pipe as u32);
        PipeInfo { id, kind: self.kind, max_datagram: 1_000, early: self.early == Some(id) }
    }

    fn server(&mut self) -> &mut Session {
        self.server.as_mut().expect("the server has accepted")
    }

    /// The client dials on a fresh pipe whose Hello travels in early data.
    fn dial_early(&mut self) -> usize {
        self.early = Some(PipeId(self.wires.len() as u32));
        self.dial()
    }

    /// The handshake of a pipe is confirmed at the server.
    fn confirm(&mut self, pipe: usize) {
        let now = self.now;
        self.early = None;
        self.server().handle_pipe_confirmed(now, PipeId(pipe as u32));
        self.drain();
    }

    /// The client dials on a fresh pipe.
    fn dial(&mut self) -> usize {
        let pipe = self.wires.len();
        self.wires.push(Wire::default());
        let info = self.info(pipe);
        self.client.dial(self.now, info);
        self.drain();
        pipe
    }

    /// Takes what both engines say.
    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Event(event) => self.client_events.push(event),
                Output::Frame { pipe, .. } | Output::Datagram { pipe, .. } | Output::ClosePipe { pipe, .. } => {
                    self.wires[pipe.0 as usize].to_server.push_back(output);
                }
            }
        }
        while let Some(output) = self.server.as_mut().and_then(Session::poll_output) {
            match output {
                Output::Event(event) => self.server_events.push(event),
                Output::Frame { pipe, .. } | Output::Datagram { pipe, .. } | Output::ClosePipe { pipe, .. } => {
                    self.wires[pipe.0 as usize].to_client.push_back(output);
                }
            }
        }
    }

    /// Delivers what has waited longest on its way to the server; false when nothing has.
    fn up(&mut self, pipe: usize) -> bool {
        let Some(output) = self.wires[pipe].to_server.pop_front() else {
            return false;
        };
        self.deliver_up(pipe, output);
        self.drain();
        true
    }

    fn deliver_up(&mut self, pipe: usize, output: Output) {
        let (now, info) = (self.now, self.info(pipe));
        match output {
            Output::Frame { lane, payload, .. } => {
                let link = payload.first() == Some(&0);
                match (link && lane == LANE_CONTROL).then(|| parse_hello(payload.clone())) {
                    Some(Ok(hello)) => self.hello(pipe, &hello),
                    Some(Err(_)) | None => self.server().handle_frame(now, info.id, lane, payload),
                }
            }
            Output::Datagram { bytes, .. } => self.server().handle_datagram(now, info.id, bytes),
            Output::ClosePipe { code, .. } => {
                if let Some(server) = &mut self.server {
                    server.handle_pipe_closed(now, info.id, Some(code));
                }
            }
            Output::Event(_) => unreachable!("events stay at home"),
        }
    }

    fn hello(&mut self, pipe: usize, hello: &ClientHello) {
        let (now, info) = (self.now, self.info(pipe));
        let Some(server) = &mut self.server else {
            self.server = Some(Session::accept(now, Config::default(), params(None), hello, info));
            return;
        };
        if let Err(refusal) = server.attach(now, hello, info) {
            let payload = refusal.encode();
            self.refusals.push(refusal);
            self.wires[pipe].to_client.push_back(Output::Frame { pipe: info.id, lane: LANE_CONTROL, payload });
        }
    }

    /// Delivers what has waited longest on its way to the client; false when nothing has.
    fn down(&mut self, pipe: usize) -> bool {
        let Some(output) = self.wires[pipe].to_client.pop_front() else {
            return false;
        };
        self.deliver_down(pipe, output);
        self.drain();
        true
    }

    fn deliver_down(&mut self, pipe: usize, output: Output) {
        let (now, id) = (self.now, PipeId(pipe as u32));
        match output {
            Output::Frame { lane, payload, .. } => self.client.handle_frame(now, id, lane, payload),
            Output::Datagram { bytes, .. } => self.client.handle_datagram(now, id, bytes),
            Output::ClosePipe { code, .. } => self.client.handle_pipe_closed(now, id, Some(code)),
            Output::Event(_) => unreachable!("events stay at home"),
        }
    }

    /// Delivers everything that is on its way, and what follows from it.
    fn settle(&mut self) {
        self.drain();
        while (0..self.wires.len()).any(|pipe| self.up(pipe) || self.down(pipe)) {}
    }

    /// Both ends of a pipe see it break; what is on its way is gone.
    fn cut(&mut self, pipe: usize) {
        self.wires[pipe] = Wire::default();
        let id = PipeId(pipe as u32);
        self.client.handle_pipe_closed(self.now, id, None);
        if let Some(server) = &mut self.server {
            server.handle_pipe_closed(self.now, id, None);
        }
        self.drain();
    }

    /// Lets time pass; everything due happens, and everything on its way arrives.
    fn pass(&mut self, span: Micros) {
        self.advance(span, true);
    }

    /// Lets time pass; nothing arrives.
    fn stall(&mut self, span: Micros) {
        self.advance(span, false);
    }

    fn advance(&mut self, span: Micros, deliver: bool) {
        let end = self.now + span;
        loop {
            let due = [self.client.poll_timeout(), self.server.as_ref().and_then(Session::poll_timeout)];
            let Some((at, _)) = due.into_iter().flatten().min_by_key(|(at, _)| *at).filter(|(at, _)| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            if let Some(server) = &mut self.server {
                server.handle_timeout(self.now);
            }
            self.drain();
            if deliver {
                self.settle();
            }
        }
        self.now = end;
    }

    fn client_sends(&mut self, lane: Lane, text: &str) -> Result<u64, SendError> {
        let sent = self.client.send(self.now, lane, Bytes::copy_from_slice(text.as_bytes()));
        self.drain();
        sent
    }

    fn server_sends(&mut self, lane: Lane, text: &str) -> Result<u64, SendError> {
        let now = self.now;
        let sent = self.server().send(now, lane, Bytes::copy_from_slice(text.as_bytes()));
        self.drain();
        sent
    }

    /// Messages the client received, as `lane:text`, since the last call.
    fn client_got(&mut self) -> Vec<String> {
        texts(&mut self.client_events)
    }

    /// Messages the server received, as `lane:text`, since the last call.
    fn server_got(&mut self) -> Vec<String> {
        texts(&mut self.server_events)
    }
}

fn texts(events: &mut Vec<Event>) -> Vec<String> {
    let mut texts = Vec::new();
    events.retain(|event| {
        let Event::Message { lane, payload } = event else {
            return true;
        };
        texts.push(format!("{lane}:{}", String::from_utf8_lossy(payload)));
        false
    });
    texts
}

#[test]
fn the_handshake_tells_both_sides_everything() {
    let mut pair = Pair::new(PipeKind::Streams);
    pair.client_sends(LANE_ROOM, "early").unwrap();
    pair.dial();
    assert!(pair.client.is_dialing() && pair.client.saved().is_none());
    pair.settle();
    assert!(pair.client.is_attached() && !pair.client.is_dialing());
    assert_eq!(
        pair.client_events,
        [Event::Attached { resumed: false, seamless: false, generation: 1, topics: Vec::new() }]
    );
    assert_eq!(pair.server_got(), ["2:early"]);
    assert_eq!(
        pair.server_events,
        [Event::Attached { resumed: false, seamless: false, generation: 1, topics: Vec::new() }]
    );
    assert_eq!(pair.client.capabilities(), ["relay"]);
    assert_eq!(pair.server().capabilities(), ["relay"]);
    assert_eq!(pair.client.id(), pair.server().id());
    assert_eq!(pair.client.saved().map(|s| s.secret), pair.server().secret());
    assert_eq!(pair.client.clock().id(), 9);
    assert_eq!(pair.client.tick_clock(), None);
}

#[test]
fn a_room_that_cannot_keep_up_moves_its_clients_clock() {
    let ticks = |seconds| TickClock { tick0: Micros::from_secs(seconds), tick_hz: 60 };
    let mut pair = Pair::attached(PipeKind::Streams);
    pair.server().set_tick_clock(ticks(900));
    pair.cut(0);
    pair.dial();
    pair.settle();
    assert_eq!(pair.client.tick_clock(), Some(ticks(900)), "a Welcome says it");
    pair.server().set_tick_clock(ticks(903));
    pair.pass(Config::default().ping_every + Micros::from_secs(1));
    assert_eq!(pair.client.tick_clock(), Some(ticks(903)), "and the answer to a ping");
}

#[test]
fn messages_of_every_reliable_lane_arrive_in_order() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    for lane in 0..=8 {
        assert_eq!(pair.client_sends(lane, "a"), Ok(0));
        assert_eq!(pair.client_sends(lane, "b"), Ok(u64::from(lane != 1)));
        pair.server_sends(lane, "c").unwrap();
    }
    pair.settle();
    let wanted: Vec<String> = (0..=8).flat_map(|lane| [format!("{lane}:a"), format!("{lane}:b")]).collect();
    assert_eq!(pair.server_got(), wanted);
    assert_eq!(pair.client_got(), (0..=8).map(|lane| format!("{lane}:c")).collect::<Vec<_>>());
    assert_eq!(pair.client_sends(9, "x"), Err(SendError::Lane));
    assert_eq!(pair.client_sends(16, "x"), Err(SendError::Lane));
}

#[test]
fn acks_free_what_is_kept() {
    let mut pair = Pair::attached(PipeKind::Streams);
    for i in 0..63 {
        pair.client_sends(LANE_ROOM, &format!("{i}")).unwrap();
    }
    pair.settle();
    assert_eq!(pair.client.retained_messages(), 63);
    pair.client_sends(3, "the 64th").unwrap();
    pair.settle();
    assert_eq!(pair.client.retained_messages(), 0);
    pair.client_sends(3, "later").unwrap();
    pair.pass(Micros::from_millis(199));
    assert_eq!(pair.client.retained_messages(), 1);
    pair.pass(Micros::from_millis(1));
    assert_eq!((pair.client.retained_messages(), pair.client.retained_bytes()), (0, 0));
}

#[test]
fn a_full_lane_says_so_and_when_it_is_not() {
    let mut pair = Pair::attached(PipeKind::Streams);
    let chunk = "x".repeat(FRAME_BYTES_MAX);
    assert!((0..4).all(|_| pair.server_sends(LANE_ROOM, &chunk).is_ok()));
    assert_eq!(pair.server_sends(LANE_ROOM, "one more"), Err(SendError::Full));
    assert_eq!(pair.server_sends(LANE_ROOM, &format!("{chunk}x")), Err(SendError::TooLarge));
    assert_eq!(pair.server_sends(LANE_BULK, &chunk), Err(SendError::TooLarge));
    pair.settle();
    assert_eq!(pair.server_events, [Event::LaneWritable { lane: LANE_ROOM }]);
    assert!(pair.server_sends(LANE_ROOM, "one more").is_ok());
    assert_eq!(pair.server().stats().sends_full, 1);
}

#[test]
fn the_messages_of_all_lanes_fill_one_session() {
    let mut pair = Pair::with(PipeKind::Ordered, Config { retained_messages_max: 8, ..Config::default() });
    pair.dial();
    pair.settle();
    pair.cut(0);
    assert!((2..6).all(|lane| pair.client_sends(lane, "one").is_ok() && pair.client_sends(lane, "two").is_ok()));
    assert_eq!(pair.client_sends(7, "one more"), Err(SendError::Full));
    // A resume sends no more than that at once.
    pair.dial();
    pair.settle();
    assert_eq!(pair.server_got().len(), 8);
    pair.pass(Micros::from_millis(200));
    assert!(pair.client_events.contains(&Event::LaneWritable { lane: 7 }));
}

#[test]
fn topics_are_not_kept() {
    let mut pair = Pair::attached(PipeKind::Ordered);
    pair.cut(0);
    pair.server_sends(1, "gone").unwrap();
    pair.dial();
    pair.settle();
    pair.server_sends(1, "there").unwrap();
    pair.settle();
    assert_eq!(pair.client_got(), ["1:there"]);
    assert_eq!(pair.server().stats().topics_dropped, 1);
}
