//! The local provider: match hosts as child processes of this binary.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use amphi_shared_edge::host::{HostLine, HostNews, HostReady, HostStart};
use amphi_shared_wire::HostId;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::role::Event;

/// Bytes of the line with which a host says that it is ready.
const READY_BYTES_MAX: u64 = 64 * 1024;

/// How a host process is started.
#[derive(Clone, Debug)]
pub struct HostCommand {
    /// The program; usually this very binary.
    pub program: PathBuf,
    /// Its arguments; usually `game`.
    pub args: Vec<String>,
}

/// Why a host did not start.
#[derive(Debug, Error)]
enum StartError {
    #[error("{program}: {error}")]
    Spawn { program: String, error: io::Error },
    #[error("the host did not take its lease: {0}")]
    Lease(io::Error),
    #[error("the host did not say that it is ready: {0}")]
    Ready(String),
}

/// Child processes by host. Dropping it leaves them running: they finish their matches and report again.
#[derive(Debug)]
pub(crate) struct LocalHosts {
    command: HostCommand,
    events: mpsc::Sender<Event>,
    kill: BTreeMap<HostId, oneshot::Sender<()>>,
    /// For all of them; only the newest counts.
    news: watch::Sender<Option<HostNews>>,
}

impl LocalHosts {
    pub(crate) fn new(command: HostCommand, events: mpsc::Sender<Event>) -> Self {
        Self { command, events, kill: BTreeMap::new(), news: watch::Sender::new(None) }
    }

    /// Starts a host. `Event::HostReady` and in the end `Event::HostExited` follow.
    pub(crate) fn start(&mut self, host: HostId, start: HostStart) {
        let (kill, killed) = oneshot::channel();
        self.kill.insert(host, kill);
        let orders = Orders { killed, news: self.news.subscribe() };
        tokio::spawn(run(self.command.clone(), (host, start), orders, self.events.clone()));
    }

    /// Writes a line to every host that runs.
    pub(crate) fn tell(&self, news: HostNews) {
        self.news.send_replace(Some(news));
    }

    /// Ends a host's process. A host that an earlier process started is not ours to end.
    pub(crate) fn kill(&mut self, host: HostId) {
        if let Some(kill) = self.kill.remove(&host) {
            // An error means that it has ended already.
            let _ = kill.send(());
        }
    }

    /// Forgets a host whose process has ended.
    pub(crate) fn forget(&mut self, host: HostId) {
        self.kill.remove(&host);
    }
}

/// What may be asked of a child.
struct Orders {
    killed: oneshot::Receiver<()>,
    news: watch::Receiver<Option<HostNews>>,
}

/// Follows one child from its start to its end.
async fn run(
    command: HostCommand,
    (host, start): (HostId, HostStart),
    Orders { killed, news }: Orders,
    events: mpsc::Sender<Event>,
) {
    match spawn(&command, &start).await {
        Ok((mut child, stdin, stdout)) => {
            let status = tokio::select! {
                status = follow(&mut child, stdout, host, killed, &events) => status,
                // Holds stdin as long as the child runs: its end tells the child that we are gone.
                never = tell(stdin, news) => match never {},
            };
            tracing::info!(%host, %status, "host ended");
        }
        Err(error) => tracing::warn!(%host, %error, "host did not start"),
    }
    // The role has stopped when nobody listens.
    let _ = events.send(Event::HostExited { host }).await;
}

async fn spawn(command: &HostCommand, start: &HostStart) -> Result<(Child, ChildStdin, ChildStdout), StartError> {
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        // A Ctrl-C in the terminal goes to the parent, which drains its hosts in order.
        .process_group(0)
        .spawn()
        .map_err(|error| StartError::Spawn { program: command.program.display().to_string(), error })?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(StartError::Ready("no pipes".to_owned()));
    };
    let line = serde_json::to_vec(start).map_err(|error| StartError::Lease(error.into()))?;
    write_line(&mut stdin, line).await.map_err(StartError::Lease)?;
    Ok((child, stdin, stdout))
}

/// Writes what is new to the child.
async fn tell(mut stdin: ChildStdin, mut news: watch::Receiver<Option<HostNews>>) -> Infallible {
    while news.changed().await.is_ok() {
        let Some(line) = news.borrow_and_update().as_ref().map(serde_json::to_vec) else { continue };
        let written = match line {
            Ok(line) => write_line(&mut stdin, line).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "a host does not read its news");
            break;
        }
    }
    std::future::pending().await
}

async fn write_line(stdin: &mut ChildStdin, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await
}

/// Waits for the ready line, then for the end of the process.
async fn follow(
    child: &mut Child,
    stdout: ChildStdout,
    host: HostId,
    killed: oneshot::Receiver<()>,
    events: &mpsc::Sender<Event>,
) -> String {
    let mut ready = std::pin::pin!(read_ready(stdout));
    let mut killed = std::pin::pin!(wait_for_kill(killed));
    let mut waiting = true;
    loop {
        tokio::select! {
            result = &mut ready, if waiting => {
                waiting = false;
                match result {
                    Ok(ready) => {
                        let _ = events.send(Event::HostReady { host, ready }).await;
                    }
                    Err(error) => {
                        tracing::warn!(%host, %error, "host is not usable");
                        let _ = child.start_kill();
                    }
                }
            }
            () = &mut killed => {
                let _ = child.start_kill();
                return describe(child.wait().await);
            }
            status = child.wait() => return describe(status),
        }
    }
}

/// Never ends when the sender is gone: then nobody will kill.
async fn wait_for_kill(killed: oneshot::Receiver<()>) {
    if killed.await.is_err() {
        std::future::pending().await
    }
}

async fn read_ready(stdout: ChildStdout) -> Result<HostReady, StartError> {
    let mut line = String::new();
    let mut lines = BufReader::new(stdout.take(READY_BYTES_MAX));
    lines.read_line(&mut line).await.map_err(|error| StartError::Ready(error.to_string()))?;
    if line.is_empty() {
        return Err(StartError::Ready("its output ended".to_owned()));
    }
    serde_json::from_str::<HostLine>(&line).map(|line| line.ready).map_err(|error| StartError::Ready(error.to_string()))
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
