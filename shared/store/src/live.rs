//! The live role's database: people and the codes that sign them in.

use amphi_shared_wire::{AppId, Micros, UserId};

use crate::database::Db;
use crate::migrations::Owner;
use crate::sql::{Row, args};
use crate::{Location, OpenError, StoreError};

/// The live role's database: people and the codes that sign them in.
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
