//! `cargo xtask up`: the page, the binary, and everything running.

use std::os::unix::process::CommandExt;

use anyhow::Context;

use crate::house::House;
use crate::{page, step, terminal};

/// Builds the page and the binary, then becomes `amphi up`.
///
/// # Errors
/// When a build fails or the binary cannot be started.
pub(crate) fn run(house: &House, release: bool, args: &[String]) -> anyhow::Result<()> {
    page::build(house)?;
    let profile = if release { "release" } else { "dev" };
    terminal::say("Building", &format!("amphi ({profile} profile; the first time takes minutes)"));
    let build = ["build", "--workspace", "--locked", "--bin", "amphi", "--profile", profile];
    let took = step::run(&mut house.cargo(&build))?;
    terminal::say("Built", &format!("amphi in {}", terminal::took(took)));
    let binary = house.target().join(if release { "release/amphi" } else { "debug/amphi" });
    terminal::say("Running", &format!("{} up {}", binary.display(), args.join(" ")));
    let error = std::process::Command::new(&binary).arg("up").args(args).exec();
    Err(error).with_context(|| format!("start {}", binary.display()))
}
