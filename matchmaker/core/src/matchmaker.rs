//! The engine: tickets in, claims out.

use std::collections::{BTreeMap, VecDeque};

use amphi_shared_wire::limits::TICKET_PLAYERS_MAX;
use amphi_shared_wire::{AppId, Code, MatchId, Micros, Rng, Seed, TicketId, UserId};

use crate::estimate::Waits;
use crate::explain::{explain_decided, explain_queued};
use crate::former::{Former, Group};
use crate::pool::{Pool, QueueKey, queue_key};
use crate::region::best_region;
use crate::ticket::Ticket;
use crate::{Bots, CancelReason, Claim, ClaimSeat, Config, Mode, ModeError, NewTicket, TicketState, TicketView};

/// Tickets around which one round tries to form a match, per queue. The rest has its turn in the next round.
const SEEDS_PER_ROUND_MAX: usize = 4_096;

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Write this claim down, answer with [`Matchmaker::handle_claim_written`] or
    /// [`Matchmaker::handle_claim_refused`], then get the match a host.
    Claim(Claim),
    /// The ticket ended without a match.
    Ended(TicketId, TicketState),
    /// Whoever waits for news of the ticket gets it now.
    Changed(TicketId),
}

/// What happened so far, in plain counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tickets taken into the queue.
    pub queued_total: u64,
    /// Tickets refused because the queue was full.
    pub queue_full_total: u64,
    /// Tickets that got a match.
    pub matched_total: u64,
    /// Tickets that were taken back.
    pub cancelled_total: u64,
    /// Tickets cancelled because nobody asked for them.
    pub silent_total: u64,
    /// Tickets that failed.
    pub failed_total: u64,
    /// Claims made.
    pub claims_total: u64,
    /// Claims that could not be written.
    pub claims_refused_total: u64,
    /// Seats given to bots when a match was made.
    pub bot_seats_total: u64,
}

/// One queue, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOverview {
    /// The app.
    pub app: AppId,
    /// The mode.
    pub mode: String,
    /// Tickets in the queue.
    pub tickets: usize,
    /// Players in the queue.
    pub players: usize,
    /// How long the oldest ticket has waited.
    pub oldest_wait: Micros,
    /// The wait that four of five recent tickets stayed below.
    pub typical_wait: Option<Micros>,
}

/// The matchmaker: tickets in, claims out.
///
/// Call one `handle_*` function with the time, then drain [`Self::poll_output`] until it is `None`, then sleep until
/// [`Self::poll_timeout`] and call [`Self::handle_timeout`]. Time must not go backwards.
pub struct Matchmaker {
    config: Config,
    modes: BTreeMap<String, Mode>,
    fence: u64,
    rng: Rng,
    pool: Pool,
    claims: BTreeMap<MatchId, Vec<TicketId>>,
    waits: BTreeMap<QueueKey, Waits>,
    outputs: VecDeque<Output>,
    next_round: Option<Micros>,
    stats: Stats,
}

impl Matchmaker {
    /// A matchmaker for these modes. `fence` goes into every claim; `seed` makes match ids.
    ///
    /// # Errors
    /// A mode is out of bounds, named twice, or there is none.
    pub fn new(config: Config, modes: &[Mode], fence: u64, seed: Seed) -> Result<Self, ModeError> {
        let mut by_name = BTreeMap::new();
        for mode in modes {
            mode.check()?;
            if by_name.insert(mode.name.clone(), mode.clone()).is_some() {
                return Err(ModeError::Twice(mode.name.clone()));
            }
        }
        if by_name.is_empty() {
            return Err(ModeError::None);
        }
        Ok(Self {
            config,
            modes: by_name,
            fence,
            rng: seed.split("matchmaker").rng(),
            pool: Pool::default(),
            claims: BTreeMap::new(),
            waits: BTreeMap::new(),
            outputs: VecDeque::new(),
            next_round: None,
            stats: Stats::default(),
        })
    }

    /// Takes a ticket into the queue.
    ///
    /// # Errors
    /// `ModeUnknown`, `RequestInvalid` (no or too many players, or one twice), `AlreadyQueued`, `QueueFull`.
    pub fn handle_queue(&mut self, now: Micros, asked: NewTicket) -> Result<(), Code> {
        self.check(&asked)?;
        if self.pool.queued() >= self.config.tickets_max {
            self.stats.queue_full_total += 1;
            return Err(Code::QueueFull);
        }
        self.stats.queued_total += 1;
        self.pool.insert(Ticket::new(asked, now), self.config.silence);
        self.next_round.get_or_insert(now + self.config.round);
        Ok(())
    }

    /// Takes in a ticket of a claim that an earlier process left open: it waits for [`Self::handle_allocated`] or
    /// [`Self::handle_released`].
    ///
    /// # Errors
    /// As [`Self::handle_queue`].
    pub fn handle_restored_claim(&mut self, now: Micros, asked: NewTicket, claim: (MatchId, u8)) -> Result<(), Code> {
        self.check(&asked)?;
        let (ticket, (match_id, team)) = (asked.ticket, claim);
        self.pool.insert(Ticket::new(asked, now), self.config.silence);
        self.pool.set_state(ticket, TicketState::Claimed(match_id, team), now);
        self.claims.entry(match_id).or_default().push(ticket);
        Ok(())
    }

    /// The owner of a ticket asked for it.
    pub fn handle_heard(&mut self, now: Micros, ticket: TicketId) {
        self.pool.heard(ticket, now);
    }

    /// The owner takes a ticket back. A claimed one ends as well; its match goes on without it.
    ///
    /// # Errors
    /// `TicketUnknown`, or `TicketEnded` when it is already final.
    pub fn handle_cancel(&mut self, now: Micros, ticket: TicketId) -> Result<(), Code> {
        let state = self.pool.ticket(ticket).ok_or(Code::TicketUnknown)?.state;
        if state.is_final() {
            return Err(Code::TicketEnded);
        }
        self.stats.cancelled_total += 1;
        self.end(now, ticket, TicketState::Cancelled(CancelReason::Owner));
        Ok(())
    }

    /// The claim was written: it stands, whatever happens to this process.
    pub fn handle_claim_written(&mut self, now: Micros, match_id: MatchId) {
        for id in self.claims.get(&match_id).into_iter().flatten() {
            if let Some(ticket) = self.pool.ticket(*id) {
                let waits = self.waits.entry(queue_key(ticket)).or_default();
                waits.record(ticket.waited(now));
            }
        }
    }

    /// The claim could not be written. The ticket that was in the way fails with `code`; the others go back to the
    /// queue, with their old clocks.
    pub fn handle_claim_refused(&mut self, now: Micros, match_id: MatchId, in_the_way: Option<(TicketId, Code)>) {
        self.stats.claims_refused_total += 1;
        for ticket in self.claims.remove(&match_id).unwrap_or_default() {
            match in_the_way {
                Some((culprit, code)) if culprit == ticket => self.fail(now, ticket, code),
                Some(_) | None => {
                    self.pool.set_state(ticket, TicketState::Queued, now);
                    self.outputs.push_back(Output::Changed(ticket));
                }
            }
        }
        self.next_round.get_or_insert(now + self.config.round);
    }

    /// The match of a claim has a host: its tickets are matched.
    pub fn handle_allocated(&mut self, now: Micros, match_id: MatchId) {
        for ticket in self.claims.remove(&match_id).unwrap_or_default() {
            let Some(TicketState::Claimed(_, team)) = self.pool.ticket(ticket).map(|t| t.state) else { continue };
            self.stats.matched_total += 1;
            self.pool.set_state(ticket, TicketState::Matched(match_id, team), now);
            self.outputs.push_back(Output::Changed(ticket));
        }
    }

    /// The match of a claim will not be: its tickets fail with `code`.
    pub fn handle_released(&mut self, now: Micros, match_id: MatchId, code: Code) {
        for ticket in self.claims.remove(&match_id).unwrap_or_default() {
            self.fail(now, ticket, code);
        }
    }

    /// Does what is due: a round of forming, cancelling silent tickets, forgetting ended ones.
    pub fn handle_timeout(&mut self, now: Micros) {
        for ticket in self.pool.silent(now, self.config.silence) {
            self.stats.silent_total += 1;
            self.end(now, ticket, TicketState::Cancelled(CancelReason::Silence));
        }
        self.pool.forget(now - self.config.ended_kept);
        if self.next_round.is_some_and(|due| due <= now) {
            self.round(now);
            self.next_round = (self.pool.queued() > 0).then(|| now + self.config.round);
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next, and what for.
    pub fn poll_timeout(&self) -> Option<(Micros, &'static str)> {
        let round = self.next_round.map(|at| (at, "round of forming"));
        let deadline = self.pool.next_deadline(self.config.ended_kept).map(|at| (at, "ticket deadline"));
        round.into_iter().chain(deadline).min()
    }

    /// What its owner is told about a ticket; `None` when it is not known (any more).
    pub fn ticket(&self, now: Micros, id: TicketId) -> Option<TicketView> {
        let ticket = self.pool.ticket(id)?;
        let waited = ticket.waited(now);
        if ticket.state != TicketState::Queued {
            return Some(TicketView {
                state: ticket.state,
                waited,
                estimate: Some(Micros(0)),
                explain: explain_decided(ticket.state),
            });
        }
        let explain = match self.former(now, &queue_key(ticket)) {
            Some(former) => explain_queued(&former, ticket),
            None => explain_decided(ticket.state),
        };
        Some(TicketView { state: ticket.state, waited, estimate: self.estimate(now, ticket), explain })
    }

    /// The players of a ticket; `None` when it is not known (any more).
    pub fn players(&self, id: TicketId) -> Option<&[crate::Player]> {
        self.pool.ticket(id).map(|ticket| ticket.asked.players.as_slice())
    }

    /// The mode of a ticket; `None` when the ticket is not known (any more).
    pub fn mode_of(&self, id: TicketId) -> Option<&str> {
        self.pool.ticket(id).map(|ticket| ticket.asked.mode.as_str())
    }

    /// The waiting ticket of a player.
    pub fn ticket_of(&self, app: &AppId, user: UserId) -> Option<TicketId> {
        self.pool.ticket_of(app, user)
    }

    /// Every queue that holds a ticket.
    pub fn overview(&self, now: Micros) -> Vec<QueueOverview> {
        let row = |(key, queue): (&QueueKey, &crate::pool::Queue)| QueueOverview {
            app: key.app.clone(),
            mode: key.mode.clone(),
            tickets: queue.by_age.len(),
            players: queue.players,
            oldest_wait: queue.by_age.first().map_or(Micros(0), |(queued, _)| now.since(*queued)),
            typical_wait: self.waits.get(key).and_then(Waits::typical),
        };
        self.pool.queues().map(row).collect()
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Claims that wait to be written or for a host.
    pub fn open_claims(&self) -> usize {
        self.claims.len()
    }

    fn check(&self, asked: &NewTicket) -> Result<(), Code> {
        let mode = self.modes.get(&asked.mode).ok_or(Code::ModeUnknown)?;
        let players_max = usize::from(mode.team_size).min(TICKET_PLAYERS_MAX);
        if asked.players.is_empty() || asked.players.len() > players_max || self.pool.ticket(asked.ticket).is_some() {
            return Err(Code::RequestInvalid);
        }
        for (position, player) in asked.players.iter().enumerate() {
            if asked.players[..position].iter().any(|other| other.user == player.user) {
                return Err(Code::RequestInvalid);
            }
            if self.pool.ticket_of(&asked.app, player.user).is_some() {
                return Err(Code::AlreadyQueued);
            }
        }
        Ok(())
    }

    /// One round: the oldest tickets of each queue first.
    fn round(&mut self, now: Micros) {
        let keys: Vec<QueueKey> = self.pool.queues().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(queue) = self.pool.queue(&key) else { continue };
            let seeds: Vec<TicketId> = queue.by_age.iter().take(SEEDS_PER_ROUND_MAX).map(|(_, id)| *id).collect();
            for seed in seeds {
                // An earlier match of this round may have taken it, or emptied the queue.
                let Some(former) = self.former(now, &key) else { break };
                let waiting = self.pool.ticket(seed).filter(|ticket| ticket.state == TicketState::Queued);
                if let Some(group) = waiting.and_then(|ticket| former.group(ticket)) {
                    self.claim(now, &key, &group);
                }
            }
        }
    }

    fn former<'a>(&'a self, now: Micros, key: &QueueKey) -> Option<Former<'a>> {
        let (mode, queue) = (self.modes.get(&key.mode)?, self.pool.queue(key)?);
        Some(Former { now, config: &self.config, mode, pool: &self.pool, queue })
    }

    fn claim(&mut self, now: Micros, key: &QueueKey, group: &Group) {
        let Some(mode) = self.modes.get(&key.mode).cloned() else { return };
        let match_id = MatchId::generate(now, &mut self.rng);
        let members = group.members.iter().filter_map(|(id, team)| Some((self.pool.ticket(*id)?, *team)));
        let seats: Vec<ClaimSeat> = members
            .clone()
            .flat_map(|(ticket, team)| {
                let seat = move |player: &crate::Player| ClaimSeat {
                    team,
                    user: player.user,
                    name: player.name.clone(),
                    ticket: ticket.asked.ticket,
                };
                ticket.asked.players.iter().map(seat)
            })
            .collect();
        let region = best_region(members.map(|(ticket, _)| ticket.asked.latencies.as_slice()));
        let tickets: Vec<TicketId> = group.members.iter().map(|(id, _)| *id).collect();
        self.stats.claims_total += 1;
        self.stats.bot_seats_total += (mode.seats() - seats.len()) as u64;
        for (ticket, team) in &group.members {
            self.pool.set_state(*ticket, TicketState::Claimed(match_id, *team), now);
            self.outputs.push_back(Output::Changed(*ticket));
        }
        self.claims.insert(match_id, tickets.clone());
        let app = key.app.clone();
        let claim = Claim { match_id, fence: self.fence, app, mode, region, seats, tickets, created: now };
        self.outputs.push_back(Output::Claim(claim));
    }

    fn estimate(&self, now: Micros, ticket: &Ticket) -> Option<Micros> {
        let typical = self.waits.get(&queue_key(ticket)).and_then(Waits::typical);
        let bots = self.modes.get(&ticket.asked.mode).and_then(|mode| match mode.bots {
            Bots::Never => None,
            Bots::After(wait) => Some(wait + self.config.round),
        });
        let total = typical.into_iter().chain(bots).min()?;
        Some(total.since(ticket.waited(now)))
    }

    fn fail(&mut self, now: Micros, ticket: TicketId, code: Code) {
        if self.pool.ticket(ticket).is_some_and(|t| !t.state.is_final()) {
            self.stats.failed_total += 1;
            self.end(now, ticket, TicketState::Failed(code));
        }
    }

    fn end(&mut self, now: Micros, ticket: TicketId, state: TicketState) {
        self.pool.set_state(ticket, state, now);
        self.outputs.push_back(Output::Ended(ticket, state));
        self.outputs.push_back(Output::Changed(ticket));
    }
}

#[cfg(test)]
mod tests;
