//! Secrets that are shown once: sign-in codes and session secrets.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

const CODE_BYTES: usize = 24;

/// `N` bytes from the system's cryptographic random generator.
///
/// # Panics
/// When the system has no randomness to give.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// A sign-in code: 192 random bits as 32 URL-safe characters. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(String);

impl OneTimeCode {
    /// A fresh code.
    pub fn generate() -> Self {
        Self(URL_SAFE_NO_PAD.encode(random_bytes::<CODE_BYTES>()))
    }

    /// The text to show, once.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up: SHA-256 in base64url. The code is random enough to need no salt.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl FromStr for OneTimeCode {
    type Err = String;
    /// Takes what a person pasted; white space around it is dropped.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if bytes.len() == CODE_BYTES => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err("a sign-in code has 32 letters, digits, `-` or `_`".to_owned()),
        }
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(…)")
    }
}
