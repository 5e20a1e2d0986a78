//! `amphi game`: one match host. Its fleet writes the lease to stdin; the host says on stdout when it is ready.

use std::io::{BufRead, Read};
use std::thread;

use amphi_server_node::GameHost;
use amphi_shared_edge::clock::{Clock, follow};
use amphi_shared_edge::host::{HostLine, HostStart};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::telemetry::{self, LogFormat, TelemetryConfig};
use amphi_shared_replica::Game;
use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::words::plain;

/// Bytes of the lease line.
const LEASE_BYTES_MAX: u64 = 256 * 1024;

/// Runs a host until its fleet, or a signal, ends it.
pub(crate) async fn run(game: Game) -> Result<()> {
    let format = match std::env::var("AMPHI_LOG").as_deref() {
        Ok("json") => LogFormat::Json,
        Ok(_) | Err(_) => LogFormat::Text,
    };
    let (start, clock) = (read_lease()?, Clock::start());
    telemetry::init(&TelemetryConfig {
        format,
        filter: std::env::var("AMPHI_LOG_FILTER").unwrap_or_else(|_| "info".to_owned()),
        service: "amphi-game",
        otlp_url: start.otlp_url.clone(),
    })?;
    let shutdown = Shutdown::signal().context("signals cannot be handled")?;
    tokio::spawn(follow(clock, start.live_url.clone()));
    let mut host = GameHost::start(game, start, clock, shutdown)?;
    plain(&serde_json::to_string(&HostLine { ready: host.ready() })?);
    tokio::select! {
        () = parent_gone() => {
            host.orphaned().await;
            host.wait().await;
        }
        () = host.wait() => {}
    }
    telemetry::flush().await;
    Ok(())
}

/// Returns when the fleet's end of the pipe is closed: it has ended, or crashed.
async fn parent_gone() {
    let (gone, wait) = oneshot::channel();
    // A read of stdin cannot be cancelled, so it gets a thread that may outlive the runtime.
    thread::spawn(move || {
        let mut rest = [0; 64];
        while !matches!(std::io::stdin().read(&mut rest), Ok(0) | Err(_)) {}
        let _ = gone.send(());
    });
    // An error cannot be told from the end.
    let _ = wait.await;
}

fn read_lease() -> Result<HostStart> {
    let mut line = String::new();
    std::io::stdin().lock().take(LEASE_BYTES_MAX).read_line(&mut line).context("the lease cannot be read")?;
    serde_json::from_str(&line).context(
        "`amphi game` is started by a fleet, which writes its lease to standard input; run `amphi up` to start everything",
    )
}
