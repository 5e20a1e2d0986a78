//! The role: one task that owns the core, and an event for everything that may happen to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amphi_fleet_core::{AllocationState, ConfigError, Fleet, FleetConfig, MatchRecord, Output, ReportAnswer};
use amphi_shared_auth::{Keyring, Scope, ServiceToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::{HostNews, HostReady, HostStart, HostTokens, JournalLimits};
use amphi_shared_edge::http::Routes;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_store::{FleetStore, StoreError};
use amphi_shared_wire::proto::{
    AllocateReply, AllocateRequest, CreateRoom, CreateRoomReply, Drain, Endpoint, HostReport, HostReportReply,
    MatchInfo,
};
use amphi_shared_wire::{AppId, Code, HostId, LeaseId, MatchId, Micros, Seed};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::local::{HostCommand, LocalHosts};
use crate::metrics::Metrics;
use crate::overview::{FleetOverview, overview};
use crate::{forward, http, persist};

/// Events that wait for the role's task. Beyond: callers wait, their requests time out.
const EVENTS_MAX: usize = 1_024;
/// Life of the tokens that a host gets; no host lives longer.
const HOST_TOKEN_LIFE: Micros = Micros::from_secs(30 * 24 * 3_600);
/// Life of a token that the fleet uses for one call.
const CALL_TOKEN_LIFE: Micros = Micros::from_secs(60);

/// Settings of the role.
#[derive(Clone, Debug)]
pub struct FleetRoleConfig {
    /// Decisions.
    pub fleet: FleetConfig,
    /// Application of the hosts.
    pub app: AppId,
    /// Region of the hosts.
    pub region: String,
    /// How a host process is started.
    pub command: HostCommand,
    /// Where hosts listen; port 0 takes any.
    pub host_listen: SocketAddr,
    /// Name or address under which clients reach the hosts.
    pub public_host: String,
    /// Directory of the rooms' journals.
    pub data_dir: PathBuf,
    /// What is kept of journals of matches that are over.
    pub journals: JournalLimits,
    /// Base URL of this role, for the hosts' reports.
    pub fleet_url: String,
    /// Base URL of the match role, for results.
    pub match_url: String,
    /// Base URL of the live role, for views.
    pub live_url: String,
    /// Address of the live role's relay for clients, `ws://host:port/session` or `wss://…`; it ends the list of
    /// endpoints of each match. None: there is no relay.
    pub relay_url: Option<String>,
    /// OTLP/gRPC address of an OpenTelemetry collector, for the hosts.
    pub otlp_url: Option<String>,
    /// Time that running matches get when the role drains.
    pub drain: Micros,
}

/// Why the role did not start.
#[derive(Debug, Error)]
pub enum FleetStartError {
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What an earlier process wrote down could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What may happen to the role.
#[derive(Debug)]
pub(crate) enum Event {
    Allocate { match_id: MatchId, request: AllocateRequest, reply: oneshot::Sender<Result<AllocateReply, Code>> },
    Report { report: Box<HostReport>, reply: oneshot::Sender<Result<HostReportReply, Code>> },
    Match { match_id: MatchId, reply: oneshot::Sender<Option<MatchInfo>> },
    Matches { limit: usize, reply: oneshot::Sender<Vec<MatchInfo>> },
    Overview { reply: oneshot::Sender<FleetOverview> },
    HostReady { host: HostId, ready: HostReady },
    HostExited { host: HostId },
    RoomCreated { match_id: MatchId, host: HostId },
    RoomRefused { match_id: MatchId, host: HostId },
    Renew { certificate: Certificate },
}

/// What the role needs from its process.
#[derive(Clone)]
pub struct FleetParts {
    /// The fleet's database.
    pub store: FleetStore,
    /// Signs the tokens of hosts and calls.
    pub keyring: Keyring,
    /// The certificate that hosts serve.
    pub certificate: Certificate,
    /// The process's clock.
    pub clock: Clock,
    /// Tells when to drain.
    pub shutdown: Shutdown,
}

/// The running role.
#[derive(Debug)]
pub struct FleetRole {
    events: mpsc::Sender<Event>,
    task: JoinHandle<()>,
}

impl FleetRole {
    /// Takes over what an earlier process wrote down and starts the warm hosts.
    ///
    /// # Errors
    /// A setting is out of bounds, or the database cannot be read.
    pub async fn start(config: FleetRoleConfig, parts: FleetParts, seed: Seed) -> Result<Self, FleetStartError> {
        let mut fleet = Fleet::new(config.fleet.clone().build()?, seed);
        let now = parts.clock.now();
        let hosts = parts.store.hosts().await?.into_iter().map(persist::host).collect();
        let matches = parts.store.running_matches().await?.into_iter().filter_map(persist::match_record).collect();
        fleet.restore(now, hosts, matches);
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let hosts = LocalHosts::new(config.command.clone(), events.clone());
        let task = Task {
            config,
            parts,
            fleet,
            hosts,
            events: events.clone(),
            waiting: BTreeMap::new(),
            new_result: Arc::new(Notify::new()),
            metrics: Metrics::register(),
        };
        Ok(Self { events, task: tokio::spawn(task.run(inbox)) })
    }

    /// The routes of this role.
    pub fn routes(&self) -> Routes {
        http::routes(&self.events)
    }

    /// A way to ask for hosts and rooms.
    pub fn watcher(&self) -> FleetWatcher {
        FleetWatcher { events: self.events.clone() }
    }

    /// Takes the certificate that hosts serve after the one they have. Those of an earlier process are not reached: they
    /// end with their matches.
    pub async fn renew(&self, certificate: Certificate) {
        // A role that has stopped has no hosts.
        let _ = self.events.send(Event::Renew { certificate }).await;
    }

    /// Returns when the role has drained: every host has ended, or the time for it is over.
    pub async fn wait(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the fleet's task failed");
        }
    }
}

/// Everything that the role's task owns.
struct Task {
    config: FleetRoleConfig,
    parts: FleetParts,
    fleet: Fleet,
    hosts: LocalHosts,
    events: mpsc::Sender<Event>,
    waiting: BTreeMap<MatchId, Vec<oneshot::Sender<Result<AllocateReply, Code>>>>,
    new_result: Arc<Notify>,
    metrics: Metrics,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        let shutdown = self.parts.shutdown.clone();
        let forwarder = self.start_forwarder();
        self.fleet.handle_timeout(self.parts.clock.now());
        self.drain_outputs().await;
        let mut draining = false;
        let mut give_up = std::pin::pin!(tokio::time::sleep(Duration::MAX / 2));
        loop {
            let now = self.parts.clock.now();
            let wake = self.fleet.poll_timeout().map_or(Micros::from_secs(1), |(at, _)| at.since(now));
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => break,
                },
                () = tokio::time::sleep(Duration::from_micros(wake.0)) => {
                    self.fleet.handle_timeout(self.parts.clock.now());
                }
                () = shutdown.wait(), if !draining => {
                    draining = true;
                    self.fleet.drain(self.parts.clock.now());
                    // Hosts end their matches at the deadline; the rest is for their goodbyes.
                    let patience = Duration::from_micros(self.config.drain.0) + Duration::from_secs(3);
                    give_up.as_mut().reset(tokio::time::Instant::now() + patience);
                }
                () = shutdown.wait_stop() => break,
                () = &mut give_up, if draining => break,
            }
            self.drain_outputs().await;
            self.metrics.update(&self.fleet);
            if draining && self.fleet.is_empty() {
                break;
            }
        }
        let left: Vec<HostId> = self.fleet.hosts().map(|host| host.id).collect();
        for host in left {
            tracing::warn!(%host, "host did not end in time and is stopped");
            self.hosts.kill(host);
        }
        self.finish_forwarding(forwarder).await;
    }

    async fn handle(&mut self, event: Event) {
        let now = self.parts.clock.now();
        match event {
            Event::Allocate { match_id, request, reply } => {
                self.waiting.entry(match_id).or_default().push(reply);
                self.fleet.handle_allocate(now, match_id, request);
            }
            Event::Report { report, reply } => {
                let answer = self.fleet.handle_report(now, &report);
                let stored = self.drain_outputs().await;
                let answer = if stored { Ok(self.report_reply(answer)) } else { Err(Code::Internal) };
                // The host is gone if nobody waits for the answer.
                let _ = reply.send(answer);
            }
            Event::Match { match_id, reply } => {
                let _ = reply.send(self.fleet.match_record(match_id).map(|record| self.info(record)));
            }
            Event::Matches { limit, reply } => {
                let _ = reply.send(self.matches(limit));
            }
            Event::Overview { reply } => {
                let _ = reply.send(overview(now, &self.fleet));
            }
            Event::HostReady { host, ready } => {
                tracing::info!(%host, url = ready.internal_url, "host ready");
                let endpoints = ready.endpoints.iter().map(Into::into).collect();
                self.fleet.handle_host_ready(now, host, ready.internal_url, endpoints);
            }
            Event::HostExited { host } => {
                self.hosts.forget(host);
                self.fleet.handle_host_exited(now, host);
            }
            Event::RoomCreated { match_id, host } => self.fleet.handle_room_created(match_id, host),
            Event::RoomRefused { match_id, host } => self.fleet.handle_room_refused(now, match_id, host),
            Event::Renew { certificate } => {
                self.hosts.tell(HostNews::Renew((&certificate).into()));
                self.parts.certificate = certificate;
            }
        }
    }

    /// Does what the core asks for. False when something could not be written down.
    async fn drain_outputs(&mut self) -> bool {
        let mut stored = true;
        while let Some(output) = self.fleet.poll_output() {
            let result = match output {
                Output::StartHost { host, lease } => {
                    self.hosts.start(host, self.host_start(host, lease));
                    Ok(())
                }
                Output::DrainHost { host } => {
                    self.drain_host(host);
                    Ok(())
                }
                Output::KillHost { host } => {
                    tracing::warn!(%host, "host is silent and is stopped");
                    self.hosts.kill(host);
                    Ok(())
                }
                Output::CreateRoom { host, request } => {
                    self.create_room(host, request);
                    Ok(())
                }
                Output::Allocated { match_id, outcome } => {
                    self.answer(match_id, outcome);
                    Ok(())
                }
                Output::HostChanged { host } => self.store_host(host).await,
                Output::MatchChanged { match_id } => self.store_match(match_id).await,
                Output::Result(result) => {
                    let recorded = self.parts.store.record_result(&result, self.parts.clock.now()).await;
                    self.new_result.notify_one();
                    recorded.map(drop)
                }
            };
            if let Err(error) = result {
                tracing::error!(%error, "the fleet could not be written down");
                stored = false;
            }
        }
        stored
    }

    fn host_start(&self, host: HostId, lease: LeaseId) -> HostStart {
        let now = self.parts.clock.now();
        let token = |scope| {
            let token = ServiceToken { from: host.to_string(), scope, expires: now + HOST_TOKEN_LIFE };
            self.parts.keyring.mint_service(now, &token)
        };
        HostStart {
            host_id: host,
            lease_id: lease,
            app: self.config.app.clone(),
            region: self.config.region.clone(),
            fleet_url: self.config.fleet_url.clone(),
            live_url: self.config.live_url.clone(),
            otlp_url: self.config.otlp_url.clone(),
            public_host: self.config.public_host.clone(),
            listen: self.config.host_listen,
            data_dir: self.config.data_dir.clone(),
            journals: self.config.journals,
            rooms_max: u32::try_from(self.config.fleet.rooms_per_host).unwrap_or(u32::MAX),
            jwks: self.parts.keyring.jwks(),
            tokens: HostTokens { fleet_report: token(Scope::FleetReport), live_publish: token(Scope::LivePublish) },
            tls: (&self.parts.certificate).into(),
        }
    }

    fn drain_host(&self, host: HostId) {
        let Some(client) = self.host_client(host) else { return };
        let request = Drain { deadline_ms: u32::try_from(self.config.drain.as_millis()).unwrap_or(u32::MAX) };
        tokio::spawn(async move {
            // A host that is not reached hears it in the answer to its next report.
            if let Err(error) = client.call::<_, CreateRoomReply>("/internal/v1/drain", &request).await {
                tracing::debug!(%host, %error, "host did not hear the drain");
            }
        });
    }

    fn create_room(&self, host: HostId, request: CreateRoom) {
        let Ok(match_id) = request.match_id.parse::<MatchId>() else { return };
        let (client, events) = (self.host_client(host), self.events.clone());
        tokio::spawn(async move {
            let outcome = match client {
                Some(client) => client.call::<_, CreateRoomReply>("/internal/v1/rooms", &request).await,
                None => Err(ServiceFailure::Unreachable("the host has no address".to_owned())),
            };
            let event = match outcome {
                Ok(_) => Event::RoomCreated { match_id, host },
                Err(error) => {
                    tracing::warn!(%match_id, %host, %error, "host refused a room");
                    Event::RoomRefused { match_id, host }
                }
            };
            // The role has stopped when nobody listens.
            let _ = events.send(event).await;
        });
    }

    /// A client of a host's internal routes.
    fn host_client(&self, host: HostId) -> Option<ServiceClient> {
        let url = &self.fleet.host(host)?.internal_url;
        let scope = |path: &str| if path.ends_with("/drain") { Scope::HostDrain } else { Scope::HostRooms };
        ServiceClient::new(url, self.call_tokens(scope)).ok()
    }

    /// Mints a fresh token for each call, of the scope that its path needs.
    fn call_tokens<F>(&self, scope: F) -> impl Fn(&str) -> String + Send + Sync + use<F>
    where
        F: Fn(&str) -> Scope + Send + Sync,
    {
        let (keyring, clock) = (self.parts.keyring.clone(), self.parts.clock);
        move |path| {
            let now = clock.now();
            let token = ServiceToken { from: "fleet".to_owned(), scope: scope(path), expires: now + CALL_TOKEN_LIFE };
            keyring.mint_service(now, &token)
        }
    }

    fn answer(&mut self, match_id: MatchId, outcome: Result<HostId, Code>) {
        let reply = outcome.map(|host| AllocateReply {
            match_id: match_id.to_string(),
            host_id: host.to_string(),
            endpoints: self.fleet.host(host).map(|host| self.ways(match_id, &host.endpoints)).unwrap_or_default(),
        });
        for waiting in self.waiting.remove(&match_id).unwrap_or_default() {
            let _ = waiting.send(reply.clone());
        }
    }

    fn report_reply(&self, answer: ReportAnswer) -> HostReportReply {
        let deadline = if answer.drain { self.config.drain.as_millis() } else { 0 };
        HostReportReply {
            lease_valid: answer.lease_valid,
            drain: answer.drain,
            drain_deadline_ms: u32::try_from(deadline).unwrap_or(u32::MAX),
        }
    }

    /// Running matches, newest first, then recent ones.
    fn matches(&self, limit: usize) -> Vec<MatchInfo> {
        let over = |state| matches!(state, AllocationState::Ended | AllocationState::Lost);
        let running = self.fleet.matches().rev().filter(|record| !over(record.state));
        let recent = self.fleet.matches().rev().filter(|record| over(record.state));
        running.chain(recent).take(limit).map(|record| self.info(record)).collect()
    }

    /// What is told of a match.
    fn info(&self, record: &MatchRecord) -> MatchInfo {
        let info = record.info();
        MatchInfo { endpoints: self.ways(record.id, &info.endpoints), ..info }
    }

    /// The ways to a match: those to its host, then the relay.
    fn ways(&self, match_id: MatchId, direct: &[Endpoint]) -> Vec<Endpoint> {
        let relay = self.config.relay_url.iter().filter(|_| !direct.is_empty()).map(|url| Endpoint {
            transport: "ws".to_owned(),
            url: format!("{url}?match={match_id}"),
            cert_sha256: Vec::new(),
            region: self.config.region.clone(),
        });
        direct.iter().cloned().chain(relay).collect()
    }

    async fn store_host(&self, id: HostId) -> Result<(), StoreError> {
        match self.fleet.host(id) {
            Some(host) => {
                self.parts.store.put_host(&persist::stored_host(host, &self.config.app, &self.config.region)).await
            }
            None => self.parts.store.remove_host(id).await,
        }
    }

    async fn store_match(&self, id: MatchId) -> Result<(), StoreError> {
        match self.fleet.match_record(id) {
            Some(record) => self.parts.store.put_match(&record.info(), self.parts.clock.now()).await,
            None => Ok(()),
        }
    }

    fn start_forwarder(&self) -> Option<JoinHandle<()>> {
        let tokens = self.call_tokens(|_| Scope::MatchResults);
        let client = ServiceClient::new(&self.config.match_url, tokens).ok()?;
        let (store, clock) = (self.parts.store.clone(), self.parts.clock);
        Some(tokio::spawn(forward::run(store, client, clock, self.new_result.clone(), self.parts.shutdown.clone())))
    }

    /// Lets the results of a drain reach the match role before the process ends.
    async fn finish_forwarding(&self, forwarder: Option<JoinHandle<()>>) {
        let Some(forwarder) = forwarder else { return };
        let tokens = self.call_tokens(|_| Scope::MatchResults);
        if let Ok(client) = ServiceClient::new(&self.config.match_url, tokens) {
            forward::once(&self.parts.store, &client, &self.parts.clock).await;
        }
        forwarder.abort();
    }
}

/// Asks the role for its numbers.
#[derive(Clone, Debug)]
pub struct FleetWatcher {
    events: mpsc::Sender<Event>,
}

impl FleetWatcher {
    /// Hosts and rooms; empty once the role has stopped.
    pub async fn overview(&self) -> FleetOverview {
        http::ask(&self.events, |reply| Event::Overview { reply }).await.unwrap_or_default()
    }
}
