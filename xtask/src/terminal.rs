//! What the terminal shows: a green verb and a fact, or an error with help.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// Whether standard error shows colours.
pub(crate) fn colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

fn paint(style: &str, text: &str) -> String {
    if colours() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A verb and what it is about: `    Building the page`.
pub(crate) fn say(verb: &str, fact: &str) {
    eprintln!("{} {fact}", paint("1;32", &format!("{verb:>12}")));
}

/// An error, with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("{}: {error:#}", paint("1;31", "error"));
}

/// An error of a rule at a place: `error[rule]: what`, where, and help.
pub(crate) fn finding(rule: &str, what: &str, place: &str, help: &str) {
    eprintln!("{}: {what}", paint("1;31", &format!("error[{rule}]")));
    eprintln!("  {} {place}", paint("1;34", "-->"));
    eprintln!("   {} help: {help}\n", paint("1;34", "="));
}

/// A duration as people read it: `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}
