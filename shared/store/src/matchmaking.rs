//! The match role's database: the queue, claims, and what results did to ratings.

mod claims;
mod ratings;
mod tickets;

pub use claims::{Claim, ClaimState, Conflict, Hold};
pub use ratings::{Rating, RatingKey};
pub use tickets::{Player, StoredTicket, TicketState};

use amphi_shared_wire::Micros;

use crate::database::Db;
use crate::migrations::Owner;
use crate::sql::{Tx, args};
use crate::{Location, OpenError, StoreError};

/// The match role's database: the queue, claims, and what results did to ratings.
///
/// Opening it raises the fence. Whatever could put a player into a match is written under that fence, so a process
/// that lost the database to a newer one cannot write any more: it gets [`StoreError::Fenced`].
#[derive(Clone)]
pub struct MatchStore {
    db: Db,
    fence: u64,
}

impl MatchStore {
    /// Opens the database, creating or upgrading it, and raises its fence.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        let db = Db::open(Owner::Match, location).await?;
        let fence = raise_fence(&db).await.map_err(|error| OpenError::Database {
            what: "the match database".to_owned(),
            source: match error {
                StoreError::Database(source) => source,
                StoreError::Corrupt { .. } | StoreError::Fenced => sqlx::Error::RowNotFound,
            },
        })?;
        Ok(Self { db, fence })
    }

    /// The fence of this opening: higher than that of every earlier one.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Closes every connection and gives up the lock.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Removes what is of no more use: tickets that ended before `before`, and claims and results of before `long_before`
    /// with the holds of such claims. The number of rows removed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn purge(&self, before: Micros, long_before: Micros) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let mut rows = 0;
        for sql in [
            "DELETE FROM ticket_players WHERE ticket_id IN \
             (SELECT ticket_id FROM tickets WHERE state NOT IN ('queued', 'claimed') AND updated_us < $1)",
            "DELETE FROM tickets WHERE state NOT IN ('queued', 'claimed') AND updated_us < $1",
        ] {
            rows += tx.execute(sql, args![before]).await?;
        }
        for sql in [
            "DELETE FROM holds WHERE match_id IN (SELECT match_id FROM claims WHERE updated_us < $1)",
            "DELETE FROM claims WHERE updated_us < $1",
            "DELETE FROM results WHERE counted_us < $1",
        ] {
            rows += tx.execute(sql, args![long_before]).await?;
        }
        tx.commit().await?;
        Ok(rows)
    }

    /// A transaction under this opening's fence. The row stays locked until it ends, so nobody raises the fence between.
    async fn begin(&self) -> Result<Tx, StoreError> {
        let mut tx = self.db.begin().await?;
        let fence = i64::try_from(self.fence).map_err(|_| StoreError::Fenced)?;
        let same = "UPDATE fence SET fence = $1 WHERE only_row = 0 AND fence = $1";
        if tx.execute(same, args![fence]).await? == 1 { Ok(tx) } else { Err(StoreError::Fenced) }
    }
}

async fn raise_fence(db: &Db) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let sql = "UPDATE fence SET fence = fence + 1 WHERE only_row = 0 RETURNING fence";
    let rows = tx.rows(sql, args![]).await?;
    let fence = rows.first().ok_or(StoreError::Corrupt { column: "fence" })?.unsigned("fence")?;
    tx.commit().await?;
    Ok(fence)
}
