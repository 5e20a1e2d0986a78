//! axum 0.8: WebSockets with its defaults. Clients name the topics they read; every 25 s each is pinged.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::anyhow;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

const PING_EVERY: Duration = Duration::from_secs(25);

#[derive(Default)]
struct Topics {
    readers: Mutex<HashMap<String, HashSet<u64>>>,
    clients: AtomicU64,
}

/// Serves until standard input ends.
pub(crate) fn serve() -> anyhow::Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let upgrade = |State(topics): State<Arc<Topics>>, upgrade: WebSocketUpgrade| async move {
            // A client that leaves is of no interest.
            upgrade.on_upgrade(move |socket| async move { drop(talk(socket, &topics).await) })
        };
        let router = Router::new().route("/", get(upgrade)).with_state(Arc::new(Topics::default()));
        Ok(axum::serve(listener, router).await?)
    })
}

async fn talk(mut socket: WebSocket, topics: &Topics) -> anyhow::Result<()> {
    let client = topics.clients.fetch_add(1, Ordering::Relaxed);
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.tick().await;
    loop {
        tokio::select! {
            _ = ping.tick() => socket.send(Message::Ping(Bytes::new())).await?,
            message = socket.recv() => {
                let Message::Text(text) = message.ok_or(anyhow!("gone"))?? else { continue };
                let asked: Value = serde_json::from_str(&text)?;
                for topic in asked["subscribe"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let mut readers = topics.readers.lock().map_err(|_| anyhow!("another client panicked"))?;
                    readers.entry(topic.to_owned()).or_default().insert(client);
                }
                socket.send(Message::Text(r#"{"subscribed":true}"#.into())).await?;
            }
        }
    }
}
