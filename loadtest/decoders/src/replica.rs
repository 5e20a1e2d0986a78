//! What carries a world: snapshots, spectators' frames, inputs.

use std::sync::{Arc, OnceLock};

use amphi_shared_replica::{InputPort, Schema, Seat, SimMode, SnapshotDecoder, ViewDecoder};
use amphi_shared_wire::limits::{ENTITIES_MAX, INPUTS_PER_DATAGRAM_MAX};
use amphi_shared_wire::{Seed, Tick};

use crate::game::{MODE, game};
use crate::split;

/// Reads pieces as the snapshots of one session.
///
/// # Panics
/// A state that cannot be.
pub fn snapshots(bytes: &[u8]) {
    let mut decoder = SnapshotDecoder::new(schema());
    for piece in split(bytes) {
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
        let _ = decoder.decode(piece.bytes, piece.kind & 1 == 1);
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
    let mode = game().mode(MODE).expect("the game has this mode");
    let mut sim = game().build(SimMode::Authority, mode.at(60), Seed(1)).expect("the game builds");
    for (_, input) in inputs {
        port.set(sim.world_mut(), Seat(0), &input).expect("what was read can be set");
    }
}

fn schema() -> Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    Arc::clone(SCHEMA.get_or_init(|| Arc::clone(game().schema())))
}

fn input_port() -> InputPort {
    static PORT: OnceLock<InputPort> = OnceLock::new();
    *PORT.get_or_init(|| {
        let mode = game().mode(MODE).expect("the game has this mode");
        let sim = game().build(SimMode::Authority, mode.at(60), Seed(1)).expect("the game builds");
        sim.input_port().expect("the game takes inputs")
    })
}
