//! The fleet role over real HTTP and real child processes. The children are shell scripts that say what a match host
//! says; the rooms behind them, and the match role, are listeners of this test.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use amphi_fleet_core::FleetConfig;
use amphi_fleet_node::{FleetParts, FleetRole, FleetRoleConfig, HostCommand};
use amphi_shared_auth::{Keyring, Scope, ServiceToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::host::{HostNews, HostStart, JournalLimits};
use amphi_shared_edge::http::{Access, Request, Response, Routes};
use amphi_shared_edge::service::ServiceClient;
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{ListenConfig, Listener, Listening};
use amphi_shared_store::{FleetStore, Location};
use amphi_shared_wire::proto::{
    AllocateReply, AllocateRequest, CreateRoom, CreateRoomReply, Drain, Endpoint, HostReport, HostReportReply,
    MatchInfo, MatchQuery, MatchResult, ResultsReply, RoomReport,
};
use amphi_shared_wire::{AppId, MatchId, Micros, Seed};
use serde_json::Value;
use tokio::sync::mpsc;

/// A fleet with its neighbours played by listeners of the test.
struct World {
    folder: tempfile::TempDir,
    clock: Clock,
    keyring: Keyring,
    shutdown: Shutdown,
    role: FleetRole,
    fleet: Listening,
    _neighbour: Listening,
    rooms: mpsc::Receiver<String>,
    drains: mpsc::Receiver<u32>,
    results: mpsc::Receiver<MatchResult>,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, keyring, shutdown) = (Clock::start(), Keyring::generate(), Shutdown::new());
        let (rooms_out, rooms) = mpsc::channel(16);
        let (drains_out, drains) = mpsc::channel(16);
        let (results_out, results) = mpsc::channel(16);
        let routes = Routes::new()
            .post("/internal/v1/rooms", Access::Service(Scope::HostRooms), move |request: Request| {
                let rooms = rooms_out.clone();
                async move {
                    rooms.send(request.proto::<CreateRoom>()?.match_id).await.unwrap();
                    Ok(Response::proto(&CreateRoomReply { tick0_us: 1, tick_hz: 60 }))
                }
            })
            .post("/internal/v1/drain", Access::Service(Scope::HostDrain), move |request: Request| {
                let drains = drains_out.clone();
                async move {
                    drains.send(request.proto::<Drain>()?.deadline_ms).await.unwrap();
                    Ok(Response::proto(&CreateRoomReply::default()))
                }
            })
            .post("/internal/v1/results", Access::Service(Scope::MatchResults), move |request: Request| {
                let results = results_out.clone();
                async move {
                    results.send(request.proto()?).await.unwrap();
                    Ok(Response::proto(&ResultsReply { counted: true }))
                }
            });
        let neighbour = listen(routes, &keyring, clock);
        let url = format!("http://{}", neighbour.local_addr);
        let config = FleetRoleConfig {
            fleet: FleetConfig { warm_rooms: 1, ..FleetConfig::default() },
            app: AppId::default(),
            region: "test".to_owned(),
            command: host_script(folder.path(), &url),
            host_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_host: "127.0.0.1".to_owned(),
            data_dir: folder.path().to_owned(),
            journals: JournalLimits::default(),
            fleet_url: url.clone(),
            match_url: url.clone(),
            live_url: url,
            relay_url: Some("ws://live.example/session".to_owned()),
            otlp_url: None,
            drain: Micros::from_secs(5),
        };
        let parts = FleetParts {
            store: FleetStore::open(&Location::Folder(folder.path().to_owned())).await.unwrap(),
            keyring: keyring.clone(),
            certificate: Certificate::generate(clock.now()).unwrap(),
            clock,
            shutdown: shutdown.clone(),
        };
        let role = FleetRole::start(config, parts, Seed(1)).await.unwrap();
        let fleet = listen(role.routes(), &keyring, clock);
        Self { folder, clock, keyring, shutdown, role, fleet, _neighbour: neighbour, rooms, drains, results }
    }

    fn client(&self, scope: Scope) -> ServiceClient {
        let now = self.clock.now();
        let token = ServiceToken { from: "test".to_owned(), scope, expires: now + Micros::from_secs(60) };
        let token = self.keyring.mint_service(now, &token);
        ServiceClient::new(&format!("http://{}", self.fleet.local_addr), move |_| token.clone()).unwrap()
    }

    async fn allocate(&mut self, id: MatchId) -> AllocateReply {
        let request = AllocateRequest {
            match_id: id.to_string(),
            mode: "2v2".to_owned(),
            teams: 2,
            team_size: 2,
            ..Default::default()
        };
        let reply = self.client(Scope::FleetAllocate).call("/internal/v1/fleet/allocate", &request).await.unwrap();
        assert_eq!(self.rooms.recv().await.unwrap(), id.to_string());
        reply
    }

    /// The line that the fleet wrote to its first host.
    fn lease(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.folder.path().join("lease")).unwrap()).unwrap()
    }
}

fn listen(routes: Routes, keyring: &Keyring, clock: Clock) -> Listening {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Listener::bind(ListenConfig { listen, routes, verifier: keyring.verifier(), clock, tls: None, sessions: None })
        .unwrap()
}

/// A child that keeps its lease and its process id in files, says that it is ready, passes on later lines through the
/// pipe `news`, and ends with its parent.
fn host_script(folder: &Path, url: &str) -> HostCommand {
    let folder = folder.display();
    let ready =
        format!(r#"{{"ready":{{"endpoints":[{{"transport":"ws","url":"ws://x/session"}}],"internal_url":"{url}"}}}}"#);
    let script = format!(
        "read -r line; printf '%s' \"$line\" > {folder}/lease; echo $$ > {folder}/pid; echo '{ready}'
        while read -r line; do printf '%s' \"$line\" > {folder}/news; done"
    );
    HostCommand { program: "sh".into(), args: vec!["-c".to_owned(), script] }
}

fn id(n: u128) -> MatchId {
    MatchId::from_bits(n)
}

#[tokio::test]
async fn a_match_runs_on_a_child_and_its_result_is_told_once() {
    let mut world = World::start().await;
    let reply = world.allocate(id(7)).await;
    let relay = format!("ws://live.example/session?match={}", id(7));
    let urls = |endpoints: &[Endpoint]| endpoints.iter().map(|e| e.url.clone()).collect::<Vec<_>>();
    assert_eq!(urls(&reply.endpoints), ["ws://x/session", &relay]);
    let lease = world.lease();
    assert_eq!(lease["host_id"], reply.host_id.as_str());

    let query = MatchQuery { match_id: id(7).to_string() };
    let info: MatchInfo = world.client(Scope::FleetRead).call("/internal/v1/fleet/match", &query).await.unwrap();
    assert_eq!((info.state.as_str(), info.mode.as_str()), ("running", "2v2"));
    assert_eq!(urls(&info.endpoints), ["ws://x/session", &relay]);

    let result =
        MatchResult { match_id: id(7).to_string(), version: 1, outcome: "finished".to_owned(), ..Default::default() };
    let room = RoomReport {
        match_id: id(7).to_string(),
        state: "ended".to_owned(),
        result: Some(result),
        ..Default::default()
    };
    let report = HostReport {
        host_id: reply.host_id.clone(),
        lease_id: lease["lease_id"].as_str().unwrap().to_owned(),
        sequence: 1,
        rooms: vec![room],
        ..Default::default()
    };
    let answer: HostReportReply =
        world.client(Scope::FleetReport).call("/internal/v1/fleet/report", &report).await.unwrap();
    assert!(answer.lease_valid && !answer.drain);
    assert_eq!(world.results.recv().await.unwrap().outcome, "finished");

    let again = HostReport { sequence: 2, ..report.clone() };
    world.client(Scope::FleetReport).call::<_, HostReportReply>("/internal/v1/fleet/report", &again).await.unwrap();
    let other = HostReport { lease_id: amphi_shared_wire::LeaseId::from_bits(1).to_string(), sequence: 3, ..report };
    let answer: HostReportReply =
        world.client(Scope::FleetReport).call("/internal/v1/fleet/report", &other).await.unwrap();
    assert!(!answer.lease_valid);
    assert!(world.results.try_recv().is_err());
}

#[tokio::test]
async fn a_killed_child_is_noticed_and_replaced() {
    let mut world = World::start().await;
    let first = world.allocate(id(1)).await;
    let pid = fs::read_to_string(world.folder.path().join("pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    let lost = world.results.recv().await.unwrap();
    assert_eq!((lost.match_id, lost.outcome.as_str()), (id(1).to_string(), "lost"));
    let second = world.allocate(id(2)).await;
    assert_ne!(first.host_id, second.host_id);
}

#[tokio::test]
async fn a_drain_reaches_the_hosts_and_ends_the_role() {
    let mut world = World::start().await;
    world.allocate(id(1)).await;
    world.shutdown.trigger();
    assert_eq!(world.drains.recv().await.unwrap(), 5_000);
    let pid = fs::read_to_string(world.folder.path().join("pid")).unwrap();
    assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    world.role.wait().await;
    assert_eq!(world.results.recv().await.unwrap().outcome, "lost");
}

#[tokio::test]
async fn a_renewed_certificate_reaches_running_hosts_and_those_to_come() {
    let mut world = World::start().await;
    let news = world.folder.path().join("news");
    assert!(Command::new("mkfifo").arg(&news).status().unwrap().success());
    world.allocate(id(1)).await;
    let next = Certificate::generate(world.clock.now()).unwrap();
    world.role.renew(next.clone()).await;
    // Opening the pipe waits for the child.
    let line = tokio::task::spawn_blocking(move || fs::read_to_string(news)).await.unwrap().unwrap();
    let HostNews::Renew(tls) = serde_json::from_str(&line).unwrap();
    assert_eq!(Certificate::from(tls).sha256(), next.sha256());

    let pid = fs::read_to_string(world.folder.path().join("pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    world.results.recv().await.unwrap();
    world.allocate(id(2)).await;
    let start: HostStart = serde_json::from_value(world.lease()).unwrap();
    assert_eq!(Certificate::from(start.tls).sha256(), next.sha256());
}

#[tokio::test]
async fn a_program_that_cannot_start_ends_in_no_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, keyring) = (Clock::start(), Keyring::generate());
    let config = FleetRoleConfig {
        fleet: FleetConfig { allocate_timeout: Micros::from_millis(300), ..FleetConfig::default() },
        app: AppId::default(),
        region: String::new(),
        command: HostCommand { program: folder.path().join("nothing"), args: Vec::new() },
        host_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_host: "127.0.0.1".to_owned(),
        data_dir: folder.path().to_owned(),
        journals: JournalLimits::default(),
        fleet_url: "http://127.0.0.1:9".to_owned(),
        match_url: "http://127.0.0.1:9".to_owned(),
        live_url: "http://127.0.0.1:9".to_owned(),
        relay_url: None,
        otlp_url: None,
        drain: Micros::from_secs(1),
    };
    let parts = FleetParts {
        store: FleetStore::open(&Location::Folder(folder.path().to_owned())).await.unwrap(),
        keyring: keyring.clone(),
        certificate: Certificate::generate(clock.now()).unwrap(),
        clock,
        shutdown: Shutdown::new(),
    };
    let role = FleetRole::start(config, parts, Seed(1)).await.unwrap();
    let fleet = listen(role.routes(), &keyring, clock);
    let now = clock.now();
    let token =
        ServiceToken { from: "test".to_owned(), scope: Scope::FleetAllocate, expires: now + Micros::from_secs(60) };
    let token = keyring.mint_service(now, &token);
    let client = ServiceClient::new(&format!("http://{}", fleet.local_addr), move |_| token.clone()).unwrap();
    let request = AllocateRequest { match_id: id(1).to_string(), ..Default::default() };
    let refused = client.call::<_, AllocateReply>("/internal/v1/fleet/allocate", &request).await.unwrap_err();
    assert_eq!(refused.code(), amphi_shared_wire::Code::NoCapacity);
}
