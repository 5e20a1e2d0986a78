//! The page: packages from npm, and the build that the binary embeds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::house::House;
use crate::{setup, step, terminal};

/// The folder of the page.
pub(crate) fn folder(house: &House) -> PathBuf {
    house.root().join("clients/web")
}

/// npm in the folder of the page.
pub(crate) fn npm(house: &House, args: &[&str]) -> Command {
    let mut command = house.command("npm");
    command.args(args).current_dir(folder(house));
    command
}

/// Builds the page where its sources are newer than its build.
///
/// # Errors
/// When its packages cannot be installed or it does not build.
pub(crate) fn build(house: &House) -> anyhow::Result<()> {
    setup::page(house)?;
    let built = modified(&folder(house).join("dist/index.html"));
    if built.is_some_and(|built| newest(&folder(house)) < built) {
        terminal::say("Fresh", "the page");
        return Ok(());
    }
    terminal::say("Building", "the page (npm run build)");
    let took = step::run(&mut npm(house, &["run", "build"]))?;
    terminal::say("Built", &format!("the page in {}", terminal::took(took)));
    Ok(())
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// When the newest source under a folder was changed.
fn newest(folder: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !["node_modules", "dist", "lib"].iter().any(|skipped| path.ends_with(skipped)) {
            newest = newest.max(self::newest(&path));
        } else if path.is_file() {
            newest = newest.max(modified(&path).unwrap_or(SystemTime::UNIX_EPOCH));
        }
    }
    newest
}
