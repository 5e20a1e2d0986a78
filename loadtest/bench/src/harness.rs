//! One way to measure: pinned, alternated, medians of several rounds, a floor in the same run.
//!
//! ```text
//! Bench::new("fanout", "ns_per_send", floor, ours).against(peer).run(&Plan::default(), pinned)?
//! ```
//! A new bench is one file beside this folder and a variant of `Name` in `main.rs`. When it needs a server, that is a
//! variant of `Serve`: it says one line when it is ready (its address) and serves until its [`Stage`] ends. The
//! contestant starts it with [`Server::start`], in a process on a core of its own, and reads its processor time and
//! memory there.
//!
//! Each round runs the floor, then ours, then every peer, once each, so a slow minute of the machine falls on all of
//! them. When the floor itself moved more than [`Plan::floor_drift_max`], all rounds are repeated.

mod affinity;
mod machine;
mod report;
mod server;
mod stage;

use std::path::PathBuf;

pub(crate) use self::affinity::pin_load;
use self::report::Report;
pub(crate) use self::server::Server;
pub(crate) use self::stage::Stage;

/// How often each contestant runs.
const ROUNDS: usize = 5;

/// How much work a bench does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scale {
    /// Enough to measure: about a second per contestant and round.
    Full,
    /// Enough to see that it runs.
    Smoke,
}

impl Scale {
    /// The amount of work for this scale.
    pub(crate) fn pick(self, full: usize, smoke: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Smoke => smoke,
        }
    }
}

/// How a bench is repeated.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often each contestant runs; what the bench asks for by default.
    pub(crate) rounds: Option<usize>,
    /// Largest spread of the floor, `(max - min) / median`, that still counts as a quiet machine. 0.15 by default.
    pub(crate) floor_drift_max: f64,
    /// How often all rounds are run at most until the floor holds still. 3 by default.
    pub(crate) attempts_max: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { rounds: None, floor_drift_max: 0.15, attempts_max: 3 }
    }
}

impl Plan {
    /// One round, whatever the floor does.
    pub(crate) fn smoke() -> Self {
        Self { rounds: Some(1), attempts_max: 1, ..Self::default() }
    }
}

/// What one run of one contestant measured: figures whose names end with their unit.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sample {
    /// Named by the last line of the report.
    figures: Vec<(String, f64)>,
    /// Told with their spread only.
    beside: Vec<(String, f64)>,
}

impl Sample {
    /// An empty sample.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a figure; the unit stands in the name (`ns_per_message`, `bytes_per_tick`).
    pub(crate) fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.figures.push((name.into(), value));
        self
    }

    /// Adds a figure that explains the others and is no goal itself.
    pub(crate) fn beside(mut self, name: impl Into<String>, value: f64) -> Self {
        self.beside.push((name.into(), value));
        self
    }

    /// Adds everything that another sample holds.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.figures.extend(other.figures);
        self.beside.extend(other.beside);
        self
    }
}

type Run = Box<dyn FnMut() -> anyhow::Result<Sample>>;

/// Someone who is measured: ours, a peer, or the floor.
pub(crate) struct Contestant {
    name: &'static str,
    run: Run,
}

impl Contestant {
    /// A contestant; `run` does the whole work once, drains it, and returns what it measured.
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> anyhow::Result<Sample> + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// A program whose last line of standard output is a JSON object of figures, run on the load's core.
    pub(crate) fn program(name: &'static str, program: PathBuf, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::new(name, move || {
            let figures = crate::peers::run(&program, &args)?;
            Ok(figures.into_iter().fold(Sample::new(), |sample, (name, value)| sample.with(name, value)))
        })
    }
}

/// A bench: a floor, ours, and any number of peers.
pub(crate) struct Bench {
    name: &'static str,
    floor_figure: &'static str,
    rounds: usize,
    /// The floor first, then ours, then the peers: the order of a round.
    contestants: Vec<Contestant>,
}

impl Bench {
    /// A bench without peers. `floor_figure` is the figure of the floor that tells whether the machine was quiet.
    pub(crate) fn new(name: &'static str, floor_figure: &'static str, floor: Contestant, ours: Contestant) -> Self {
        Self { name, floor_figure, rounds: ROUNDS, contestants: vec![floor, Contestant { name: "ours", ..ours }] }
    }

    /// The same with another number of rounds, for a bench whose rounds take minutes.
    pub(crate) fn rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }

    /// Adds a peer.
    pub(crate) fn against(mut self, peer: Contestant) -> Self {
        self.contestants.push(peer);
        self
    }

    /// Runs all rounds, again while the floor moves too much.
    ///
    /// # Errors
    /// The first error of a contestant.
    pub(crate) fn run(mut self, plan: &Plan, pinned: bool) -> anyhow::Result<Report> {
        let mut attempt = 1;
        loop {
            let rounds = plan.rounds.unwrap_or(self.rounds);
            let samples = self.run_rounds(rounds)?;
            let report = Report::new(self.name, (pinned, rounds, attempt), samples);
            let drift = report.floor_spread(self.floor_figure);
            if drift <= plan.floor_drift_max || attempt >= plan.attempts_max {
                return Ok(report.judged(drift <= plan.floor_drift_max));
            }
            eprintln!("the floor moved by {:.0} %: running all rounds again", drift * 100.0);
            attempt += 1;
        }
    }

    fn run_rounds(&mut self, rounds: usize) -> anyhow::Result<Vec<(&'static str, Vec<Sample>)>> {
        let mut samples: Vec<(&'static str, Vec<Sample>)> =
            self.contestants.iter().map(|contestant| (contestant.name, Vec::with_capacity(rounds))).collect();
        for round in 0..rounds {
            for (contestant, (name, taken)) in self.contestants.iter_mut().zip(&mut samples) {
                eprintln!("round {} of {rounds}: {name}", round + 1);
                taken.push((contestant.run)()?);
            }
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests;
