//! What a history was, and what must not happen in one.

use std::collections::BTreeMap;

use amphi_shared_wire::Micros;
use thiserror::Error;

use crate::Faults;

/// Something that must not happen.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("after {} ms: {what}", at.as_millis())]
pub(crate) struct Violation {
    /// Virtual time since the start.
    pub(crate) at: Micros,
    /// What happened.
    pub(crate) what: String,
}

/// What a history was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// How often each kind of fault happened.
    pub(crate) faults: Faults,
    /// Messages delivered on reliable lanes.
    pub(crate) messages: u64,
    /// Datagrams delivered.
    pub(crate) datagrams: u64,
    /// Attaches of the clients.
    pub(crate) attaches: u64,
    /// Predictions that the clients had to correct.
    pub(crate) corrections: u64,
    /// Ticks that the clients predicted, each counted once.
    pub(crate) predicted_ticks: u64,
    /// Rows of clients that were compared with the host's.
    pub(crate) rows: u64,
    /// Times that an entity was shown within its tolerance.
    pub(crate) shown: u64,
    /// Events that were heard, each once and in order.
    pub(crate) events: u64,
    /// Effects that were shown.
    pub(crate) effects: u64,
    /// Requests that the room took.
    pub(crate) requests: u64,
    /// Things done that a peer must not do.
    pub(crate) attacks: u64,
    /// Ends of pipes that were heard, by the number of their code.
    pub(crate) closes: BTreeMap<u32, u64>,
    /// Length of the history.
    pub(crate) virtual_time: Micros,
    /// Hash of everything both sides saw, with its times.
    pub(crate) history: u64,
}

impl Report {
    /// Adds another history.
    pub(crate) fn add(&mut self, other: &Self) {
        self.faults.add(&other.faults);
        self.messages += other.messages;
        self.datagrams += other.datagrams;
        self.attaches += other.attaches;
        self.corrections += other.corrections;
        self.predicted_ticks += other.predicted_ticks;
        self.rows += other.rows;
        self.shown += other.shown;
        self.events += other.events;
        self.effects += other.effects;
        self.requests += other.requests;
        self.attacks += other.attacks;
        for (code, count) in &other.closes {
            *self.closes.entry(*code).or_default() += count;
        }
        self.virtual_time += other.virtual_time;
        self.history ^= other.history;
    }
}
