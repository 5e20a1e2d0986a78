//! Every ticket that waits or has just ended, with the orders in which forming looks at them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amphi_shared_wire::limits::TICKETS_MAX;
use amphi_shared_wire::{AppId, Micros, TicketId, UserId};

use crate::TicketState;
use crate::ticket::Ticket;

/// Tickets that may meet: same app, same mode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey {
    pub(crate) app: AppId,
    pub(crate) mode: String,
}

/// The queued tickets of one app and mode.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Oldest first.
    pub(crate) by_age: BTreeSet<(Micros, TicketId)>,
    /// Weakest first, in thousandths of a rating point.
    pub(crate) by_rating: BTreeSet<(i64, TicketId)>,
    /// Their players.
    pub(crate) players: usize,
}

/// Every ticket that waits or has just ended.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    tickets: BTreeMap<TicketId, Ticket>,
    queues: BTreeMap<QueueKey, Queue>,
    /// The waiting ticket of each player.
    players: BTreeMap<(AppId, UserId), TicketId>,
    /// When to look whether a queued ticket was heard. May be early, never late.
    silence: BTreeSet<(Micros, TicketId)>,
    /// Ended tickets, first ended first.
    ended: VecDeque<(Micros, TicketId)>,
    queued: usize,
}

impl Pool {
    pub(crate) fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.get(&id)
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = (&QueueKey, &Queue)> {
        self.queues.iter()
    }

    pub(crate) fn queue(&self, key: &QueueKey) -> Option<&Queue> {
        self.queues.get(key)
    }

    /// Number of queued tickets.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// The waiting ticket of a player.
    pub(crate) fn ticket_of(&self, app: &AppId, user: UserId) -> Option<TicketId> {
        self.players.get(&(app.clone(), user)).copied()
    }

    /// Takes in a new, queued ticket.
    pub(crate) fn insert(&mut self, ticket: Ticket, silence: Micros) {
        let id = ticket.asked.ticket;
        for player in &ticket.asked.players {
            self.players.insert((ticket.asked.app.clone(), player.user), id);
        }
        self.silence.insert((ticket.heard + silence, id));
        self.tickets.insert(id, ticket);
        self.enqueue(id);
    }

    /// Remembers that the owner of a ticket was heard.
    pub(crate) fn heard(&mut self, id: TicketId, now: Micros) {
        if let Some(ticket) = self.tickets.get_mut(&id) {
            ticket.heard = ticket.heard.max(now);
        }
    }

    /// Moves a ticket to another state, in or out of its queue as the state asks. Nothing leaves a final state.
    pub(crate) fn set_state(&mut self, id: TicketId, state: TicketState, now: Micros) {
        let Some(ticket) = self.tickets.get_mut(&id) else { return };
        let before = ticket.state;
        if before.is_final() {
            return;
        }
        ticket.state = state;
        if state.is_final() {
            ticket.ended = Some(now);
            for player in &ticket.asked.players {
                self.players.remove(&(ticket.asked.app.clone(), player.user));
            }
            self.ended.push_back((now, id));
        }
        match (before == TicketState::Queued, state == TicketState::Queued) {
            (true, false) => self.dequeue(id),
            (false, true) => self.enqueue(id),
            (true, true) | (false, false) => {}
        }
        self.drop_ended(|_, len| len > TICKETS_MAX);
    }

    /// Queued tickets whose owner was not heard for `silence`.
    pub(crate) fn silent(&mut self, now: Micros, silence: Micros) -> Vec<TicketId> {
        let mut silent = Vec::new();
        while let Some(&(due, id)) = self.silence.first() {
            if due > now {
                break;
            }
            self.silence.pop_first();
            let Some(ticket) = self.tickets.get(&id).filter(|ticket| !ticket.state.is_final()) else { continue };
            let queued = ticket.state == TicketState::Queued;
            if queued && ticket.heard + silence <= now {
                silent.push(id);
            } else {
                self.silence.insert(((ticket.heard + silence).max(now + Micros::from_secs(1)), id));
            }
        }
        silent
    }

    /// Forgets tickets that ended before `before`.
    pub(crate) fn forget(&mut self, before: Micros) {
        self.drop_ended(|ended, _| ended < before);
    }

    /// When `silent` or `forget` could next have something to do.
    pub(crate) fn next_deadline(&self, ended_kept: Micros) -> Option<Micros> {
        let silence = self.silence.first().map(|(due, _)| *due);
        let forget = self.ended.front().map(|(ended, _)| *ended + ended_kept + Micros(1));
        silence.into_iter().chain(forget).min()
    }

    fn enqueue(&mut self, id: TicketId) {
        let Some(ticket) = self.tickets.get(&id) else { return };
        let queue = self.queues.entry(queue_key(ticket)).or_default();
        queue.by_age.insert((ticket.asked.queued, id));
        queue.by_rating.insert((ticket.rank(), id));
        queue.players += ticket.size();
        self.queued += 1;
    }

    fn dequeue(&mut self, id: TicketId) {
        let Some(ticket) = self.tickets.get(&id) else { return };
        let key = queue_key(ticket);
        let Some(queue) = self.queues.get_mut(&key) else { return };
        queue.by_age.remove(&(ticket.asked.queued, id));
        queue.by_rating.remove(&(ticket.rank(), id));
        queue.players -= ticket.size();
        self.queued -= 1;
        if queue.by_age.is_empty() {
            self.queues.remove(&key);
        }
    }

    fn drop_ended(&mut self, too_old: impl Fn(Micros, usize) -> bool) {
        while let Some(&(ended, id)) = self.ended.front() {
            if !too_old(ended, self.ended.len()) {
                break;
            }
            self.ended.pop_front();
            self.tickets.remove(&id);
        }
    }
}

pub(crate) fn queue_key(ticket: &Ticket) -> QueueKey {
    QueueKey { app: ticket.asked.app.clone(), mode: ticket.asked.mode.clone() }
}
