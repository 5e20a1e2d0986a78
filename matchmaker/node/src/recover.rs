//! Going on where an earlier process stopped: its queue, and its claims without a host.

use amphi_matchmaker_core::{Matchmaker, NewTicket, Player, Rating as Strength};
use amphi_shared_store::{Claim, MatchStore, RatingKey, StoreError, StoredTicket, TicketState as Stored};
use amphi_shared_wire::{Code, Micros};

use crate::results::strength;

/// Puts every waiting ticket back into the matchmaker; the claims that still need a host.
///
/// # Errors
/// The database failed.
pub(crate) async fn recover(
    store: &MatchStore,
    matchmaker: &mut Matchmaker,
    now: Micros,
) -> Result<Vec<Claim>, StoreError> {
    let mut claims = store.open_claims().await?;
    for claim in claims.extract_if(.., |claim| claim.holds.is_empty()) {
        // Everyone has left it.
        store.release(claim.match_id, Code::NoCapacity.number(), now).await?;
    }
    let (mut queued, mut claimed, mut failed) = (0, 0, 0);
    for ticket in store.waiting_tickets().await? {
        let id = ticket.ticket;
        let seat = claims.iter().flat_map(|claim| &claim.holds).find(|hold| {
            Some(hold.match_id) == ticket.match_id
                && ticket.players.iter().any(|player| player.user == hold.player.user)
        });
        let taken = match (ticket.state, seat) {
            (Stored::Claimed, Some(hold)) => {
                claimed += 1;
                let claim = (hold.match_id, hold.team);
                matchmaker.handle_restored_claim(now, with_ratings(store, ticket).await?, claim)
            }
            (Stored::Claimed, None) => Err(Code::Internal),
            (Stored::Queued | Stored::Matched | Stored::Cancelled | Stored::Failed, _) => {
                queued += 1;
                matchmaker.handle_queue(now, with_ratings(store, ticket).await?)
            }
        };
        if let Err(code) = taken {
            failed += 1;
            store.end_ticket(id, Stored::Failed, code.number(), now).await?;
        }
    }
    if queued + claimed + failed > 0 {
        tracing::info!(queued, claimed, failed, claims = claims.len(), "the queue of an earlier process goes on");
    }
    Ok(claims)
}

async fn with_ratings(store: &MatchStore, ticket: StoredTicket) -> Result<NewTicket, StoreError> {
    let mut players = Vec::with_capacity(ticket.players.len());
    for player in ticket.players {
        let key = RatingKey { app: ticket.app.clone(), mode: ticket.mode.clone(), user: player.user };
        let rating = store.rating(&key).await?.map_or_else(Strength::default, strength);
        players.push(Player { user: player.user, name: player.name, rating });
    }
    Ok(NewTicket {
        ticket: ticket.ticket,
        app: ticket.app,
        mode: ticket.mode,
        players,
        latencies: Vec::new(),
        queued: ticket.queued,
    })
}
