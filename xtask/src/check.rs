//! `cargo xtask check`: everything that can be judged without running anything.

use anyhow::bail;

use crate::house::House;
use crate::{setup, step, terminal, tidy};

/// Runs every check, then fails if one did.
///
/// # Errors
/// When a check fails or a tool is missing and cannot be installed.
pub(crate) fn run(house: &House, quick: bool) -> anyhow::Result<()> {
    setup::checks(house)?;
    let mut checks: Vec<(&str, &[&str])> = vec![
        ("formatting", &["fmt", "--all", "--check"]),
        ("formatting of examples/own-game", &["fmt", "--check", "--manifest-path", "examples/own-game/Cargo.toml"]),
        (
            "formatting of examples/bevy-window",
            &["fmt", "--check", "--manifest-path", "examples/bevy-window/Cargo.toml"],
        ),
        ("formatting of loadtest/fuzz", &["fmt", "--check", "--manifest-path", "loadtest/fuzz/Cargo.toml"]),
        ("formatting of loadtest/peers", &["fmt", "--check", "--manifest-path", "loadtest/peers/Cargo.toml"]),
        (
            "lock file of examples/own-game",
            &["tree", "--locked", "--depth=0", "--manifest-path=examples/own-game/Cargo.toml"],
        ),
        (
            "lock file of examples/bevy-window",
            &["tree", "--locked", "--depth=0", "--manifest-path=examples/bevy-window/Cargo.toml"],
        ),
        ("lock file of loadtest/fuzz", &["tree", "--locked", "--depth=0", "--manifest-path=loadtest/fuzz/Cargo.toml"]),
        (
            "lock file of loadtest/peers",
            &["tree", "--locked", "--depth=0", "--manifest-path=loadtest/peers/Cargo.toml"],
        ),
        ("licences, bans and sources", &["deny", "--offline", "--locked", "check", "licenses", "bans", "sources"]),
    ];
    if !quick {
        // With the profiler, so that its code is seen as well; the tests build what stands in for it.
        checks.push((
            "lints",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--features=amphi/tracy",
                "--locked",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ],
        ));
    }
    let mut failed = Vec::new();
    terminal::say("Checking", "house rules");
    if !tidy::run(house.root())? {
        failed.push("house rules");
    }
    for (name, args) in checks {
        terminal::say("Checking", name);
        if let Err(error) = step::run(&mut house.cargo(args)) {
            terminal::error(&error);
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    terminal::say("Checked", "all is well");
    Ok(())
}
