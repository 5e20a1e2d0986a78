//! Code tables from recorded matches: `amphi tables train`.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amphi_server_core::replay_with;
use amphi_shared_replica::{
    Game, MatchMode, Mirror, Recipient, Seat, SimMode, SnapshotEncoder, SnapshotHeader, TRAINED_SET, Tables, Trainer,
};
use amphi_shared_wire::Seed;
use amphi_shared_wire::limits::{DATAGRAM_BYTES_NATIVE_MAX, DATAGRAM_HEADER_BYTES};
use anyhow::{Context, Result, bail, ensure};

use crate::cli::Train;
use crate::words;

/// Ticks from a snapshot to its ack in the comparison: a round trip of 67 ms at 60 Hz.
const ACK_TICKS: usize = 4;
/// What a native client's datagram holds.
const BUDGET_BYTES: usize = DATAGRAM_BYTES_NATIVE_MAX - DATAGRAM_HEADER_BYTES - 1;

/// Learns tables and writes them; says what they save in a match that they were not learned from.
pub(crate) fn train(game: &Game, options: &Train) -> Result<()> {
    let mut matches = Source::of(game, options)?;
    ensure!(matches.len() > 1, "one match to learn from and another to try it on: two matches are the least");
    let last = matches.pop().context("there is no match")?;
    let mut trainer = Trainer::new(Arc::clone(game.schema()));
    for (number, source) in matches.iter().enumerate() {
        words::say("Learning", &format!("match {} of {}: {}", number + 1, matches.len(), source.name()));
        trainer.start_match();
        source.play(game, |mirror| trainer.note(mirror))?;
    }
    for (component, _) in trainer.samples().filter(|(_, samples)| *samples == 0) {
        words::say("Unseen", &format!("`{component}` never changed: it keeps its plain codes"));
    }
    words::say("Fitting", "predictions, estimates and codes");
    let tables = Arc::new(trainer.finish());
    words::say("Trying", &last.name());
    let (plain, coded) = (bytes(game, &last, None)?, bytes(game, &last, Some(&tables))?);
    fs::write(&options.out, tables.to_bytes())
        .with_context(|| format!("`{}` cannot be written", options.out.display()))?;
    let (size, hash) = (tables.to_bytes().len(), tables.hash());
    words::say("Finished", &format!("{} with {size} bytes, hash {hash:016x}", options.out.display()));
    let saved = 100.0 * (1.0 - coded / plain.max(1.0));
    words::plain(&format!("a snapshot takes {coded:.0} bytes, {plain:.0} in the plain codes: {saved:.0} % less"));
    Ok(())
}

/// Where one match comes from.
enum Source {
    Journal(PathBuf),
    Bots(MatchMode, u64),
}

impl Source {
    fn of(game: &Game, options: &Train) -> Result<Vec<Self>> {
        if !options.journals.is_empty() {
            let files = options.journals.iter().map(|path| journals(path)).collect::<Result<Vec<_>>>()?;
            return Ok(files.into_iter().flatten().map(Self::Journal).collect());
        }
        let mode = match &options.mode {
            Some(name) => game.mode(name),
            None => game.modes().iter().copied().max_by_key(|mode| mode.teams * mode.team_size),
        };
        let names: Vec<&str> = game.modes().iter().map(|mode| mode.name).collect();
        let mut mode = mode.with_context(|| format!("the modes of this game: {}", names.join(", ")))?;
        mode.duration_s = options.seconds;
        Ok((1..=options.matches).map(|seed| Self::Bots(mode.at(options.tick_hz), seed)).collect())
    }

    fn name(&self) -> String {
        match self {
            Self::Journal(path) => path.display().to_string(),
            Self::Bots(mode, seed) => format!("{}, {} s with bots, seed {seed}", mode.name, mode.duration_s),
        }
    }

    /// Plays the match and shows the state after each tick.
    fn play(&self, game: &Game, mut show: impl FnMut(&Mirror)) -> Result<()> {
        match self {
            Self::Journal(path) => {
                let journal = fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
                let report = replay_with(game, &journal, show).with_context(|| path.display().to_string())?;
                if let Some(tick) = report.first_difference {
                    bail!("{}: tick {tick} comes out differently in this build", path.display());
                }
            }
            Self::Bots(mode, seed) => {
                let mut sim = game.build(SimMode::Authority, mode.clone(), Seed(*seed))?;
                for _ in 0..mode.duration_ticks() {
                    sim.step()?;
                    sim.take_events();
                    show(sim.mirror());
                }
            }
        }
        Ok(())
    }
}

/// A journal; of a directory `rooms` as hosts write it, or one like it, the journals of all matches, by name.
fn journals(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?.path();
        let journal = if entry.is_dir() { entry.join("journal") } else { entry };
        if journal.is_file() {
            files.push(journal);
        }
    }
    files.sort();
    Ok(files)
}

/// Bytes of a snapshot for seat 0, mean over a match; `None` in the plain codes.
fn bytes(game: &Game, source: &Source, tables: Option<&Arc<Tables>>) -> Result<f64> {
    let mut encoder =
        tables.map_or_else(SnapshotEncoder::new, |tables| SnapshotEncoder::with_tables(Arc::clone(tables)));
    let mut recipient = Recipient::new();
    recipient.use_tables(tables.map_or(0, |_| TRAINED_SET));
    let (mut bytes, mut seq, mut open) = (0, 0_u16, VecDeque::new());
    source.play(game, |mirror| {
        if open.len() == ACK_TICKS
            && let Some(arrived) = open.pop_front()
        {
            recipient.on_acked(arrived);
        }
        encoder.start_tick(mirror);
        let header = SnapshotHeader::default();
        bytes += encoder.encode(mirror, &mut recipient, header, Some(Seat(0)), BUDGET_BYTES).map_or(0, <[u8]>::len);
        seq = seq.wrapping_add(1);
        recipient.sent(seq);
        open.push_back(seq);
    })?;
    Ok(bytes as f64 / f64::from(seq.max(1)))
}

#[cfg(test)]
mod tests;
