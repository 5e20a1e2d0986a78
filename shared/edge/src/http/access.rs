//! Who may call a route.

use std::fmt;

use amphi_shared_auth::{API_KEY_PREFIX, Role, Scope, UserToken, Verifier};
use amphi_shared_wire::{Code, Micros};

use super::Problem;

/// Who may call a route. There is no default: a route cannot be added without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone. A valid user token is still told to the handler; an invalid one counts as none.
    Public,
    /// Anyone with a user token, guests too.
    User,
    /// People of this role or a higher one.
    Role(Role),
    /// Anyone with a user token, and services with an API key, which the handler checks; with `guests` also those who bring
    /// neither. A token that is brought must be valid.
    Key {
        /// Whether one may come without anything.
        guests: bool,
    },
    /// Services with a token of exactly this scope.
    Service(Scope),
}

impl Access {
    /// The caller, when the token lets one in.
    pub(crate) fn admit(
        self,
        verifier: &Verifier,
        now: Micros,
        token: Option<&str>,
    ) -> Result<Option<UserToken>, Problem> {
        match self {
            Self::Public => Ok(token.and_then(|token| verifier.user(now, token).ok())),
            Self::User => user(verifier, now, token).map(Some),
            Self::Key { guests } => match token {
                None if guests => Ok(None),
                Some(token) if token.starts_with(API_KEY_PREFIX) => Ok(None),
                token => user(verifier, now, token).map(Some),
            },
            Self::Role(needed) => {
                let caller = user(verifier, now, token)?;
                if caller.role.allows(needed) {
                    Ok(Some(caller))
                } else {
                    Err(Problem::new(Code::RoleMissing, format!("this needs the role {needed}")))
                }
            }
            Self::Service(scope) => {
                let service = verifier.service(now, token.ok_or(Code::TokenMissing)?)?;
                if service.scope == scope {
                    Ok(None)
                } else {
                    Err(Problem::new(Code::RoleMissing, format!("this needs a service token of scope {scope}")))
                }
            }
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::User => f.write_str("user"),
            Self::Key { guests: false } => f.write_str("user or key"),
            Self::Key { guests: true } => f.write_str("guest, user or key"),
            Self::Role(role) => write!(f, "role {role}"),
            Self::Service(scope) => write!(f, "service {scope}"),
        }
    }
}

fn user(verifier: &Verifier, now: Micros, token: Option<&str>) -> Result<UserToken, Problem> {
    Ok(verifier.user(now, token.ok_or(Code::TokenMissing)?)?)
}
