//! Ratings, and the results that change them.

use amphi_shared_wire::proto::MatchResult;
use amphi_shared_wire::{AppId, Micros, UserId};
use prost::Message;

use super::MatchStore;
use crate::StoreError;
use crate::sql::{Row, Tx, args};

/// How good a player is believed to be, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The mean.
    pub rating: f64,
    /// The standard deviation.
    pub uncertainty: f64,
    /// Rated matches so far.
    pub matches: u64,
    /// When it changed last.
    pub updated: Micros,
}

/// Whose rating, in which mode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RatingKey {
    /// The app.
    pub app: AppId,
    /// The mode.
    pub mode: String,
    /// The player.
    pub user: UserId,
}

impl MatchStore {
    /// Counts a result: false when this (match, version) was counted before. In the same transaction the players of the
    /// match are free, and, for the match's first version, `rate` turns their old ratings (in the given order) into
    /// new ones.
    ///
    /// # Errors
    /// The database failed, or another process has it; then nothing was counted.
    pub async fn count_result(
        &self,
        result: &MatchResult,
        players: &[RatingKey],
        now: Micros,
        rate: impl FnOnce(&[Option<Rating>]) -> Vec<Rating>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let earlier =
            tx.rows("SELECT version FROM results WHERE match_id = $1", args![result.match_id.as_str()]).await?;
        let sql = "INSERT INTO results (match_id, version, result, counted_us) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let args = args![result.match_id.as_str(), i64::from(result.version), result.encode_to_vec(), now];
        if tx.execute(sql, args).await? == 0 {
            return Ok(false);
        }
        if earlier.is_empty() {
            let mut old = Vec::with_capacity(players.len());
            for key in players {
                old.push(read_one(&mut tx, key).await?);
            }
            for (key, rating) in players.iter().zip(rate(&old)) {
                write_one(&mut tx, key, rating).await?;
            }
        }
        tx.execute("DELETE FROM holds WHERE match_id = $1", args![result.match_id.as_str()]).await?;
        let sql = "UPDATE claims SET state = 'ended', updated_us = $2 WHERE match_id = $1 AND state = 'allocated'";
        tx.execute(sql, args![result.match_id.as_str(), now]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The rating, if the player was ever rated in this mode.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rating(&self, key: &RatingKey) -> Result<Option<Rating>, StoreError> {
        let args = args![key.app.as_str(), key.mode.as_str(), key.user.to_string()];
        self.db.rows(ONE, args).await?.first().map(read_rating).transpose()
    }

    /// The player's ratings by mode.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ratings_of(&self, app: &AppId, user: UserId) -> Result<Vec<(String, Rating)>, StoreError> {
        let sql = "SELECT mode, rating, uncertainty, matches, updated_us FROM ratings \
                   WHERE app = $1 AND user_id = $2 ORDER BY mode";
        let rows = self.db.rows(sql, args![app.as_str(), user.to_string()]).await?;
        rows.iter().map(|row| Ok((row.text("mode")?, read_rating(row)?))).collect()
    }
}

const ONE: &str = "SELECT rating, uncertainty, matches, updated_us FROM ratings \
                   WHERE app = $1 AND mode = $2 AND user_id = $3";

async fn read_one(tx: &mut Tx, key: &RatingKey) -> Result<Option<Rating>, StoreError> {
    let args = args![key.app.as_str(), key.mode.as_str(), key.user.to_string()];
    tx.rows(ONE, args).await?.first().map(read_rating).transpose()
}

async fn write_one(tx: &mut Tx, key: &RatingKey, rating: Rating) -> Result<(), StoreError> {
    let sql = "INSERT INTO ratings (app, mode, user_id, rating, uncertainty, matches, updated_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (app, user_id, mode) DO UPDATE SET \
               rating = excluded.rating, uncertainty = excluded.uncertainty, matches = excluded.matches, \
               updated_us = excluded.updated_us";
    let args = args![
        key.app.as_str(),
        key.mode.as_str(),
        key.user.to_string(),
        rating.rating,
        rating.uncertainty,
        i64::try_from(rating.matches).unwrap_or(i64::MAX),
        rating.updated,
    ];
    tx.execute(sql, args).await?;
    Ok(())
}

fn read_rating(row: &Row) -> Result<Rating, StoreError> {
    Ok(Rating {
        rating: row.real("rating")?,
        uncertainty: row.real("uncertainty")?,
        matches: row.unsigned("matches")?,
        updated: row.micros("updated_us")?,
    })
}
