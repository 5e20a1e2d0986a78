//! Keys of services that call the public API.

use amphi_shared_wire::{AppId, KeyId, Micros};

use super::LiveStore;
use crate::StoreError;
use crate::sql::{Row, args};

/// An API key, as stored. The key itself is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Names the key.
    pub id: KeyId,
    /// Hash of the key.
    pub hash: String,
    /// The app whose topics and sessions it is for.
    pub app: AppId,
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for; words without white space.
    pub scopes: Vec<String>,
    /// Patterns of topics; words without white space.
    pub topics: Vec<String>,
    /// Calls per second.
    pub calls_per_s: u32,
    /// When it was made.
    pub created: Micros,
    /// When it ends by itself.
    pub expires: Option<Micros>,
    /// When it was used last, about.
    pub used: Option<Micros>,
    /// When it was revoked.
    pub revoked: Option<Micros>,
}

impl LiveStore {
    /// Adds an API key.
    ///
    /// # Errors
    /// The database failed, or has this id or hash.
    pub async fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let sql = "INSERT INTO api_keys (key_id, key_hash, app, name, scopes, topics, calls_per_s, created_us, expires_us) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let args = args![
            key.id.to_string(),
            key.hash.as_str(),
            key.app.as_str(),
            key.name.as_str(),
            key.scopes.join(" "),
            key.topics.join(" "),
            i64::from(key.calls_per_s),
            key.created,
            key.expires,
        ];
        self.db.execute(sql, args).await?;
        Ok(())
    }

    /// Every API key, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let sql = "SELECT key_id, key_hash, app, name, scopes, topics, calls_per_s, created_us, expires_us, used_us, \
                   revoked_us FROM api_keys ORDER BY key_id";
        self.db.rows(sql, args![]).await?.iter().map(read_key).collect()
    }

    /// Remembers that a key was used.
    ///
    /// # Errors
    /// The database failed.
    pub async fn key_used(&self, id: KeyId, at: Micros) -> Result<(), StoreError> {
        self.db.execute("UPDATE api_keys SET used_us = $2 WHERE key_id = $1", args![id.to_string(), at]).await?;
        Ok(())
    }

    /// Revokes a key. False: there is none, or it was revoked before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_key(&self, id: KeyId, at: Micros) -> Result<bool, StoreError> {
        let sql = "UPDATE api_keys SET revoked_us = $2 WHERE key_id = $1 AND revoked_us IS NULL";
        Ok(self.db.execute(sql, args![id.to_string(), at]).await? == 1)
    }

    /// Removes keys that were revoked or expired up to `before`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purge_keys(&self, before: Micros) -> Result<u64, StoreError> {
        self.db.execute("DELETE FROM api_keys WHERE revoked_us <= $1 OR expires_us <= $1", args![before]).await
    }
}

fn read_key(row: &Row) -> Result<StoredKey, StoreError> {
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    Ok(StoredKey {
        id: row.parsed("key_id")?,
        hash: row.text("key_hash")?,
        app: row.parsed("app")?,
        name: row.text("name")?,
        scopes: words(row.text("scopes")?),
        topics: words(row.text("topics")?),
        calls_per_s: row.unsigned("calls_per_s")?,
        created: row.micros("created_us")?,
        expires: row.micros_or_null("expires_us")?,
        used: row.micros_or_null("used_us")?,
        revoked: row.micros_or_null("revoked_us")?,
    })
}
