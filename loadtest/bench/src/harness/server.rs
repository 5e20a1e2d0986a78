//! A server process on its own core.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use super::affinity::on_server_core;

/// A child process on the server's core that printed one line when it was ready. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    ready: String,
}

impl Server {
    /// Starts this same program as a server: `amphi-loadtest-bench ARGS…`, and waits for its line.
    ///
    /// # Errors
    /// When the process cannot be started or ends before it is ready.
    pub(crate) fn start(args: &[&str]) -> anyhow::Result<Self> {
        Self::start_program(std::env::current_exe()?.as_os_str(), args)
    }

    /// Starts any program as a server, for example a peer, and waits for the first line of its standard output.
    ///
    /// # Errors
    /// When the process cannot be started or ends before it is ready.
    pub(crate) fn start_program(program: &OsStr, args: &[&str]) -> anyhow::Result<Self> {
        let mut command: Command = on_server_core(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let mut ready = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut ready)?;
        }
        let server = Self { child, ready: ready.trim().to_owned() };
        ensure!(!server.ready.is_empty(), "{} ended before it was ready", program.display());
        Ok(server)
    }

    /// The line the server printed when it was ready, for example its address.
    pub(crate) fn ready(&self) -> &str {
        &self.ready
    }

    /// Processor time of all living threads so far, in ns.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            let ran = schedstat.split_whitespace().next().context("an empty schedstat")?;
            total += ran.parse::<u64>()?;
        }
        Ok(total)
    }

    /// Resident memory, in KiB.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about either failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
