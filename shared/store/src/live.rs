//! The live role's database: people, the codes that sign them in, the tokens that were revoked, and API keys.

mod keys;

use amphi_shared_wire::{AppId, Micros, TokenId, UserId};

use crate::database::Db;
use crate::migrations::Owner;
use crate::sql::{Row, args};
use crate::{Location, OpenError, StoreError};

pub use keys::StoredKey;

/// The live role's database: people, the codes that sign them in, the tokens that were revoked, and API keys.
#[derive(Clone)]
pub struct LiveStore {
    db: Db,
}

/// A person, as stored. Names are data: stored and returned as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser {
    /// The person.
    pub user: UserId,
    /// The app the person belongs to.
    pub app: AppId,
    /// Display name. Unique within the app unless the role is `guest`.
    pub name: String,
    /// The role's word, for instance `guest` or `operator`.
    pub role: String,
    /// When the person was added.
    pub created: Micros,
    /// When the person last signed in.
    pub seen: Micros,
}

/// Tokens that ended before their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredRevocation {
    /// One token.
    Token {
        /// Which.
        id: TokenId,
        /// When no such token is valid any more.
        expires: Micros,
    },
    /// What a person got up to a moment.
    User {
        /// The person.
        user: UserId,
        /// The moment.
        before: Micros,
        /// When no such token is valid any more.
        expires: Micros,
    },
}

impl LiveStore {
    /// Opens the database, creating or upgrading it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        Db::open(Owner::Live, location).await.map(|db| Self { db })
    }

    /// Closes every connection and gives up the lock.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Adds a person. False when an account of this name exists; guests may share a name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_user(&self, user: &StoredUser) -> Result<bool, StoreError> {
        let args = args![
            user.user.to_string(),
            user.app.as_str(),
            user.name.as_str(),
            user.role.as_str(),
            user.created,
            user.seen
        ];
        Ok(self.db.execute(ADD_USER, args).await? == 1)
    }

    /// Adds a person with a code that signs them in. False when an account of this name exists.
    ///
    /// # Errors
    /// The database failed; then neither is stored.
    pub async fn add_user_with_code(
        &self,
        user: &StoredUser,
        code_hash: &str,
        expires: Micros,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let args = args![
            user.user.to_string(),
            user.app.as_str(),
            user.name.as_str(),
            user.role.as_str(),
            user.created,
            user.seen
        ];
        if tx.execute(ADD_USER, args).await? == 0 {
            return Ok(false);
        }
        tx.execute(ADD_CODE, args![code_hash, user.user.to_string(), user.created, expires]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Whether the app has anyone of this role: the first start of a deployment has no operator.
    ///
    /// # Errors
    /// The database failed.
    pub async fn has_role(&self, app: &AppId, role: &str) -> Result<bool, StoreError> {
        let sql = "SELECT user_id FROM users WHERE app = $1 AND role = $2 LIMIT 1";
        Ok(!self.db.rows(sql, args![app.as_str(), role]).await?.is_empty())
    }

    /// The person, if stored.
    ///
    /// # Errors
    /// The database failed.
    pub async fn user(&self, user: UserId) -> Result<Option<StoredUser>, StoreError> {
        let sql = "SELECT user_id, app, name, role, created_us, seen_us FROM users WHERE user_id = $1";
        self.db.rows(sql, args![user.to_string()]).await?.first().map(read_user).transpose()
    }

    /// Takes a code: the person it signs in, the first time and before it expires; `None` ever after.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_code(&self, code_hash: &str, now: Micros) -> Result<Option<StoredUser>, StoreError> {
        let mut tx = self.db.begin().await?;
        let taken = "UPDATE sign_in_codes SET used_us = $2 \
                     WHERE code_hash = $1 AND used_us IS NULL AND expires_us > $2 RETURNING user_id";
        let rows = tx.rows(taken, args![code_hash, now]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let seen = "UPDATE users SET seen_us = $2 WHERE user_id = $1 \
                    RETURNING user_id, app, name, role, created_us, seen_us";
        let rows = tx.rows(seen, args![row.text("user_id")?, now]).await?;
        let user = rows.first().map(read_user).transpose()?;
        tx.commit().await?;
        Ok(user)
    }

    /// Remembers a revocation; of two for the same person or token the later moments count.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke(&self, revocation: StoredRevocation) -> Result<(), StoreError> {
        let (kind, id, before, expires) = match revocation {
            StoredRevocation::Token { id, expires } => (TOKEN, id.to_string(), Micros(0), expires),
            StoredRevocation::User { user, before, expires } => (USER, user.to_string(), before, expires),
        };
        let sql = "INSERT INTO revocations (kind, id, before_us, expires_us) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (kind, id) DO UPDATE SET \
                   before_us = CASE WHEN excluded.before_us > revocations.before_us \
                   THEN excluded.before_us ELSE revocations.before_us END, \
                   expires_us = CASE WHEN excluded.expires_us > revocations.expires_us \
                   THEN excluded.expires_us ELSE revocations.expires_us END";
        self.db.execute(sql, args![kind, id, before, expires]).await?;
        Ok(())
    }

    /// The revocations that still count at `now`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revocations(&self, now: Micros) -> Result<Vec<StoredRevocation>, StoreError> {
        let sql = "SELECT kind, id, before_us, expires_us FROM revocations WHERE expires_us > $1 ORDER BY kind, id";
        self.db.rows(sql, args![now]).await?.iter().map(read_revocation).collect()
    }

    /// Removes revocations that count no more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purge_revocations(&self, now: Micros) -> Result<u64, StoreError> {
        self.db.execute("DELETE FROM revocations WHERE expires_us <= $1", args![now]).await
    }

    /// Removes guests who were not seen since `before`, and codes that expired before it. The number of guests removed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purge(&self, before: Micros) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute("DELETE FROM sign_in_codes WHERE expires_us < $1", args![before]).await?;
        let guests = tx.execute("DELETE FROM users WHERE role = 'guest' AND seen_us < $1", args![before]).await?;
        tx.commit().await?;
        Ok(guests)
    }
}

const TOKEN: &str = "token";
const USER: &str = "user";
const ADD_USER: &str = "INSERT INTO users (user_id, app, name, role, created_us, seen_us) \
                        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const ADD_CODE: &str = "INSERT INTO sign_in_codes (code_hash, user_id, created_us, expires_us) VALUES ($1, $2, $3, $4)";

fn read_user(row: &Row) -> Result<StoredUser, StoreError> {
    Ok(StoredUser {
        user: row.parsed("user_id")?,
        app: row.parsed("app")?,
        name: row.text("name")?,
        role: row.text("role")?,
        created: row.micros("created_us")?,
        seen: row.micros("seen_us")?,
    })
}

fn read_revocation(row: &Row) -> Result<StoredRevocation, StoreError> {
    let expires = row.micros("expires_us")?;
    match row.text("kind")?.as_str() {
        TOKEN => Ok(StoredRevocation::Token { id: row.parsed("id")?, expires }),
        USER => Ok(StoredRevocation::User { user: row.parsed("id")?, before: row.micros("before_us")?, expires }),
        _ => Err(StoreError::Corrupt { column: "kind" }),
    }
}
