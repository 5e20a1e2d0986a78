//! The live role as it runs in `amphi`, with a service that publishes to it over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amphi_shared_auth::{Keyring, Role, Scope, ServiceToken, UserToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::service::ServiceClient;
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_edge::{ListenConfig, Listener, Listening, Origins, Sessions};
use amphi_shared_store::{LiveStore, Location};
use amphi_shared_wire::proto::{Payload, PublishBatch, PublishBatchReply, ServicePublication, payload::Kind};
use amphi_shared_wire::{AppId, Micros, TokenId, UserId};
use amphi_streaming_node::{LiveConfig, LiveRole};
use anyhow::ensure;

use super::{PAYLOAD_BYTES, RATE_HZ, Work};
use crate::harness::Stage;

/// The topic that everyone watches.
pub(super) const TOPIC: &str = "match:mch_1:view:0";
const HOUR: Micros = Micros::from_secs(3_600);

pub(super) fn serve(work: Work, stage: Stage) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(work, stage))
}

async fn run(work: Work, mut stage: Stage) -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let (keyring, clock, shutdown) = (Keyring::generate(), Clock::start(), Shutdown::new());
    let store = LiveStore::open(&Location::Folder(data.path().to_owned())).await?;
    let live = LiveRole::start(LiveConfig::default(), store, (keyring.clone(), clock), shutdown.clone()).await?;
    let live = Arc::new(live);
    let mut listening = Listener::bind(ListenConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        routes: live.routes(),
        verifier: keyring.verifier(),
        clock,
        tls: None,
        sessions: Some(Sessions {
            certificate: Certificate::load_or_create(data.path(), clock.now())?,
            origins: Origins::Any,
        }),
    })?;
    let service = service(&keyring, clock, &listening)?;
    stage.ready(format!("{} {}", listening.local_addr, viewer_token(&keyring, clock)));
    let mut publishing = tokio::spawn(publish_all(service, work, (Arc::clone(&live), clock)));
    let mut published = None;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while published.is_none() || live.overview().viewers > 0 {
        tokio::select! {
            Some(incoming) = listening.incoming.recv() => live.accept(incoming),
            done = &mut publishing, if published.is_none() => published = Some(done??),
            // The load has failed, or is done before the last viewer was seen to go.
            () = stage.stopped() => break,
            _ = look.tick() => {}
        }
    }
    shutdown.trigger();
    ensure!(live.finished().await, "the shard broke");
    Ok(())
}

/// Waits until everyone watches, then publishes at a steady rate, as a match host does.
async fn publish_all(service: ServiceClient, work: Work, (live, clock): (Arc<LiveRole>, Clock)) -> anyhow::Result<()> {
    while live.overview().viewers < work.viewers as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let start = clock.now();
    for n in 0..work.frames {
        tokio::time::sleep(clock.until(start + Micros(n as u64 * 1_000_000 / u64::from(RATE_HZ)))).await;
        let publication = ServicePublication {
            topic: TOPIC.to_owned(),
            flags: u32::from(n % 120 == 0),
            payload: Some(Payload { kind: Some(Kind::Binary(vec![0xa5; PAYLOAD_BYTES].into())) }),
            app: String::new(),
            key: String::new(),
        };
        let batch = PublishBatch { publications: vec![publication] };
        let _: PublishBatchReply = service.call("/internal/v1/topics/publish", &batch).await?;
    }
    Ok(())
}

fn service(keyring: &Keyring, clock: Clock, listening: &Listening) -> anyhow::Result<ServiceClient> {
    let now = clock.now();
    let token = ServiceToken { from: "bench".to_owned(), scope: Scope::LivePublish, expires: now + HOUR };
    let token = keyring.mint_service(now, &token);
    Ok(ServiceClient::new(&format!("http://{}", listening.local_addr), move |_| token.clone())?)
}

fn viewer_token(keyring: &Keyring, clock: Clock) -> String {
    let now = clock.now();
    let token = UserToken {
        id: TokenId::from_bits(1),
        user: UserId::from_bits(1),
        app: AppId::default(),
        name: "Viewer".to_owned(),
        role: Role::Guest,
        subscribe: Vec::new(),
        grants: Default::default(),
        issued: now,
        expires: now + HOUR,
    };
    keyring.mint_user(now, &token)
}
