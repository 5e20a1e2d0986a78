//! The hub: topics, positions, history, chat and viewer counts. No IO.
//!
//! A *publication* gets an offset in its topic's epoch and is encoded once; every reader gets the same bytes.
//! A reader that returns with a position gets exactly what it missed, or is told that history is gone.

#![forbid(unsafe_code)]

mod audience;
mod chat;
mod class;
mod denied;
mod history;
mod hub;
mod pace;
mod payload;
mod person;
mod text;
mod topic;

pub use class::{Audience, Content, HistoryLimits, Pattern, Publisher, TopicClass};
pub use denied::Denied;
pub use hub::{Hub, HubConfig, HubCounters, HubOutput};
pub use payload::FLAG_KEYFRAME;
pub use person::{Person, Role, SessionKey};
pub use text::{Place, parse_request};
