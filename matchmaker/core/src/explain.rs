//! Why someone waits, in sentences for the person who waits. There is always an answer.

use amphi_shared_wire::{Code, Micros};

use crate::former::Former;
use crate::ticket::Ticket;
use crate::{Bots, CancelReason, TicketState};

/// Why a queued ticket waits.
pub(crate) fn explain_queued(former: &Former<'_>, ticket: &Ticket) -> Vec<String> {
    let seats = former.mode.seats();
    let found = ticket.size() + former.players_in_window(ticket);
    let window = former.window(ticket);
    let mut lines = Vec::new();
    if found >= seats {
        lines.push("Enough players are here; teams are being made.".to_owned());
    } else if former.queue.players == ticket.size() {
        lines.push(format!("Nobody else is waiting: {found} of {seats} players."));
    } else {
        lines.push(format!("{found} of {seats} players are within {window:.0} rating points of you."));
    }
    if found < seats
        && let Some(distance) = former.nearest_outside(ticket)
    {
        lines.push(widening(former, ticket, distance));
    }
    if former.region_is_in_the_way(ticket) {
        let limit = former.config.latency_ms(ticket.waited(former.now));
        lines.push(format!("Some players share no region with you within {limit} ms; the limit rises as you wait."));
    }
    if let Bots::After(wait) = former.mode.bots {
        let left = wait.since(ticket.waited(former.now));
        lines.push(match left {
            Micros(0) => "Bots take the free seats now.".to_owned(),
            left => format!("Bots take the free seats in {:.1} s.", left.0 as f64 / 1_000_000.0),
        });
    }
    lines
}

/// What became of a ticket that is not queued.
pub(crate) fn explain_decided(state: TicketState) -> Vec<String> {
    vec![match state {
        TicketState::Queued => "You are in the queue.".to_owned(),
        TicketState::Claimed(..) => "Match found; a host is getting it ready.".to_owned(),
        TicketState::Matched(..) => "Your match is ready.".to_owned(),
        TicketState::Cancelled(CancelReason::Owner) => "You left the queue.".to_owned(),
        TicketState::Cancelled(CancelReason::Silence) => {
            "Nothing was heard from you for too long, so you left the queue.".to_owned()
        }
        TicketState::Failed(Code::NoCapacity) => "No host had room for the match; try again.".to_owned(),
        TicketState::Failed(code) => code.help().to_owned(),
    }]
}

fn widening(former: &Former<'_>, ticket: &Ticket, distance: f64) -> String {
    let waited = ticket.waited(former.now);
    match former.config.time_to_window(distance, ticket.rating.uncertainty) {
        Some(at) => format!(
            "The next player is {distance:.0} points away and comes into reach in {:.0} s.",
            (at.since(waited).0 as f64 / 1_000_000.0).ceil()
        ),
        None => format!("The next player is {distance:.0} points away, which is too far for a fair match."),
    }
}
