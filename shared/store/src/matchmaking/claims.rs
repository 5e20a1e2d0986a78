//! Claims: which players were put into which match, written before anything is done about it.

use std::str::FromStr;

use amphi_shared_wire::proto::AllocateReply;
use amphi_shared_wire::{AppId, MatchId, Micros, TicketId, UserId};
use prost::Message;

use super::{MatchStore, Player};
use crate::StoreError;
use crate::sql::{Row, Tx, args};

/// Where a claim stands. The last two are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// Its players are held; it has no host yet.
    Claimed,
    /// Its match runs on a host.
    Allocated,
    /// Given up before a match came of it.
    Released,
    /// Its match is over.
    Ended,
}

impl ClaimState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Claimed, Self::Allocated, Self::Released, Self::Ended];

    /// Lower-case word, as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Allocated => "allocated",
            Self::Released => "released",
            Self::Ended => "ended",
        }
    }
}

impl FromStr for ClaimState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("`{text}` is no claim state"))
    }
}

/// One player's place in one match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The player.
    pub player: Player,
    /// The app of the player.
    pub app: AppId,
    /// The match.
    pub match_id: MatchId,
    /// The player's team.
    pub team: u8,
    /// Until then the player may come for the seat; a host may know more.
    pub held_until: Micros,
}

/// Players who were put into a match together.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The match; also the claim's id.
    pub match_id: MatchId,
    /// The app of the match.
    pub app: AppId,
    /// The mode of the match.
    pub mode: String,
    /// Where the claim stands.
    pub state: ClaimState,
    /// Its players, by team.
    pub holds: Vec<Hold>,
    /// Where the match runs, once allocated.
    pub allocation: AllocateReply,
    /// When it was made.
    pub created: Micros,
}

/// Why a claim or a hold was not written. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The ticket no longer waits.
    Ticket(TicketId),
    /// The player is already in that match.
    Player(UserId, MatchId),
}

impl MatchStore {
    /// Writes a claim: its tickets leave the queue and its players are held, all of it or nothing.
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn claim(&self, claim: &Claim, tickets: &[TicketId]) -> Result<Result<(), Conflict>, StoreError> {
        let mut tx = self.begin().await?;
        let match_id = claim.match_id.to_string();
        for ticket in tickets {
            let sql = "UPDATE tickets SET state = 'claimed', match_id = $2, updated_us = $3 \
                       WHERE ticket_id = $1 AND state = 'queued'";
            if tx.execute(sql, args![ticket.to_string(), match_id.as_str(), claim.created]).await? == 0 {
                return Ok(Err(Conflict::Ticket(*ticket)));
            }
        }
        for hold in &claim.holds {
            if let Some(elsewhere) = insert_hold(&mut tx, hold).await? {
                return Ok(Err(Conflict::Player(hold.player.user, elsewhere)));
            }
        }
        let sql = "INSERT INTO claims (match_id, app, mode, fence, state, allocation, created_us, updated_us) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
        let args = args![
            match_id,
            claim.app.as_str(),
            claim.mode.as_str(),
            i64::try_from(self.fence()).map_err(|_| StoreError::Fenced)?,
            claim.state.as_str(),
            claim.allocation.encode_to_vec(),
            claim.created,
        ];
        tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// The match of a claim has a host: its tickets are matched, its players are held until `held_until` at least.
    /// False when the claim no longer waits for one.
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn allocated(
        &self,
        match_id: MatchId,
        reply: &AllocateReply,
        held_until: Micros,
        now: Micros,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let id = match_id.to_string();
        let sql = "UPDATE claims SET state = 'allocated', allocation = $2, updated_us = $3 \
                   WHERE match_id = $1 AND state = 'claimed'";
        if tx.execute(sql, args![id.as_str(), reply.encode_to_vec(), now]).await? == 0 {
            return Ok(false);
        }
        let sql = "UPDATE holds SET held_until_us = $2 WHERE match_id = $1";
        tx.execute(sql, args![id.as_str(), held_until]).await?;
        let sql = "UPDATE tickets SET state = 'matched', updated_us = $2 WHERE match_id = $1 AND state = 'claimed'";
        tx.execute(sql, args![id, now]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Gives up a claim that has no host: its players are free, its tickets fail with `code`.
    /// False when the claim no longer waits for one.
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn release(&self, match_id: MatchId, code: u32, now: Micros) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let id = match_id.to_string();
        let sql = "UPDATE claims SET state = 'released', updated_us = $2 WHERE match_id = $1 AND state = 'claimed'";
        if tx.execute(sql, args![id.as_str(), now]).await? == 0 {
            return Ok(false);
        }
        tx.execute("DELETE FROM holds WHERE match_id = $1", args![id.as_str()]).await?;
        let sql = "UPDATE tickets SET state = 'failed', code = $2, updated_us = $3 \
                   WHERE match_id = $1 AND state = 'claimed'";
        tx.execute(sql, args![id, i64::from(code), now]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Every claim without a host, oldest first: what a start goes on with.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_claims(&self) -> Result<Vec<Claim>, StoreError> {
        let sql = "SELECT match_id, app, mode, state, allocation, created_us FROM claims \
                   WHERE state = 'claimed' ORDER BY created_us, match_id";
        let mut claims = Vec::new();
        for row in self.db.rows(sql, args![]).await? {
            claims.push(self.with_holds(&row).await?);
        }
        Ok(claims)
    }

    /// The claim of a match, if it is remembered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_of(&self, match_id: MatchId) -> Result<Option<Claim>, StoreError> {
        let sql = "SELECT match_id, app, mode, state, allocation, created_us FROM claims WHERE match_id = $1";
        match self.db.rows(sql, args![match_id.to_string()]).await?.first() {
            Some(row) => Ok(Some(self.with_holds(row).await?)),
            None => Ok(None),
        }
    }

    /// The match the player is held for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hold(&self, app: &AppId, user: UserId) -> Result<Option<Hold>, StoreError> {
        let sql = "SELECT app, user_id, match_id, team, name, held_until_us FROM holds WHERE app = $1 AND user_id = $2";
        self.db.rows(sql, args![app.as_str(), user.to_string()]).await?.first().map(read_hold).transpose()
    }

    /// Holds a player for a running match, or holds on for longer in the same match.
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn put_hold(&self, hold: &Hold) -> Result<Result<(), Conflict>, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(elsewhere) = insert_hold(&mut tx, hold).await? {
            return Ok(Err(Conflict::Player(hold.player.user, elsewhere)));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Frees a player from a match.
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn release_hold(&self, app: &AppId, user: UserId, match_id: MatchId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "DELETE FROM holds WHERE app = $1 AND user_id = $2 AND match_id = $3";
        tx.execute(sql, args![app.as_str(), user.to_string(), match_id.to_string()]).await?;
        tx.commit().await
    }

    async fn with_holds(&self, row: &Row) -> Result<Claim, StoreError> {
        let match_id: MatchId = row.parsed("match_id")?;
        let sql = "SELECT app, user_id, match_id, team, name, held_until_us FROM holds \
                   WHERE match_id = $1 ORDER BY team, user_id";
        let holds = self.db.rows(sql, args![match_id.to_string()]).await?;
        Ok(Claim {
            match_id,
            app: row.parsed("app")?,
            mode: row.text("mode")?,
            state: row.parsed("state")?,
            holds: holds.iter().map(read_hold).collect::<Result<_, _>>()?,
            allocation: row.message("allocation")?,
            created: row.micros("created_us")?,
        })
    }
}

/// The other match, when the player is held for one.
async fn insert_hold(tx: &mut Tx, hold: &Hold) -> Result<Option<MatchId>, StoreError> {
    let sql = "INSERT INTO holds (app, user_id, match_id, team, name, held_until_us) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (app, user_id) DO UPDATE SET team = excluded.team, name = excluded.name, \
               held_until_us = excluded.held_until_us WHERE holds.match_id = excluded.match_id";
    let args = args![
        hold.app.as_str(),
        hold.player.user.to_string(),
        hold.match_id.to_string(),
        i64::from(hold.team),
        hold.player.name.as_str(),
        hold.held_until,
    ];
    if tx.execute(sql, args).await? == 1 {
        return Ok(None);
    }
    let sql = "SELECT match_id FROM holds WHERE app = $1 AND user_id = $2";
    let rows = tx.rows(sql, args![hold.app.as_str(), hold.player.user.to_string()]).await?;
    let row = rows.first().ok_or(StoreError::Corrupt { column: "match_id" })?;
    row.parsed("match_id").map(Some)
}

fn read_hold(row: &Row) -> Result<Hold, StoreError> {
    Ok(Hold {
        player: Player { user: row.parsed("user_id")?, name: row.text("name")? },
        app: row.parsed("app")?,
        match_id: row.parsed("match_id")?,
        team: row.unsigned("team")?,
        held_until: row.micros("held_until_us")?,
    })
}
