//! The live role: home sessions, topics over them, people who sign in, and the routes for all of it.
//!
//! One thread, the *shard*, owns the hub and the engine of every home session. It drains a bounded mailbox of
//! connection events, the publications of services and its timers; what it sends goes into a bounded queue per
//! connection. A reader whose queue is full loses its connection, not its session: it resumes and recovers.
//! Beside it the *relay* carries match sessions of browsers that cannot reach a match host.

#![forbid(unsafe_code)]

mod api;
mod broker;
mod config;
mod gather;
mod home;
mod http;
mod keys;
mod lag;
mod metrics;
mod overview;
mod people;
mod redis;
mod relay;
mod role;
mod shard;
mod stock;
mod tokens;

pub use amphi_streaming_core::{
    Access, Content, HistoryKind, HistoryLimits, HubConfig, Pace, PresenceRules, Role, SlowReader, TopicClass,
};
pub use broker::Broker;
pub use config::{LiveConfig, Rate};
pub use keys::{KeyDesk, KeyWish};
pub use overview::LiveOverview;
pub use people::add_account;
pub use redis::{RedisBroker, RedisError};
pub use relay::RelayError;
pub use role::{LiveError, LiveRole};
pub use tokens::{Minted, TokenDesk, TokenWish};
