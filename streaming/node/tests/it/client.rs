//! A home session from outside: the session engine in the client's role over a WebSocket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use amphi_shared_edge::clock::Clock;
use amphi_shared_session::{Config, ConnectRequest, Event, Output, PipeId, PipeInfo, PipeKind, Session, TopicPosition};
use amphi_shared_wire::proto::{
    Control, Payload, Position, Publish, Refresh, Refreshed, Subscribe, Subscribed, TopicReply, TopicRequest, control,
    payload::Kind, topic_reply, topic_request,
};
use amphi_shared_wire::{
    Code, LANE_CONTROL, LANE_DATAGRAM, LANE_TOPICS, WS_BINARY, decode_pipe_frame, decode_varint, encode_pipe_frame,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for anything that is expected.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fails instead of waiting for ever.
pub(crate) async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for too long")
}

/// Something that reached a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Attached { resumed: bool },
    Reply(TopicReply),
    Publication(Publication),
    Refreshed(Refreshed),
    Detached,
    Refused { code: Code, retry_after_ms: u32 },
    Closed(Code),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Publication {
    pub(crate) alias: u32,
    pub(crate) offset: u64,
    pub(crate) flags: u8,
    pub(crate) payload: Payload,
}

impl Publication {
    pub(crate) fn json(&self) -> serde_json::Value {
        let Some(Kind::Json(json)) = &self.payload.kind else { panic!("not JSON: {self:?}") };
        serde_json::from_str(json).unwrap()
    }
}

pub(crate) struct Client {
    address: SocketAddr,
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    engine: Session,
    clock: Clock,
    pipe: u32,
    heard: VecDeque<Heard>,
}

impl Client {
    /// Opens a session and waits for its Welcome.
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> Self {
        let mut client = Self::dial(address, token).await;
        assert_eq!(client.next().await, Heard::Attached { resumed: false });
        client
    }

    /// The same, for a client whose system takes no more than some kilobytes before they are read.
    pub(crate) async fn connect_narrow(address: SocketAddr, token: &str) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        let socket = tokio_tungstenite::client_async(upgrade(address), stream).await.unwrap().0;
        let mut client = Self::dial_over(socket, address, token).await;
        assert_eq!(client.next().await, Heard::Attached { resumed: false });
        client
    }

    /// The id that the session was given.
    pub(crate) fn session_id(&self) -> String {
        self.engine.id().unwrap().to_string()
    }

    /// Sends a Hello.
    pub(crate) async fn dial(address: SocketAddr, token: &str) -> Self {
        Self::dial_over(open(address).await, address, token).await
    }

    async fn dial_over(socket: WebSocketStream<MaybeTlsStream<TcpStream>>, address: SocketAddr, token: &str) -> Self {
        let request = ConnectRequest { token: token.to_owned(), build: "test".to_owned(), ..ConnectRequest::default() };
        let mut client = Self {
            address,
            socket,
            engine: Session::connect(Config::default(), request),
            clock: Clock::start(),
            pipe: 0,
            heard: VecDeque::new(),
        };
        client.attach().await;
        client
    }

    /// Goes on with the session over a new connection.
    pub(crate) async fn resume(&mut self) {
        self.socket = open(self.address).await;
        self.heard.clear();
        self.attach().await;
        while self.next().await != (Heard::Attached { resumed: true }) {}
    }

    /// Goes on with the session over a new connection, whose Hello names these topics.
    pub(crate) async fn resume_with(&mut self, topics: &[(&str, Option<(u64, u64)>)]) {
        let position = |&(topic, since): &(&str, _)| TopicPosition { topic: topic.to_owned(), since };
        self.engine.restore(topics.iter().map(position).collect());
        self.resume().await;
    }

    /// The node is gone; the next connection goes to another one.
    pub(crate) fn move_to(&mut self, address: SocketAddr, token: &str) {
        self.address = address;
        self.engine.set_token(token.to_owned());
    }

    /// Opens a connection to a node that does not know the session, whose Hello names these topics.
    pub(crate) async fn restart_with(&mut self, topics: &[(&str, Option<(u64, u64)>)]) {
        let position = |&(topic, since): &(&str, _)| TopicPosition { topic: topic.to_owned(), since };
        self.engine.restore(topics.iter().map(position).collect());
        self.cut().await;
        self.attach().await;
        while self.next().await != (Heard::Attached { resumed: false }) {}
    }

    /// Shows a newer token; the answer.
    pub(crate) async fn refresh(&mut self, token: &str) -> Refreshed {
        let refresh = Control { kind: Some(control::Kind::Refresh(Refresh { token: token.to_owned() })) };
        self.engine.send(self.clock.now(), LANE_CONTROL, refresh.encode_to_vec().into()).unwrap();
        loop {
            if let Heard::Refreshed(refreshed) = self.next().await {
                return refreshed;
            }
        }
    }

    /// The next answer of the server that nobody asked for.
    pub(crate) async fn reply(&mut self) -> topic_reply::Kind {
        let heard = self.next().await;
        let Heard::Reply(TopicReply { id: 0, kind: Some(kind) }) = heard else {
            panic!("{heard:?} instead of a reply")
        };
        kind
    }

    /// Cuts the connection without a word, as a phone in a tunnel does.
    pub(crate) async fn cut(&mut self) {
        self.socket = open(self.address).await;
        self.engine.handle_pipe_closed(self.clock.now(), PipeId(self.pipe), None);
        self.flush().await;
        self.heard.clear();
    }

    async fn attach(&mut self) {
        self.pipe += 1;
        let info = PipeInfo { id: PipeId(self.pipe), kind: PipeKind::Ordered, max_datagram: 1_000, early: false };
        self.engine.dial(self.clock.now(), info);
        self.flush().await;
    }

    /// Waits for another answer to a clock probe, after which the node's clock is known; how many there were.
    pub(crate) async fn read_clock(&mut self) -> u64 {
        let before = self.engine.stats().pongs_in;
        let answered = async {
            while self.engine.stats().pongs_in == before {
                self.flush().await;
                self.wait().await;
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("a clock probe was expected to be answered");
        assert!(self.engine.clock().error_us(self.clock.now()).is_some());
        self.engine.stats().pongs_in
    }

    /// Asks and waits for the answer; publications that come meanwhile are kept for [`Client::next`].
    pub(crate) async fn ask(&mut self, kind: topic_request::Kind) -> topic_reply::Kind {
        self.send(kind).await;
        let mut others = Vec::new();
        loop {
            match self.next().await {
                Heard::Reply(reply) if reply.id == 5 => {
                    others.into_iter().rev().for_each(|other| self.heard.push_front(other));
                    return reply.kind.unwrap();
                }
                other @ (Heard::Publication(_) | Heard::Reply(_) | Heard::Refreshed(_)) => others.push(other),
                other @ (Heard::Attached { .. } | Heard::Detached | Heard::Refused { .. } | Heard::Closed(_)) => {
                    panic!("{other:?} instead of an answer")
                }
            }
        }
    }

    /// Asks and does not wait.
    pub(crate) async fn send(&mut self, kind: topic_request::Kind) {
        self.send_raw(TopicRequest { id: 5, kind: Some(kind) }.encode_to_vec()).await;
    }

    pub(crate) async fn send_raw(&mut self, payload: impl Into<Bytes>) {
        self.engine.send(self.clock.now(), LANE_TOPICS, payload.into()).unwrap();
        self.flush().await;
    }

    pub(crate) async fn subscribe(&mut self, topic: &str, since: Option<Position>) -> Subscribed {
        let ask = Subscribe { topic: topic.to_owned(), since };
        let answer = self.ask(topic_request::Kind::Subscribe(ask)).await;
        let topic_reply::Kind::Subscribed(subscribed) = answer else { panic!("{answer:?} instead of a subscription") };
        subscribed
    }

    /// The code of a refusal.
    pub(crate) async fn refused(&mut self, kind: topic_request::Kind) -> Code {
        let answer = self.ask(kind).await;
        let topic_reply::Kind::Failed(failed) = answer else { panic!("{answer:?} instead of a refusal") };
        Code::from_number(failed.code).unwrap()
    }

    /// The offset of a chat line.
    pub(crate) async fn say(&mut self, topic: &str, text: &str) -> u64 {
        let answer = self.ask(publish(topic, Kind::Text(text.to_owned()))).await;
        let topic_reply::Kind::Published(published) = answer else { panic!("{answer:?} instead of an offset") };
        published.offset
    }

    pub(crate) async fn publication(&mut self) -> Publication {
        let heard = self.next().await;
        let Heard::Publication(publication) = heard else { panic!("{heard:?} instead of a publication") };
        publication
    }

    /// How the session ended.
    pub(crate) async fn closed(&mut self) -> Code {
        loop {
            if let Heard::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    /// The next thing that reaches this client.
    pub(crate) async fn next(&mut self) -> Heard {
        let waiting = async {
            loop {
                self.flush().await;
                if let Some(heard) = self.heard.pop_front() {
                    return heard;
                }
                self.wait().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("something was expected to reach the client")
    }

    async fn wait(&mut self) {
        let due = self.engine.poll_timeout().map(|(at, _)| self.clock.until(at)).unwrap_or(PATIENCE);
        let pipe = PipeId(self.pipe);
        tokio::select! {
            message = self.socket.next() => {
                let now = self.clock.now();
                match message {
                    Some(Ok(Message::Binary(frame))) => match decode_pipe_frame(frame).unwrap() {
                        (LANE_DATAGRAM, payload) => self.engine.handle_datagram(now, pipe, payload),
                        (lane, payload) => self.engine.handle_frame(now, pipe, lane, payload),
                    },
                    Some(Ok(Message::Close(frame))) => {
                        let number = frame.map_or(0, |frame| u32::from(u16::from(frame.code)).saturating_sub(4_000));
                        self.engine.handle_pipe_closed(now, pipe, Code::from_number(number));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.engine.handle_pipe_closed(now, pipe, None),
                }
            }
            () = tokio::time::sleep(due) => self.engine.handle_timeout(self.clock.now()),
        }
    }

    async fn flush(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                // A server that has closed takes no more; the next read says so.
                Output::Frame { lane, payload, .. } => drop(self.write(encode_pipe_frame(lane, &payload)).await),
                Output::Datagram { bytes, .. } => drop(self.write(encode_pipe_frame(LANE_DATAGRAM, &bytes)).await),
                Output::ClosePipe { .. } => drop(self.socket.close(None).await),
                Output::Event(event) => self.heard.extend(heard(event)),
            }
        }
    }

    async fn write(&mut self, frame: Bytes) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        self.socket.send(Message::Binary(frame)).await
    }
}

pub(crate) fn publish(topic: &str, payload: Kind) -> topic_request::Kind {
    let payload = Some(Payload { kind: Some(payload) });
    topic_request::Kind::Publish(Publish { topic: topic.to_owned(), payload, key: String::new() })
}

pub(crate) fn subscribe(topic: &str) -> topic_request::Kind {
    topic_request::Kind::Subscribe(Subscribe { topic: topic.to_owned(), since: None })
}

async fn open(address: SocketAddr) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    tokio_tungstenite::connect_async(upgrade(address)).await.unwrap().0
}

fn upgrade(address: SocketAddr) -> tokio_tungstenite::tungstenite::handshake::client::Request {
    let mut request = format!("ws://{address}/session").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", WS_BINARY.parse().unwrap());
    request
}

fn heard(event: Event) -> Option<Heard> {
    match event {
        Event::Attached { resumed, .. } => Some(Heard::Attached { resumed }),
        Event::Detached => Some(Heard::Detached),
        Event::Refused(refusal) => Some(Heard::Refused { code: refusal.code, retry_after_ms: refusal.retry_after_ms }),
        Event::Closed { code, .. } => Some(Heard::Closed(code)),
        Event::Message { lane: LANE_TOPICS, payload } => Some(read(&payload)),
        Event::Message { lane: LANE_CONTROL, payload } => match Control::decode(payload).unwrap().kind {
            Some(control::Kind::Refreshed(refreshed)) => Some(Heard::Refreshed(refreshed)),
            _ => None,
        },
        Event::Message { .. }
        | Event::Datagram { .. }
        | Event::Acked { .. }
        | Event::Lost { .. }
        | Event::LaneWritable { .. }
        | Event::LaneLost { .. }
        | Event::PathSilent => None,
    }
}

fn read(bytes: &Bytes) -> Heard {
    if bytes[0] == 0 {
        return Heard::Reply(TopicReply::decode(&bytes[1..]).unwrap());
    }
    assert_eq!(bytes[0], 1);
    let (alias, a) = decode_varint(&bytes[1..]).unwrap().unwrap();
    let (offset, o) = decode_varint(&bytes[1 + a..]).unwrap().unwrap();
    let payload = Payload::decode(&bytes[2 + a + o..]).unwrap();
    Heard::Publication(Publication { alias: alias as u32, offset, flags: bytes[1 + a + o], payload })
}
