//! renet 2: a server and a client connection with a perfect network between them, both ends in one thread.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use renet::{ClientId, ConnectionConfig, DefaultChannel, RenetClient, RenetServer};

const CLIENT: ClientId = 1;
const TICK: Duration = Duration::from_micros(16_667);
/// Ticks in which allocations are counted, after the timed ones.
const COUNTED_TICKS: usize = 1_000;

/// The work of the bench `session`.
#[derive(clap::Args)]
pub(crate) struct Work {
    /// Timed ticks.
    #[arg(long)]
    ticks: usize,
    /// Reliable messages from server to client in one tick.
    #[arg(long)]
    messages_per_tick: usize,
    /// Bytes of a message and of a datagram.
    #[arg(long)]
    payload_bytes: usize,
}

/// Runs the work; figures named as in the bench.
pub(crate) fn run(work: &Work) -> anyhow::Result<BTreeMap<String, f64>> {
    let payload = Bytes::from(vec![0xA5; work.payload_bytes]);
    let messages = work.messages_per_tick;
    let mut figures = BTreeMap::new();
    measure(&mut figures, "message", work.ticks, messages, |pair| pair.tick_of_messages(&payload, messages))?;
    measure(&mut figures, "datagram", work.ticks, 2, |pair| pair.tick_of_datagrams(&payload))?;
    Ok(figures)
}

fn measure(
    figures: &mut BTreeMap<String, f64>,
    noun: &str,
    ticks: usize,
    per_tick: usize,
    tick: impl Fn(&mut Pair),
) -> anyhow::Result<()> {
    let mut pair = Pair::connected();
    let start = Instant::now();
    (0..ticks).for_each(|_| tick(&mut pair));
    let ns = start.elapsed().as_nanos() as f64;
    let allocations = allocation_counter::measure(|| (0..COUNTED_TICKS).for_each(|_| tick(&mut pair)));
    let expected = (ticks + COUNTED_TICKS) * per_tick;
    ensure!(pair.received == expected, "{} of {expected} {noun}s arrived", pair.received);
    let per = |total: f64, ticks: usize| total / (ticks * per_tick) as f64;
    figures.insert(format!("ns_per_{noun}"), per(ns, ticks));
    figures.insert(format!("allocations_per_{noun}"), per(allocations.count_total as f64, COUNTED_TICKS));
    Ok(())
}

struct Pair {
    server: RenetServer,
    client: RenetClient,
    received: usize,
}

impl Pair {
    fn connected() -> Self {
        let mut server = RenetServer::new(ConnectionConfig::default());
        server.add_connection(CLIENT);
        let mut client = RenetClient::new(ConnectionConfig::default());
        client.set_connected();
        Self { server, client, received: 0 }
    }

    fn tick_of_messages(&mut self, payload: &Bytes, messages: usize) {
        for _ in 0..messages {
            self.server.send_message(CLIENT, DefaultChannel::ReliableOrdered, payload.clone());
        }
        self.exchange();
    }

    fn tick_of_datagrams(&mut self, payload: &Bytes) {
        self.server.send_message(CLIENT, DefaultChannel::Unreliable, payload.clone());
        self.client.send_message(DefaultChannel::Unreliable, payload.clone());
        self.exchange();
    }

    fn exchange(&mut self) {
        for packet in self.server.get_packets_to_send(CLIENT).unwrap_or_default() {
            self.client.process_packet(&packet);
        }
        for packet in self.client.get_packets_to_send() {
            // An unknown client cannot be here; a lost packet is missed when messages are counted.
            let _ = self.server.process_packet_from(&packet, CLIENT);
        }
        for channel in [DefaultChannel::ReliableOrdered, DefaultChannel::Unreliable].map(u8::from) {
            while let Some(message) = self.client.receive_message(channel) {
                black_box(message);
                self.received += 1;
            }
        }
        while let Some(message) = self.server.receive_message(CLIENT, DefaultChannel::Unreliable) {
            black_box(message);
            self.received += 1;
        }
        self.server.update(TICK);
        self.client.update(TICK);
    }
}
