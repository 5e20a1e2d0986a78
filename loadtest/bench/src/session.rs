//! The bench `session`: what the engine costs, both ends together, on a perfect network in memory.
//!
//! The peer does more for a reliable message: it acknowledges and resends packets itself, where our engine leaves that
//! to the stream below it and keeps messages only for a resume.

use std::hint::black_box;
use std::time::Instant;

use amphi_shared_session::{
    Config, ConnectRequest, Event, Output, PipeId, PipeInfo, PipeKind, ServerParams, Session, parse_hello,
};
use amphi_shared_wire::{LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT, Lane, Micros, Seed, SessionId};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;

use crate::harness::{Bench, Contestant, Sample, Scale};
use crate::{floor, peers};

/// Bytes of a message and of a datagram.
const PAYLOAD: [u8; 100] = [0xA5; 100];
/// Reliable messages from server to client in one tick.
const MESSAGES_PER_TICK: usize = 8;
/// One datagram each way.
const DATAGRAMS_PER_TICK: usize = 2;
/// Ticks in which allocations are counted, after the timed ones.
const COUNTED_TICKS: usize = 1_000;
const TICK: Micros = Micros(16_667);
const PIPE: PipeInfo = PipeInfo { id: PipeId(1), kind: PipeKind::Streams, max_datagram: 1200, early: false };

/// Builds the bench.
pub(crate) fn bench(scale: Scale) -> Bench {
    let ticks = scale.pick(100_000, 200);
    let ours = Contestant::new("ours", move || {
        let sample = measure(Sample::new(), "message", ticks, MESSAGES_PER_TICK, Pair::tick_of_messages)?;
        measure(sample, "datagram", ticks, DATAGRAMS_PER_TICK, Pair::tick_of_datagrams)
    });
    let bench = Bench::new("session", "ns_per_send", floor::contestant(PAYLOAD.len(), scale), ours);
    let Some(program) = peers::program() else { return bench };
    let numbers = [ticks, MESSAGES_PER_TICK, PAYLOAD.len()].map(|number| number.to_string());
    let args = ["renet", "--ticks", &numbers[0], "--messages-per-tick", &numbers[1], "--payload-bytes", &numbers[2]];
    bench.against(Contestant::program("renet", program, &args))
}

/// Runs ticks, timed, then some more in which allocations are counted.
fn measure(sample: Sample, noun: &str, ticks: usize, per_tick: usize, tick: fn(&mut Pair)) -> anyhow::Result<Sample> {
    let mut pair = Pair::connected()?;
    let start = Instant::now();
    (0..ticks).for_each(|_| tick(&mut pair));
    let ns = start.elapsed().as_nanos() as f64;
    let allocations = allocation_counter::measure(|| (0..COUNTED_TICKS).for_each(|_| tick(&mut pair)));
    let expected = (ticks + COUNTED_TICKS) * per_tick;
    ensure!(pair.received == expected, "{} of {expected} {noun}s arrived", pair.received);
    let per = |total: f64, ticks: usize| total / (ticks * per_tick) as f64;
    let sample = sample.with(format!("ns_per_{noun}"), per(ns, ticks));
    Ok(sample.with(format!("allocations_per_{noun}"), per(allocations.count_total as f64, COUNTED_TICKS)))
}

/// A server's engine and a client's engine with a perfect network between them.
struct Pair {
    now: Micros,
    server: Session,
    client: Session,
    received: usize,
}

impl Pair {
    /// A pair after its handshake.
    fn connected() -> anyhow::Result<Self> {
        let now = Micros(1_000_000);
        let mut client = Session::connect(Config::default(), ConnectRequest::default());
        client.dial(now, PIPE);
        let Some(Output::Frame { payload, .. }) = client.poll_output() else { bail!("the client says no Hello") };
        let hello = parse_hello(payload).ok().context("the client's Hello is refused")?;
        let session = SessionId::generate(now, &mut Seed(1).rng());
        let params = ServerParams { session, secret: [7; 16], clock_id: 1, tick: None, capabilities: Vec::new() };
        let server = Session::accept(now, Config::default(), params, &hello, PIPE);
        let mut pair = Self { now, server, client, received: 0 };
        pair.exchange();
        ensure!(pair.client.is_attached(), "the client is not attached");
        Ok(pair)
    }

    fn tick_of_messages(&mut self) {
        for _ in 0..MESSAGES_PER_TICK {
            // A refused message is missed when the received ones are counted.
            let _ = black_box(self.server.send(self.now, LANE_ROOM, Bytes::from_static(&PAYLOAD)));
        }
        self.exchange();
        self.advance();
    }

    fn tick_of_datagrams(&mut self) {
        let send = |session: &mut Session, now: Micros, lane: Lane| {
            black_box(session.send_datagram(now, lane, Bytes::from_static(&PAYLOAD)));
        };
        send(&mut self.client, self.now, LANE_INPUT);
        send(&mut self.server, self.now, LANE_SNAPSHOT);
        self.exchange();
        self.advance();
    }

    fn advance(&mut self) {
        self.now += TICK;
        for session in [&mut self.server, &mut self.client] {
            if session.poll_timeout().is_some_and(|(due, _)| due <= self.now) {
                session.handle_timeout(self.now);
            }
        }
    }

    /// Carries everything both ways until both are quiet.
    fn exchange(&mut self) {
        loop {
            let carried = carry(self.now, &mut self.server, &mut self.client, &mut self.received)
                + carry(self.now, &mut self.client, &mut self.server, &mut self.received);
            if carried == 0 {
                return;
            }
        }
    }
}

/// Carries what one engine has to say to the other; the number of outputs taken.
fn carry(now: Micros, from: &mut Session, to: &mut Session, received: &mut usize) -> usize {
    let mut taken = 0;
    while let Some(output) = from.poll_output() {
        taken += 1;
        match output {
            Output::Frame { pipe, lane, payload } => to.handle_frame(now, pipe, lane, payload),
            Output::Datagram { pipe, bytes } => to.handle_datagram(now, pipe, bytes),
            Output::Event(Event::Message { payload, .. } | Event::Datagram { payload, .. }) => {
                black_box(payload);
                *received += 1;
            }
            Output::ClosePipe { .. } | Output::Event(_) => {}
        }
    }
    taken
}
