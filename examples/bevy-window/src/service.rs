//! From an address to a match: sign in as a guest, queue, wait.

use amphi_clients_bevy::Invitation;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Polls of a ticket, 20 s each.
const POLLS_MAX: u32 = 6;

/// Finds a match of this mode.
pub fn find_match(url: &str, mode: &str) -> Result<Invitation> {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(find(url.trim_end_matches('/'), mode))
}

async fn find(url: &str, mode: &str) -> Result<Invitation> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let guest = answer(http.post(format!("{url}/api/v1/auth/guest")).json(&json!({ "name": "Window" }))).await?;
    let token = guest["token"].as_str().context("the guest got no token")?.to_owned();
    let queue = http.post(format!("{url}/api/v1/matchmaking/queue")).json(&json!({ "mode": mode }));
    let ticket = answer(queue.bearer_auth(&token)).await?;
    let id = ticket["ticket"].as_str().context("there is no ticket")?;
    for _ in 0..POLLS_MAX {
        let poll = http.get(format!("{url}/api/v1/matchmaking/queue/{id}?wait_ms=20000"));
        let ticket = answer(poll.bearer_auth(&token)).await?;
        match ticket["state"].as_str() {
            Some("matched") => return Ok(Invitation::from_json(&ticket["match"].to_string())?),
            Some("queued" | "claimed") => {}
            _ => bail!("the ticket ended: {ticket}"),
        }
    }
    bail!("no match in time")
}

async fn answer(call: reqwest::RequestBuilder) -> Result<Value> {
    let answer = call.send().await.context("is the server up? cargo run --bin server -- up")?;
    let (status, body) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        bail!("{status}: {body}");
    }
    Ok(serde_json::from_str(&body)?)
}
