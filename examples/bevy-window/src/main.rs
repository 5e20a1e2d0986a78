//! A client of its own for the game of `examples/own-game`, with Bevy around it.

#[allow(dead_code, reason = "the client needs what the game is made of, not its `main`")]
#[path = "../../own-game/src/main.rs"]
mod game;
mod headless;
mod service;
#[cfg(feature = "window")]
mod window;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str =
    "bevy-window [--headless [--ticks N]] [URL]   (URL: what `up` prints, http://127.0.0.1:7000 if none)";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut is_headless, mut ticks, mut url) = (false, 180, "http://127.0.0.1:7000".to_owned());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--headless" => is_headless = true,
            "--ticks" => ticks = args.next().and_then(|n| n.parse().ok()).context(USAGE)?,
            _ if arg.starts_with('-') => bail!(USAGE),
            _ => url = arg,
        }
    }
    let invitation = service::find_match(&url, "tag")?;
    if is_headless { headless::run(invitation, ticks) } else { window(invitation) }
}

#[cfg(feature = "window")]
fn window(invitation: amphi_clients_bevy::Invitation) -> Result<()> {
    window::run(invitation);
    Ok(())
}

#[cfg(not(feature = "window"))]
fn window(_: amphi_clients_bevy::Invitation) -> Result<()> {
    bail!("this build has no window: add `--features window`, see README.md, or run with `--headless`")
}
