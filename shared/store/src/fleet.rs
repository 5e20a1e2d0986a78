//! The fleet role's database: hosts, matches, and results on their way to the match role.

use amphi_shared_wire::limits::MATCHES_MAX;
use amphi_shared_wire::proto::{HostReport, MatchInfo, MatchResult};
use amphi_shared_wire::{AppId, HostId, LeaseId, MatchId, Micros};
use prost::Message;

use crate::database::Db;
use crate::migrations::Owner;
use crate::sql::{Row, args};
use crate::{Location, OpenError, StoreError};

/// The fleet role's database: hosts, matches, and results on their way to the match role.
#[derive(Clone)]
pub struct FleetStore {
    db: Db,
}

/// A match host, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHost {
    /// The host.
    pub host: HostId,
    /// The lease it runs under.
    pub lease: LeaseId,
    /// The app whose matches it runs.
    pub app: AppId,
    /// Where it stands.
    pub region: String,
    /// The fleet's word for what it is doing, for instance `starting`, `ready`, `draining`.
    pub state: String,
    /// Base address of its internal routes; empty until it is ready.
    pub internal_url: String,
    /// What it reported last: endpoints, rooms, capacity.
    pub report: HostReport,
    /// When it was started.
    pub started: Micros,
    /// When it reported last.
    pub reported: Micros,
}

impl FleetStore {
    /// Opens the database, creating or upgrading it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        Db::open(Owner::Fleet, location).await.map(|db| Self { db })
    }

    /// Closes every connection and gives up the lock.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Stores a host, new or known.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_host(&self, host: &StoredHost) -> Result<(), StoreError> {
        let sql = "INSERT INTO hosts (host_id, lease_id, app, region, state, internal_url, report, started_us, reported_us) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                   ON CONFLICT (host_id) DO UPDATE SET lease_id = excluded.lease_id, app = excluded.app, \
                   region = excluded.region, state = excluded.state, internal_url = excluded.internal_url, \
                   report = excluded.report, started_us = excluded.started_us, reported_us = excluded.reported_us";
        let args = args![
            host.host.to_string(),
            host.lease.to_string(),
            host.app.as_str(),
            host.region.as_str(),
            host.state.as_str(),
            host.internal_url.as_str(),
            host.report.encode_to_vec(),
            host.started,
            host.reported,
        ];
        self.db.execute(sql, args).await?;
        Ok(())
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_host(&self, host: HostId) -> Result<(), StoreError> {
        self.db.execute("DELETE FROM hosts WHERE host_id = $1", args![host.to_string()]).await?;
        Ok(())
    }

    /// Every stored host, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hosts(&self) -> Result<Vec<StoredHost>, StoreError> {
        let sql = "SELECT host_id, lease_id, app, region, state, internal_url, report, started_us, reported_us \
                   FROM hosts ORDER BY started_us, host_id";
        self.db.rows(sql, args![]).await?.iter().map(read_host).collect()
    }

    /// Stores a match, new or known. It counts as running until its state is `ended` or `lost`.
    /// Beyond `MATCHES_MAX` ended matches the oldest are forgotten, with their results.
    ///
    /// # Errors
    /// The database failed, or the match has no valid id.
    pub async fn put_match(&self, info: &MatchInfo, now: Micros) -> Result<(), StoreError> {
        let id: MatchId = info.match_id.parse().map_err(|_| StoreError::Corrupt { column: "match_id" })?;
        let live = !matches!(info.state.as_str(), "ended" | "lost");
        let mut tx = self.db.begin().await?;
        let sql = "INSERT INTO matches (match_id, app, mode, host_id, state, live, info, created_us, updated_us) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                   ON CONFLICT (match_id) DO UPDATE SET host_id = excluded.host_id, state = excluded.state, \
                   live = excluded.live, info = excluded.info, updated_us = excluded.updated_us";
        let args = args![
            id.to_string(),
            info.app.as_str(),
            info.mode.as_str(),
            info.host_id.as_str(),
            info.state.as_str(),
            live,
            info.encode_to_vec(),
            Micros(info.created_us),
            now,
        ];
        tx.execute(sql, args).await?;
        if !live {
            let old = "DELETE FROM matches WHERE match_id IN \
                       (SELECT match_id FROM matches WHERE live = 0 ORDER BY created_us DESC LIMIT 1000 OFFSET $1)";
            if tx.execute(old, args![MATCHES_MAX as i64]).await? > 0 {
                let orphans = "DELETE FROM results WHERE forwarded_us IS NOT NULL \
                               AND match_id NOT IN (SELECT match_id FROM matches)";
                tx.execute(orphans, args![]).await?;
            }
        }
        tx.commit().await
    }

    /// The match, if it is remembered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn match_info(&self, id: MatchId) -> Result<Option<MatchInfo>, StoreError> {
        let rows = self.db.rows("SELECT info FROM matches WHERE match_id = $1", args![id.to_string()]).await?;
        rows.first().map(|row| row.message("info")).transpose()
    }

    /// Every running match, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn running_matches(&self) -> Result<Vec<MatchInfo>, StoreError> {
        let sql = "SELECT info FROM matches WHERE live = 1 ORDER BY created_us DESC, match_id DESC";
        self.db.rows(sql, args![]).await?.iter().map(|row| row.message("info")).collect()
    }

    /// The newest matches that are over, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recent_matches(&self, limit: u32) -> Result<Vec<MatchInfo>, StoreError> {
        let sql = "SELECT info FROM matches WHERE live = 0 ORDER BY created_us DESC, match_id DESC LIMIT $1";
        self.db.rows(sql, args![i64::from(limit)]).await?.iter().map(|row| row.message("info")).collect()
    }

    /// Records a result once per (match, version). False when it was already there: its content is not looked at.
    ///
    /// # Errors
    /// The database failed.
    pub async fn record_result(&self, result: &MatchResult, now: Micros) -> Result<bool, StoreError> {
        let sql = "INSERT INTO results (match_id, version, result, recorded_us) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let args = args![result.match_id.as_str(), i64::from(result.version), result.encode_to_vec(), now];
        Ok(self.db.execute(sql, args).await? == 1)
    }

    /// Results that the match role has not yet confirmed, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unforwarded_results(&self, limit: u32) -> Result<Vec<MatchResult>, StoreError> {
        let sql = "SELECT result FROM results WHERE forwarded_us IS NULL ORDER BY recorded_us, match_id LIMIT $1";
        self.db.rows(sql, args![i64::from(limit)]).await?.iter().map(|row| row.message("result")).collect()
    }

    /// Remembers that the match role has confirmed a result.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mark_forwarded(&self, match_id: MatchId, version: u32, now: Micros) -> Result<(), StoreError> {
        let sql = "UPDATE results SET forwarded_us = $3 WHERE match_id = $1 AND version = $2";
        self.db.execute(sql, args![match_id.to_string(), i64::from(version), now]).await?;
        Ok(())
    }
}

fn read_host(row: &Row) -> Result<StoredHost, StoreError> {
    Ok(StoredHost {
        host: row.parsed("host_id")?,
        lease: row.parsed("lease_id")?,
        app: row.parsed("app")?,
        region: row.text("region")?,
        state: row.text("state")?,
        internal_url: row.text("internal_url")?,
        report: row.message("report")?,
        started: row.micros("started_us")?,
        reported: row.micros("reported_us")?,
    })
}
