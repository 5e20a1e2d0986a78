//! Which other nodes live.

use std::collections::{BTreeMap, BTreeSet};

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::LIVE_NODES_MAX;

use super::NodeId;

/// How often a node says that it lives.
const BEAT_EVERY: Micros = Micros::from_secs(1);
/// A node that was not heard for this long is gone.
const SILENCE_MAX: Micros = Micros::from_secs(4);
/// A node that did not hear itself for this long judges nobody: the broker is away.
const DEAF_AFTER: Micros = Micros::from_millis(2_500);
/// Nodes that are gone and may turn out not to be. Beyond: the oldest is forgotten.
const GONE_MAX: usize = 64;

/// What a message says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// This node itself.
    Myself,
    /// A node that lives.
    Other,
    /// A node that was taken for gone: what it said was dropped.
    Returned,
    /// One more than a deployment may have.
    TooMany,
}

/// This node and the others.
#[derive(Debug)]
pub(crate) struct Nodes {
    me: NodeId,
    heard: BTreeMap<NodeId, Micros>,
    gone: BTreeSet<NodeId>,
    heard_myself: Micros,
    beat_at: Micros,
}

impl Nodes {
    pub(crate) fn new(me: NodeId) -> Self {
        Self { me, heard: BTreeMap::new(), gone: BTreeSet::new(), heard_myself: Micros(0), beat_at: Micros(0) }
    }

    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Takes note of a message.
    pub(crate) fn hear(&mut self, now: Micros, node: NodeId) -> Sender {
        if node == self.me {
            if self.is_deaf(now) {
                // Nobody could be heard, so everybody has their time again.
                self.heard.values_mut().for_each(|heard| *heard = now);
            }
            self.heard_myself = now;
            return Sender::Myself;
        }
        if self.heard.len() >= LIVE_NODES_MAX && !self.heard.contains_key(&node) {
            return Sender::TooMany;
        }
        self.heard.insert(node, now);
        if self.gone.remove(&node) { Sender::Returned } else { Sender::Other }
    }

    /// The next node that is gone.
    pub(crate) fn poll_gone(&mut self, now: Micros) -> Option<NodeId> {
        if self.is_deaf(now) {
            return None;
        }
        let node = *self.heard.iter().find(|(_, heard)| **heard + SILENCE_MAX <= now)?.0;
        self.heard.remove(&node);
        if self.gone.len() >= GONE_MAX {
            self.gone.pop_first();
        }
        self.gone.insert(node);
        Some(node)
    }

    /// True when this node has to say that it lives.
    pub(crate) fn poll_beat(&mut self, now: Micros) -> bool {
        let is_due = self.beat_at <= now;
        if is_due {
            self.beat_at = now + BEAT_EVERY;
        }
        is_due
    }

    pub(crate) fn poll_timeout(&self) -> Micros {
        let deaf_at = self.heard_myself + DEAF_AFTER;
        let silence = self.heard.values().min().map(|heard| *heard + SILENCE_MAX).filter(|at| *at < deaf_at);
        silence.map_or(self.beat_at, |silence| silence.min(self.beat_at))
    }

    fn is_deaf(&self, now: Micros) -> bool {
        self.heard_myself + DEAF_AFTER <= now
    }
}
