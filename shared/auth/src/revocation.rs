//! Tokens that ended before their time.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use amphi_shared_wire::limits::REVOCATIONS_MAX;
use amphi_shared_wire::{Code, Micros, TokenId, UserId};

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One token.
    Token(TokenId),
    /// Every token of a person that was issued up to this moment, the whole second included.
    User {
        /// The person.
        user: UserId,
        /// Issued up to here.
        before: Micros,
    },
}

/// A revocation, remembered until no token that it ends could still be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// When it can be forgotten.
    pub expires: Micros,
}

impl Revoked {
    /// Whether a token of these properties is revoked by this.
    pub fn covers(&self, id: TokenId, user: UserId, issued: Micros) -> bool {
        match *self {
            Self::Token(revoked) => revoked == id,
            Self::User { user: revoked, before } => revoked == user && issued <= before,
        }
    }
}

/// The revocations of a deployment. Two lists, each bounded by [`REVOCATIONS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    lists: RwLock<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    tokens: HashMap<TokenId, Micros>,
    /// Until when, and until when to remember it.
    users: HashMap<UserId, (Micros, Micros)>,
}

impl Revocations {
    /// Adds one. `Overloaded` when the list is full of revocations that still count.
    pub(crate) fn insert(&self, now: Micros, revocation: Revocation) -> Result<(), Code> {
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        let Revocation { what, expires } = revocation;
        match what {
            Revoked::Token(id) => {
                if lists.tokens.len() >= REVOCATIONS_MAX && !lists.tokens.contains_key(&id) {
                    lists.tokens.retain(|_, expires| *expires > now);
                    if lists.tokens.len() >= REVOCATIONS_MAX {
                        return Err(Code::Overloaded);
                    }
                }
                let entry = lists.tokens.entry(id).or_default();
                *entry = expires.max(*entry);
            }
            Revoked::User { user, before } => {
                if lists.users.len() >= REVOCATIONS_MAX && !lists.users.contains_key(&user) {
                    lists.users.retain(|_, (_, expires)| *expires > now);
                    if lists.users.len() >= REVOCATIONS_MAX {
                        return Err(Code::Overloaded);
                    }
                }
                let entry = lists.users.entry(user).or_default();
                *entry = (before.max(entry.0), expires.max(entry.1));
            }
        }
        Ok(())
    }

    pub(crate) fn contains(&self, id: TokenId, user: UserId, issued: Micros) -> bool {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        lists.tokens.contains_key(&id) || lists.users.get(&user).is_some_and(|(before, _)| issued <= *before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros::from_secs(1_763_000_000);
    const END: Micros = Micros::from_secs(1_763_000_060);

    #[test]
    fn a_full_list_refuses_and_makes_room_when_entries_expire() {
        let list = Revocations::default();
        let token = |n| Revocation { what: Revoked::Token(TokenId::from_bits(n)), expires: END };
        for n in 0..REVOCATIONS_MAX as u128 {
            assert_eq!(list.insert(NOW, token(n)), Ok(()));
        }
        assert_eq!(list.insert(NOW, token(u128::MAX)), Err(Code::Overloaded));
        assert_eq!(list.insert(NOW, token(0)), Ok(()), "one that is known fits");
        assert!(list.contains(TokenId::from_bits(7), UserId::from_bits(1), NOW));
        let user = Revoked::User { user: UserId::from_bits(1), before: NOW };
        assert_eq!(
            list.insert(NOW, Revocation { what: user, expires: END }),
            Ok(()),
            "people have a list of their own"
        );
        assert_eq!(list.insert(END, token(u128::MAX)), Ok(()));
    }

    #[test]
    fn the_later_moment_of_two_counts() {
        let (list, user) = (Revocations::default(), UserId::from_bits(1));
        let at = |before| Revocation { what: Revoked::User { user, before }, expires: END };
        assert_eq!(list.insert(NOW, at(NOW)), Ok(()));
        assert_eq!(list.insert(NOW, at(NOW - Micros(5))), Ok(()));
        assert!(list.contains(TokenId::from_bits(1), user, NOW));
        assert!(!list.contains(TokenId::from_bits(1), user, NOW + Micros(1)));
    }
}
