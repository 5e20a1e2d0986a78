//! A host that sends datagrams back, and a relay in front of it.

use std::net::SocketAddr;

use amphi_shared_auth::Keyring;
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::dial::Dialer;
use amphi_shared_edge::endpoint::Endpoint;
use amphi_shared_edge::http::Routes;
use amphi_shared_edge::relay::{Leg, carry};
use amphi_shared_edge::session::{Incoming, PipeEventKind, PipeId};
use amphi_shared_edge::{ListenConfig, Listener, Listening, Origins, Sessions};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::harness::Stage;

/// Events of one connection that wait to be sent back.
const MAILBOX_MAX: usize = 256;

/// Where both listen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(super) direct: SocketAddr,
    pub(super) relay: SocketAddr,
}

/// Serves until the stage ends.
///
/// # Errors
/// When nothing can listen.
pub(crate) fn serve(mut stage: Stage) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let clock = Clock::start();
        let (mut host, mut front) = (listen(clock)?, listen(clock)?);
        let endpoint = Endpoint::from(&host.endpoints("127.0.0.1", "")[0]);
        let dialer = Dialer::new(clock)?;
        let ready = Ready { direct: host.local_addr, relay: front.local_addr };
        stage.ready(serde_json::to_string(&ready)?);
        loop {
            tokio::select! {
                Some(incoming) = host.incoming.recv() => drop(tokio::spawn(echo(incoming))),
                Some(incoming) = front.incoming.recv() => {
                    let (dialer, endpoint) = (dialer.clone(), endpoint.clone());
                    tokio::spawn(async move {
                        // Without a leg the player hears that, and the bench ends.
                        if let Ok(leg) = Leg::dial(&dialer, &endpoint).await {
                            carry(incoming, leg, std::future::pending()).await;
                        }
                    });
                }
                () = stage.stopped() => return Ok(()),
            }
        }
    })
}

fn listen(clock: Clock) -> anyhow::Result<Listening> {
    Ok(Listener::bind(ListenConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        routes: Routes::new(),
        verifier: Keyring::generate().verifier(),
        clock,
        sessions: Some(Sessions { certificate: Certificate::generate(clock.now())?, origins: Origins::Any }),
        tls: None,
    })?)
}

async fn echo(incoming: Incoming) {
    let (mailbox, mut events) = mpsc::channel(MAILBOX_MAX);
    let handle = incoming.accept(PipeId(1), mailbox);
    while let Some(event) = events.recv().await {
        match event.kind {
            PipeEventKind::Datagram(bytes) => handle.datagram(bytes),
            PipeEventKind::Frame { .. } | PipeEventKind::Confirmed => {}
            PipeEventKind::Closed(_) => return,
        }
    }
}
