//! Keys with which services outside of the deployment call the public API.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use crate::random_bytes;

/// How every key begins, so that it is known from a token, and found by scanners when it leaks.
pub const API_KEY_PREFIX: &str = "amk_";
const KEY_BYTES: usize = 24;

/// An API key: `amk_` and 192 random bits as 32 URL-safe characters. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self(format!("{API_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<KEY_BYTES>())))
    }

    /// The text to show, once.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up: SHA-256 in base64url. The key is random enough to need no salt.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl FromStr for ApiKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let random = text.strip_prefix(API_KEY_PREFIX).and_then(|random| URL_SAFE_NO_PAD.decode(random).ok());
        match random {
            Some(bytes) if bytes.len() == KEY_BYTES => Ok(Self(text.to_owned())),
            Some(_) | None => Err(format!("an API key is `{API_KEY_PREFIX}` and 32 letters, digits, `-` or `_`")),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// What an API key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyScope {
    /// Publish to topics.
    TopicsPublish,
    /// Read the history of topics.
    TopicsRead,
    /// See who reads topics.
    TopicsPresence,
    /// End sessions.
    SessionsDisconnect,
}

impl KeyScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::TopicsPublish, Self::TopicsRead, Self::TopicsPresence, Self::SessionsDisconnect];

    /// `noun.verb`, as on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TopicsPublish => "topics.publish",
            Self::TopicsRead => "topics.read",
            Self::TopicsPresence => "topics.presence",
            Self::SessionsDisconnect => "sessions.disconnect",
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyScope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("`{}` is none of {names}", text.escape_debug())
        })
    }
}

#[cfg(test)]
mod tests;
