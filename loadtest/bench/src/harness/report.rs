//! Medians with their spread, as a table and as one line of JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Sample;
use super::machine::{Machine, commit};

/// Median and spread of one figure over the rounds.
#[derive(Clone, Copy, PartialEq, Serialize, Debug)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// `(max - min) / median`; 0 for a median of 0.
    pub(super) spread: f64,
}

impl Figure {
    /// The figure of some values; `values` is not empty.
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        let (min, max) = (values[0], values[values.len() - 1]);
        Self { median, min, max, spread: if median == 0.0 { 0.0 } else { (max - min) / median } }
    }
}

type Figures = BTreeMap<String, Figure>;

#[derive(Serialize, Debug)]
struct Floor {
    name: &'static str,
    /// Whether it held still within the plan's limit.
    steady: bool,
    figures: Figures,
}

/// What a bench found.
#[derive(Serialize, Debug)]
pub(crate) struct Report {
    bench: &'static str,
    commit: String,
    machine: Machine,
    pinned: bool,
    rounds: usize,
    /// Which attempt this is; earlier ones had a floor that moved.
    attempt: usize,
    floor: Floor,
    results: BTreeMap<&'static str, Figures>,
    /// Medians of our own figures, by their names.
    #[serde(flatten)]
    medians: BTreeMap<String, f64>,
    /// Medians of the peers' figures, as `peer_figure`.
    peers: BTreeMap<String, f64>,
}

impl Report {
    /// Gathers samples; the first contestant is the floor, the second one ours.
    pub(super) fn new(
        bench: &'static str,
        (pinned, rounds, attempt): (bool, usize, usize),
        samples: Vec<(&'static str, Vec<Sample>)>,
    ) -> Self {
        let (mut medians, mut peers) = (BTreeMap::new(), BTreeMap::new());
        for (name, samples) in samples.iter().skip(1) {
            for (figure, value) in figures(samples, |sample| &sample.figures) {
                if *name == "ours" {
                    medians.insert(figure, value.median);
                } else {
                    peers.insert(format!("{name}_{figure}"), value.median);
                }
            }
        }
        let all = |samples: &[Sample]| {
            let mut all = figures(samples, |sample| &sample.figures);
            all.append(&mut figures(samples, |sample| &sample.beside));
            all
        };
        let mut results = samples.into_iter().map(|(name, samples)| (name, all(&samples)));
        let (name, figures) = results.next().unwrap_or_default();
        let floor = Floor { name, steady: false, figures };
        let (commit, machine) = (commit(), Machine::read());
        Self { bench, commit, machine, pinned, rounds, attempt, floor, results: results.collect(), medians, peers }
    }

    /// How far a figure of the floor moved.
    pub(super) fn floor_spread(&self, figure: &str) -> f64 {
        self.floor.figures.get(figure).map_or(f64::INFINITY, |figure| figure.spread)
    }

    /// Says whether the floor was steady.
    pub(super) fn judged(mut self, steady: bool) -> Self {
        self.floor.steady = steady;
        self
    }

    /// A table for people, one line per figure.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![["contestant", "figure", "median", "spread"].map(str::to_owned)];
        let floor = (format!("floor: {}", self.floor.name), &self.floor.figures);
        let results = self.results.iter().map(|(name, figures)| ((*name).to_owned(), figures));
        for (name, figures) in std::iter::once(floor).chain(results) {
            for (figure, value) in figures {
                let spread = format!("{:.0} %", value.spread * 100.0);
                rows.push([name.clone(), figure.clone(), number(value.median), spread]);
            }
        }
        let widths: [usize; 4] = std::array::from_fn(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0));
        let mut table = String::new();
        for [name, figure, median, spread] in &rows {
            let [first, second, third, fourth] = widths;
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{name:first$}  {figure:second$}  {median:>third$}  {spread:>fourth$}");
        }
        if !self.floor.steady {
            table.push_str("The floor moved too much: the machine was busy, so compare with care.\n");
        }
        table
    }

    /// One line for machines.
    ///
    /// # Errors
    /// When a figure is not a number.
    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

fn figures(samples: &[Sample], kind: fn(&Sample) -> &Vec<(String, f64)>) -> Figures {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in samples.iter().flat_map(kind) {
        values.entry(name.clone()).or_default().push(*value);
    }
    values.into_iter().map(|(name, values)| (name, Figure::of(values))).collect()
}

/// A number with about four significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
