//! Tickets in the queue, so that they outlive the process.

use std::str::FromStr;

use amphi_shared_wire::{AppId, MatchId, Micros, TicketId, UserId};

use super::MatchStore;
use crate::StoreError;
use crate::sql::{Row, args};

/// Where a ticket stands. The last three are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// Waits for others.
    Queued,
    /// Belongs to a claim; its match gets a host.
    Claimed,
    /// Its match runs.
    Matched,
    /// Taken back, or nobody asked for it any more.
    Cancelled,
    /// No match could be had; the code says why.
    Failed,
}

impl TicketState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Claimed, Self::Matched, Self::Cancelled, Self::Failed];

    /// Lower-case word, as stored and in the HTTP interface.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Claimed => "claimed",
            Self::Matched => "matched",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for TicketState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("`{text}` is no ticket state"))
    }
}

/// One player of a ticket. Names are data: stored and returned as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// The player.
    pub user: UserId,
    /// Display name.
    pub name: String,
}

/// A ticket, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTicket {
    /// The ticket.
    pub ticket: TicketId,
    /// The app of its players.
    pub app: AppId,
    /// The mode they want to play.
    pub mode: String,
    /// Who waits together.
    pub players: Vec<Player>,
    /// Where it stands.
    pub state: TicketState,
    /// The match of its claim.
    pub match_id: Option<MatchId>,
    /// Number of the code it failed with; 0 otherwise.
    pub code: u32,
    /// When it was queued.
    pub queued: Micros,
}

impl MatchStore {
    /// Stores a new ticket.
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn add_ticket(&self, ticket: &StoredTicket) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "INSERT INTO tickets (ticket_id, app, mode, state, match_id, code, queued_us, updated_us) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)";
        let args = args![
            ticket.ticket.to_string(),
            ticket.app.as_str(),
            ticket.mode.as_str(),
            ticket.state.as_str(),
            ticket.match_id.map(|id| id.to_string()),
            i64::from(ticket.code),
            ticket.queued,
        ];
        tx.execute(sql, args).await?;
        for (position, player) in (0_i64..).zip(&ticket.players) {
            let sql = "INSERT INTO ticket_players (ticket_id, position, user_id, name) VALUES ($1, $2, $3, $4)";
            let args = args![ticket.ticket.to_string(), position, player.user.to_string(), player.name.as_str()];
            tx.execute(sql, args).await?;
        }
        tx.commit().await
    }

    /// Ends a waiting ticket with a final state; players that its claim holds are free. False when it was not waiting
    /// (any more).
    ///
    /// # Errors
    /// The database failed, or another process has it.
    pub async fn end_ticket(
        &self,
        ticket: TicketId,
        state: TicketState,
        code: u32,
        now: Micros,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE tickets SET state = $2, code = $3, updated_us = $4 \
                   WHERE ticket_id = $1 AND state IN ('queued', 'claimed')";
        let changed = tx.execute(sql, args![ticket.to_string(), state.as_str(), i64::from(code), now]).await?;
        if changed == 1 {
            let sql = "DELETE FROM holds WHERE match_id = (SELECT match_id FROM tickets WHERE ticket_id = $1) \
                       AND user_id IN (SELECT user_id FROM ticket_players WHERE ticket_id = $1)";
            tx.execute(sql, args![ticket.to_string()]).await?;
        }
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// The ticket, if it is remembered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ticket(&self, ticket: TicketId) -> Result<Option<StoredTicket>, StoreError> {
        let sql = "SELECT ticket_id, app, mode, state, match_id, code, queued_us FROM tickets WHERE ticket_id = $1";
        let rows = self.db.rows(sql, args![ticket.to_string()]).await?;
        let Some(mut ticket) = rows.first().map(read_ticket).transpose()? else { return Ok(None) };
        let sql = "SELECT ticket_id, user_id, name FROM ticket_players WHERE ticket_id = $1 ORDER BY position";
        for row in self.db.rows(sql, args![ticket.ticket.to_string()]).await? {
            ticket.players.push(read_player(&row)?);
        }
        Ok(Some(ticket))
    }

    /// Every waiting ticket (queued or claimed), oldest first: what a start goes on with.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting_tickets(&self) -> Result<Vec<StoredTicket>, StoreError> {
        let sql = "SELECT ticket_id, app, mode, state, match_id, code, queued_us FROM tickets \
                   WHERE state IN ('queued', 'claimed') ORDER BY queued_us, ticket_id";
        let mut tickets: Vec<StoredTicket> =
            self.db.rows(sql, args![]).await?.iter().map(read_ticket).collect::<Result<_, _>>()?;
        let sql = "SELECT p.ticket_id, p.user_id, p.name FROM ticket_players p JOIN tickets t \
                   ON t.ticket_id = p.ticket_id WHERE t.state IN ('queued', 'claimed') \
                   ORDER BY t.queued_us, t.ticket_id, p.position";
        // Both lists have one order, so they are merged in one pass.
        let mut at = 0;
        for row in self.db.rows(sql, args![]).await? {
            let ticket: TicketId = row.parsed("ticket_id")?;
            while tickets.get(at).is_some_and(|t| t.ticket != ticket) {
                at += 1;
            }
            if let Some(found) = tickets.get_mut(at) {
                found.players.push(read_player(&row)?);
            }
        }
        Ok(tickets)
    }
}

fn read_ticket(row: &Row) -> Result<StoredTicket, StoreError> {
    Ok(StoredTicket {
        ticket: row.parsed("ticket_id")?,
        app: row.parsed("app")?,
        mode: row.text("mode")?,
        players: Vec::new(),
        state: row.parsed("state")?,
        match_id: row.parsed_or_null("match_id")?,
        code: row.unsigned("code")?,
        queued: row.micros("queued_us")?,
    })
}

fn read_player(row: &Row) -> Result<Player, StoreError> {
    Ok(Player { user: row.parsed("user_id")?, name: row.text("name")? })
}
