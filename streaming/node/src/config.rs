//! What a live role is made with.

use amphi_shared_session::{RateLimit, RateTable};
use amphi_shared_wire::limits::CONNECTIONS_MAX;
use amphi_shared_wire::{AppId, Micros};
use amphi_streaming_core::HubConfig;

/// Addresses or people whose rate is counted, per kind of rate. Beyond: those used longest ago start anew.
const RATE_KEYS_MAX: usize = 65_536;

/// What a live role is made with.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// The app whose people sign in here.
    pub app: AppId,
    /// Classes and number of topics.
    pub hub: HubConfig,
    /// Home sessions at once. Beyond: refuse with `Overloaded`.
    pub sessions_max: usize,
    /// How long a user token lasts.
    pub token_ttl: Micros,
    /// How long a sign-in code can be used.
    pub sign_in_ttl: Micros,
    /// How long a guest who does not come back is remembered.
    pub guest_ttl: Micros,
    /// Time over which the sessions of a draining node are closed.
    pub drain: Micros,
    /// Sessions per second that the other nodes can take: those of a draining node are told to come back at this rate.
    pub returns_per_s: u32,
    /// Guests and sign-ins of one address. Beyond: refuse with `RateLimited`.
    pub sign_ins: Rate,
    /// Hellos of one address, and of one person. Beyond: refuse with `RateLimited`.
    pub hellos: Rate,
    /// Publications of one address, over all its sessions. Beyond: refuse with `RateLimited`.
    pub publishes: Rate,
    /// Base URL of the fleet role, which tells the relay where matches run; without it nothing is relayed.
    pub fleet_url: Option<String>,
    /// `redis://…`, or `rediss://…` with TLS, of the broker that the nodes share; without it this node's memory is the broker.
    pub redis_url: Option<String>,
    /// PEM of the CA that vouches for a `rediss://…` server, instead of those that the system trusts.
    pub redis_ca: Option<Vec<u8>>,
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once …
    pub burst: u32,
    /// … and then per second.
    pub per_s: u32,
}

impl Rate {
    /// This rate for each of many keys.
    pub(crate) fn table<K: Ord>(self) -> RateTable<K> {
        RateTable::new(RateLimit::new(self.per_s, self.burst), RATE_KEYS_MAX)
    }
}

impl Default for LiveConfig {
    /// A day for tokens, a week for sign-in codes, a month for guests, 3 s to drain and 1,000 returns per second; 1,000
    /// sign-ins per address at once (a school behind one address), then 20 per second. Hellos are cheap, and a token may
    /// be shared by many screens, so their rate is for floods only. A full lecture hall may write 64 lines per second.
    fn default() -> Self {
        const DAY: u64 = 24 * 3_600;
        Self {
            app: AppId::default(),
            hub: HubConfig::default(),
            sessions_max: CONNECTIONS_MAX,
            token_ttl: Micros::from_secs(DAY),
            sign_in_ttl: Micros::from_secs(7 * DAY),
            guest_ttl: Micros::from_secs(30 * DAY),
            drain: Micros::from_secs(3),
            returns_per_s: 1_000,
            sign_ins: Rate { burst: 1_000, per_s: 20 },
            hellos: Rate { burst: CONNECTIONS_MAX as u32, per_s: 2_000 },
            publishes: Rate { burst: 512, per_s: 64 },
            fleet_url: None,
            redis_url: None,
            redis_ca: None,
        }
    }
}
