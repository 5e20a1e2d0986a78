//! Ids that leave a process: a prefix and Crockford base32 of 128 bits (48-bit milliseconds, 80 random bits).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::limits::APP_ID_BYTES_MAX;
use crate::{Micros, Rng};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;

/// Why a string is not an id of the wanted kind.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum IdError {
    /// The prefix before `_` is another one.
    #[error("expected the prefix `{0}_`")]
    Prefix(&'static str),
    /// Not 26 digits of Crockford base32, or more than 128 bits.
    #[error("expected 26 digits of Crockford base32 after the prefix")]
    Digits,
    /// An application id must match `[a-z0-9-]{1,32}`.
    #[error("an app id has 1 to 32 letters a-z, digits or `-`")]
    App,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// A fresh id: sorts by `now`, then at random.
            pub fn generate(now: Micros, rng: &mut Rng) -> Self {
                Self(generate(now, rng))
            }

            /// The 128 bits behind the string.
            pub const fn to_bits(self) -> u128 {
                self.0
            }

            /// The id with these 128 bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_id(text, $prefix).map(Self)
            }
        }
    };
}

id!(
    /// A match, from its claim to its result.
    MatchId,
    "mch"
);
id!(
    /// A person: the random subject id behind which personal data is kept.
    UserId,
    "usr"
);
id!(
    /// A ticket in the matchmaking queue.
    TicketId,
    "tkt"
);
id!(
    /// A session: one client's state at one node, over any number of connections.
    SessionId,
    "ses"
);
id!(
    /// A match host process.
    HostId,
    "hst"
);
id!(
    /// A host's permission to run, renewed by its reports.
    LeaseId,
    "lse"
);
id!(
    /// A signed token (`jti`).
    TokenId,
    "tok"
);
id!(
    /// An API key: its name in lists and logs, never the secret itself.
    KeyId,
    "key"
);

/// An application of this deployment: in every token, topic key, ticket, match and stored row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(String);

impl AppId {
    /// The name, `[a-z0-9-]{1,32}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AppId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AppId {
    type Err = IdError;
    /// An empty string is the default app.
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let good = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good && text.len() <= APP_ID_BYTES_MAX { Ok(Self(text.to_owned())) } else { Err(IdError::App) }
    }
}

fn generate(now: Micros, rng: &mut Rng) -> u128 {
    let ms = u128::from(now.as_millis()) & 0xffff_ffff_ffff;
    let random = (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())) >> 48;
    ms << 80 | random
}

fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, bits: u128) -> fmt::Result {
    let mut digits = [b'0'; DIGITS];
    for (i, digit) in digits.iter_mut().enumerate() {
        let shift = (DIGITS - 1 - i) * 5;
        *digit = ALPHABET[(bits >> shift) as usize & 31];
    }
    f.write_str(prefix)?;
    f.write_str("_")?;
    digits.iter().try_for_each(|d| fmt::Write::write_char(f, char::from(*d)))
}

fn parse_id(text: &str, prefix: &'static str) -> Result<u128, IdError> {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(IdError::Prefix(prefix))?;
    if digits.len() != DIGITS {
        return Err(IdError::Digits);
    }
    let mut bits = 0_u128;
    for (i, byte) in digits.bytes().enumerate() {
        let value = ALPHABET.iter().position(|a| *a == byte).ok_or(IdError::Digits)?;
        if i == 0 && value > 7 {
            return Err(IdError::Digits);
        }
        bits = bits << 5 | value as u128;
    }
    Ok(bits)
}

#[cfg(test)]
mod tests;
