//! The session engine at both ends: handshake, links, controls, lanes, datagrams.

use amphi_shared_session::{
    ClientHello, Config, ConnectRequest, Output, PipeId, PipeInfo, PipeKind, ServerParams, Session, parse_hello,
};
use amphi_shared_wire::limits::{HELLO_ENTRIES_MAX, SUBSCRIPTIONS_MAX};
use amphi_shared_wire::{LANE_CONTROL, Lane, Micros, SessionId, TickClock};
use bytes::Bytes;

use crate::{Piece, split};

/// The session that the golden vectors speak of.
const SESSION: SessionId = SessionId::from_bits(5);
const SECRET: [u8; 16] = *b"0123456789abcdef";
pub(crate) const START: Micros = Micros::from_secs(1_763_000_000);
/// What a piece that says "later" adds per step.
const STEP: Micros = Micros::from_millis(50);

/// What a piece means to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEvent {
    /// A frame of this lane.
    Frame(Lane),
    /// A datagram.
    Datagram,
    /// Time passes: 50 ms, times the first byte.
    Later,
    /// The pipe is gone.
    Closed,
    /// The first frame of another pipe.
    Hello,
}

impl PipeEvent {
    /// The event of a piece of this kind; every number is one.
    pub const fn of(kind: u8) -> Self {
        match kind {
            0x80 => Self::Datagram,
            0x81 => Self::Later,
            0x82 => Self::Closed,
            0x83 => Self::Hello,
            lane => Self::Frame(lane),
        }
    }

    /// The kind of its pieces.
    pub const fn kind(self) -> u8 {
        match self {
            Self::Frame(lane) => lane,
            Self::Datagram => 0x80,
            Self::Later => 0x81,
            Self::Closed => 0x82,
            Self::Hello => 0x83,
        }
    }
}

/// Reads `bytes` as the first message of a connection.
///
/// # Panics
/// More was taken than is allowed, or a refusal cannot be sent.
pub fn hello(bytes: &[u8]) {
    match parse_hello(Bytes::copy_from_slice(bytes)) {
        Ok(hello) => {
            let lists = [hello.tables_known.len(), hello.capabilities.len()];
            assert!(lists.iter().all(|entries| *entries <= HELLO_ENTRIES_MAX));
            assert!(hello.resume.is_none_or(|resume| resume.topics.len() <= SUBSCRIPTIONS_MAX));
        }
        Err(refusal) => assert!(!refusal.encode().is_empty()),
    }
}

/// Plays pieces to a server's session, to a client's, and to a client that waits for its Welcome.
///
/// # Panics
/// A session holds more than it may.
pub fn sessions(bytes: &[u8]) {
    let (client, server) = attached(None);
    let mut waiting = Session::connect(Config::default(), ConnectRequest::default());
    waiting.dial(START, pipe(1));
    let mut sessions = [client, server, waiting];
    let (mut now, mut newest) = (START, 1);
    for piece in split(bytes) {
        match PipeEvent::of(piece.kind) {
            PipeEvent::Later => now += later(piece),
            PipeEvent::Hello => newest += 1,
            PipeEvent::Frame(_) | PipeEvent::Datagram | PipeEvent::Closed => {}
        }
        for session in &mut sessions {
            play(session, (now, newest), piece);
            while session.poll_output().is_some() {}
            assert!(session.retained_bytes() <= Config::default().retained_bytes_max);
        }
    }
}

/// How much time a piece lets pass.
pub(crate) fn later(piece: Piece<'_>) -> Micros {
    Micros(STEP.0 * u64::from(piece.bytes.first().copied().unwrap_or(1)))
}

/// Two sessions that have shaken hands over pipe 1.
pub(crate) fn attached(tick: Option<TickClock>) -> (Session, Session) {
    let mut client = Session::connect(Config::default(), ConnectRequest::default());
    client.dial(START, pipe(1));
    let hello = frame(&mut client);
    let mut server = accept(&parse_hello(hello).expect("our own Hello is one"), tick);
    client.handle_frame(START, PipeId(1), LANE_CONTROL, frame(&mut server));
    assert!(client.is_attached());
    (client, server)
}

pub(crate) fn accept(hello: &ClientHello, tick: Option<TickClock>) -> Session {
    let params = ServerParams { session: SESSION, secret: SECRET, clock_id: 9, tick, capabilities: Vec::new() };
    Session::accept(START, Config::default(), params, hello, pipe(1))
}

pub(crate) fn pipe(id: u32) -> PipeInfo {
    PipeInfo { id: PipeId(id), kind: PipeKind::Streams, max_datagram: 1_200, early: false }
}

/// The first frame that a session sends.
pub(crate) fn frame(session: &mut Session) -> Bytes {
    std::iter::from_fn(|| session.poll_output())
        .find_map(|output| if let Output::Frame { payload, .. } = output { Some(payload) } else { None })
        .expect("a handshake is a frame")
}

fn play(session: &mut Session, (now, newest): (Micros, u32), piece: Piece<'_>) {
    let (bytes, id) = (Bytes::copy_from_slice(piece.bytes), PipeId(newest));
    match PipeEvent::of(piece.kind) {
        PipeEvent::Frame(lane) => session.handle_frame(now, id, lane, bytes),
        PipeEvent::Datagram => session.handle_datagram(now, id, bytes),
        PipeEvent::Later => session.handle_timeout(now),
        PipeEvent::Closed => session.handle_pipe_closed(now, id, None),
        PipeEvent::Hello => match parse_hello(bytes) {
            // Refused: the node says so, and the session does not know the pipe.
            Ok(hello) => drop(session.attach(now, &hello, pipe(newest))),
            Err(_) => session.dial(now, pipe(newest)),
        },
    }
}
