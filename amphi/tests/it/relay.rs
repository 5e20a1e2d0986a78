//! A match played through the live role, as by a browser that reaches no match host.

use std::collections::VecDeque;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_session::{Config, ConnectRequest, Event, Output, PipeId, PipeInfo, PipeKind, Session};
use amphi_shared_wire::{
    Code, LANE_DATAGRAM, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, WS_BINARY, decode_pipe_frame, encode_pipe_frame,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::process::Up;
use crate::service::Person;

/// Longest wait for anything that is expected.
const PATIENCE: Duration = Duration::from_secs(30);
/// Snapshots that show that a path carries a match: many times what an ordered pipe has in flight.
const SNAPSHOTS: usize = 60;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A player over one WebSocket at a time.
struct Player {
    session: Session,
    clock: Clock,
    socket: Socket,
    pipe: PipeId,
    events: VecDeque<Event>,
}

impl Player {
    async fn connect(url: &str, token: &str) -> Self {
        let request = ConnectRequest { token: token.to_owned(), game: "arena".to_owned(), ..Default::default() };
        let mut player = Self {
            session: Session::connect(Config::default(), request),
            clock: Clock::start(),
            socket: open(url).await,
            pipe: PipeId(0),
            events: VecDeque::new(),
        };
        player.greet();
        player
    }

    /// Goes on over another connection; the one before it just breaks.
    async fn resume(&mut self, url: &str) {
        self.socket = open(url).await;
        self.session.handle_pipe_closed(self.clock.now(), self.pipe, None);
        self.greet();
    }

    fn greet(&mut self) {
        self.pipe = PipeId(self.pipe.0 + 1);
        let info = PipeInfo { id: self.pipe, kind: PipeKind::Ordered, max_datagram: 1_000, early: false };
        self.session.dial(self.clock.now(), info);
    }

    /// Waits for an event that gives an answer; others are dropped.
    async fn until<T>(&mut self, mut answer: impl FnMut(Event) -> Option<T>) -> T {
        let wait = async {
            loop {
                self.flush().await;
                match self.events.pop_front() {
                    Some(event) => {
                        if let Some(found) = answer(event) {
                            return found;
                        }
                    }
                    None => self.wait().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("nothing happened for too long")
    }

    async fn attached(&mut self) -> bool {
        self.until(|event| {
            assert!(!matches!(event, Event::Refused(_) | Event::Closed { .. }), "{event:?}");
            if let Event::Attached { resumed, .. } = event { Some(resumed) } else { None }
        })
        .await
    }

    /// Sees the match go on, and sends an input for each snapshot.
    async fn play(&mut self) {
        for _ in 0..SNAPSHOTS {
            self.until(|event| matches!(event, Event::Datagram { lane: LANE_SNAPSHOT, .. }).then_some(())).await;
            // No room reads it as an input; the path carries it nevertheless.
            let _ = self.session.send_datagram(self.clock.now(), LANE_INPUT, Bytes::from_static(&[0; 5]));
        }
    }

    async fn wait(&mut self) {
        let due = self.session.poll_timeout().map_or(PATIENCE, |(due, _)| self.clock.until(due));
        let message = tokio::select! {
            message = self.socket.next() => message,
            () = tokio::time::sleep(due) => return self.session.handle_timeout(self.clock.now()),
        };
        let now = self.clock.now();
        match message {
            Some(Ok(Message::Binary(frame))) => match decode_pipe_frame(frame).unwrap() {
                (LANE_DATAGRAM, bytes) => self.session.handle_datagram(now, self.pipe, bytes),
                (lane, payload) => self.session.handle_frame(now, self.pipe, lane, payload),
            },
            Some(Ok(Message::Close(frame))) => {
                let number = frame.map_or(0, |frame| u32::from(u16::from(frame.code)).saturating_sub(4_000));
                self.session.handle_pipe_closed(now, self.pipe, Code::from_number(number));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.session.handle_pipe_closed(now, self.pipe, None),
        }
    }

    async fn flush(&mut self) {
        while let Some(output) = self.session.poll_output() {
            let (pipe, frame) = match output {
                Output::Frame { pipe, lane, payload } => (pipe, encode_pipe_frame(lane, &payload)),
                Output::Datagram { pipe, bytes } => (pipe, encode_pipe_frame(LANE_DATAGRAM, &bytes)),
                Output::ClosePipe { .. } => continue,
                Output::Event(event) => {
                    self.events.push_back(event);
                    continue;
                }
            };
            // What was meant for a connection that is gone stays unsaid.
            if pipe != self.pipe {
                continue;
            }
            // A socket that is gone says so at the next read.
            let _ = self.socket.send(Message::Binary(frame)).await;
        }
    }
}

async fn open(url: &str) -> Socket {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", WS_BINARY.parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

#[tokio::test]
async fn a_match_is_played_through_the_relay_over_a_cut_and_on_to_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &[]);
    let found = Person::guest(&up, "Ada").await.play("2v2").await;
    let urls: Vec<&str> = found["endpoints"].as_array().unwrap().iter().map(|e| e["url"].as_str().unwrap()).collect();
    let (direct, relay) = (urls[2], urls[3]);
    let live = up.url.replacen("http", "ws", 1);
    assert_eq!(relay, format!("{live}/session?match={}", found["match_id"].as_str().unwrap()));

    // One trace from the seat to the session, over processes.
    let granted = up.line_with("seat granted");
    let trace = granted.split("trace_id=").nth(1).unwrap()[..32].to_owned();

    let mut player = Player::connect(relay, found["token"].as_str().unwrap()).await;
    assert!(!player.attached().await);
    player.until(|event| matches!(event, Event::Message { lane: LANE_ROOM, .. }).then_some(())).await;
    let joined = up.line_with("player joined");
    assert!(joined.contains(&format!("trace_id={trace}")), "{joined}");
    player.play().await;
    for way in [relay, direct, relay] {
        player.resume(way).await;
        assert!(player.attached().await, "{way}");
        player.play().await;
    }

    // A session that nobody knows is refused by the host itself.
    let mut stranger = Player::connect(relay, found["token"].as_str().unwrap()).await;
    let code =
        stranger.until(|event| if let Event::Refused(refusal) = event { Some(refusal.code) } else { None }).await;
    assert_eq!(code, Code::TokenUsed);
}
