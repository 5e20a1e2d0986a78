//! A battle told to many clients by ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_shared_replica::{Recipient, SnapshotDecoder, SnapshotEncoder, SnapshotHeader, Tables};
use amphi_shared_wire::limits::DATAGRAM_HEADER_BYTES;
use anyhow::{Context, ensure};

use super::trace::Trace;
use super::world::World;
use super::{CLIENTS, Rate};

/// Room for everything in each tick, as naia takes as many packets as it needs.
const BUDGET_BYTES: usize = 1 << 16;
/// The session's header and lane in front of a snapshot; naia's packets have theirs in them.
const ENVELOPE_BYTES: usize = DATAGRAM_HEADER_BYTES + 1;

/// What a battle took.
pub(super) struct Played {
    /// Per tick and client.
    pub(super) bytes: f64,
    /// Of the largest snapshot.
    pub(super) bytes_max: f64,
    pub(super) copies_per_body: f64,
    /// Of the server, from the game's values to all snapshots.
    pub(super) us_per_tick: f64,
}

struct Client {
    recipient: Recipient,
    decoder: SnapshotDecoder,
    payload: Vec<u8>,
}

/// Plays a battle; the first second is not counted.
///
/// # Errors
/// When a client reads anything else than what is.
pub(super) fn play(trace: &Trace, rate: Rate, tables: Option<&Arc<Tables>>) -> anyhow::Result<Played> {
    let mut world = World::new(rate.hz)?;
    let mut encoder =
        tables.map_or_else(SnapshotEncoder::new, |tables| SnapshotEncoder::with_tables(Arc::clone(tables)));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| client(&world, rate, tables)).collect();
    let (mut bytes, mut bytes_max, mut spent, mut before) = (0, 0, Duration::ZERO, (0, 0));
    for (tick, things) in trace.ticks.iter().enumerate() {
        let measured = tick >= rate.hz as usize;
        if !measured {
            before = encoder.copies_and_bodies();
        }
        let start = Instant::now();
        world.step(things)?;
        serve(&world, &mut encoder, &mut clients, (tick, rate.ack_ticks))?;
        let took = start.elapsed();
        for client in &mut clients {
            client.decoder.decode(&client.payload)?;
            if measured {
                bytes += ENVELOPE_BYTES + client.payload.len();
                bytes_max = bytes_max.max(ENVELOPE_BYTES + client.payload.len());
                check(&world, &client.decoder)?;
            }
        }
        spent += if measured { took } else { Duration::ZERO };
    }
    let measured = (trace.ticks.len() - rate.hz as usize) as f64;
    let after = encoder.copies_and_bodies();
    Ok(Played {
        bytes: bytes as f64 / (measured * CLIENTS as f64),
        bytes_max: bytes_max as f64,
        copies_per_body: (after.0 - before.0) as f64 / (after.1 - before.1) as f64,
        us_per_tick: spent.as_secs_f64() * 1e6 / measured,
    })
}

fn client(world: &World, rate: Rate, tables: Option<&Arc<Tables>>) -> Client {
    let mut recipient = Recipient::new();
    let mut decoder = SnapshotDecoder::new(Arc::clone(world.sim.schema())).with_tick_hz(rate.hz);
    if let Some(tables) = tables {
        decoder.add_tables(1, Arc::clone(tables));
        recipient.use_tables(1);
    }
    Client { recipient, decoder, payload: Vec::with_capacity(BUDGET_BYTES) }
}

/// Everything that a server does about a tick.
fn serve(
    world: &World,
    encoder: &mut SnapshotEncoder,
    clients: &mut [Client],
    (tick, ack_ticks): (usize, usize),
) -> anyhow::Result<()> {
    let mirror = world.sim.mirror();
    encoder.start_tick(mirror);
    for (number, client) in clients.iter_mut().enumerate() {
        if let Some(acked) = tick.checked_sub(ack_ticks - number % 2) {
            client.recipient.on_acked(acked as u16);
        }
        let header = SnapshotHeader::default();
        let snapshot = encoder.encode(mirror, &mut client.recipient, header, None, BUDGET_BYTES);
        client.payload.clear();
        client.payload.extend_from_slice(snapshot.context("a snapshot has no room")?);
        client.recipient.sent(tick as u16);
    }
    Ok(())
}

/// The client knows what there is, as it is, and nothing else.
fn check(world: &World, decoder: &SnapshotDecoder) -> anyhow::Result<()> {
    let mut known = 0;
    for id in world.sim.ids() {
        let read = decoder.row(id).map(|(_, row)| row);
        let row = world.sim.row_of(id);
        ensure!(read == row.as_ref(), "entity {} was read as {read:?}, it is {row:?}", id.0);
        known += 1;
    }
    ensure!(decoder.entities().count() == known, "a client knows what is no longer there");
    Ok(())
}
