//! How the program speaks to the person at the terminal: a verb, then the fact.

use std::io::{IsTerminal, Write};

use amphi_shared_edge::BindError;
use amphi_shared_store::OpenError;

const GREEN: &str = "\x1b[1;32m";
const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[1;36m";
const PLAIN: &str = "\x1b[0m";

/// `  Starting the fleet`: verb right-aligned and green, then the fact.
pub(crate) fn say(verb: &str, fact: &str) {
    let mut out = std::io::stderr().lock();
    let (on, off) = if std::io::stderr().is_terminal() { (GREEN, PLAIN) } else { ("", "") };
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(out, "{on}{verb:>12}{off} {fact}");
}

/// Text for other programs, on stdout.
pub(crate) fn plain(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// `error: what`, and `help: what to do` where something is known to help.
pub(crate) fn error(error: &anyhow::Error) {
    let mut out = std::io::stderr().lock();
    let colours = std::io::stderr().is_terminal();
    let (red, cyan, off) = if colours { (RED, CYAN, PLAIN) } else { ("", "", "") };
    let _ = writeln!(out, "{red}error{off}: {error:#}");
    if let Some(help) = help(error) {
        let _ = writeln!(out, " {cyan}help{off}: {help}");
    }
}

fn help(error: &anyhow::Error) -> Option<&'static str> {
    for cause in error.chain() {
        if let Some(open) = cause.downcast_ref::<OpenError>() {
            return match open {
                OpenError::Taken { .. } => {
                    Some("amphi already runs on this data directory; stop it, or name another with --data")
                }
                OpenError::Unwritable { .. } => Some("name a directory that this user may write with --data"),
                OpenError::Newer { .. } | OpenError::Address { .. } | OpenError::Database { .. } => None,
                _ => None,
            };
        }
        if cause.downcast_ref::<BindError>().is_some() {
            return Some("choose another address with --listen, for example --listen 127.0.0.1:7100");
        }
    }
    None
}
