//! A match role behind a listener, with its data in a temporary folder and a double of the fleet beside it.

use amphi_matchmaker_node::{Bots, MatchParts, MatchRole, MatchRoleConfig, Mode};
use amphi_shared_auth::{ConnectToken, Keyring, Role, Scope, ServiceToken, UserToken};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{ListenConfig, Listener, Listening};
use amphi_shared_store::{Location, MatchStore};
use amphi_shared_wire::proto::{MatchResult, ResultsReply};
use amphi_shared_wire::{AppId, Micros, TokenId, UserId};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet_double::FleetDouble;

pub(crate) struct House {
    pub(crate) fleet: FleetDouble,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) role: MatchRole,
    pub(crate) shutdown: Shutdown,
    listening: Listening,
    http: reqwest::Client,
    data: TempDir,
    config: MatchRoleConfig,
}

/// A person with a user token.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
}

pub(crate) fn config() -> MatchRoleConfig {
    let mode = |name: &str, team_size, bots| Mode { name: name.to_owned(), teams: 2, team_size, duration_s: 180, bots };
    MatchRoleConfig {
        game: "duel".to_owned(),
        modes: vec![mode("1v1", 1, Bots::Never), mode("2v2", 2, Bots::After(Micros(0)))],
        ..MatchRoleConfig::default()
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(config()).await
    }

    pub(crate) async fn open_with(mut config: MatchRoleConfig) -> Self {
        let (keyring, clock) = (Keyring::generate(), Clock::start());
        let fleet = FleetDouble::start(&keyring, clock);
        config.fleet_url = fleet.url();
        let data = tempfile::tempdir().unwrap();
        let (role, listening, shutdown) = start(&config, &keyring, clock, &data).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { fleet, keyring, clock, role, shutdown, listening, http, data, config }
    }

    /// Ends the role as a crash would, as far as its data are concerned, and starts it again.
    pub(crate) async fn restart(mut self) -> Self {
        self.shutdown.stop();
        self.role.finished().await;
        (self.role, self.listening, self.shutdown) = start(&self.config, &self.keyring, self.clock, &self.data).await;
        self
    }

    pub(crate) fn person(&self, id: u128, name: &str) -> Person {
        self.person_of("default", id, name)
    }

    pub(crate) fn person_of(&self, app: &str, id: u128, name: &str) -> Person {
        let now = self.clock.now();
        let token = UserToken {
            id: TokenId::from_bits(1),
            user: UserId::from_bits(id),
            app: app.parse::<AppId>().unwrap(),
            name: name.to_owned(),
            role: Role::Guest,
            subscribe: Vec::new(),
            grants: Default::default(),
            issued: now,
            expires: now + Micros::from_secs(600),
        };
        Person { id: UserId::from_bits(id).to_string(), token: self.keyring.mint_user(now, &token) }
    }

    pub(crate) async fn post(&self, person: &Person, path: &str, body: &Value) -> (u16, Value) {
        self.post_raw(person, path, body.to_string()).await
    }

    pub(crate) async fn post_raw(&self, person: &Person, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        read(self.http.post(self.url(path)).bearer_auth(&person.token).body(body)).await
    }

    pub(crate) async fn get(&self, person: &Person, path: &str) -> (u16, Value) {
        read(self.http.get(self.url(path)).bearer_auth(&person.token)).await
    }

    pub(crate) async fn delete(&self, person: &Person, path: &str) -> (u16, Value) {
        read(self.http.delete(self.url(path)).bearer_auth(&person.token)).await
    }

    /// Queues and returns the path of the ticket.
    pub(crate) async fn queue(&self, person: &Person, mode: &str) -> String {
        let (status, ticket) = self.post(person, "/api/v1/matchmaking/queue", &json!({ "mode": mode })).await;
        assert_eq!(status, 201, "{ticket}");
        format!("/api/v1/matchmaking/queue/{}", ticket["ticket"].as_str().unwrap())
    }

    /// Asks for the ticket until it has ended.
    pub(crate) async fn ended(&self, person: &Person, ticket: &str) -> Value {
        loop {
            let (status, body) = self.get(person, &format!("{ticket}?wait_ms=10000")).await;
            assert_eq!(status, 200, "{body}");
            assert!(!body["explain"].as_array().unwrap().is_empty(), "{body}");
            if !matches!(body["state"].as_str(), Some("queued" | "claimed")) {
                return body;
            }
        }
    }

    /// Queues alone and returns the way into the match.
    pub(crate) async fn matched(&self, person: &Person) -> Value {
        let ticket = self.queue(person, "2v2").await;
        let ended = self.ended(person, &ticket).await;
        assert_eq!(ended["state"], "matched", "{ended}");
        ended["match"].clone()
    }

    pub(crate) fn connect_token(&self, grant: &Value) -> ConnectToken {
        self.keyring.verifier().connect(self.clock.now(), grant["token"].as_str().unwrap()).unwrap()
    }

    pub(crate) async fn result(&self, result: &MatchResult) -> Result<ResultsReply, ServiceFailure> {
        let now = self.clock.now();
        let expires = now + Micros::from_secs(60);
        let token = ServiceToken { from: "test".to_owned(), scope: Scope::MatchResults, expires };
        let token = self.keyring.mint_service(now, &token);
        ServiceClient::new(&self.url(""), move |_| token.clone()).unwrap().call("/internal/v1/results", result).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listening.local_addr)
    }
}

async fn start(
    config: &MatchRoleConfig,
    keyring: &Keyring,
    clock: Clock,
    data: &TempDir,
) -> (MatchRole, Listening, Shutdown) {
    let store = MatchStore::open(&Location::Folder(data.path().to_owned())).await.unwrap();
    let shutdown = Shutdown::new();
    let parts = MatchParts { store, keyring: keyring.clone(), clock, shutdown: shutdown.clone() };
    let role = MatchRole::start(config.clone(), parts).await.unwrap();
    let config = ListenConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        routes: role.routes(),
        verifier: keyring.verifier(),
        clock,
        tls: None,
        sessions: None,
    };
    let listening = Listener::bind(config).unwrap();
    (role, listening, shutdown)
}

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}
