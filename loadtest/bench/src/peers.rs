//! Peers that are no part of this workspace: programs of `loadtest/peers`, in Rust and on Node.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::ensure;

/// Where the peers on Node are, seen from the checkout, in which `cargo xtask bench` runs.
const NODE_PEERS: &str = "loadtest/peers/node";

/// The peers' program when it was built beside this one, as `cargo xtask bench` does. Without it a bench runs alone.
pub(crate) fn program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name("amphi-loadtest-peers");
    program.is_file().then_some(program)
}

/// Runs a program whose last line of standard output is a JSON object of figures.
///
/// # Errors
/// When it fails or says something else.
pub(crate) fn run(program: &Path, args: &[impl AsRef<std::ffi::OsStr>]) -> anyhow::Result<BTreeMap<String, f64>> {
    let output = Command::new(program).args(args).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
}

/// The command of a peer on Bun, when it is installed, as `cargo xtask bench` does.
pub(crate) fn bun(name: &str) -> Option<Vec<OsString>> {
    let folder = Path::new(NODE_PEERS);
    let (bun, script) = (folder.join("node_modules/@oven/bun-linux-x64/bin/bun"), folder.join(format!("{name}.js")));
    (bun.is_file() && script.is_file()).then(|| vec![bun.into_os_string(), script.into_os_string()])
}

/// The command of a peer on Node, when its packages are installed, as `cargo xtask bench` does.
pub(crate) fn node(name: &str) -> Option<Vec<OsString>> {
    let folder = Path::new(NODE_PEERS);
    let script = folder.join(format!("{name}.js"));
    let installed = folder.join("node_modules").is_dir() && script.is_file();
    installed.then(|| vec!["node".into(), script.into_os_string()])
}
