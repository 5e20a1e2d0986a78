//! The hub: topics, positions, history, chat and viewer counts. No IO.
//!
//! A *publication* gets an offset in its topic's epoch and is encoded once; every reader gets the same bytes.
//! A reader that returns with a position gets exactly what it missed, or is told that history is gone.

#![forbid(unsafe_code)]

mod audience;
mod broker;
mod chat;
mod class;
mod denied;
mod history;
mod hub;
mod log;
mod memory;
mod pace;
mod payload;
mod person;
mod text;
mod topic;

pub use broker::{
    BrokerEvent, BrokerFault, BrokerRequest, EntryChange, LogRules, LogView, Once, PublishOrder, Reach, Receipt,
    Record, TopicKey,
};
pub use class::{Access, Audience, Content, HistoryKind, HistoryLimits, PresenceRules, SlowReader, TopicClass};
pub use denied::Denied;
pub use hub::{HistoryView, Hub, HubConfig, HubCounters, HubOutput, Lag};
pub use memory::MemoryBroker;
pub use pace::Pace;
pub use payload::FLAG_KEYFRAME;
pub use person::{Person, Role, SessionKey};
pub use text::{Place, parse_request};
