//! `amphi game`: one match host. Its fleet writes the lease to stdin; the host says on stdout when it is ready.

use std::io::{BufRead, Read};
use std::thread;

use amphi_server_node::GameHost;
use amphi_shared_edge::clock::{Clock, follow};
use amphi_shared_edge::host::{HOST_LINE_BYTES_MAX, HostLine, HostNews, HostStart};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::telemetry::{self, LogFormat, TelemetryConfig};
use amphi_shared_replica::Game;
use anyhow::{Context, Result};
use tokio::sync::mpsc;

use crate::words::plain;

/// Lines of the fleet that wait. Beyond: the fleet waits.
const NEWS_MAX: usize = 4;

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
    let mut news = news();
    loop {
        tokio::select! {
            news = news.recv() => match news {
                Some(HostNews::Renew(tls)) => host.renew(tls).await,
                None => {
                    host.orphaned().await;
                    break host.wait().await;
                }
            },
            () = host.wait() => break,
        }
    }
    telemetry::flush().await;
    Ok(())
}

/// What the fleet says later. It ends when the fleet's end of the pipe is closed: it has ended, or crashed.
fn news() -> mpsc::Receiver<HostNews> {
    let (sender, receiver) = mpsc::channel(NEWS_MAX);
    // A read of stdin cannot be cancelled, so it gets a thread that may outlive the runtime.
    thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.by_ref().take(HOST_LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            match serde_json::from_slice(&line) {
                Ok(news) => {
                    if sender.blocking_send(news).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "the fleet says what this host does not know"),
            }
        }
    });
    receiver
}

fn read_lease() -> Result<HostStart> {
    let mut line = String::new();
    std::io::stdin().lock().take(HOST_LINE_BYTES_MAX).read_line(&mut line).context("the lease cannot be read")?;
    serde_json::from_str(&line).context(
        "`amphi game` is started by a fleet, which writes its lease to standard input; run `amphi up` to start everything",
    )
}
