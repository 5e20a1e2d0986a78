//! What carries a world: snapshots, spectators' frames, inputs.

use std::sync::{Arc, OnceLock};

use amphi_shared_replica::{
    InputPort, Recipient, Schema, Seat, Sim, SimMode, SnapshotDecoder, SnapshotEncoder, SnapshotHeader, Tables,
    Trainer, ViewDecoder,
};
use amphi_shared_wire::limits::{ENTITIES_MAX, INPUTS_PER_DATAGRAM_MAX};
use amphi_shared_wire::{Seed, Tick};

use crate::game::{MODE, Push, game};
use crate::{Piece, split};

/// Ticks that tables are trained on, and ticks that are then coded with them.
const TRAINED_TICKS: u8 = 200;
const CODED_TICKS: u16 = 24;
const SNAPSHOT_BYTES_MAX: usize = 400;

/// Reads pieces as the snapshots of one session that also has trained tables.
///
/// # Panics
/// A state that cannot be.
pub fn snapshots(bytes: &[u8]) {
    static TABLES: OnceLock<Arc<Tables>> = OnceLock::new();
    read_snapshots(TABLES.get_or_init(|| Arc::new(train())), split(bytes));
}

/// Reads the first piece as trained tables, and the others as snapshots in them.
///
/// # Panics
/// A state that cannot be.
pub fn tables(bytes: &[u8]) {
    let mut pieces = split(bytes);
    let Some(Piece { bytes, .. }) = pieces.next() else { return };
    let Ok(tables) = Tables::from_bytes(bytes, &schema()) else { return };
    assert_eq!(tables.to_bytes(), bytes);
    read_snapshots(&Arc::new(tables), pieces);
}

/// Trained tables, and snapshots in them.
pub fn modelled() -> (Vec<u8>, Vec<Vec<u8>>) {
    let tables = Arc::new(train());
    let (mut encoder, mut recipient) = (SnapshotEncoder::with_tables(Arc::clone(&tables)), Recipient::new());
    recipient.use_tables(1);
    let mut sim = sim();
    let snapshots = (1..=CODED_TICKS).map(|seq| {
        step(&mut sim, seq as u8);
        encoder.start_tick(sim.mirror());
        let header = SnapshotHeader::default();
        let snapshot = encoder.encode(sim.mirror(), &mut recipient, header, None, SNAPSHOT_BYTES_MAX);
        let snapshot = snapshot.expect("the header fits").to_vec();
        recipient.sent(seq);
        recipient.on_acked(seq);
        snapshot
    });
    let snapshots = snapshots.collect();
    (tables.to_bytes().to_vec(), snapshots)
}

fn read_snapshots<'a>(tables: &Arc<Tables>, pieces: impl Iterator<Item = Piece<'a>>) {
    let mut decoder = SnapshotDecoder::new(schema());
    decoder.add_tables(1, Arc::clone(tables));
    for piece in pieces {
        let before = decoder.entities().count();
        match decoder.decode(piece.bytes) {
            Ok(snapshot) => {
                for id in snapshot.changed {
                    let (tick, row) = decoder.row(id).expect("what has changed is there");
                    assert!(tick <= decoder.tick());
                    assert_eq!(row.values.len(), schema().width(row.mask));
                }
            }
            Err(_) => assert_eq!(decoder.entities().count(), before),
        }
        assert!(decoder.entities().count() <= ENTITIES_MAX);
    }
}

/// Reads pieces as the frames of one view; an odd kind is a keyframe.
///
/// # Panics
/// A state that cannot be.
pub fn views(bytes: &[u8]) {
    let mut decoder = ViewDecoder::new(schema());
    for piece in split(bytes) {
        // A frame that cannot be read ends the view until the next keyframe.
        let _ = decoder.decode(Tick(0), piece.bytes, piece.kind & 1 == 1);
        for (_, row) in decoder.entities() {
            assert_eq!(row.values.len(), schema().width(row.mask));
        }
        assert!(decoder.entities().count() <= ENTITIES_MAX);
    }
}

/// Reads `bytes` as a datagram's inputs.
///
/// # Panics
/// Inputs that a room could not take.
pub fn inputs(bytes: &[u8]) {
    let port = input_port();
    let Ok(inputs) = port.read_datagram(bytes) else { return };
    assert!((1..=INPUTS_PER_DATAGRAM_MAX).contains(&inputs.len()));
    let ticks: Vec<Tick> = inputs.iter().map(|(tick, _)| *tick).collect();
    assert!(ticks.is_sorted());
    let mut sim = sim();
    for (_, input) in inputs {
        port.set(sim.world_mut(), Seat(0), &input).expect("what was read can be set");
    }
}

/// The schema of the game of `shared/vectors/snapshot`.
pub fn schema() -> Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| Arc::clone(game().schema())))
}

fn input_port() -> InputPort {
    static PORT: OnceLock<InputPort> = OnceLock::new();
    *PORT.get_or_init(|| sim().input_port().expect("the game takes inputs"))
}

fn sim() -> Sim {
    let mode = game().mode(MODE).expect("the game has this mode");
    game().build(SimMode::Authority, mode.at(60), Seed(1)).expect("the game builds")
}

fn step(sim: &mut Sim, number: u8) {
    sim.set_input(Seat(0), Push(number % 7));
    sim.set_input(Seat(1), Push(number / 40));
    sim.step().expect("the world goes on");
}

fn train() -> Tables {
    let (mut sim, mut trainer) = (sim(), Trainer::new(schema()));
    for number in 0..TRAINED_TICKS {
        step(&mut sim, number);
        trainer.note(sim.mirror());
    }
    trainer.finish()
}
