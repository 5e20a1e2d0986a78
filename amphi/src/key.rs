//! `amphi key`: through the running live role, or by its database when none runs.

use amphi_shared_auth::Scope;
use amphi_shared_edge::clock::Clock;
use amphi_shared_store::LiveStore;
use amphi_shared_wire::Micros;
use amphi_shared_wire::proto::{
    CreateKey, CreateKeyReply, KeyInfo, ListKeys, ListKeysReply, RevokeKey, RevokeKeyReply,
};
use amphi_streaming_node::{KeyDesk, KeyWish};
use anyhow::Result;
use serde_json::{Value, json};

use crate::config::Settings;
use crate::data::Data;
use crate::token::said;
use crate::user::ask;
use crate::words::{plain, say};

/// Prints a new key.
pub(crate) async fn create(settings: &Settings, wish: KeyWish) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let KeyWish { name, scopes, topics, ttl_s, calls_per_s } = wish.clone();
    let request = CreateKey { name, scopes, topics, ttl_s: ttl_s.unwrap_or(0), calls_per_s };
    let asked: Option<CreateKeyReply> = ask(&data, Scope::LiveKeys, "/internal/v1/keys", &request).await?;
    let (key, id) = match asked {
        Some(CreateKeyReply { key, info }) => (key, info.unwrap_or_default().key_id),
        None => {
            let (desk, store) = desk(settings, &data).await?;
            let created = desk.create(&wish).await;
            store.close().await;
            let (key, info) = created.map_err(said)?;
            (key.as_str().to_owned(), info.key_id)
        }
    };
    let topics = if wish.topics.is_empty() { String::new() } else { format!(" of {}", wish.topics.join(", ")) };
    say("Created", &format!("{id}: {}{topics}; it is not shown again:", wish.scopes.join(", ")));
    plain(&key);
    Ok(())
}

/// Prints every key, without its text.
pub(crate) async fn list(settings: &Settings, as_json: bool) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let asked: Option<ListKeysReply> = ask(&data, Scope::LiveKeys, "/internal/v1/keys/list", &ListKeys {}).await?;
    let keys = match asked {
        Some(reply) => reply.keys,
        None => {
            let (desk, store) = desk(settings, &data).await?;
            let keys = desk.list();
            store.close().await;
            keys
        }
    };
    let now = Clock::start().now();
    if as_json {
        let keys: Vec<Value> = keys.iter().map(|key| to_json(now, key)).collect();
        plain(&serde_json::to_string_pretty(&keys)?);
    } else if keys.is_empty() {
        say("Keys", "none; `amphi key create --help` says how to make one");
    } else {
        plain(&table(now, &keys));
    }
    Ok(())
}

/// Revokes a key.
pub(crate) async fn revoke(settings: &Settings, what: &str) -> Result<()> {
    let data = Data::open(&settings.data)?;
    let request = RevokeKey { what: what.to_owned() };
    let asked: Option<RevokeKeyReply> = ask(&data, Scope::LiveKeys, "/internal/v1/keys/revoke", &request).await?;
    let id = match asked {
        Some(reply) => reply.key_id,
        None => {
            let (desk, store) = desk(settings, &data).await?;
            let revoked = desk.revoke(what).await;
            store.close().await;
            revoked.map_err(said)?.to_string()
        }
    };
    say("Revoked", &id);
    Ok(())
}

async fn desk(settings: &Settings, data: &Data) -> Result<(KeyDesk, LiveStore)> {
    let store = LiveStore::open(&data.database(settings.live.database.as_ref())).await?;
    Ok((KeyDesk::open(settings.app.parse()?, store.clone(), Clock::start()).await?, store))
}

fn to_json(now: Micros, key: &KeyInfo) -> Value {
    let at = |us: u64| (us > 0).then_some(us);
    json!({
        "id": key.key_id,
        "name": key.name,
        "state": state(now, key),
        "scopes": key.scopes,
        "topics": key.topics,
        "calls_per_s": key.calls_per_s,
        "created_us": key.created_us,
        "expires_us": at(key.expires_us),
        "used_us": at(key.used_us),
        "revoked_us": at(key.revoked_us),
    })
}

fn state(now: Micros, key: &KeyInfo) -> &'static str {
    match key {
        KeyInfo { revoked_us: 1.., .. } => "revoked",
        KeyInfo { expires_us: 1.., .. } if key.expires_us <= now.0 => "expired",
        KeyInfo { .. } => "valid",
    }
}

fn table(now: Micros, keys: &[KeyInfo]) -> String {
    let head = ["key", "name", "state", "used", "calls/s", "scopes", "topics"].map(str::to_owned);
    let row = |key: &KeyInfo| {
        let used = if key.used_us == 0 { "never".to_owned() } else { ago(now.0.saturating_sub(key.used_us)) };
        [
            key.key_id.clone(),
            key.name.clone(),
            state(now, key).to_owned(),
            used,
            key.calls_per_s.to_string(),
            key.scopes.join(" "),
            key.topics.join(" "),
        ]
    };
    let rows: Vec<_> = std::iter::once(head).chain(keys.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cell = |(column, (text, width)): (usize, (&String, &usize))| match column {
            4 => format!("{text:>width$}"),
            _ => format!("{text:<width$}"),
        };
        cells.map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn ago(us: u64) -> String {
    match us / 1_000_000 {
        s @ 0..60 => format!("{s} s ago"),
        s @ 60..3_600 => format!("{} min ago", s / 60),
        s @ 3_600..172_800 => format!("{} h ago", s / 3_600),
        s => format!("{} d ago", s / 86_400),
    }
}
