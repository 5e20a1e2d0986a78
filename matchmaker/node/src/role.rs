//! The role: started with what it needs, asked for its routes, waited for.

use std::sync::Arc;

use amphi_matchmaker_core::Matchmaker;
use amphi_shared_auth::{Keyring, Scope, ServiceToken, random_bytes};
use amphi_shared_edge::clock::Clock;
use amphi_shared_edge::http::Routes;
use amphi_shared_edge::service::ServiceClient;
use amphi_shared_edge::shutdown::Shutdown;
use amphi_shared_store::MatchStore;
use amphi_shared_wire::{Micros, Seed};
use tokio::sync::{mpsc, watch};

use crate::config::{MatchRoleConfig, MatchStartError};
use crate::desk::Desk;
use crate::http;
use crate::metrics::Metrics;
use crate::overview::MatchOverview;
use crate::recover::recover;
use crate::task::{Event, Task};

/// Events that wait for the role's task. Beyond: callers wait, their requests time out.
const EVENTS_MAX: usize = 1_024;
/// Life of a token for one call.
const CALL_TOKEN_LIFE: Micros = Micros::from_secs(60);

/// What the role needs from its process.
#[derive(Clone)]
pub struct MatchParts {
    /// The role's database.
    pub store: MatchStore,
    /// Signs connect tokens and the tokens of calls.
    pub keyring: Keyring,
    /// The process's clock.
    pub clock: Clock,
    /// Tells when to end.
    pub shutdown: Shutdown,
}

/// The running role.
pub struct MatchRole {
    desk: Desk,
    ended: watch::Receiver<bool>,
}

impl MatchRole {
    /// Takes over the queue and the claims of an earlier process, and starts.
    ///
    /// # Errors
    /// A setting is out of bounds, or the database cannot be read.
    pub async fn start(config: MatchRoleConfig, parts: MatchParts) -> Result<Self, MatchStartError> {
        let matchmaker_config = config.matchmaker.clone().build()?;
        let seed = Seed(u64::from_le_bytes(random_bytes()));
        let mut matchmaker = Matchmaker::new(matchmaker_config, &config.modes, parts.store.fence(), seed)?;
        let open = recover(&parts.store, &mut matchmaker, parts.clock.now()).await?;
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let desk = desk(&config, &parts, events)?;
        let (ending, ended) = watch::channel(false);
        let task = Task::new(desk.clone(), parts.shutdown, matchmaker, config.allocate_patience);
        tokio::spawn(async move {
            task.run(inbox, open).await;
            // Nobody may be waiting for the end.
            let _ = ending.send(true);
        });
        Ok(Self { desk, ended })
    }

    /// The routes of this role.
    pub fn routes(&self) -> Routes {
        http::routes(&self.desk)
    }

    /// The queue, for operators; empty once the role has ended.
    pub async fn overview(&self) -> MatchOverview {
        self.desk.ask(|reply| Event::Overview { reply }).await.unwrap_or_default()
    }

    /// Returns when the role has ended and its database is closed.
    pub async fn finished(&self) {
        // A task that is gone without a word has ended as well.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

fn desk(config: &MatchRoleConfig, parts: &MatchParts, events: mpsc::Sender<Event>) -> Result<Desk, MatchStartError> {
    let (keyring, clock) = (parts.keyring.clone(), parts.clock);
    let token = move |path: &str| {
        let scope = if path.ends_with("/allocate") { Scope::FleetAllocate } else { Scope::FleetRead };
        let now = clock.now();
        let token = ServiceToken { from: "match".to_owned(), scope, expires: now + CALL_TOKEN_LIFE };
        keyring.mint_service(now, &token)
    };
    let fleet = ServiceClient::new(&config.fleet_url, token)
        .map_err(|source| MatchStartError::Fleet { url: config.fleet_url.clone(), source })?;
    Ok(Desk {
        app: config.app.clone(),
        game: config.game.as_str().into(),
        modes: Arc::new(config.modes.clone()),
        store: parts.store.clone(),
        fleet,
        keyring: parts.keyring.clone(),
        clock: parts.clock,
        connect_token_life: config.connect_token_life,
        events,
        metrics: Metrics::register(),
    })
}
