//! The service over HTTP, as a player's program uses it.

use std::net::{SocketAddr, ToSocketAddrs};

use amphi_clients_rust::quic::Host;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::player::Played;

/// Longest wait of one poll.
const WAIT_MS: u32 = 20_000;
/// Polls before a ticket is given up.
const POLLS_MAX: u32 = 6;

/// One person's way to the service.
pub(crate) struct Service {
    url: String,
    http: reqwest::Client,
    token: String,
}

/// A match to join.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) match_id: String,
    pub(crate) host: Host,
    pub(crate) token: String,
}

#[derive(Deserialize)]
struct Endpoint {
    transport: String,
    url: String,
    cert_sha256: Vec<String>,
}

impl Service {
    /// Signs in as a guest.
    pub(crate) async fn sign_in(url: &str, name: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut service = Self { url: url.trim_end_matches('/').to_owned(), http, token: String::new() };
        let guest = service.post("/api/v1/auth/guest", json!({ "name": name })).await?;
        service.token = guest["token"].as_str().context("the guest got no token")?.to_owned();
        Ok(service)
    }

    /// Queues and waits for a match.
    pub(crate) async fn find_match(&self, mode: &str) -> Result<Found> {
        let ticket = self.post("/api/v1/matchmaking/queue", json!({ "mode": mode })).await?;
        let id = ticket["ticket"].as_str().context("no ticket")?.to_owned();
        for _ in 0..POLLS_MAX {
            let ticket = self.get(&format!("/api/v1/matchmaking/queue/{id}?wait_ms={WAIT_MS}")).await?;
            match ticket["state"].as_str() {
                Some("matched") => return found(&ticket["match"]),
                Some("queued" | "claimed") => {}
                _ => bail!("the ticket ended: {ticket}"),
            }
        }
        bail!("no match in time")
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.answer(self.http.post(format!("{}{path}", self.url)).json(&body)).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.answer(self.http.get(format!("{}{path}", self.url))).await
    }

    async fn answer(&self, call: reqwest::RequestBuilder) -> Result<Value> {
        let answer = call.bearer_auth(&self.token).send().await?;
        let status = answer.status();
        let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
        if status.is_success() { Ok(body) } else { bail!("{status}: {body}") }
    }
}

/// The worst tick times of the matches that were played, µs: median and 99th percentile.
pub(crate) async fn tick_times(url: &str, all: &[Played]) -> (u32, u32) {
    let mut worst = (0, 0);
    let Ok(http) = reqwest::Client::builder().no_proxy().build() else { return worst };
    let matches: std::collections::BTreeSet<&str> =
        all.iter().flat_map(|p| p.matches.iter().map(String::as_str)).collect();
    for id in matches {
        let Ok(answer) = http.get(format!("{}/api/v1/matches/{id}", url.trim_end_matches('/'))).send().await else {
            continue;
        };
        let Ok(body) = answer.bytes().await else { continue };
        let view: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let number = |key: &str| view[key].as_u64().unwrap_or(0) as u32;
        worst = (worst.0.max(number("tick_us_p50")), worst.1.max(number("tick_us_p99")));
    }
    worst
}

fn found(answer: &Value) -> Result<Found> {
    let endpoints: Vec<Endpoint> = serde_json::from_value(answer["endpoints"].clone())?;
    let quic = endpoints.iter().find(|endpoint| endpoint.transport == "quic").context("the host offers no QUIC")?;
    let text = |key: &str| answer[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"));
    let cert_sha256 = quic.cert_sha256.iter().map(|hash| hash_of(hash)).collect::<Result<_>>()?;
    Ok(Found {
        match_id: text("match_id")?,
        host: Host { address: address(&quic.url)?, cert_sha256 },
        token: text("token")?,
    })
}

fn address(url: &str) -> Result<SocketAddr> {
    let place = url.strip_prefix("quic://").context("not a quic:// address")?;
    place.to_socket_addrs()?.next().context("the address leads nowhere")
}

fn hash_of(hex: &str) -> Result<[u8; 32]> {
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2).unwrap_or_default(), 16))
        .collect::<Result<_, _>>()?;
    bytes.try_into().ok().context("a certificate hash has 32 bytes")
}
