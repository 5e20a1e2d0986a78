//! Code tables from recorded matches: `amphi tables train`.

use std::fs;
use std::sync::Arc;

use amphi_server_node::Recording;
use amphi_shared_replica::{Game, Trainer};
use anyhow::{Context, Result, ensure};

use crate::cli::Train;
use crate::words;

/// Learns tables and writes them; says what they save in a match that they were not learned from.
pub(crate) fn train(game: &Game, options: &Train) -> Result<()> {
    let mut matches = matches(game, options)?;
    ensure!(matches.len() > 1, "one match to learn from and another to try it on: two matches are the least");
    let last = matches.pop().context("there is no match")?;
    let mut trainer = Trainer::new(Arc::clone(game.schema()));
    for (number, recording) in matches.iter().enumerate() {
        words::say("Learning", &format!("match {} of {}: {recording}", number + 1, matches.len()));
        trainer.start_match();
        recording.play(game, |mirror| trainer.note(mirror))?;
    }
    for (component, _) in trainer.samples().filter(|(_, samples)| *samples == 0) {
        words::say("Unseen", &format!("`{component}` never changed: it keeps its plain codes"));
    }
    words::say("Fitting", "predictions, estimates and codes");
    let tables = Arc::new(trainer.finish());
    words::say("Trying", &last.to_string());
    let (plain, coded) = (last.snapshot_bytes(game, None)?, last.snapshot_bytes(game, Some(&tables))?);
    let out = options.out.display();
    fs::write(&options.out, tables.to_bytes()).with_context(|| format!("`{out}` cannot be written"))?;
    words::say("Finished", &format!("{out} with {} bytes, hash {:016x}", tables.to_bytes().len(), tables.hash()));
    let saved = 100.0 * (1.0 - coded / plain.max(1.0));
    words::plain(&format!("a snapshot takes {coded:.0} bytes, {plain:.0} in the plain codes: {saved:.0} % less"));
    Ok(())
}

fn matches(game: &Game, options: &Train) -> Result<Vec<Recording>> {
    if !options.journals.is_empty() {
        let journals = options.journals.iter().map(|path| Recording::journals(path)).collect::<Result<Vec<_>, _>>()?;
        return Ok(journals.into_iter().flatten().collect());
    }
    let mode = match &options.mode {
        Some(name) => game.mode(name),
        None => game.modes().iter().copied().max_by_key(|mode| mode.teams * mode.team_size),
    };
    let names: Vec<&str> = game.modes().iter().map(|mode| mode.name).collect();
    let mut mode = mode.with_context(|| format!("the modes of this game: {}", names.join(", ")))?;
    mode.duration_s = options.seconds;
    Ok((1..=options.matches).map(|seed| Recording::Bots(mode.at(options.tick_hz), seed)).collect())
}
