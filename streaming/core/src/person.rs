//! Who acts, in the hub's terms.

use std::sync::Arc;

use amphi_shared_wire::{AppId, TopicGrants, UserId};

/// How far a person is trusted; a later one may do what an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Came without an account.
    Guest,
    /// Has an account.
    User,
    /// Keeps content.
    Editor,
    /// Keeps order.
    Moderator,
    /// Runs the place.
    Operator,
}

impl Role {
    /// Lower-case word, as in chat lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::User => "user",
            Self::Editor => "editor",
            Self::Moderator => "moderator",
            Self::Operator => "operator",
        }
    }
}

/// The person behind a session, as its token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Random subject id.
    pub user: UserId,
    /// The app whose topics this person sees.
    pub app: AppId,
    /// Display name; data, never markup.
    pub name: String,
    /// How far the person is trusted.
    pub role: Role,
    /// What the person's token grants beside it.
    pub grants: Option<Arc<TopicGrants>>,
}

/// Handle of a session at the node that owns the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);
