//! How far a person is trusted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a person is trusted, in rising order: each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gave a name and nothing else.
    Guest,
    /// Has an account.
    User,
    /// Writes content.
    Editor,
    /// Removes messages and people.
    Moderator,
    /// Runs the deployment.
    Operator,
}

impl Role {
    /// Every role, in rising order.
    pub const ALL: [Self; 5] = [Self::Guest, Self::User, Self::Editor, Self::Moderator, Self::Operator];

    /// Whether a person of this role may do what `needed` may do.
    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }

    /// Lower-case word, as in tokens, JSON and on the command line.
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

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "a role is guest, user, editor, moderator or operator".to_owned())
    }
}
