//! What a live role is made with.

use amphi_shared_wire::limits::CONNECTIONS_MAX;
use amphi_shared_wire::{AppId, Micros};
use amphi_streaming_core::HubConfig;

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
    /// Guests and sign-ins that one address may ask for at once …
    pub sign_ins_burst: u32,
    /// … and per second.
    pub sign_ins_per_s: u32,
}

impl Default for LiveConfig {
    /// A day for tokens, a week for sign-in codes, a month for guests, 3 s to drain; 1,000 sign-ins per address at
    /// once (a school behind one address), then 20 per second.
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
            sign_ins_burst: 1_000,
            sign_ins_per_s: 20,
        }
    }
}
