//! A server process on its own core.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, ensure};
use tokio::sync::oneshot;

use super::affinity::on_server_core;
use super::{Scale, Stage};
use crate::serve::Serve;

/// A server that said one line when it was ready. It ends when this is dropped.
pub(crate) struct Server {
    place: Place,
    ready: String,
}

enum Place {
    /// A process on the server's core.
    Process(Child),
    /// A thread of this process: what is measured of it is the load's too.
    Thread { stop: Option<oneshot::Sender<()>>, thread: Option<JoinHandle<anyhow::Result<()>>> },
}

impl Server {
    /// Starts a server and waits for its line: in a process on its own core, or for a smoke test in this one.
    ///
    /// # Errors
    /// When the server cannot be started or ends before it is ready.
    pub(crate) fn start(scale: Scale, what: Serve) -> anyhow::Result<Self> {
        match scale {
            Scale::Full => {
                let program = std::env::current_exe()?;
                Self::start_program(program.as_os_str(), &["serve", &serde_json::to_string(&what)?])
            }
            Scale::Smoke => Self::start_here(what),
        }
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
        let server = Self { place: Place::Process(child), ready: ready.trim().to_owned() };
        ensure!(!server.ready.is_empty(), "{} ended before it was ready", program.display());
        Ok(server)
    }

    fn start_here(what: Serve) -> anyhow::Result<Self> {
        let (said, line) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        // Whoever waits for the line may have given up.
        let stage = Stage::thread(move |ready| drop(said.send(ready)), stopped);
        let thread = thread::spawn(move || what.run(stage));
        let Ok(ready) = line.recv() else {
            let ended = thread.join().map_err(|_| anyhow::anyhow!("the server panicked"))?;
            return Err(ended.err().context("the server ended before it was ready")?);
        };
        Ok(Self { place: Place::Thread { stop: Some(stop), thread: Some(thread) }, ready })
    }

    /// The line the server said when it was ready, for example its address.
    pub(crate) fn ready(&self) -> &str {
        &self.ready
    }

    /// Processor time of all living threads so far, in ns.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        self.cpu_ns_of("")
    }

    /// Processor time so far of the living threads whose names begin like this, in ns.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn cpu_ns_of(&self, name: &str) -> anyhow::Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process()))? {
            let task = task?.path();
            // A thread may end between the listing and the reading.
            let Ok(comm) = fs::read_to_string(task.join("comm")) else { continue };
            let Ok(schedstat) = fs::read_to_string(task.join("schedstat")) else { continue };
            if comm.starts_with(name) {
                let ran = schedstat.split_whitespace().next().context("an empty schedstat")?;
                total += ran.parse::<u64>()?;
            }
        }
        Ok(total)
    }

    /// Resident memory, in KiB.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Ends the server, and says how it ended when it knows.
    ///
    /// # Errors
    /// The server's own.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        match &mut self.place {
            Place::Process(_) => Ok(()),
            Place::Thread { stop, thread } => {
                drop(stop.take());
                let ended = thread.take().map(JoinHandle::join);
                ended.unwrap_or(Ok(Ok(()))).map_err(|_| anyhow::anyhow!("the server panicked"))?
            }
        }
    }

    fn process(&self) -> u32 {
        match &self.place {
            Place::Process(child) => child.id(),
            Place::Thread { .. } => std::process::id(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.place {
            Place::Process(child) => {
                // It may have ended by itself; there is nothing to do about either failure.
                let _ = child.kill();
                let _ = child.wait();
            }
            Place::Thread { stop, thread } => {
                drop(stop.take());
                drop(thread.take().map(JoinHandle::join));
            }
        }
    }
}
