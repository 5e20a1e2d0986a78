use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::player::played;
use crate::tokens::{accepted, signed};

/// Inputs that a corpus has at least.
const INPUTS_MIN: usize = 4;
/// A committed input is small, bytes.
const INPUT_BYTES_MAX: usize = 16 * 1024;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

#[test]
fn every_input_of_a_corpus_is_read() {
    for decoder in DECODERS {
        let folder = fuzz().join("corpus").join(decoder.name);
        let paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(paths.len() >= INPUTS_MIN, "{} has {} inputs", folder.display(), paths.len());
        for path in paths {
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() <= INPUT_BYTES_MAX, "{} is large", path.display());
            println!("{}", path.display());
            (decoder.read)(&bytes);
        }
    }
}

#[test]
fn every_decoder_has_a_target() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for Decoder { name, .. } in DECODERS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
        assert!(fuzz().join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no target");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), DECODERS.len());
    assert_eq!(fs::read_dir(fuzz().join("corpus")).unwrap().count(), DECODERS.len());
}

/// Inputs that a decoder refuses at once teach nothing.
#[test]
fn inputs_reach_behind_the_door() {
    let read = |decoder: &str, name: &str| fs::read(fuzz().join("corpus").join(decoder).join(name)).unwrap();
    let accepted = |name: &str| signed(&read("claims", name)).map(|token| accepted(&token));
    for ours in 0..5 {
        assert_eq!(accepted(&format!("seed-0{ours}")), [1, 0], "claims of ours, {ours}");
    }
    assert_eq!(accepted("seed-08"), [0, 1]);
    assert_eq!(accepted("seed-05"), [0, 0]);
    let (stats, joined) = played(&read("player", "seed-20"));
    assert!(joined && stats.snapshots > 4, "{stats:?}");
}

#[test]
fn pieces_are_what_was_joined() {
    let pieces = [Piece { kind: 1, bytes: b"one" }, Piece { kind: 255, bytes: b"" }, Piece { kind: 0, bytes: b"2" }];
    let input = join(&pieces);
    assert_eq!(split(&input).collect::<Vec<_>>(), pieces);
    // Whatever was cut off, the rest is read.
    assert_eq!(split(&input[..5]).collect::<Vec<_>>(), [Piece { kind: 1, bytes: b"on" }]);
    assert_eq!(split(&input[..2]).count(), 0);
}

#[test]
fn a_kind_of_event_is_its_own() {
    for kind in 0..=u8::MAX {
        assert_eq!(PipeEvent::of(kind).kind(), kind);
    }
}
