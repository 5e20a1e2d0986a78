//! `shared/vectors/snapshot`: what the coder writes, for the ports to other languages.
//!
//! `AMPHI_WRITE_VECTORS=1 cargo test -p amphi-shared-replica vectors` writes the files; without it they are checked.

use std::fmt::Write as _;

use amphi_shared_wire::BitWriter;

use super::reckoned::Tumbling;
use super::*;
use crate::code_table::{ABSOLUTE, CodeTable, GAP, RESIDUAL};
use crate::{VisibleTo, encode_inputs};

#[expect(clippy::disallowed_methods, reason = "golden files")]
fn golden(name: &str, text: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/snapshot");
    let path = folder.join(name);
    if std::env::var_os("AMPHI_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs from the code; AMPHI_WRITE_VECTORS=1 writes it again", path.display());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn list<T>(items: impl IntoIterator<Item = T>, mut text: impl FnMut(T) -> String) -> String {
    let texts: Vec<String> = items.into_iter().map(&mut text).collect();
    format!("[{}]", texts.join(","))
}

fn or_null<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn entities<'a>(rows: impl Iterator<Item = (NetId, &'a Row)>) -> String {
    list(rows, |(id, row)| {
        let since = if row.since.0 == 0 { String::new() } else { format!(",{}", row.since.0) };
        format!("[{},{},{}{since}]", id.0, row.mask, list(&row.values, ToString::to_string))
    })
}

fn ids(ids: &[NetId]) -> String {
    list(ids, |id| id.0.to_string())
}

#[test]
fn codes() {
    let numbers = [0, 1, 2, 4, 5, 16, 17, 36, 37, 144, 145, 272, 273, 548, 549, 1_168, 1_169, 8_464, 8_465, 17_552];
    let numbers = numbers.into_iter().chain([17_553, 66_084, 66_085, 270_608, 270_609, i32::MAX as u32, u32::MAX]);
    let case = |name: &str, table: CodeTable, number: u32| {
        let mut writer = BitWriter::new();
        table.write(&mut writer, number);
        let bits = writer.len_bits();
        format!("{{\"code\":\"{name}\",\"number\":{number},\"bits\":{bits},\"hex\":\"{}\"}}", hex(&writer.finish()))
    };
    let tables = [("gap", GAP), ("residual", RESIDUAL), ("absolute", ABSOLUTE)];
    let cases: Vec<String> = numbers.flat_map(|number| tables.map(|(name, table)| case(name, table, number))).collect();
    golden("codes.json", &format!("{{\"cases\":[\n{}\n]}}\n", cases.join(",\n")));
}

/// Writes down everything a client reads, in the order in which it arrives.
struct Recorder {
    schema: String,
    tables: Option<Arc<Tables>>,
    steps: Vec<String>,
}

impl Recorder {
    fn read(&mut self, decoder: &mut SnapshotDecoder, payload: &[u8]) -> bool {
        let (outcome, arrived) = match decoder.decode(payload) {
            Ok(Snapshot { header, restarted, gone, hidden, changed }) => (
                format!(
                    "\"tick\":{},\"epoch\":{},\"applied\":{},\"margin\":{},\"late\":{},\"restarted\":{restarted},\"gone\":{},\"hidden\":{},\"changed\":{}",
                    header.tick.0,
                    header.epoch,
                    or_null(header.applied.map(|tick| tick.0)),
                    or_null(header.margin),
                    header.late,
                    ids(&gone),
                    ids(&hidden),
                    ids(&changed),
                ),
                true,
            ),
            Err(error) => (format!("\"error\":\"{error:?}\""), false),
        };
        let rows = entities(decoder.entities().map(|(id, _, row)| (id, row)));
        self.steps.push(format!("{{\"hex\":\"{}\",{outcome},\"entities\":{rows}}}", hex(payload)));
        arrived
    }

    fn write(self, name: &str, about: &str) {
        let Self { schema, tables, steps } = self;
        let tables = tables.map(|tables| format!("\"tables\":\"{}\",\n", hex(tables.to_bytes()))).unwrap_or_default();
        let text = format!(
            "{{\"about\":\"{about}\",\n\"schema\":{schema},\n{tables}\"steps\":[\n{}\n]}}\n",
            steps.join(",\n")
        );
        golden(name, &text);
    }
}

fn record(seed: u64, link: Link, ticks: u32, reset_at: u32) -> Recorder {
    record_with((None, 0), seed, link, ticks, reset_at)
}

/// The client has the tables from the start; the server hears of it at a tick.
fn record_with(
    (tables, ready_at): (Option<Arc<Tables>>, u32),
    seed: u64,
    link: Link,
    ticks: u32,
    reset_at: u32,
) -> Recorder {
    let mut turmoil = Turmoil::new(seed, 6);
    record_world(empty_world(), |world| turmoil.stir(world), (tables, ready_at), seed, link, ticks, reset_at)
}

fn record_world(
    mut sim: Sim,
    mut stir: impl FnMut(&mut World),
    (tables, ready_at): (Option<Arc<Tables>>, u32),
    seed: u64,
    link: Link,
    ticks: u32,
    reset_at: u32,
) -> Recorder {
    let mut rng = Seed(seed).rng();
    let (mut encoder, mut recipient) = (SnapshotEncoder::new(), Recipient::new());
    let mut decoder = SnapshotDecoder::new(sim.schema().clone());
    if let Some(tables) = &tables {
        encoder = SnapshotEncoder::with_tables(Arc::clone(tables));
        decoder.add_tables(TRAINED_SET, Arc::clone(tables));
    }
    let schema = sim.schema().to_json().to_owned();
    let mut recorder = Recorder { schema, tables, steps: Vec::new() };
    let mut under_way: Vec<(u32, u16, Vec<u8>)> = Vec::new();
    for tick in 1..=ticks {
        stir(sim.world_mut());
        sim.step().unwrap();
        encoder.start_tick(sim.mirror());
        if tick == reset_at {
            recipient.reset();
            under_way.clear();
        }
        if tick == ready_at {
            recipient.use_tables(TRAINED_SET);
        }
        let applied = (tick > 3).then(|| Tick(tick - rng.below(4) as u32));
        let margin = rng.chance(700).then(|| rng.below(255) as i8);
        let header = SnapshotHeader { applied, margin, late: rng.below(256) as u8, ..SnapshotHeader::default() };
        let payload = encoder.encode(sim.mirror(), &mut recipient, header, None, link.budget).unwrap().to_vec();
        recipient.sent(tick as u16);
        let arrival = tick + rng.below(link.delay_max + 1) as u32;
        if rng.chance(link.loss) {
            recipient.on_lost(tick as u16);
        } else {
            under_way.push((arrival, tick as u16, payload));
        }
        while let Some(at) = under_way.iter().position(|(due, ..)| *due <= tick) {
            let (_, seq, payload) = under_way.remove(at);
            if recorder.read(&mut decoder, &payload) {
                recipient.on_acked(seq);
            }
        }
    }
    recorder
}

#[test]
fn snapshots() {
    let link = Link { loss: 0, ack_loss: 0, delay_max: 0, budget: 1_000 };
    record(1, link, 60, 0).write("steady.json", "Every snapshot arrives at once.");
    let link = Link { loss: 250, delay_max: 6, ..link };
    record(2, link, 150, 0).write("lossy.json", "A quarter is lost, the rest arrives late and out of order.");
    let link = Link { budget: 48, ..link };
    record(3, link, 100, 0).write("narrow.json", "As lossy, and 48 bytes are room for a few rows only.");
    record(4, link, 80, 40)
        .write("restart.json", "The server forgets at tick 40 what the client knows: the epoch changes.");
}

#[test]
fn trained() {
    let link = Link { loss: 150, ack_loss: 0, delay_max: 6, budget: 400 };
    let recorder = record_with((Some(tables()), 20), 5, link, 140, 0);
    recorder
        .write("trained.json", "From tick 20 on in table set 1, with these tables; some are lost, late, out of order.");
}

#[test]
fn reckoned() {
    let link = Link { loss: 150, ack_loss: 0, delay_max: 6, budget: 400 };
    let about = "Bodies that go on by themselves, at 60 ticks per second; from tick 40 on in table set 1.";
    let mut tumbling = Tumbling::new(6);
    let sim = tumbling.world();
    let tables = Some(Arc::new(tumbling.tables()));
    record_world(sim, |world| tumbling.stir(world), (tables, 40), 7, link, 150, 0).write("reckoned.json", about);
}

#[test]
fn gone_before_its_first_row() {
    let mut sim = empty_world();
    let (mut encoder, mut recipient) = (SnapshotEncoder::new(), Recipient::new());
    let mut decoder = SnapshotDecoder::new(sim.schema().clone());
    let mut recorder = Recorder { schema: sim.schema().to_json().to_owned(), tables: None, steps: Vec::new() };
    let mut payloads = Vec::new();
    for tick in 1..=4 {
        match tick {
            2 => drop(sim.world_mut().spawn(Health(9))),
            3 => assert!(sim.entity_of(NetId(1)).is_some_and(|entity| sim.world_mut().despawn(entity))),
            _ => {}
        }
        sim.step().unwrap();
        encoder.start_tick(sim.mirror());
        let header = SnapshotHeader::default();
        payloads.push(encoder.encode(sim.mirror(), &mut recipient, header, None, 100).unwrap().to_vec());
        recipient.sent(tick);
    }
    for arrival in [0, 2, 1, 3] {
        assert!(recorder.read(&mut decoder, &payloads[arrival]));
        assert_eq!(decoder.entities().count(), 0);
    }
    recorder.write("early-gone.json", "The row of an entity arrives after the word that it is gone.");
}

#[test]
fn hidden() {
    let mut sim = empty_world();
    let (mut encoder, mut recipient) = (SnapshotEncoder::new(), Recipient::new());
    let mut decoder = SnapshotDecoder::new(sim.schema().clone());
    let mut recorder = Recorder { schema: sim.schema().to_json().to_owned(), tables: None, steps: Vec::new() };
    let entity = sim.world_mut().spawn(Health(9)).id();
    let mut late = Vec::new();
    for tick in 1..=24 {
        match tick {
            3 | 12 | 18 => drop(sim.world_mut().entity_mut(entity).insert(VisibleTo(0))),
            10 | 16 => drop(sim.world_mut().entity_mut(entity).remove::<VisibleTo>()),
            22 => assert!(sim.world_mut().despawn(entity)),
            _ => {}
        }
        sim.step().unwrap();
        encoder.start_tick(sim.mirror());
        let header = SnapshotHeader::default();
        let payload = encoder.encode(sim.mirror(), &mut recipient, header, None, 100).unwrap().to_vec();
        recipient.sent(tick);
        if tick == 10 || tick == 11 {
            // The row comes when the entity is hidden again.
            late.push((tick, payload));
            continue;
        }
        assert!(recorder.read(&mut decoder, &payload));
        recipient.on_acked(tick);
        if tick == 13 {
            for (tick, payload) in late.drain(..) {
                assert!(recorder.read(&mut decoder, &payload));
                recipient.on_acked(tick);
            }
        }
        assert_eq!(decoder.entities().count(), usize::from(matches!(tick, 1 | 2 | 16 | 17)), "tick {tick}");
    }
    recorder.write("hidden.json", "An entity is hidden, shown and hidden again; it ends while it is hidden.");
}

#[test]
fn invalid() {
    let mut recorder = record(1, Link { loss: 0, ack_loss: 0, delay_max: 0, budget: 1_000 }, 9, 0);
    let mut decoder = SnapshotDecoder::new(empty_world().schema().clone());
    recorder.steps.clear();
    let header = |tick: u32, tables: u32| {
        let mut writer = BitWriter::new();
        SnapshotHeader { tick: Tick(tick), ..SnapshotHeader::default() }.write(&mut writer);
        let mut bytes = writer.finish();
        bytes[4] |= tables as u8;
        let mut writer = BitWriter::new();
        writer.copy(&bytes, 0, 32 + 4 + 4 + 1 + 8 + 8);
        writer
    };
    let mut cases = vec![Vec::new(), vec![0; 7], header(5, 3).finish()];
    for (age, gap) in [(0, 0), (15, 0), (0, u32::MAX)] {
        let mut writer = header(5, 0);
        writer.bits(0b10, 2);
        GAP.write(&mut writer, gap);
        writer.bit(false);
        writer.bits(age, 4);
        cases.push(writer.finish());
    }
    for case in cases {
        assert!(!recorder.read(&mut decoder, &case), "{case:?}");
    }
    recorder.write("invalid.json", "Each of these is refused, and nothing of it counts.");
}

#[test]
fn views() {
    let mut sim = empty_world();
    let mut turmoil = Turmoil::new(9, 6);
    let mut encoder = ViewEncoder::new();
    let mut decoder = ViewDecoder::new(sim.schema().clone());
    let mut frames = Vec::new();
    for tick in 1..=120 {
        turmoil.stir(sim.world_mut());
        sim.step().unwrap();
        if tick % 3 != 0 {
            continue;
        }
        let keyframe = tick % 60 == 3;
        let rows = encoder.encode(sim.mirror(), keyframe);
        let changed = ids(&decoder.decode(sim.tick(), &rows, keyframe).unwrap());
        let (rows, after) = (hex(&rows), entities(decoder.entities()));
        frames
            .push(format!("{{\"hex\":\"{rows}\",\"keyframe\":{keyframe},\"changed\":{changed},\"entities\":{after}}}"));
    }
    let (schema, frames) = (sim.schema().to_json(), frames.join(",\n"));
    golden(
        "view.json",
        &format!(
            "{{\"about\":\"ViewFrame.rows, one after the other.\",\n\"schema\":{schema},\n\"frames\":[\n{frames}\n]}}\n"
        ),
    );
}

#[test]
fn inputs() {
    use amphi_shared_wire::{BitReader, OutOfBits};

    #[derive(Clone, Default, PartialEq)]
    struct Byte(u8);
    impl crate::Input for Byte {
        fn encode(&self, writer: &mut BitWriter) {
            writer.bits(u32::from(self.0), 8);
        }
        fn decode(reader: &mut BitReader<'_>) -> Result<Self, OutOfBits> {
            Ok(Self(reader.bits(8)? as u8))
        }
        fn sanitise(self) -> Self {
            self
        }
        fn decayed(&self) -> Self {
            self.clone()
        }
    }

    let cases: [(u32, &[u8]); 4] = [(1, &[7]), (100, &[1, 1, 1, 255, 255, 0]), (70_000, &[9; 32]), (40, &[1, 2, 3, 4])];
    let cases = list(cases, |(tick, bytes)| {
        let payload = encode_inputs(Tick(tick), &bytes.iter().copied().map(Byte).collect::<Vec<_>>());
        let inputs = list(bytes, ToString::to_string);
        format!("\n{{\"tick\":{tick},\"inputs\":{inputs},\"hex\":\"{}\"}}", hex(&payload))
    });
    golden("inputs.json", &format!("{{\"about\":\"An input of this game is 8 bits.\",\n\"cases\":{cases}}}\n"));
}
