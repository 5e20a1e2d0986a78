//! A mobile path: when it lets a packet through.
//!
//! A recording is a text file as mm-link of Mahimahi reads it (one line per packet that could leave, in milliseconds from
//! the start; <http://mahimahi.mit.edu>); it starts over at its end. The built-in path is no recording but a model of an LTE
//! uplink: a phone is granted a turn every 10 ms; one turn in ten fails and is repeated 8 ms later (HARQ), in order. About
//! once a minute coverage is weak for 0.6 to 1.8 s: a third of the turns fail then, and the path pauses for 35 to 50 ms
//! every quarter of a second, as recordings from moving cars show.

use std::path::Path;

use amphi_shared_wire::{Micros, Rng, Seed};
use anyhow::{Context, ensure};

use crate::harness::Scale;

/// Names the built-in path where a recording could stand.
pub(crate) const BUILT_IN: &str = "mobile";

/// Everything beyond the radio: the core network and the way to the host.
const BEYOND: Micros = Micros::from_millis(20);
const MINUTES: usize = 10;
const GRANT_MS: u64 = 10;
const REPEAT_MS: u64 = 8;
const REPEATS_MAX: u64 = 4;
const FAILS_PERMILLE: u32 = 100;
const FAILS_WEAK_PERMILLE: u32 = 350;
/// Chance that weak coverage starts at a grant: once a minute.
const WEAK_PER_GRANTS: u64 = 6_000;
const WEAK_MS: (u64, u64) = (600, 1_800);
/// Chance of a pause at a grant while coverage is weak: one in 25, so every quarter of a second.
const PAUSE_PERMILLE: u32 = 40;
const PAUSE_MS: (u64, u64) = (35, 50);

/// Times at which a packet can leave, ms from the start, ascending.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    turns: Vec<u64>,
    span: Micros,
}

impl Trace {
    /// The model of an LTE uplink.
    pub(super) fn built_in(scale: Scale) -> Self {
        let span_ms = scale.pick(MINUTES * 60_000, 15_000) as u64;
        let mut rng = Seed(1).split("mobile").rng();
        let (mut turns, mut weak_until, mut paused_until) = (Vec::new(), 0, 0);
        for grant in (0..span_ms).step_by(GRANT_MS as usize) {
            if rng.below(WEAK_PER_GRANTS) == 0 {
                weak_until = grant + between(WEAK_MS, &mut rng);
            }
            let weak = grant < weak_until;
            if weak && rng.chance(PAUSE_PERMILLE) {
                paused_until = grant + between(PAUSE_MS, &mut rng);
            }
            let fails = if weak { FAILS_WEAK_PERMILLE } else { FAILS_PERMILLE };
            let repeats = (0..REPEATS_MAX).take_while(|_| rng.chance(fails)).count() as u64;
            let before = turns.last().copied().unwrap_or(0);
            turns.push((grant + repeats * REPEAT_MS).max(paused_until).max(before));
        }
        Self { turns, span: Micros::from_millis(span_ms) }
    }

    /// A recording; at most ten minutes of it are played, and it is repeated when it is shorter.
    ///
    /// # Errors
    /// A line is no number, or none is above 0.
    pub(super) fn read(file: &Path, scale: Scale) -> anyhow::Result<Self> {
        if file == Path::new(BUILT_IN) {
            return Ok(Self::built_in(scale));
        }
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let number = |(line, text): (usize, &str)| -> anyhow::Result<u64> {
            text.trim().parse().with_context(|| format!("{}:{}: not milliseconds", file.display(), line + 1))
        };
        let mut turns = text.lines().enumerate().map(number).collect::<anyhow::Result<Vec<u64>>>()?;
        turns.sort_unstable();
        ensure!(turns.last().is_some_and(|last| *last > 0), "{}: no packet could leave", file.display());
        Ok(Self { turns, span: Micros::from_millis(scale.pick(MINUTES * 60_000, 15_000) as u64) })
    }

    /// How long it is played.
    pub(super) fn span(&self) -> Micros {
        self.span
    }

    /// When a packet that is sent this long after the start arrives.
    pub(super) fn arrival(&self, sent: Micros) -> Micros {
        let length = self.turns.last().copied().unwrap_or(1).max(1) * 1_000;
        let (round, within) = (sent.0 / length, sent.0 % length);
        let next = self.turns.partition_point(|turn| turn * 1_000 < within);
        let turn = self.turns.get(next).map_or(length, |turn| turn * 1_000);
        Micros(round * length + turn) + BEYOND
    }
}

fn between((least, most): (u64, u64), rng: &mut Rng) -> u64 {
    least + rng.below(most - least + 1)
}
