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
        for (code, count) in &other.closes {
            *self.closes.entry(*code).or_default() += count;
        }
        self.virtual_time += other.virtual_time;
        self.history ^= other.history;
    }
}
