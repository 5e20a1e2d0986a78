//! A node as `amphi up` runs it, in one process: the live role on one port, plain and TLS, and a match host on another.
//!
//! What takes part in a bench needs tokens and internal calls, so the load reads the keyring from the node's data.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amphi_server_arena::Arena;
use amphi_server_node::GameHost;
use amphi_shared_auth::{ConnectToken, Keyring, Role, Scope, ServiceToken, UserToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::{HostStart, HostTokens, JournalLimits};
use amphi_shared_edge::http::{Access, Request, Response, Routes};
use amphi_shared_edge::service::ServiceClient;
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{ListenConfig, Listener, Origins, Sessions};
use amphi_shared_replica::Game;
use amphi_shared_session::ConnectRequest;
use amphi_shared_store::{LiveStore, Location};
use amphi_shared_wire::proto::{
    CreateRoom, CreateRoomReply, HostReport, HostReportReply, Payload, PublishBatch, PublishBatchReply,
    ServicePublication, payload::Kind,
};
use amphi_shared_wire::{AppId, HostId, LeaseId, MatchId, Micros, Rng, Seed, TokenId, UserId};
use amphi_streaming_node::{self as live, LiveConfig, LiveRole, PresenceRules, TopicClass};
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::chain;
use crate::harness::{Scale, Server, Stage};
use crate::serve::Serve;

const HOUR: Micros = Micros::from_secs(3_600);
/// Longest wait for a node's broker.
const READY_MAX: Duration = Duration::from_secs(10);
/// What the host has reported last, for the load.
const REPORT_PATH: &str = "/bench/report";
const KEYS_FILE: &str = "keys.json";
/// The mode of every match.
pub(crate) const MODE: &str = "8v8";

/// What a node runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Work {
    /// Whether there is a match host beside the live role.
    pub(crate) host: bool,
    /// Address of the Redis that it shares with other nodes.
    pub(crate) redis: Option<String>,
}

/// What a node says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    live: SocketAddr,
    host: Option<SocketAddr>,
    data: PathBuf,
}

/// The sample game, as host and clients build it.
pub(crate) fn game() -> Game {
    Game::new("arena", Arena)
}

/// Serves until the stage ends.
pub(crate) fn serve(work: Work, stage: Stage) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(work, stage))
}

async fn run(work: Work, mut stage: Stage) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (clock, shutdown) = (Clock::start(), Shutdown::new());
    let keyring = Keyring::load_or_create(&data.path().join(KEYS_FILE))?;
    let store = LiveStore::open(&Location::Folder(data.path().to_owned())).await?;
    let live = LiveRole::start(live_config(work.redis)?, store, (keyring.clone(), clock), shutdown.clone()).await?;
    let certificate = Certificate::load_or_create(data.path(), clock.now())?;
    let mut listening = Listener::bind(ListenConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        routes: live.routes().merge(fleet()),
        verifier: keyring.verifier(),
        clock,
        tls: Some(chain::write(data.path())?),
        sessions: Some(Sessions { certificate: certificate.clone(), origins: Origins::Any }),
    })?;
    let start = || host_start(&keyring, clock, (listening.local_addr, data.path(), &certificate));
    let host = work.host.then(|| GameHost::start(game(), start(), clock, shutdown.clone())).transpose()?;
    let host_addr = host.as_ref().map(|host| host.ready().internal_url.trim_start_matches("http://").parse());
    let ready = Ready { live: listening.local_addr, host: host_addr.transpose()?, data: data.path().to_owned() };
    stage.ready(serde_json::to_string(&ready)?);
    loop {
        tokio::select! {
            Some(incoming) = listening.incoming.recv() => live.accept(incoming),
            () = stage.stopped() => break,
        }
    }
    shutdown.stop();
    if let Some(mut host) = host {
        host.wait().await;
    }
    ensure!(live.finished().await, "the shard broke");
    Ok(())
}

/// The built-in classes of topics, and rooms that everyone reads and whose members everyone may see.
fn live_config(redis_url: Option<String>) -> anyhow::Result<LiveConfig> {
    let mut config = LiveConfig { redis_url, ..LiveConfig::default() };
    let presence = Some(PresenceRules { see: live::Access::People(live::Role::Guest), joins: false });
    config.hub.classes.push(TopicClass { presence, ..TopicClass::new("room:**".parse()?) });
    Ok(config)
}

/// A fleet that only listens, and tells the load what it has heard.
fn fleet() -> Routes {
    let heard = Arc::new(Mutex::new(HostReport::default()));
    let telling = Arc::clone(&heard);
    let report = move |request: Request| {
        let report = request.proto::<HostReport>();
        let heard = Arc::clone(&heard);
        async move {
            *heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = report?;
            Ok(Response::proto(&HostReportReply { lease_valid: true, drain: false, drain_deadline_ms: 0 }))
        }
    };
    let tell = move |_: Request| {
        let report = telling.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        async move { Ok(Response::proto(&report)) }
    };
    Routes::new().post("/internal/v1/fleet/report", Access::Service(Scope::FleetReport), report).post(
        REPORT_PATH,
        Access::Public,
        tell,
    )
}

fn host_start(
    keyring: &Keyring,
    clock: Clock,
    (live, data, certificate): (SocketAddr, &Path, &Certificate),
) -> HostStart {
    let url = format!("http://{live}");
    let token = |scope| service_token(keyring, clock, scope);
    HostStart {
        host_id: HostId::from_bits(1),
        lease_id: LeaseId::from_bits(2),
        app: AppId::default(),
        region: String::new(),
        fleet_url: url.clone(),
        live_url: url,
        otlp_url: None,
        public_host: "127.0.0.1".into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: data.to_owned(),
        rooms_max: 2,
        jwks: keyring.jwks(),
        tokens: HostTokens { fleet_report: token(Scope::FleetReport), live_publish: token(Scope::LivePublish) },
        journals: JournalLimits::default(),
        tls: certificate.into(),
    }
}

fn service_token(keyring: &Keyring, clock: Clock, scope: Scope) -> String {
    let now = clock.now();
    keyring.mint_service(now, &ServiceToken { from: "bench".to_owned(), scope, expires: now + HOUR })
}

/// A node in its own process, and what the load needs to use it.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) live: SocketAddr,
    pub(crate) host: Option<SocketAddr>,
    pub(crate) clock: Clock,
    keyring: Keyring,
    ids: Rng,
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// The server does not start.
    pub(crate) fn start(scale: Scale, work: Work) -> anyhow::Result<Self> {
        let server = Server::start(scale, Serve::Node(work))?;
        let ready: Ready = serde_json::from_str(server.ready())?;
        let keyring = Keyring::load_or_create(&ready.data.join(KEYS_FILE))?;
        let ids = Seed(1).split("node").rng();
        Ok(Self { server, live: ready.live, host: ready.host, clock: Clock::start(), keyring, ids })
    }

    /// A user token for person `number`.
    pub(crate) fn user(&self, number: usize) -> String {
        let now = self.clock.now();
        let token = UserToken {
            id: TokenId::from_bits(number as u128 + 1),
            user: UserId::from_bits(number as u128 + 1),
            app: AppId::default(),
            name: "Viewer".to_owned(),
            role: Role::Guest,
            issued: now,
            expires: now + HOUR,
            subscribe: Vec::new(),
            grants: Default::default(),
        };
        self.keyring.mint_user(now, &token)
    }

    /// Starts a match of bots.
    ///
    /// # Errors
    /// There is no host, or it refuses.
    pub(crate) async fn open_match(&mut self) -> anyhow::Result<MatchId> {
        let game = game();
        let mode = game.mode(MODE).context("the sample game has no such mode")?;
        let match_id = MatchId::generate(self.clock.now(), &mut self.ids);
        let request = CreateRoom {
            match_id: match_id.to_string(),
            mode: mode.name.into(),
            teams: mode.teams.into(),
            team_size: mode.team_size.into(),
            seed: 5,
            ..CreateRoom::default()
        };
        let host = self.host.context("there is no host")?;
        let _: CreateRoomReply = self.service(host, Scope::HostRooms)?.call("/internal/v1/rooms", &request).await?;
        Ok(match_id)
    }

    /// What person `number` says first at the host of a match.
    pub(crate) fn hello(&mut self, match_id: MatchId, number: usize) -> ConnectRequest {
        let game = game();
        ConnectRequest {
            token: self.seat(match_id, number),
            game: game.name().to_owned(),
            build: "bench".to_owned(),
            schema_hash: game.schema().hash(),
            ..ConnectRequest::default()
        }
    }

    /// A connect token of person `number` for a match.
    pub(crate) fn seat(&mut self, match_id: MatchId, number: usize) -> String {
        let now = self.clock.now();
        let token = ConnectToken {
            id: TokenId::generate(now, &mut self.ids),
            match_id,
            user: UserId::from_bits(number as u128 + 1),
            app: AppId::default(),
            name: "Player".to_owned(),
            team: None,
            trace: match_id.into(),
            expires: now + HOUR,
        };
        self.keyring.mint_connect(now, &token)
    }

    /// What the host has told its fleet last.
    ///
    /// # Errors
    /// The node does not answer.
    pub(crate) async fn report(&self) -> anyhow::Result<HostReport> {
        // The request's body says nothing.
        Ok(self.service(self.live, Scope::FleetReport)?.call(REPORT_PATH, &HostReportReply::default()).await?)
    }

    /// Calls the live role's internal routes, to publish.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub(crate) fn publisher(&self) -> anyhow::Result<ServiceClient> {
        self.service(self.live, Scope::LivePublish)
    }

    /// Waits until the node publishes: one that shares a Redis refuses before it is connected.
    ///
    /// # Errors
    /// It does not within a time.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        ready(&self.publisher()?).await
    }

    fn service(&self, addr: SocketAddr, scope: Scope) -> anyhow::Result<ServiceClient> {
        let token = service_token(&self.keyring, self.clock, scope);
        Ok(ServiceClient::new(&format!("http://{addr}"), move |_| token.clone())?)
    }
}

/// Waits until a node publishes, see [`Node::ready`].
///
/// # Errors
/// It does not within a time.
pub(crate) async fn ready(service: &ServiceClient) -> anyhow::Result<()> {
    let start = tokio::time::Instant::now();
    loop {
        let payload = Some(Payload { kind: Some(Kind::Text("ready?".to_owned())) });
        let publication = ServicePublication { topic: "room:ready".to_owned(), payload, ..Default::default() };
        let batch = PublishBatch { publications: vec![publication] };
        let reply: anyhow::Result<PublishBatchReply, _> = service.call("/internal/v1/topics/publish", &batch).await;
        if reply.is_ok_and(|reply| !reply.offsets.contains(&0)) {
            return Ok(());
        }
        ensure!(start.elapsed() < READY_MAX, "the node does not publish");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
