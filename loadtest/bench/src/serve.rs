//! What this program serves to its own benches.

use serde::{Deserialize, Serialize};

use crate::harness::Stage;
use crate::{datagrams, fanout, messages, node, relay, resume};

/// A server of a bench, with its work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Serve {
    /// The floor of `fanout`.
    FanoutFloor(fanout::Work),
    /// A node as `amphi up` runs it: the live role, and a match host.
    Node(node::Work),
    /// One side of `datagrams`.
    Datagrams(datagrams::Kind),
    /// The stand-in for a match host in `resume`.
    Ticker,
    /// The owner of the sessions of `messages`.
    Messages(messages::Work),
    /// The host and the relay of `relay`.
    Relay,
}

impl Serve {
    /// Serves until the stage ends.
    ///
    /// # Errors
    /// When the server cannot serve.
    pub(crate) fn run(self, stage: Stage) -> anyhow::Result<()> {
        match self {
            Self::FanoutFloor(work) => fanout::serve_floor(work, stage),
            Self::Node(work) => node::serve(work, stage),
            Self::Datagrams(kind) => kind.serve(stage),
            Self::Ticker => resume::serve_ticker(stage),
            Self::Messages(work) => messages::serve(work, stage),
            Self::Relay => relay::serve(stage),
        }
    }
}
