//! Who reads a topic: what each node says of its own members, and what watchers hear of all (decision 0027).

mod nodes;
mod roster;

use amphi_shared_wire::UserId;
use amphi_shared_wire::proto::Member;

pub(crate) use nodes::{Nodes, Sender};
pub(crate) use roster::{Roster, Told};

/// A live node, for as long as its process lives; random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// What one node says of one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) name: String,
    /// Connections of this person to that node.
    pub(crate) connections: u32,
    /// JSON; empty: nothing.
    pub(crate) meta: String,
}

impl Stand {
    /// As watchers and other nodes get it.
    pub(crate) fn member(&self, user: UserId) -> Member {
        let Self { name, connections, meta } = self.clone();
        Member { user: user.to_string(), name, connections, meta }
    }
}
