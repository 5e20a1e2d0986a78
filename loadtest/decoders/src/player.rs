//! A whole client in a match, as its host speaks to it.

use amphi_clients_rust::{Client, ClientConfig, ClientOutput, ClientStats};
use amphi_shared_replica::Game;
use amphi_shared_session::{Config, PipeId, parse_hello};
use amphi_shared_wire::{AppId, LANE_CONTROL, TickClock};
use bytes::Bytes;

use crate::game::{Push, game};
use crate::sessions::{START, accept, frame, later, pipe};
use crate::{PipeEvent, split};

thread_local! {
    static GAME: Game = game();
}

/// Plays pieces, as of [`crate::sessions`], to a client that has joined no match yet; a Hello is a new pipe.
///
/// # Panics
/// The client's world cannot go on.
pub fn player(bytes: &[u8]) {
    played(bytes);
}

/// What the client has counted, and whether it has joined.
pub(crate) fn played(bytes: &[u8]) -> (ClientStats, bool) {
    let config = ClientConfig { app: AppId::default(), token: String::new(), resume: None, session: Config::default() };
    let mut client: Client<Push> = GAME.with(|game| Client::new(game, config));
    client.dial(START, pipe(1));
    let hello = outputs(&mut client).expect("the first output is a Hello");
    let tick = TickClock { tick0: START, tick_hz: 60 };
    let mut host = accept(&parse_hello(hello).expect("our own Hello is one"), Some(tick));
    client.handle_frame(START, PipeId(1), LANE_CONTROL, frame(&mut host));
    let (mut now, mut newest) = (START, 1);
    for piece in split(bytes) {
        let (bytes, id) = (Bytes::copy_from_slice(piece.bytes), PipeId(newest));
        match PipeEvent::of(piece.kind) {
            PipeEvent::Frame(lane) => client.handle_frame(now, id, lane, bytes),
            PipeEvent::Datagram => client.handle_datagram(now, id, bytes),
            PipeEvent::Later => now += later(piece),
            PipeEvent::Closed => client.handle_pipe_closed(now, id, None),
            PipeEvent::Hello => {
                newest += 1;
                client.dial(now, pipe(newest));
            }
        }
        client.advance(now).expect("the world goes on");
        outputs(&mut client);
    }
    (client.stats(), client.seat().is_some())
}

/// Takes all outputs: the first frame among them.
fn outputs(client: &mut Client<Push>) -> Option<Bytes> {
    let mut first = None;
    while let Some(output) = client.poll_output() {
        if let ClientOutput::Frame { payload, .. } = output {
            first.get_or_insert(payload);
        }
    }
    first
}
