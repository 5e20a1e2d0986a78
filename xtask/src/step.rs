//! Running programs: one after another, with what they print, how long they took and how many tests they ran.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Tests that passed and failed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    /// Both counts together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }

    /// The count that a line gives, if it is the summary of this runner.
    pub(crate) fn of_line(runner: Runner, line: &str) -> Option<Self> {
        let line = line.trim();
        match runner {
            Runner::Nextest => {
                let summary = line.strip_prefix("Summary [")?;
                let counts = summary.split_once(" run: ")?.1;
                Some(Self::of_list(counts, ','))
            }
            Runner::Libtest => Some(Self::of_list(line.strip_prefix("test result: ")?.split_once(". ")?.1, ';')),
            Runner::Vitest => Some(Self::of_list(line.strip_prefix("Tests ")?.split_once(" (")?.0, '|')),
        }
    }

    /// `3 passed, 1 failed, 1 timed out, 2 skipped`: everything that neither passed nor was left out failed.
    fn of_list(list: &str, separator: char) -> Self {
        let mut count = Self::default();
        for entry in list.split(separator) {
            let Some((number, word)) = entry.trim().split_once(' ') else { continue };
            let number: u64 = number.parse().unwrap_or(0);
            match word.split_whitespace().next().unwrap_or_default() {
                "passed" => count.passed += number,
                "failed" | "timed" | "exec" => count.failed += number,
                _ => {}
            }
        }
        count
    }
}

/// Who runs tests, and so how a summary looks. One runner may show the summary of another one inside a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runner {
    /// `cargo nextest run`.
    Nextest,
    /// `cargo test`.
    Libtest,
    /// Vitest.
    Vitest,
}

/// How a program ended.
pub(crate) struct Outcome {
    /// Whether it exited with 0.
    pub(crate) success: bool,
    /// What the test runner said.
    pub(crate) count: Count,
}

/// Runs a program to its end; its output goes to the terminal as it is.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(start.elapsed())
}

/// Whether a quiet program exits with 0.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs a test runner to its end, shows its output, and counts the tests it tells of.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn count(runner: Runner, command: &mut Command) -> anyhow::Result<Outcome> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("cannot start `{}`", line(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let errors =
        thread::spawn(move || stderr.map_or(Count::default(), |stream| relay(runner, stream, std::io::stderr())));
    let output = stdout.map_or(Count::default(), |stream| relay(runner, stream, std::io::stdout()));
    let success = child.wait()?.success();
    let count = output.plus(errors.join().unwrap_or_default());
    Ok(Outcome { success, count })
}

/// Copies lines and counts their summaries.
fn relay(runner: Runner, stream: impl Read, mut to: impl Write) -> Count {
    let mut count = Count::default();
    let mut lines = BufReader::new(stream);
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        // A closed terminal is no reason to stop the tests.
        let _ = to.write_all(&bytes);
        let text = without_colours(&String::from_utf8_lossy(&bytes));
        count = count.plus(Count::of_line(runner, &text).unwrap_or_default());
        bytes.clear();
    }
    count
}

/// Text without the escape sequences of colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
