//! The live role: one shard, its routes and its people.

use std::io;
use std::thread;
use std::time::Duration;

use amphi_shared_auth::{Keyring, OneTimeCode, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Routes;
use amphi_shared_edge::session::{Incoming, Refusal, Transport};
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_store::{LiveStore, StoreError};
use amphi_shared_wire::limits::HANDSHAKES_PENDING_MAX;
use amphi_shared_wire::{Code, Seed};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::api::Api;
use crate::broker::Broker;
use crate::keys::KeyDesk;
use crate::people::People;
use crate::redis::{RedisBroker, RedisError};
use crate::relay::{Relay, RelayError};
use crate::shard::{Command, Shard, ShardConfig, Sources};
use crate::tokens::TokenDesk;
use crate::{LiveConfig, LiveOverview, http};

/// Events of all connections that wait for the shard. Beyond: network tasks wait, and their clients with them.
const MAILBOX_EVENTS_MAX: usize = 8_192;
/// Connections that wait for the shard: all that are inside their handshake.
const INCOMING_MAX: usize = HANDSHAKES_PENDING_MAX;
/// Calls that wait for the shard. Beyond: refuse with `Overloaded`.
const COMMANDS_MAX: usize = 1_024;
/// How often forgotten guests are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Why the live role did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The shard's thread or its runtime could not be made.
    #[error("the live role has no thread: {0}")]
    Thread(#[from] io::Error),
    /// There is no relay.
    #[error("the live role has no relay: {0}")]
    Relay(#[from] RelayError),
    /// There is no shared broker.
    #[error("the live role has no broker: {0}")]
    Broker(#[from] RedisError),
    /// What was revoked, or the API keys, could not be read.
    #[error("revoked tokens or API keys could not be read: {0}")]
    Revocations(#[from] StoreError),
    /// The first operator could not be stored.
    #[error("the first operator could not be added: {0}")]
    Operator(String),
}

/// The live role. Dropping it drops its routes' way to the shard; the shard itself ends with the shutdown it was given.
pub struct LiveRole {
    people: People,
    tokens: TokenDesk,
    api: Api,
    commands: mpsc::Sender<Command>,
    incoming: mpsc::Sender<Incoming>,
    relay: Option<Relay>,
    overview: watch::Receiver<LiveOverview>,
    ended: watch::Receiver<bool>,
    operator_code: Option<OneTimeCode>,
}

impl LiveRole {
    /// Starts the shard on a thread of its own. On the first start of a deployment the first operator is added; see
    /// [`LiveRole::operator_code`]. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`LiveError`].
    pub async fn start(
        config: LiveConfig,
        store: LiveStore,
        (keyring, clock): (Keyring, Clock),
        shutdown: Shutdown,
    ) -> Result<Self, LiveError> {
        let verifier = keyring.verifier();
        let tokens = TokenDesk::new(config.app.clone(), store.clone(), (keyring.clone(), clock));
        tokens.load().await?;
        let keys = KeyDesk::open(config.app.clone(), store.clone(), clock).await?;
        let people = People::new(config.clone(), store, (keyring.clone(), clock));
        let operator_code = people.first_operator().await.map_err(|problem| LiveError::Operator(problem.message))?;
        let signing = (&keyring, clock);
        let relay = config.fleet_url.as_ref().map(|url| Relay::start(&config, url, signing, shutdown.clone()));
        let relay = relay.transpose()?;
        let app = config.app.clone();
        let (overview_out, overview) = watch::channel(LiveOverview::default());
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (incoming, incoming_queue) = mpsc::channel(INCOMING_MAX);
        let shared = config.redis_url.as_ref().map(|url| {
            let seed = Seed(u64::from_le_bytes(random_bytes()));
            RedisBroker::start(url, seed, shutdown.clone()).map(|broker| Box::new(broker) as Box<dyn Broker>)
        });
        let shared = shared.transpose()?;
        let shard = ShardConfig {
            live: config,
            verifier,
            clock,
            overview: overview_out,
            mailbox_events_max: MAILBOX_EVENTS_MAX,
        };
        let shard = Shard::new(shard, shared);
        let sources = Sources { incoming: incoming_queue, commands: command_queue, shutdown: shutdown.clone() };
        let (ending, ended) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name("live-shard".to_owned()).spawn(move || {
            runtime.block_on(shard.run(sources));
            ending.send_replace(true);
        })?;
        tokio::spawn(keep_house((people.clone(), tokens.clone(), keys.clone()), shutdown));
        let api = Api::new(app, (keys, clock), commands.clone());
        Ok(Self { people, tokens, api, commands, incoming, relay, overview, ended, operator_code })
    }

    /// Guests, sign-in, the JWKS, topics, sessions and the internal routes.
    pub fn routes(&self) -> Routes {
        http::routes((&self.people, &self.tokens), &self.commands).merge(self.api.routes())
    }

    /// Takes a connection that wants a home session, or, with `?match=` in its address, one that wants to be carried to
    /// a match host.
    pub fn accept(&self, incoming: Incoming) {
        if incoming.transport == Transport::WebSocket && incoming.query("match").is_some() {
            return match &self.relay {
                Some(relay) => relay.accept(incoming),
                None => incoming.refuse(Refusal::new(Code::MatchUnknown, "this node relays no matches")),
            };
        }
        let (incoming, code) = match self.incoming.try_send(incoming) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(incoming)) => (incoming, Code::Overloaded),
            Err(mpsc::error::TrySendError::Closed(incoming)) => (incoming, Code::Draining),
        };
        incoming.refuse(Refusal { code, message: code.help().to_owned(), retry_after_ms: 1_000 });
    }

    /// Numbers for the operator, about one second old.
    pub fn overview(&self) -> LiveOverview {
        *self.overview.borrow()
    }

    /// The first operator's sign-in code, on the first start only: the link is `<public url>/signin#<code>`.
    pub fn operator_code(&self) -> Option<&OneTimeCode> {
        self.operator_code.as_ref()
    }

    /// Returns when shard and relay have ended: after the shutdown drained them. False: one broke, and the process
    /// should end.
    pub async fn finished(&self) -> bool {
        let mut ended = self.ended.clone();
        let relayed = match &self.relay {
            Some(relay) => relay.finished().await,
            None => true,
        };
        ended.wait_for(|ended| *ended).await.is_ok() && relayed
    }
}

/// Forgets guests and revocations from time to time.
async fn keep_house((people, tokens, keys): (People, TokenDesk, KeyDesk), shutdown: Shutdown) {
    loop {
        people.purge().await;
        tokens.purge().await;
        keys.purge().await;
        tokio::select! {
            () = tokio::time::sleep(PURGE_EVERY) => {}
            () = shutdown.wait() => return,
        }
    }
}
