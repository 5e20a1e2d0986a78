//! The relay: carries match sessions of browsers that cannot reach a match host to the host that holds them.
//!
//! One task decides: it checks each Hello, asks the fleet where a match runs, and starts a task per session that passes
//! its messages on unread ([`amphi_shared_edge::relay`]). The host verifies everything again.

mod places;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use amphi_shared_auth::{Keyring, Scope, ServiceToken, Verifier, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::dial::{DialError, Dialer};
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::relay::{Leg, carry};
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::session::{Incoming, Refusal};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::telemetry;
use amphi_shared_session::RateTable;
use amphi_shared_wire::limits::{RELAY_DIAL_MS_MAX, RELAY_SESSIONS_MAX, RELAY_WAITING_MAX};
use amphi_shared_wire::proto::{MatchInfo, MatchQuery};
use amphi_shared_wire::{AppId, Code, MatchId, Micros, Rng, Seed};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use self::places::{Place, Places};
use crate::LiveConfig;
use crate::metrics::{RelayCounters, export_relay};

/// Life of a token for one question to the fleet.
const CALL_TOKEN_LIFE: Micros = Micros::from_secs(60);
/// When to ask again for a match that has no host, or whose host or fleet does not answer, ms.
const UNAVAILABLE_RETRY_MS: u32 = 1_000;
/// When to come back to a relay that is full, ms.
const FULL_RETRY_MS: u32 = 5_000;
/// How often numbers are exported.
const EXPORT_EVERY: Duration = Duration::from_secs(1);

/// Why there is no relay.
#[derive(Debug, Error)]
pub enum RelayError {
    /// No socket towards the hosts.
    #[error(transparent)]
    Socket(#[from] DialError),
    /// No client of the fleet.
    #[error("the fleet cannot be called: {0}")]
    Fleet(#[from] ServiceFailure),
}

/// The way to the relay's task.
pub(crate) struct Relay {
    incoming: mpsc::Sender<Incoming>,
    ended: watch::Receiver<bool>,
}

impl Relay {
    /// Starts the task; it ends with `shutdown`. `fleet_url` is where the fleet role is.
    pub(crate) fn start(
        config: &LiveConfig,
        fleet_url: &str,
        (keyring, clock): (&Keyring, Clock),
        shutdown: Shutdown,
    ) -> Result<Self, RelayError> {
        let minting = keyring.clone();
        let token = move |_: &str| {
            let now = clock.now();
            let (from, expires) = ("live".to_owned(), now + CALL_TOKEN_LIFE);
            minting.mint_service(now, &ServiceToken { from, scope: Scope::FleetRead, expires })
        };
        let (incoming, queue) = mpsc::channel(RELAY_WAITING_MAX);
        let (ending, ended) = watch::channel(false);
        let task = Task {
            app: config.app.clone(),
            drain: config.drain,
            verifier: keyring.verifier(),
            clock,
            fleet: ServiceClient::new(fleet_url, token)?,
            dialer: Dialer::new(clock)?,
            hellos_by_address: config.hellos.table(),
            places: Places::default(),
            waiting: BTreeMap::new(),
            questions: JoinSet::new(),
            sessions: JoinSet::new(),
            seed: Seed(u64::from_le_bytes(random_bytes())).split("relay").rng(),
            counters: RelayCounters::default(),
            shutdown,
        };
        tokio::spawn(async move {
            task.run(queue).await;
            ending.send_replace(true);
        });
        Ok(Self { incoming, ended })
    }

    /// Takes a connection that wants a match session.
    pub(crate) fn accept(&self, incoming: Incoming) {
        let (incoming, code) = match self.incoming.try_send(incoming) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(incoming)) => (incoming, Code::Overloaded),
            Err(mpsc::error::TrySendError::Closed(incoming)) => (incoming, Code::Draining),
        };
        incoming.refuse(later(code, UNAVAILABLE_RETRY_MS));
    }

    /// Returns when the task has ended. False: it broke.
    pub(crate) async fn finished(&self) -> bool {
        self.ended.clone().wait_for(|ended| *ended).await.is_ok()
    }
}

struct Task {
    app: AppId,
    /// Time over which a drain closes the sessions.
    drain: Micros,
    verifier: Verifier,
    clock: Clock,
    fleet: ServiceClient,
    dialer: Dialer,
    hellos_by_address: RateTable<IpAddr>,
    places: Places,
    /// Connections whose match the fleet was asked about.
    waiting: BTreeMap<MatchId, Vec<Checked>>,
    questions: JoinSet<(MatchId, Result<Place, Code>)>,
    sessions: JoinSet<(MatchId, Carried)>,
    seed: Rng,
    counters: RelayCounters,
    shutdown: Shutdown,
}

/// A connection that may be carried on.
struct Checked {
    match_id: MatchId,
    incoming: Incoming,
    /// In the trace that led here, when a token says which.
    span: Span,
}

/// What became of a session.
enum Carried {
    /// It was carried until it ended with this.
    Until(Code),
    /// The host did not answer.
    Unreachable,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Incoming>) {
        let mut draining = false;
        let mut export = tokio::time::interval(EXPORT_EVERY);
        while !(draining && self.sessions.is_empty() && self.waiting.is_empty()) {
            tokio::select! {
                Some(incoming) = queue.recv() => self.handle_incoming(incoming, draining),
                Some(answer) = self.questions.join_next() => self.handle_answer(answer),
                Some(ended) = self.sessions.join_next() => self.handle_ended(ended),
                _ = export.tick() => export_relay(self.sessions.len(), self.counters),
                () = self.shutdown.wait(), if !draining => draining = true,
                () = self.shutdown.wait_stop() => return,
            }
        }
    }

    fn handle_incoming(&mut self, incoming: Incoming, draining: bool) {
        if draining {
            return self.refuse(incoming, later(Code::Draining, UNAVAILABLE_RETRY_MS));
        }
        let now = self.clock.now();
        match self.check(now, &incoming) {
            Ok((match_id, span)) => {
                let checked = Checked { match_id, incoming, span };
                match self.places.find(now, match_id) {
                    Some(place) => self.place(checked, &place),
                    None => self.ask(checked),
                }
            }
            Err(refusal) => self.refuse(incoming, refusal),
        }
    }

    /// The match of a Hello that may be passed on. A resume proves itself to the host alone, by its session's secret.
    fn check(&mut self, now: Micros, incoming: &Incoming) -> Result<(MatchId, Span), Refusal> {
        self.hellos_by_address.check(now, incoming.peer.ip()).map_err(|wait| {
            let retry_after_ms = u32::try_from(wait.0.div_ceil(1_000)).unwrap_or(u32::MAX);
            later(Code::RateLimited, retry_after_ms)
        })?;
        let wanted = incoming.query("match").unwrap_or_default();
        let match_id: MatchId = wanted.parse().map_err(|_| Code::MatchUnknown)?;
        if let Some(resume) = &incoming.hello.resume {
            return Ok((match_id, tracing::info_span!("relay", %match_id, session = %resume.session)));
        }
        if incoming.hello.token.is_empty() {
            return Err(Code::TokenMissing.into());
        }
        let token = self.verifier.connect(now, &incoming.hello.token)?;
        if token.app != self.app {
            return Err(Code::TokenWrongApp.into());
        }
        if token.match_id != match_id {
            return Err(Code::TokenWrongMatch.into());
        }
        let span = tracing::info_span!("relay", trace_id = %token.trace, %match_id);
        telemetry::set_trace(&span, token.trace);
        Ok((match_id, span))
    }

    /// Asks the fleet where a match runs, once for everyone who waits for the answer.
    fn ask(&mut self, checked: Checked) {
        let match_id = checked.match_id;
        if self.waiting.values().map(Vec::len).sum::<usize>() >= RELAY_WAITING_MAX {
            return self.refuse(checked.incoming, later(Code::Overloaded, UNAVAILABLE_RETRY_MS));
        }
        let waiting = self.waiting.entry(match_id).or_default();
        waiting.push(checked);
        if waiting.len() == 1 {
            let (fleet, app) = (self.fleet.clone(), self.app.clone());
            self.questions.spawn(async move { (match_id, find(&fleet, &app, match_id).await) });
        }
    }

    fn handle_answer(&mut self, answer: Result<(MatchId, Result<Place, Code>), tokio::task::JoinError>) {
        let Ok((match_id, found)) = answer else {
            // It does not say whose it was, so everyone who waits is refused.
            self.waiting.clear();
            return tracing::error!("a question to the fleet broke");
        };
        if let Ok(place) = &found {
            self.places.put(self.clock.now(), match_id, place.clone());
        }
        for checked in self.waiting.remove(&match_id).unwrap_or_default() {
            match &found {
                Ok(place) => self.place(checked, place),
                Err(code) => self.refuse(checked.incoming, later(*code, UNAVAILABLE_RETRY_MS)),
            }
        }
    }

    /// Carries a connection to the host of its match.
    fn place(&mut self, checked: Checked, place: &Place) {
        let Checked { match_id, incoming, span } = checked;
        let endpoint = match place {
            Place::Host(endpoint) => endpoint.clone(),
            Place::Nowhere(code) => return self.refuse(incoming, Refusal::from(*code)),
        };
        if self.sessions.len() >= RELAY_SESSIONS_MAX {
            return self.refuse(incoming, later(Code::Overloaded, FULL_RETRY_MS));
        }
        let (dialer, shutdown) = (self.dialer.clone(), self.shutdown.clone());
        let leave_after = Duration::from_micros(self.seed.below(self.drain.0.max(1)));
        let end = async move {
            shutdown.wait().await;
            tokio::select! {
                () = tokio::time::sleep(leave_after) => {}
                () = shutdown.wait_stop() => {}
            }
            Code::Draining
        };
        let carrying = async move {
            let dial = Leg::dial(&dialer, &endpoint);
            let error = match tokio::time::timeout(Duration::from_millis(RELAY_DIAL_MS_MAX), dial).await {
                Ok(Ok(leg)) => {
                    let code = carry(incoming, leg, end).await;
                    tracing::info!(%code, "a relayed connection ended");
                    return (match_id, Carried::Until(code));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("{} does not answer", endpoint.url),
            };
            tracing::warn!(error, "the host of a match cannot be reached");
            incoming.refuse(later(Code::Unavailable, UNAVAILABLE_RETRY_MS));
            (match_id, Carried::Unreachable)
        };
        self.sessions.spawn(carrying.instrument(span));
        self.counters.started += 1;
    }

    fn handle_ended(&mut self, ended: Result<(MatchId, Carried), tokio::task::JoinError>) {
        match ended {
            Ok((_, Carried::Until(code))) => self.counters.slow_readers += u64::from(code == Code::SlowReader),
            Ok((match_id, Carried::Unreachable)) => {
                // The fleet may know of another host by now.
                self.places.forget(match_id);
                self.counters.unreachable += 1;
            }
            Err(error) => tracing::error!(%error, "a relayed connection broke"),
        }
    }

    fn refuse(&mut self, incoming: Incoming, refusal: Refusal) {
        self.counters.refused += 1;
        tracing::debug!(code = %refusal.code, "a relayed session was refused");
        incoming.refuse(refusal);
    }
}

/// Where the fleet says that a match runs. An error is worth another question.
async fn find(fleet: &ServiceClient, app: &AppId, match_id: MatchId) -> Result<Place, Code> {
    let query = MatchQuery { match_id: match_id.to_string() };
    let info: MatchInfo = match fleet.call("/internal/v1/fleet/match", &query).await {
        Ok(info) => info,
        Err(ServiceFailure::Refused { code: Code::MatchUnknown, .. }) => return Ok(Place::Nowhere(Code::MatchUnknown)),
        Err(failure) => {
            tracing::warn!(%match_id, %failure, "the fleet does not say where a match runs");
            return Err(Code::Unavailable);
        }
    };
    if info.app != app.as_str() {
        return Ok(Place::Nowhere(Code::MatchUnknown));
    }
    if matches!(info.state.as_str(), "ended" | "lost") {
        return Ok(Place::Nowhere(Code::MatchEnded));
    }
    let native = info.endpoints.iter().find(|endpoint| endpoint.transport == "quic");
    native.map(|endpoint| Place::Host(Endpoint::from(endpoint))).ok_or(Code::Unavailable)
}

fn later(code: Code, retry_after_ms: u32) -> Refusal {
    Refusal { retry_after_ms, ..Refusal::from(code) }
}
