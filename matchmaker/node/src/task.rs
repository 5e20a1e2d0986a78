//! The task that owns the matchmaker, and an event for everything that may happen to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amphi_matchmaker_core::{Claim as Chosen, Matchmaker, NewTicket, Output, TicketState, TicketView};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::telemetry;
use amphi_shared_store::{Claim, ClaimState, Conflict, Hold, Player, StoreError, StoredTicket, TicketState as Stored};
use amphi_shared_wire::proto::AllocateReply;
use amphi_shared_wire::{AppId, Code, MatchId, Micros, TicketId, TraceId, UserId};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{Instrument, Span};

use crate::allocate;
use crate::desk::Desk;
use crate::overview::{MatchOverview, overview};
use crate::pace::Pace;

/// Long polls of one ticket. Beyond: the oldest is answered at once.
const WAITERS_MAX: usize = 4;
/// Calls to the fleet at a time. Beyond: claims wait for their turn.
const ALLOCATIONS_MAX: usize = 64;
/// One call to the fleet; it may start a host for it.
const ALLOCATE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the database is swept, and what is swept: tickets that ended this long ago, matches this long ago.
const PURGE_EVERY: Micros = Micros::from_secs(60);
const TICKETS_KEPT: Micros = Micros::from_secs(600);
const MATCHES_KEPT: Micros = Micros::from_secs(7 * 24 * 3_600);
/// How long a stop waits for claims on their way to a host; the next start goes on with the rest.
const DRAIN: Duration = Duration::from_secs(3);

/// What may happen to the role.
pub(crate) enum Event {
    Admit { app: AppId, user: UserId, mode: String, reply: oneshot::Sender<Admission> },
    Queue { new: Box<NewTicket>, reply: oneshot::Sender<Result<TicketView, Code>> },
    Show { ticket: TicketId, user: UserId, reply: oneshot::Sender<Result<TicketView, Code>> },
    Wait { ticket: TicketId, user: UserId, reply: oneshot::Sender<Result<TicketView, Code>> },
    Cancel { ticket: TicketId, user: UserId, reply: oneshot::Sender<Result<(), Code>> },
    Leave { app: AppId, user: UserId, reply: oneshot::Sender<()> },
    Placed { match_id: MatchId, outcome: Result<AllocateReply, Code> },
    Overview { reply: oneshot::Sender<MatchOverview> },
}

/// Whether a person may ask for a ticket now.
pub(crate) enum Admission {
    /// Yes.
    Free,
    /// There is one of that mode already: whoever asks again, for instance after loading a page anew, gets it back.
    Has(TicketId, TicketView),
    /// There is one of another mode.
    WaitsElsewhere,
    /// The person asked too often; for this long there is no ticket.
    TooOften(Micros),
}

/// Everything that the role's task owns.
pub(crate) struct Task {
    desk: Desk,
    shutdown: Shutdown,
    allocate_patience: Micros,
    matchmaker: Matchmaker,
    waiting: BTreeMap<TicketId, Vec<oneshot::Sender<Result<TicketView, Code>>>>,
    /// Of tickets that were queued here, until they end; the pool bounds them.
    spans: BTreeMap<TicketId, Span>,
    /// Claims for which the fleet is being asked.
    placing: usize,
    allocations: Arc<Semaphore>,
    pace: Pace,
    next_purge: Micros,
}

impl Task {
    pub(crate) fn new(desk: Desk, shutdown: Shutdown, matchmaker: Matchmaker, allocate_patience: Micros) -> Self {
        Self {
            shutdown,
            allocate_patience,
            matchmaker,
            waiting: BTreeMap::new(),
            spans: BTreeMap::new(),
            placing: 0,
            allocations: Arc::new(Semaphore::new(ALLOCATIONS_MAX)),
            pace: Pace::default(),
            next_purge: desk.clock.now() + PURGE_EVERY,
            desk,
        }
    }

    /// Goes on with the claims that an earlier process left without a host, then does what comes in, until the process ends.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Event>, open: Vec<Claim>) {
        for claim in open {
            self.place(claim, String::new());
        }
        let shutdown = self.shutdown.clone();
        let mut draining = false;
        let mut give_up = std::pin::pin!(tokio::time::sleep(Duration::MAX / 2));
        while !(draining && self.placing == 0) {
            let now = self.desk.clock.now();
            let wake = self.matchmaker.poll_timeout().map_or(self.next_purge, |(at, _)| at.min(self.next_purge));
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event, draining).await,
                    None => break,
                },
                () = tokio::time::sleep(Duration::from_micros(wake.since(now).0)), if !draining => self.due().await,
                () = shutdown.wait(), if !draining => {
                    draining = true;
                    self.answer_all();
                    give_up.as_mut().reset(tokio::time::Instant::now() + DRAIN);
                }
                () = shutdown.wait_stop() => break,
                () = &mut give_up, if draining => break,
            }
            self.drain_outputs().await;
            self.desk.metrics.update(self.desk.clock.now(), &self.matchmaker);
        }
        self.answer_all();
        drop(inbox);
        self.desk.store.close().await;
    }

    async fn due(&mut self) {
        let now = self.desk.clock.now();
        self.matchmaker.handle_timeout(now);
        if now >= self.next_purge {
            self.next_purge = now + PURGE_EVERY;
            if let Err(error) = self.desk.store.purge(now - TICKETS_KEPT, now - MATCHES_KEPT).await {
                self.store_failed(&error, "the database could not be swept");
            }
        }
    }

    async fn handle(&mut self, event: Event, draining: bool) {
        let now = self.desk.clock.now();
        match event {
            Event::Admit { app, user, mode, reply } => {
                let _ = reply.send(self.admit(now, (&app, user), &mode));
            }
            Event::Queue { reply, .. } if draining => {
                let _ = reply.send(Err(Code::Draining));
            }
            Event::Queue { new, reply } => {
                let _ = reply.send(self.queue(now, *new).await);
            }
            Event::Show { ticket, user, reply } => {
                let _ = reply.send(self.view(now, ticket, user));
            }
            Event::Wait { ticket, user, reply } => match self.view(now, ticket, user) {
                Ok(view) if !view.state.is_final() && !draining => self.wait(now, ticket, reply),
                view => {
                    let _ = reply.send(view);
                }
            },
            Event::Cancel { ticket, user, reply } => {
                let owned = self.view(now, ticket, user).map(drop);
                let cancelled = owned.and_then(|()| self.matchmaker.handle_cancel(now, ticket));
                // Written before it is said, so that the player may queue again at once.
                self.drain_outputs().await;
                let _ = reply.send(cancelled);
            }
            Event::Leave { app, user, reply } => {
                if let Some(ticket) = self.matchmaker.ticket_of(&app, user) {
                    // A ticket that has just ended is left as well.
                    let _ = self.matchmaker.handle_cancel(now, ticket);
                    self.drain_outputs().await;
                }
                let _ = reply.send(());
            }
            Event::Placed { match_id, outcome } => {
                self.placing -= 1;
                self.placed(now, match_id, outcome).await;
            }
            Event::Overview { reply } => {
                let _ = reply.send(overview(now, &self.matchmaker));
            }
        }
    }

    fn admit(&mut self, now: Micros, (app, user): (&AppId, UserId), mode: &str) -> Admission {
        if let Err(left) = self.pace.check(now, user) {
            return Admission::TooOften(left);
        }
        let Some(ticket) = self.matchmaker.ticket_of(app, user) else { return Admission::Free };
        match self.view(now, ticket, user) {
            Ok(view) if self.matchmaker.mode_of(ticket) == Some(mode) => Admission::Has(ticket, view),
            Ok(_) | Err(_) => Admission::WaitsElsewhere,
        }
    }

    async fn queue(&mut self, now: Micros, new: NewTicket) -> Result<TicketView, Code> {
        let (ticket, stored) = (new.ticket, stored_ticket(&new));
        self.matchmaker.handle_queue(now, new)?;
        if let Err(error) = self.desk.store.add_ticket(&stored).await {
            self.store_failed(&error, "a ticket could not be written");
            // It was queued a moment ago, so it can be taken back.
            let _ = self.matchmaker.handle_cancel(now, ticket);
            return Err(Code::Internal);
        }
        self.spans.insert(ticket, span_of(ticket));
        self.matchmaker.ticket(now, ticket).ok_or(Code::Internal)
    }

    /// What a player of the ticket may know. To everyone else it does not exist.
    fn view(&mut self, now: Micros, ticket: TicketId, user: UserId) -> Result<TicketView, Code> {
        let players = self.matchmaker.players(ticket).ok_or(Code::TicketUnknown)?;
        if !players.iter().any(|player| player.user == user) {
            return Err(Code::TicketUnknown);
        }
        self.matchmaker.handle_heard(now, ticket);
        self.matchmaker.ticket(now, ticket).ok_or(Code::TicketUnknown)
    }

    fn wait(&mut self, now: Micros, ticket: TicketId, reply: oneshot::Sender<Result<TicketView, Code>>) {
        let waiting = self.waiting.entry(ticket).or_default();
        waiting.retain(|waiter| !waiter.is_closed());
        if waiting.len() >= WAITERS_MAX {
            let _ = waiting.remove(0).send(self.matchmaker.ticket(now, ticket).ok_or(Code::TicketUnknown));
        }
        waiting.push(reply);
    }

    /// Does what the matchmaker asks for.
    async fn drain_outputs(&mut self) {
        while let Some(output) = self.matchmaker.poll_output() {
            match output {
                Output::Claim(chosen) => self.claim(chosen).await,
                Output::Ended(ticket, state) => self.ended(ticket, state).await,
                Output::Changed(ticket) => self.tell(ticket),
            }
        }
    }

    /// Writes a claim down and asks the fleet for a host; without the first there is no second.
    async fn claim(&mut self, chosen: Chosen) {
        let now = self.desk.clock.now();
        let claim = stored_claim(&chosen);
        match self.desk.store.claim(&claim, &chosen.tickets).await {
            Ok(Ok(())) => {
                for ticket in &chosen.tickets {
                    let span = self.spans.get(ticket).cloned().unwrap_or_else(|| span_of(*ticket));
                    span.in_scope(|| tracing::info!(match_id = %chosen.match_id, "ticket claimed"));
                }
                self.matchmaker.handle_claim_written(now, chosen.match_id);
                self.place(claim, chosen.region);
            }
            Ok(Err(conflict)) => {
                tracing::info!(match_id = %chosen.match_id, ?conflict, "a claim was refused");
                let ticket = culprit(&chosen, conflict);
                self.matchmaker.handle_claim_refused(now, chosen.match_id, ticket.map(|t| (t, Code::AlreadyQueued)));
            }
            Err(error) => {
                self.store_failed(&error, "a claim could not be written");
                self.matchmaker.handle_claim_refused(now, chosen.match_id, None);
            }
        }
    }

    fn place(&mut self, claim: Claim, region: String) {
        self.placing += 1;
        let desk = self.desk.clone();
        let deadline = desk.clock.now() + self.allocate_patience;
        let turn = Arc::clone(&self.allocations);
        let trace = TraceId::from(claim.match_id);
        let span = tracing::info_span!("allocate", trace_id = %trace, match_id = %claim.match_id);
        telemetry::set_trace(&span, trace);
        let placing = async move {
            // The semaphore is never closed.
            let _turn = turn.acquire_owned().await;
            let match_id = claim.match_id;
            let outcome = match desk.modes.iter().find(|mode| mode.name == claim.mode) {
                Some(mode) => {
                    let request = allocate::request(&claim, mode, region);
                    let fleet = desk.fleet.clone().with_timeout(ALLOCATE_TIMEOUT);
                    allocate::ask(&fleet, desk.clock, &request, deadline, &desk.metrics.allocate_retries).await
                }
                None => Err(Code::ModeUnknown),
            };
            // The role has ended when nobody listens; its next start asks again.
            let _ = desk.events.send(Event::Placed { match_id, outcome }).await;
        };
        tokio::spawn(placing.instrument(span));
    }

    async fn placed(&mut self, now: Micros, match_id: MatchId, outcome: Result<AllocateReply, Code>) {
        let written = match &outcome {
            Ok(reply) => {
                let until = now + self.desk.connect_token_life;
                self.desk.store.allocated(match_id, reply, until, now).await
            }
            Err(code) => self.desk.store.release(match_id, code.number(), now).await,
        };
        match (written, outcome) {
            (Ok(_), Ok(reply)) => {
                tracing::info!(%match_id, host = reply.host_id, "match placed");
                self.matchmaker.handle_allocated(now, match_id);
            }
            (Ok(_), Err(code)) => {
                tracing::warn!(%match_id, %code, "match not placed");
                self.matchmaker.handle_released(now, match_id, code);
            }
            (Err(error), _) => {
                // The claim stays open in the database: the next start goes on with it.
                self.store_failed(&error, "what became of a claim could not be written");
                self.matchmaker.handle_released(now, match_id, Code::Internal);
            }
        }
    }

    async fn ended(&mut self, ticket: TicketId, state: TicketState) {
        self.spans.remove(&ticket);
        let (stored, code) = match state {
            TicketState::Cancelled(_) => (Stored::Cancelled, 0),
            TicketState::Failed(code) => (Stored::Failed, code.number()),
            TicketState::Queued | TicketState::Claimed(..) | TicketState::Matched(..) => return,
        };
        let now = self.desk.clock.now();
        if let Err(error) = self.desk.store.end_ticket(ticket, stored, code, now).await {
            self.store_failed(&error, "the end of a ticket could not be written");
        }
    }

    /// Answers everyone who waits for news of the ticket.
    fn tell(&mut self, ticket: TicketId) {
        let view = self.matchmaker.ticket(self.desk.clock.now(), ticket);
        if let Some(view) = view.as_ref().filter(|view| matches!(view.state, TicketState::Matched(..))) {
            self.desk.metrics.matched_after(view.waited);
        }
        for waiter in self.waiting.remove(&ticket).unwrap_or_default() {
            // Whoever has gone away needs no answer.
            let _ = waiter.send(view.clone().ok_or(Code::TicketUnknown));
        }
        if view.is_none_or(|view| view.state.is_final()) {
            self.spans.remove(&ticket);
        }
    }

    fn answer_all(&mut self) {
        for ticket in self.waiting.keys().copied().collect::<Vec<_>>() {
            self.tell(ticket);
        }
    }

    fn store_failed(&self, error: &StoreError, what: &'static str) {
        if matches!(error, StoreError::Fenced) {
            tracing::error!("another process has taken over the match database; this one ends");
            self.shutdown.stop();
        } else {
            tracing::error!(%error, "{what}");
        }
    }
}

/// A ticket from the queue to its match, in its own trace.
fn span_of(ticket: TicketId) -> Span {
    let trace = TraceId::from(ticket);
    let span = tracing::info_span!("ticket", trace_id = %trace, %ticket);
    telemetry::set_trace(&span, trace);
    span
}

fn stored_ticket(new: &NewTicket) -> StoredTicket {
    StoredTicket {
        ticket: new.ticket,
        app: new.app.clone(),
        mode: new.mode.clone(),
        players: new.players.iter().map(|player| Player { user: player.user, name: player.name.clone() }).collect(),
        state: Stored::Queued,
        match_id: None,
        code: 0,
        queued: new.queued,
    }
}

fn stored_claim(chosen: &Chosen) -> Claim {
    let hold = |seat: &amphi_matchmaker_core::ClaimSeat| Hold {
        player: Player { user: seat.user, name: seat.name.clone() },
        app: chosen.app.clone(),
        match_id: chosen.match_id,
        team: seat.team,
        held_until: chosen.created,
    };
    Claim {
        match_id: chosen.match_id,
        app: chosen.app.clone(),
        mode: chosen.mode.name.clone(),
        state: ClaimState::Claimed,
        holds: chosen.seats.iter().map(hold).collect(),
        allocation: AllocateReply::default(),
        created: chosen.created,
    }
}

/// The ticket of a claim that stands against it.
fn culprit(chosen: &Chosen, conflict: Conflict) -> Option<TicketId> {
    match conflict {
        Conflict::Ticket(ticket) => Some(ticket),
        Conflict::Player(user, _) => chosen.seats.iter().find(|seat| seat.user == user).map(|seat| seat.ticket),
    }
}
