//! A live role behind a listener, with its data in a temporary folder.

use std::net::SocketAddr;

use amphi_shared_auth::{Keyring, Role, Scope, ServiceToken, UserToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::{ServiceClient, ServiceFailure};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{ListenConfig, Listener, Origins, Sessions};
use amphi_shared_store::{LiveStore, Location};
use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload::Kind};
use amphi_shared_wire::{AppId, Micros, TokenId, UserId};
use amphi_streaming_node::{LiveConfig, LiveRole};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::client::Client;

/// A live role behind a listener.
pub(crate) struct House {
    pub(crate) live: std::sync::Arc<LiveRole>,
    pub(crate) address: SocketAddr,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    http: reqwest::Client,
    pub(crate) store: LiveStore,
    _closing: oneshot::Sender<()>,
    data: TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(LiveConfig::default()).await
    }

    pub(crate) async fn open_with(config: LiveConfig) -> Self {
        Self::open_at(config, tempfile::tempdir().unwrap()).await
    }

    /// Ends the role and starts it again with nothing but its data.
    pub(crate) async fn reopen(self) -> Self {
        self.shutdown.trigger();
        assert!(self.live.finished().await);
        self.store.close().await;
        Self::open_at(LiveConfig::default(), self.data).await
    }

    pub(crate) async fn open_at(config: LiveConfig, data: TempDir) -> Self {
        let keyring = Keyring::load_or_create(&data.path().join("keyring.json")).unwrap();
        let (clock, shutdown) = (Clock::start(), Shutdown::new());
        let store = LiveStore::open(&Location::Folder(data.path().to_owned())).await.unwrap();
        let keys = (keyring.clone(), clock);
        let live = LiveRole::start(config, store.clone(), keys, shutdown.clone()).await.unwrap();
        let certificate = Certificate::load_or_create(data.path(), clock.now()).unwrap();
        let mut listening = Listener::bind(ListenConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            routes: live.routes(),
            verifier: keyring.verifier(),
            clock,
            tls: None,
            sessions: Some(Sessions { certificate, origins: Origins::Any }),
        })
        .unwrap();
        let live = std::sync::Arc::new(live);
        let (closing, mut closed) = oneshot::channel();
        let (address, role) = (listening.local_addr, live.clone());
        tokio::spawn(async move {
            // The whole listener lives here, or its port would close.
            let listening = &mut listening;
            loop {
                tokio::select! {
                    Some(incoming) = listening.incoming.recv() => role.accept(incoming),
                    _ = &mut closed => return,
                }
            }
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { live, address, keyring, clock, shutdown, http, store, _closing: closing, data }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Status and JSON of a call.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.http.post(self.url(path)).body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    pub(crate) async fn guest_token(&self, name: &str) -> String {
        let (status, signed_in) = self.post("/api/v1/auth/guest", &serde_json::json!({ "name": name })).await;
        assert_eq!(status, 200, "{signed_in}");
        signed_in["token"].as_str().unwrap().to_owned()
    }

    /// A guest with a home session.
    pub(crate) async fn guest(&self, name: &str) -> Client {
        Client::connect(self.address, &self.guest_token(name).await).await
    }

    /// A token that this house would give out, but for the stated differences.
    pub(crate) fn token(&self, app: &str, expires_in: Micros) -> String {
        let now = self.clock.now();
        let token = UserToken {
            id: TokenId::from_bits(1),
            user: UserId::from_bits(7),
            app: app.parse::<AppId>().unwrap(),
            name: "Ada".to_owned(),
            role: Role::Guest,
            subscribe: Vec::new(),
            grants: Default::default(),
            issued: now,
            expires: now + expires_in,
        };
        self.keyring.mint_user(now, &token)
    }

    pub(crate) fn service(&self, scope: Scope) -> ServiceClient {
        let now = self.clock.now();
        let token = ServiceToken { from: "test".to_owned(), scope, expires: now + Micros::from_secs(600) };
        let token = self.keyring.mint_service(now, &token);
        ServiceClient::new(&self.url(""), move |_| token.clone()).unwrap()
    }

    /// Publishes view frames as a match host does: `(flags, bytes)` each.
    pub(crate) async fn publish_view(
        &self,
        topic: &str,
        frames: impl IntoIterator<Item = (u32, Vec<u8>)>,
    ) -> Result<Vec<u64>, ServiceFailure> {
        let publication = |(flags, bytes): (u32, Vec<u8>)| ServicePublication {
            topic: topic.to_owned(),
            flags,
            payload: Some(Payload { kind: Some(Kind::Binary(bytes.into())) }),
            app: String::new(),
            key: String::new(),
        };
        let batch = PublishBatch { publications: frames.into_iter().map(publication).collect() };
        let live = self.service(Scope::LivePublish);
        let reply: PublishBatchReply = live.call("/internal/v1/topics/publish", &batch).await?;
        Ok(reply.offsets)
    }
}
