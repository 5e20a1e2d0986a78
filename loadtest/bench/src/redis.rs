//! A Redis server of a bench: fresh, on a free port of the loopback interface, gone with the bench.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
pub(crate) struct Redis {
    address: SocketAddr,
    process: Child,
    /// Where it writes its log, if it does.
    data: Option<TempDir>,
}

impl Redis {
    /// Starts a server that keeps everything in memory, and waits until it takes connections.
    ///
    /// # Errors
    /// Redis is not installed, or does not start.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_in(None)
    }

    /// The same, with a log of all that is written (AOF, synced once per second).
    ///
    /// # Errors
    /// As of [`Self::start`].
    pub(crate) fn start_with_log() -> anyhow::Result<Self> {
        Self::start_in(Some(tempfile::tempdir()?))
    }

    fn start_in(data: Option<TempDir>) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = spawn(address, data.as_ref())?;
        Ok(Self { address, process, data })
    }

    /// Kills the server and starts another one in its place; with `wiped` it has lost its log.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn restart(&mut self, wiped: bool) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        if wiped {
            self.data = self.data.is_some().then(tempfile::tempdir).transpose()?;
        }
        self.process = spawn(self.address, self.data.as_ref())?;
        Ok(())
    }

    /// How often scripts have run, by its own count.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn scripts_run(&self) -> anyhow::Result<u64> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.write_all(b"INFO commandstats\r\nQUIT\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let calls = answer.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        Ok(calls.and_then(|calls| calls.split(',').next()).map_or(Ok(0), str::parse)?)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

fn spawn(address: SocketAddr, data: Option<&TempDir>) -> anyhow::Result<Child> {
    let port = address.port().to_string();
    let mut server = Command::new("redis-server");
    server.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
    server.args(["--appendonly", if data.is_some() { "yes" } else { "no" }]);
    if let Some(data) = data {
        server.arg("--dir").arg(data.path());
    }
    let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process = process.context("install redis-server: `cargo xtask setup`")?;
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() >= until {
            // It may have ended by itself.
            let _ = process.kill();
            bail!("redis-server did not take connections at {address}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(process)
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about either failure.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
