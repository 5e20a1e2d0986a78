//! What an operator may set about the match role.

use amphi_matchmaker_core::{Config, ConfigError, Mode, ModeError};
use amphi_shared_edge::service::ServiceFailure;
use amphi_shared_store::StoreError;
use amphi_shared_wire::{AppId, Micros};
use thiserror::Error;

/// Settings of the role.
#[derive(Clone, Debug)]
pub struct MatchRoleConfig {
    /// The app whose people queue here.
    pub app: AppId,
    /// Name of the game they play: clients choose by it how they show a match.
    pub game: String,
    /// What they can queue for; at least one mode.
    pub modes: Vec<Mode>,
    /// Base address of the fleet role.
    pub fleet_url: String,
    /// Forming of matches.
    pub matchmaker: Config,
    /// How long the fleet may take to find a host for a claim; then its tickets fail.
    pub allocate_patience: Micros,
    /// How long a connect token is good for. For as long, its player counts as being in the match.
    pub connect_token_life: Micros,
}

impl Default for MatchRoleConfig {
    /// No game and no modes: whoever starts the role knows them.
    fn default() -> Self {
        Self {
            app: AppId::default(),
            game: String::new(),
            modes: Vec::new(),
            fleet_url: "http://127.0.0.1:7000".to_owned(),
            matchmaker: Config::default(),
            allocate_patience: Micros::from_secs(30),
            connect_token_life: Micros::from_secs(60),
        }
    }
}

/// Why the role did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MatchStartError {
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A mode is out of bounds.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// What an earlier process wrote down could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The fleet cannot be called at all.
    #[error("the fleet at {url} cannot be called: {source}")]
    Fleet {
        /// Its address.
        url: String,
        /// Why.
        source: ServiceFailure,
    },
}
