//! The bench `codec`: what a snapshot costs, over a match of bots in the sample game.
//!
//! The match is recorded once, tick by tick; each contestant then encodes every tick for every player. Ours is measured
//! on a clean link and on one that loses datagrams, in table set 0, which is what hosts send, and in tables trained on
//! other matches. `copies_per_body` says how often an encoded row was copied. The baseline sends every entity whole in every tick, each number in
//! the bits that its range in this very match needs, encoded once for all players: what a careful hand would write
//! before it starts with deltas.

mod bitpack;
pub(crate) mod cubes;
pub(crate) mod pose;
pub(crate) mod replay;
mod trace;

use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amphi_server_arena::{Arena, TICK_HZ};
use amphi_shared_replica::{
    Game, Mirror, Recipient, Seat, SimMode, SnapshotDecoder, SnapshotEncoder, SnapshotHeader, Tables, Trainer,
};
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, DATAGRAM_HEADER_BYTES};
use amphi_shared_wire::{BitWriter, Rng, Seed};
use anyhow::{Context, ensure};

use crate::floor;
use crate::harness::{Bench, Contestant, Sample, Scale};

/// The measured match, and those that tables are trained on.
const SEED: Seed = Seed(7);
const TRAINING_SEEDS: [Seed; 3] = [Seed(21), Seed(22), Seed(23)];
const MODE: &str = "8v8";
/// Bytes of a snapshot at most: what a native client's datagram holds.
const BUDGET_BYTES: usize = DATAGRAM_BYTES_NATIVE_MAX - DATAGRAM_HEADER_BYTES - 1;
/// Ticks from a snapshot to its ack at the server: 67 ms of round trip.
const ACK_TICKS: usize = 4;
/// A snapshot's size for the floor; about what ours needs.
const FLOOR_BYTES: usize = 200;

/// Builds the bench: plays and records the match.
///
/// # Errors
/// When the sample game does not run.
pub(crate) fn bench(scale: Scale) -> anyhow::Result<Bench> {
    let record = Rc::new(Record::play(scale.pick(3_600, 120), SEED)?);
    let tables = Arc::new(train(scale)?);
    let run = |loss_permille: u32, tables: Option<&Arc<Tables>>| {
        let (record, tables) = (Rc::clone(&record), tables.cloned());
        move || ours(&record, loss_permille, tables.as_ref())
    };
    let ours = Contestant::new("ours", run(0, None));
    let lossy = Contestant::new("ours, 2 % lost", run(20, None));
    let trained = Contestant::new("ours, trained", run(0, Some(&tables)));
    let trained_lossy = Contestant::new("ours, trained, 2 % lost", run(20, Some(&tables)));
    let whole = {
        let record = Rc::clone(&record);
        Contestant::new("absolute, bit-packed", move || Ok(absolute(&record)))
    };
    let bench = Bench::new("codec", "ns_per_send", floor::contestant(FLOOR_BYTES, scale), ours);
    Ok(bench.against(lossy).against(trained).against(trained_lossy).against(whole))
}

/// Tables for the sample game, from other matches.
fn train(scale: Scale) -> anyhow::Result<Tables> {
    let mut trainer = Trainer::new(Arc::clone(Game::new("arena", Arena).schema()));
    for seed in TRAINING_SEEDS {
        trainer.start_match();
        Record::play(scale.pick(3_600, 60), seed)?.ticks.iter().for_each(|mirror| trainer.note(mirror));
    }
    Ok(trainer.finish())
}

/// A match, tick by tick.
struct Record {
    ticks: Vec<Mirror>,
    players: Vec<Seat>,
}

impl Record {
    fn play(ticks: usize, seed: Seed) -> anyhow::Result<Self> {
        let game = Game::new("arena", Arena);
        let mode = game.mode(MODE).context("the mode is gone")?;
        let mut sim = game.build(SimMode::Authority, mode.at(TICK_HZ), seed)?;
        let mut record = Vec::with_capacity(ticks);
        for _ in 0..ticks {
            sim.step()?;
            record.push(sim.mirror().clone());
        }
        let players = (0..mode.teams * mode.team_size).map(Seat).collect();
        Ok(Self { ticks: record, players })
    }

    fn sample(&self, bytes: usize, encoding: Duration) -> Sample {
        let snapshots = (self.ticks.len() * self.players.len()) as f64;
        let per_snapshot = bytes as f64 / snapshots;
        Sample::new()
            .with("bytes_per_snapshot", per_snapshot)
            .with("kbit_per_s_per_client", per_snapshot * 8.0 * f64::from(TICK_HZ) / 1000.0)
            .with("us_per_snapshot", encoding.as_secs_f64() * 1e6 / snapshots)
    }
}

/// One player's link: what the server knows of it, and the snapshots whose fate it will hear.
struct Link {
    recipient: Recipient,
    under_way: VecDeque<bool>,
    rng: Rng,
}

fn ours(record: &Record, loss_permille: u32, tables: Option<&Arc<Tables>>) -> anyhow::Result<Sample> {
    let link = |n| Link { recipient: Recipient::new(), under_way: VecDeque::new(), rng: Seed(n).rng() };
    let mut links: Vec<Link> = (0..record.players.len() as u64).map(link).collect();
    let mut encoder = SnapshotEncoder::new();
    let mut decoder = SnapshotDecoder::new(record.ticks[0].schema().clone());
    if let Some(tables) = tables {
        encoder = SnapshotEncoder::with_tables(Arc::clone(tables));
        decoder.add_tables(1, Arc::clone(tables));
        for link in &mut links {
            link.recipient.use_tables(1);
        }
    }
    let (mut bytes, mut encoding, mut decoding) = (0, Duration::ZERO, Duration::ZERO);
    for (tick, mirror) in record.ticks.iter().enumerate() {
        let start = Instant::now();
        encoder.start_tick(mirror);
        encoding += start.elapsed();
        for (n, (link, seat)) in links.iter_mut().zip(&record.players).enumerate() {
            link.hear(tick);
            let start = Instant::now();
            let header = SnapshotHeader::default();
            let snapshot = encoder.encode(mirror, &mut link.recipient, header, Some(*seat), BUDGET_BYTES);
            encoding += start.elapsed();
            let snapshot = snapshot.context("a snapshot has no room")?;
            bytes += snapshot.len();
            link.recipient.sent(tick as u16);
            let arrives = !link.rng.chance(loss_permille);
            link.under_way.push_back(arrives);
            if n == 0 && arrives {
                let start = Instant::now();
                black_box(decoder.decode(snapshot)?);
                decoding += start.elapsed();
            }
        }
    }
    if loss_permille == 0 {
        same_world(record, &decoder)?;
    }
    let received = record.ticks.len() as f64 * f64::from(1000 - loss_permille) / 1000.0;
    let (copies, bodies) = encoder.copies_and_bodies();
    let sample = record.sample(bytes, encoding).with("us_per_decode", decoding.as_secs_f64() * 1e6 / received);
    Ok(sample.with("copies_per_body", copies as f64 / bodies as f64))
}

impl Link {
    /// Tells the server's side what became of the snapshot `ACK_TICKS` ago.
    fn hear(&mut self, tick: usize) {
        let Some(sent) = tick.checked_sub(ACK_TICKS) else { return };
        match self.under_way.pop_front() {
            Some(true) => self.recipient.on_acked(sent as u16),
            Some(false) => self.recipient.on_lost(sent as u16),
            None => {}
        }
    }
}

/// Everything that fitted was read as it was written.
fn same_world(record: &Record, decoder: &SnapshotDecoder) -> anyhow::Result<()> {
    let last = record.ticks.last().context("an empty match")?;
    for slot in last.order().iter().copied().filter(|slot| last.mask(*slot) != 0) {
        let (id, row) = (last.id(slot), last.row(slot));
        let read = decoder.row(id).map(|(_, row)| row);
        ensure!(read == Some(&row), "entity {} was read as {read:?}, it is {row:?}", id.0);
    }
    Ok(())
}

/// Lowest value and bits of each integer, by component.
type Ranges = Vec<Vec<(i32, u32)>>;

fn absolute(record: &Record) -> Sample {
    let ranges = ranges(record);
    let start = Instant::now();
    let mut bytes = 0;
    for mirror in &record.ticks {
        let mut writer = BitWriter::new();
        for slot in mirror.order().iter().copied().filter(|slot| mirror.mask(*slot) != 0) {
            write_whole(&mut writer, mirror, slot, &ranges);
        }
        let snapshot = writer.finish();
        for _ in &record.players {
            bytes += black_box(snapshot.clone()).len();
        }
    }
    record.sample(bytes, start.elapsed())
}

/// An entity: 10 bits of id, its mask, every integer above the lowest of its kind.
fn write_whole(writer: &mut BitWriter, mirror: &Mirror, slot: u32, ranges: &Ranges) {
    let mask = mirror.mask(slot);
    writer.bits(mirror.id(slot).0 & 1023, 10);
    for (component, ranges) in ranges.iter().enumerate() {
        let there = mask >> component & 1 == 1;
        writer.bit(there);
        if !there {
            continue;
        }
        for (value, (lowest, bits)) in mirror.component_row(slot, component).iter().zip(ranges) {
            writer.bits(value.wrapping_sub(*lowest) as u32, *bits);
        }
    }
}

fn ranges(record: &Record) -> Ranges {
    let components = record.ticks[0].schema().components();
    let of = |component: usize, field: usize| {
        let rows = record.ticks.iter().flat_map(|mirror| {
            let slots = mirror.order().iter().filter(move |slot| mirror.mask(**slot) >> component & 1 == 1);
            slots.map(move |slot| mirror.component_row(*slot, component)[field])
        });
        let (lowest, highest) = rows.fold((i32::MAX, i32::MIN), |(low, high), value| (low.min(value), high.max(value)));
        (lowest, u32::BITS - (highest.wrapping_sub(lowest) as u32).leading_zeros())
    };
    components.iter().enumerate().map(|(n, c)| (0..c.fields.len()).map(|field| of(n, field)).collect()).collect()
}
