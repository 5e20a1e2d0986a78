//! The private keys of a deployment: minting tokens, and the public half as JWKS.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amphi_shared_wire::Micros;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::token::{Envelope, ISSUER, Kind};
use crate::verifier::{Jwk, Jwks};
use crate::{ConnectToken, ServiceToken, UserToken, Verifier, provider};

/// Why there is no keyring.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The file could not be read or written.
    #[error("the keyring {path} cannot be used: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not a keyring of this program; move it away to get a new one (all tokens end)", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// The signing keys of one deployment. The first key signs; every key is published, so tokens survive a change of key.
#[derive(Clone)]
pub struct Keyring {
    keys: Arc<Vec<Key>>,
}

struct Key {
    kid: String,
    public: Vec<u8>,
    private: EncodingKey,
}

#[derive(Serialize, Deserialize)]
struct KeyringFile {
    keys: Vec<KeyFile>,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    pkcs8: String,
}

impl Keyring {
    /// A keyring with one fresh key, kept in memory only.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn generate() -> Self {
        let pkcs8 = fresh_pkcs8();
        let key = Key::from_pkcs8(&pkcs8).expect("ring reads the key that it wrote");
        Self::new(vec![key])
    }

    /// The keyring of the file at `path`; a fresh one is written there, readable by its owner only, when there is none.
    ///
    /// # Errors
    /// The file cannot be read, written, or is not a keyring.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyringError> {
        let io = |source| KeyringError::Io { path: path.to_owned(), source };
        if !path.try_exists().map_err(io)? {
            create(path).map_err(io)?;
        }
        let content = || KeyringError::Content { path: path.to_owned() };
        let bytes = fs::read(path).map_err(io)?;
        let file: KeyringFile = serde_json::from_slice(&bytes).map_err(|_| content())?;
        let key = |key: &KeyFile| Key::from_pkcs8(&URL_SAFE_NO_PAD.decode(&key.pkcs8).ok()?);
        let keys: Vec<Key> = file.keys.iter().map(key).collect::<Option<_>>().ok_or_else(content)?;
        if keys.is_empty() { Err(content()) } else { Ok(Self::new(keys)) }
    }

    /// The public half as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> String {
        let keys = self.keys.iter().map(|key| Jwk::ed25519(&key.kid, &key.public)).collect();
        serde_json::to_string(&Jwks { keys }).expect("a JWKS of strings is JSON")
    }

    /// What checks the tokens of this keyring.
    pub fn verifier(&self) -> Verifier {
        Verifier::from_public_keys(self.keys.iter().map(|key| (key.kid.as_str(), key.public.as_slice())))
    }

    /// Signs a user token.
    pub fn mint_user(&self, now: Micros, token: &UserToken) -> String {
        self.mint(now, token)
    }

    /// Signs a connect token.
    pub fn mint_connect(&self, now: Micros, token: &ConnectToken) -> String {
        self.mint(now, token)
    }

    /// Signs a service token.
    pub fn mint_service(&self, now: Micros, token: &ServiceToken) -> String {
        self.mint(now, token)
    }

    fn new(keys: Vec<Key>) -> Self {
        provider::install();
        Self { keys: Arc::new(keys) }
    }

    fn mint<K: Kind>(&self, now: Micros, token: &K) -> String {
        let key = &self.keys[0];
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let envelope = Envelope {
            iss: ISSUER.to_owned(),
            aud: K::AUDIENCE.to_owned(),
            iat: now.0 / 1_000_000,
            exp: token.expires().0 / 1_000_000,
            claims: token.claims(),
        };
        jsonwebtoken::encode(&header, &envelope, &key.private).expect("a checked Ed25519 key signs any claims")
    }
}

impl std::fmt::Debug for Keyring {
    /// Key ids only: private keys stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

impl Key {
    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        let kid = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &public).as_ref()[..12]);
        Some(Self { kid, public, private: EncodingKey::from_ed_der(pkcs8) })
    }
}

fn fresh_pkcs8() -> Vec<u8> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system has randomness");
    document.as_ref().to_vec()
}

/// Writes a whole file under another name and then gives it the right one, so nobody reads half a keyring.
/// When another process was faster, its file stays.
fn create(path: &Path) -> io::Result<()> {
    let file = KeyringFile { keys: vec![KeyFile { pkcs8: URL_SAFE_NO_PAD.encode(fresh_pkcs8()) }] };
    let bytes = serde_json::to_vec_pretty(&file)?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let written = create_private(&draft).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    let named = written.and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems have no second names.
        Err(_) => fs::rename(&draft, path),
    });
    // The draft is gone when it was renamed or never written; the error that counts is the earlier one.
    let _ = fs::remove_file(&draft);
    named
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
