//! A listener with a small node behind it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use amphi_shared_auth::{Keyring, Role, Scope, ServiceToken, UserToken};
use amphi_shared_edge::certificate::Certificate;
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Routes;
use amphi_shared_edge::session::{Incoming, PipeEvent, PipeEventKind, PipeHandle, PipeId};
use amphi_shared_edge::{Counters, ListenConfig, Listener, Listening, Origins, Refused, Sessions, TlsFiles};
use amphi_shared_wire::{AppId, Code, Lane, Micros, TokenId, UserId};
use bytes::Bytes;
use tokio::sync::mpsc;

/// Long enough for any answer on a busy machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) listening: Listening,
    pub(crate) keyring: Keyring,
    pub(crate) clock: Clock,
    pub(crate) certificate: Certificate,
    mailbox: mpsc::Sender<PipeEvent>,
    events: mpsc::Receiver<PipeEvent>,
    waiting: VecDeque<PipeEvent>,
    pipes: u32,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Routes::new(), Origins::Any)
    }

    pub(crate) fn with(routes: Routes, origins: Origins) -> Self {
        Self::with_tls(routes, origins, None)
    }

    pub(crate) fn with_tls(routes: Routes, origins: Origins, tls: Option<TlsFiles>) -> Self {
        let (clock, keyring) = (Clock::start(), Keyring::generate());
        let certificate = Certificate::generate(clock.now()).unwrap();
        let config = ListenConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            routes,
            verifier: keyring.verifier(),
            clock,
            tls,
            sessions: Some(Sessions { certificate: certificate.clone(), origins }),
        };
        let listening = Listener::bind(config).unwrap();
        let (mailbox, events) = mpsc::channel(4_096);
        Self { listening, keyring, clock, certificate, mailbox, events, waiting: VecDeque::new(), pipes: 0 }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listening.local_addr
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.listening.counters
    }

    /// Accepts the next connection.
    pub(crate) async fn accept(&mut self) -> (PipeId, PipeHandle) {
        let incoming = patient(self.listening.incoming.recv()).await.unwrap();
        self.take(incoming)
    }

    /// Accepts this connection.
    pub(crate) fn take(&mut self, incoming: Incoming) -> (PipeId, PipeHandle) {
        self.pipes += 1;
        let pipe = PipeId(self.pipes);
        (pipe, incoming.accept(pipe, self.mailbox.clone()))
    }

    /// Accepts the next connection, whose clock probes are not for its owner.
    pub(crate) async fn accept_resting(&mut self) -> (PipeId, PipeHandle) {
        let incoming = patient(self.listening.incoming.recv()).await.unwrap();
        self.pipes += 1;
        let pipe = PipeId(self.pipes);
        (pipe, incoming.accept_resting(pipe, self.mailbox.clone()))
    }

    /// The next event of `pipe`; those of others wait.
    pub(crate) async fn event(&mut self, pipe: PipeId) -> PipeEventKind {
        if let Some(i) = self.waiting.iter().position(|event| event.pipe == pipe) {
            return self.waiting.remove(i).unwrap().kind;
        }
        loop {
            let event = patient(self.events.recv()).await.unwrap();
            if event.pipe == pipe {
                return event.kind;
            }
            self.waiting.push_back(event);
        }
    }

    /// The next frame of `pipe`.
    pub(crate) async fn frame(&mut self, pipe: PipeId) -> (Lane, Bytes) {
        match self.event(pipe).await {
            PipeEventKind::Frame { lane, payload } => (lane, payload),
            other @ (PipeEventKind::Datagram(_) | PipeEventKind::Confirmed | PipeEventKind::Closed(_)) => {
                panic!("expected a frame: {other:?}")
            }
        }
    }

    /// What `pipe` was closed with; what came before is dropped.
    pub(crate) async fn closed(&mut self, pipe: PipeId) -> Option<Code> {
        loop {
            if let PipeEventKind::Closed(code) = self.event(pipe).await {
                return code;
            }
        }
    }

    /// Waits until something was refused.
    pub(crate) async fn refused(&self, kind: Refused) {
        patient(async {
            while self.counters().refused(kind) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) fn user_token(&self, role: Role) -> String {
        self.user_token_of(&self.keyring, role)
    }

    pub(crate) fn user_token_of(&self, keyring: &Keyring, role: Role) -> String {
        let token = UserToken {
            id: TokenId::from_bits(1),
            user: UserId::from_bits(7),
            app: AppId::default(),
            name: "Ada".into(),
            role,
            subscribe: Vec::new(),
            grants: Default::default(),
            issued: self.clock.now(),
            expires: self.in_a_minute(),
        };
        keyring.mint_user(self.clock.now(), &token)
    }

    pub(crate) fn service_token(&self, scope: Scope) -> String {
        let token = ServiceToken { from: "test".into(), scope, expires: self.in_a_minute() };
        self.keyring.mint_service(self.clock.now(), &token)
    }

    fn in_a_minute(&self) -> Micros {
        self.clock.now() + Micros::from_secs(60)
    }
}

/// Fails instead of waiting for ever.
pub(crate) async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for too long")
}
