//! Match sessions that are carried to a host: what the relay lets pass, and what others hear.

use std::net::{SocketAddr, UdpSocket};

use amphi_shared_auth::{ConnectToken, Keyring, Scope};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::endpoint::to_hex;
use amphi_shared_edge::http::{Access, Problem, Request, Response, Routes};
use amphi_shared_edge::session::{PipeEventKind, PipeId};
use amphi_shared_edge::{ListenConfig, Listener, Listening, Origins, Sessions};
use amphi_shared_session::{Config, ConnectRequest, Output, PipeInfo, PipeKind, Session};
use amphi_shared_wire::proto::{Endpoint, Link, MatchInfo, MatchQuery, link};
use amphi_shared_wire::{
    AppId, Code, LANE_CONTROL, LANE_ROOM, MatchId, Micros, TokenId, UserId, decode_pipe_frame, encode_pipe_frame,
};
use amphi_streaming_node::LiveConfig;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::client::patient;
use crate::house::House;

/// Runs at the host of these tests.
const RUNNING: MatchId = MatchId::from_bits(1);
/// Has no host yet.
const STARTING: MatchId = MatchId::from_bits(2);
const ENDED: MatchId = MatchId::from_bits(3);
/// Runs at a host that is gone.
const ORPHANED: MatchId = MatchId::from_bits(4);
/// Belongs to another app.
const FOREIGN: MatchId = MatchId::from_bits(5);
/// The fleet has never heard of it.
const UNKNOWN: MatchId = MatchId::from_bits(6);

/// A live role with a fleet that knows the matches above, and a host that only listens.
struct World {
    house: House,
    host: Listening,
    _fleet: Listening,
}

impl World {
    async fn open() -> Self {
        // One keyring for all: the house makes it.
        let data = tempfile::tempdir().unwrap();
        let keyring = Keyring::load_or_create(&data.path().join("keyring.json")).unwrap();
        let clock = Clock::start();
        let host = listen(&keyring, clock, Routes::new(), true);
        let endpoint = host.endpoints("127.0.0.1", "")[0].clone();
        let fleet = listen(&keyring, clock, fleet(endpoint), false);
        let fleet_url = Some(format!("http://{}", fleet.local_addr));
        let house = House::open_at(LiveConfig { fleet_url, ..LiveConfig::default() }, data).await;
        Self { house, host, _fleet: fleet }
    }

    fn token(&self, match_id: MatchId, app: &str) -> String {
        let now = self.house.clock.now();
        let token = ConnectToken {
            id: TokenId::from_bits(1),
            match_id,
            user: UserId::from_bits(7),
            app: app.parse::<AppId>().unwrap(),
            name: "Ada".to_owned(),
            team: None,
            trace: match_id.into(),
            expires: now + Micros::from_secs(60),
        };
        self.house.keyring.mint_connect(now, &token)
    }

    /// What a Hello with this token for this match hears.
    async fn refused(&self, wanted: &str, token: String) -> Code {
        let mut client = Client::hello(self.house.address, wanted, token).await;
        let (lane, payload) = client.read().await;
        assert_eq!((lane, payload[0]), (LANE_CONTROL, 0));
        let Some(link::Kind::Refused(refused)) = Link::decode(&payload[1..]).unwrap().kind else {
            panic!("expected Refused")
        };
        assert_eq!(client.closed().await, 4_000 + refused.code as u16);
        Code::from_number(refused.code).unwrap()
    }
}

fn listen(keyring: &Keyring, clock: Clock, routes: Routes, sessions: bool) -> Listening {
    let certificate = Certificate::generate(clock.now()).unwrap();
    Listener::bind(ListenConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        routes,
        verifier: keyring.verifier(),
        clock,
        tls: None,
        sessions: sessions.then_some(Sessions { certificate, origins: Origins::Any }),
    })
    .unwrap()
}

fn fleet(host: Endpoint) -> Routes {
    // A port on which nobody listens any more.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = Endpoint { url: format!("quic://{gone}"), ..host.clone() };
    Routes::new().post("/internal/v1/fleet/match", Access::Service(Scope::FleetRead), move |request: Request| {
        let (host, gone) = (host.clone(), gone.clone());
        async move {
            let match_id: MatchId = request.proto::<MatchQuery>()?.match_id.parse().unwrap();
            let (app, state, endpoints) = match match_id {
                RUNNING => ("default", "running", vec![host]),
                STARTING => ("default", "starting", Vec::new()),
                ENDED => ("default", "ended", vec![host]),
                ORPHANED => ("default", "running", vec![gone]),
                FOREIGN => ("other", "running", vec![host]),
                _ => return Err(Problem::from(Code::MatchUnknown)),
            };
            let (match_id, app, state) = (match_id.to_string(), app.to_owned(), state.to_owned());
            Ok(Response::proto(&MatchInfo { match_id, app, state, endpoints, ..Default::default() }))
        }
    })
}

/// A WebSocket that has said Hello.
struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn hello(live: SocketAddr, wanted: &str, token: String) -> Self {
        let mut request = format!("ws://{live}/session?match={wanted}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "amphi.v1".parse().unwrap());
        let (socket, _) = patient(tokio_tungstenite::connect_async(request)).await.unwrap();
        let mut client = Self(socket);
        client.write(LANE_CONTROL, &hello(token)).await;
        client
    }

    async fn write(&mut self, lane: u8, payload: &[u8]) {
        self.0.send(Message::Binary(encode_pipe_frame(lane, payload))).await.unwrap();
    }

    async fn read(&mut self) -> (u8, Bytes) {
        let message = patient(self.0.next()).await.unwrap().unwrap();
        let Message::Binary(frame) = message else { panic!("expected a frame: {message:?}") };
        decode_pipe_frame(frame).unwrap()
    }

    async fn closed(&mut self) -> u16 {
        let message = patient(self.0.next()).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = message else { panic!("expected a close: {message:?}") };
        frame.code.into()
    }
}

fn hello(token: String) -> Bytes {
    let mut session = Session::connect(Config::default(), ConnectRequest { token, ..ConnectRequest::default() });
    session.dial(Micros(1), PipeInfo { id: PipeId(1), kind: PipeKind::Ordered, max_datagram: 1_000, early: false });
    loop {
        if let Output::Frame { payload, .. } = session.poll_output().unwrap() {
            return payload;
        }
    }
}

#[tokio::test]
async fn a_session_is_carried_to_its_host_and_ends_with_the_drain() {
    let mut world = World::open().await;
    let token = world.token(RUNNING, "default");
    let mut client = Client::hello(world.house.address, &RUNNING.to_string(), token.clone()).await;
    let incoming = patient(world.host.incoming.recv()).await.unwrap();
    assert_eq!((incoming.hello.token.as_str(), incoming.kind), (token.as_str(), PipeKind::Ordered));
    let (mailbox, mut events) = mpsc::channel(16);
    let handle = incoming.accept(PipeId(1), mailbox);
    handle.frame(LANE_ROOM, Bytes::from_static(b"down")).unwrap();
    assert_eq!(client.read().await, (LANE_ROOM, Bytes::from_static(b"down")));
    client.write(LANE_ROOM, b"up").await;
    let up = PipeEventKind::Frame { lane: LANE_ROOM, payload: Bytes::from_static(b"up") };
    assert_eq!(patient(events.recv()).await.unwrap().kind, up);

    world.house.shutdown.trigger();
    let draining = 4_000 + Code::Draining.number() as u16;
    assert_eq!(client.closed().await, draining);
    assert_eq!(patient(events.recv()).await.unwrap().kind, PipeEventKind::Closed(Some(Code::Draining)));
    assert!(patient(world.house.live.finished()).await);
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_with_a_reason() {
    let world = World::open().await;
    for (wanted, token, code) in [
        (UNKNOWN, UNKNOWN, Code::MatchUnknown),
        (FOREIGN, FOREIGN, Code::MatchUnknown),
        (ENDED, ENDED, Code::MatchEnded),
        (STARTING, STARTING, Code::Unavailable),
        (ORPHANED, ORPHANED, Code::Unavailable),
        (RUNNING, ENDED, Code::TokenWrongMatch),
    ] {
        assert_eq!(world.refused(&wanted.to_string(), world.token(token, "default")).await, code, "{wanted}");
    }
    let running = RUNNING.to_string();
    assert_eq!(world.refused("mch_?", world.token(RUNNING, "default")).await, Code::MatchUnknown);
    assert_eq!(world.refused(&running, String::new()).await, Code::TokenMissing);
    assert_eq!(world.refused(&running, to_hex(b"junk")).await, Code::TokenInvalid);
    assert_eq!(world.refused(&running, world.token(RUNNING, "other")).await, Code::TokenWrongApp);
    // Nothing of that has reached the host.
    assert!(world.host.incoming.is_empty());
    let house = House::open().await;
    let alone = World { house, ..world };
    assert_eq!(alone.refused(&running, alone.token(RUNNING, "default")).await, Code::MatchUnknown);
}
