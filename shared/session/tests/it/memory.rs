//! What a session costs while nothing happens.

use std::sync::Arc;

use amphi_shared_session::{
    Config, ConnectRequest, Event, Output, PipeId, PipeInfo, PipeKind, ServerParams, Session, parse_hello,
};
use amphi_shared_wire::{LANE_ROOM, LANE_TOPICS, Micros, Seed, SessionId, TickClock};

/// Bytes of a home session at rest, the heap included.
const HOME_BYTES_MAX: usize = 600;
/// Bytes of a match session between two busy moments.
const MATCH_BYTES_MAX: usize = 1_600;

const PIPE: PipeInfo = PipeInfo { id: PipeId(1), kind: PipeKind::Ordered, max_datagram: 1_000, early: false };

/// The server's session of a client that is attached; `act` happens before everything comes to rest.
fn at_rest(config: &Arc<Config>, tick: Option<TickClock>, act: fn(Micros, &mut Session, &mut Session)) -> Session {
    let mut now = Micros::from_secs(1_000);
    let mut client = Session::connect(config.clone(), ConnectRequest { token: "t".repeat(300), ..Default::default() });
    client.dial(now, PIPE);
    let Some(Output::Frame { payload, .. }) = client.poll_output() else { panic!("no Hello") };
    let hello = parse_hello(payload).expect("a good Hello");
    let session = SessionId::generate(now, &mut Seed(1).rng());
    let params = ServerParams { session, secret: [7; 16], clock_id: 1, tick, capabilities: Vec::new() };
    let mut server = Session::accept(now, config.clone(), params, &hello, PIPE);
    carry(now, &mut client, &mut server);
    act(now, &mut client, &mut server);
    for _ in 0..100 {
        carry(now, &mut client, &mut server);
        now += Micros::from_secs(1);
        client.handle_timeout(now);
        server.handle_timeout(now);
    }
    carry(now, &mut client, &mut server);
    assert!(server.is_attached() && server.retained_messages() == 0);
    server
}

fn carry(now: Micros, client: &mut Session, server: &mut Session) {
    while deliver(now, client, server) | deliver(now, server, client) {}
}

fn deliver(now: Micros, from: &mut Session, to: &mut Session) -> bool {
    let mut any = false;
    while let Some(output) = from.poll_output() {
        any = true;
        match output {
            Output::Frame { pipe, lane, payload } => to.handle_frame(now, pipe, lane, payload),
            Output::Datagram { pipe, bytes } => to.handle_datagram(now, pipe, bytes),
            Output::Event(Event::Closed { code, .. }) => panic!("closed: {code}"),
            Output::ClosePipe { .. } | Output::Event(_) => {}
        }
    }
    any
}

/// Its size, and what it holds on the heap.
fn bytes(config: Config, tick: Option<TickClock>, act: fn(Micros, &mut Session, &mut Session)) -> usize {
    let config = Arc::new(config);
    let mut kept = None;
    let heap = allocation_counter::measure(|| kept = Some(at_rest(&config, tick, act)));
    size_of::<Session>() + usize::try_from(heap.bytes_current).expect("nothing of before is freed")
}

#[test]
fn a_home_session_at_rest_is_small() {
    let quiet = bytes(Config::home(), None, |_, _, _| {});
    assert!(quiet <= HOME_BYTES_MAX, "{quiet} bytes");
    let after_a_busy_moment = bytes(Config::home(), None, |now, client, server| {
        for _ in 0..100 {
            client.send(now, LANE_TOPICS, "subscribe".into()).expect("room");
            server.send(now, LANE_TOPICS, "publication".into()).expect("room");
        }
    });
    assert!(after_a_busy_moment <= HOME_BYTES_MAX, "{after_a_busy_moment} bytes");
}

#[test]
fn a_match_session_gives_back_what_a_busy_moment_took() {
    let tick = TickClock { tick0: Micros(1), tick_hz: 60 };
    let bytes = bytes(Config::default(), Some(tick), |now, client, server| {
        for _ in 0..300 {
            server.send(now, LANE_ROOM, "event".into()).expect("room");
            server.send_datagram(now, 16, "snapshot".into());
            client.send_datagram(now, 17, "input".into());
        }
    });
    assert!(bytes <= MATCH_BYTES_MAX, "{bytes} bytes");
}
