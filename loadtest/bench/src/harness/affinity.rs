//! Which core runs what: servers on core 0, load on core 1.

use std::process::{Command, Stdio};
use std::thread::available_parallelism;

/// The core of every server process.
pub(super) const SERVER_CORE: &str = "0";
/// The core of the load: this process.
const LOAD_CORE: &str = "1";

/// Pins this process, and the threads it starts from here on, to the load's core. Says whether it could: it needs two
/// cores and `taskset` (util-linux).
pub(crate) fn pin_load() -> bool {
    if available_parallelism().map_or(1, usize::from) < 2 {
        return false;
    }
    let mut command = Command::new("taskset");
    command.args(["--pid", "--cpu-list", LOAD_CORE, &std::process::id().to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A command that runs `program` on the server's core; without `taskset` it runs anywhere.
pub(super) fn on_server_core(program: &std::ffi::OsStr) -> Command {
    let pins = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if !pins {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", SERVER_CORE]).arg(program);
    command
}
