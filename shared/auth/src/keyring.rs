//! The private keys of a deployment: minting tokens, and the public half as JWKS.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use amphi_shared_wire::Micros;
use amphi_shared_wire::limits::TOKEN_KEYS_MAX;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::keys::{Jwk, Jwks, KeySet, PublicKey};
use crate::token::{Envelope, ISSUER, Kind};
use crate::{ConnectToken, ServiceToken, UserToken, Verifier, provider, random_bytes};

const SALT_BYTES: usize = 32;

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

/// The signing keys of one deployment. The newest key that has begun signs; every key is published, so tokens survive a
/// change of key. Cheap to clone; all clones share the same keys.
#[derive(Clone)]
pub struct Keyring {
    shared: Arc<Shared>,
}

struct Shared {
    path: Option<PathBuf>,
    keys: RwLock<Arc<Keys>>,
    verifier: Verifier,
}

/// Keys in the order in which they begin to sign, at least one.
struct Keys {
    keys: Vec<Key>,
    salt: Vec<u8>,
}

#[derive(Clone)]
struct Key {
    kid: String,
    public: Vec<u8>,
    pkcs8: Vec<u8>,
    /// When it begins to sign; 0: nobody knows.
    signs_from: Micros,
}

/// When keys change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long a key signs.
    pub every: Micros,
    /// How long a new key is published before it signs, so that whoever reads the key set from time to time knows it.
    pub ahead: Micros,
    /// How long an old key is published after it has signed: the life of the longest token.
    pub overlap: Micros,
}

#[derive(Serialize, Deserialize)]
struct KeyringFile {
    keys: Vec<KeyFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    pkcs8: String,
    #[serde(default)]
    signs_from_us: u64,
}

impl Keyring {
    /// A keyring with one fresh key, kept in memory only.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn generate() -> Self {
        Self::new(Keys { keys: vec![Key::fresh(Micros(0))], salt: random_bytes::<SALT_BYTES>().to_vec() }, None)
    }

    /// The keyring of the file at `path`; a fresh one is written there, readable by its owner only, when there is none.
    ///
    /// # Errors
    /// The file cannot be read, written, or is not a keyring.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyringError> {
        let io = |source| KeyringError::Io { path: path.to_owned(), source };
        if !path.try_exists().map_err(io)? {
            let keys = Keys { keys: vec![Key::fresh(Micros(0))], salt: random_bytes::<SALT_BYTES>().to_vec() };
            create(path, &keys).map_err(io)?;
        }
        Ok(Self::new(read(path)?, Some(path.to_owned())))
    }

    /// Reads the file again, when another process may have changed it. True: the keys are others now.
    ///
    /// # Errors
    /// As [`Keyring::load_or_create`]; then the keys stay as they were.
    pub fn reload(&self) -> Result<bool, KeyringError> {
        let Some(path) = &self.shared.path else { return Ok(false) };
        let keys = read(path)?;
        let same = self.keys().keys.iter().map(|key| &key.kid).eq(keys.keys.iter().map(|key| &key.kid));
        if !same {
            self.replace(keys);
        }
        Ok(!same)
    }

    /// Brings a new key when the newest one is old enough, and lets go of those that nothing valid is signed with any
    /// more. True: the keys are others now. One process of a deployment does this.
    ///
    /// # Errors
    /// The file cannot be written; then the keys stay as they were.
    pub fn rotate(&self, now: Micros, rotation: Rotation) -> Result<bool, KeyringError> {
        let old = self.keys();
        let mut keys = old.keys.clone();
        // The age of the first key counts from the first time that somebody asks.
        let dated =
            keys.iter_mut().filter(|key| key.signs_from == Micros(0)).map(|key| key.signs_from = now).count() > 0;
        let due = keys.last().is_some_and(|newest| newest.signs_from + rotation.every <= now + rotation.ahead);
        if due {
            keys.push(Key::fresh(now + rotation.ahead));
        }
        let ended = |next: &Key| next.signs_from + rotation.overlap <= now;
        let gone = keys.windows(2).take_while(|pair| ended(&pair[1])).count();
        keys.drain(..gone.max(keys.len().saturating_sub(TOKEN_KEYS_MAX)));
        if !dated && !due && gone == 0 {
            return Ok(false);
        }
        let keys = Keys { keys, salt: old.salt.clone() };
        if let Some(path) = &self.shared.path {
            overwrite(path, &keys).map_err(|source| KeyringError::Io { path: path.clone(), source })?;
        }
        self.replace(keys);
        Ok(due || gone > 0)
    }

    /// The public half as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> String {
        let keys = self.keys().keys.iter().map(|key| Jwk::ed25519(&key.kid, &key.public)).collect();
        serde_json::to_string(&Jwks { keys }).expect("a JWKS of strings is JSON")
    }

    /// What checks the tokens of this keyring, always with its newest keys.
    pub fn verifier(&self) -> Verifier {
        self.shared.verifier.clone()
    }

    /// The secret of the deployment that makes the ids of other issuers' people; it outlives every key.
    pub fn salt(&self) -> Vec<u8> {
        self.keys().salt.clone()
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

    /// What its file would hold.
    #[cfg(test)]
    pub(crate) fn file_for_tests(&self) -> String {
        serde_json::to_string(&self.keys().to_file()).expect("a keyring is JSON")
    }

    fn new(keys: Keys, path: Option<PathBuf>) -> Self {
        provider::install();
        let verifier = Verifier::from_keys(keys.public());
        Self { shared: Arc::new(Shared { path, keys: RwLock::new(Arc::new(keys)), verifier }) }
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.shared.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, keys: Keys) {
        // Whatever is signed with a new key is known first.
        self.shared.verifier.replace_keys(keys.public());
        *self.shared.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn mint<K: Kind>(&self, now: Micros, token: &K) -> String {
        let keys = self.keys();
        let key = keys.keys.iter().rfind(|key| key.signs_from <= now).unwrap_or(&keys.keys[0]);
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let envelope = Envelope {
            iss: ISSUER.to_owned(),
            aud: K::AUDIENCE.to_owned(),
            iat: now.0 / 1_000_000,
            exp: token.expires().0 / 1_000_000,
            claims: token.claims(),
        };
        let private = EncodingKey::from_ed_der(&key.pkcs8);
        jsonwebtoken::encode(&header, &envelope, &private).expect("a checked Ed25519 key signs any claims")
    }
}

impl std::fmt::Debug for Keyring {
    /// Key ids only: private keys stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys().keys.iter().map(|key| &key.kid)).finish()
    }
}

impl Keys {
    fn public(&self) -> KeySet {
        self.keys.iter().map(|key| (key.kid.clone(), PublicKey::ed25519(&key.public))).collect()
    }

    fn from_file(file: &KeyringFile) -> Option<Self> {
        let key = |key: &KeyFile| Key::from_pkcs8(URL_SAFE_NO_PAD.decode(&key.pkcs8).ok()?, Micros(key.signs_from_us));
        let keys: Vec<Key> = file.keys.iter().map(key).collect::<Option<_>>()?;
        let oldest = keys.first()?;
        let salt = match &file.salt {
            Some(salt) => URL_SAFE_NO_PAD.decode(salt).ok()?,
            // A file of before there were salts: every copy of it makes the same one.
            None => digest(&SHA256, &[b"amphi subjects", oldest.pkcs8.as_slice()].concat()).as_ref().to_vec(),
        };
        Some(Self { keys, salt })
    }

    fn to_file(&self) -> KeyringFile {
        let key = |key: &Key| KeyFile { pkcs8: URL_SAFE_NO_PAD.encode(&key.pkcs8), signs_from_us: key.signs_from.0 };
        KeyringFile { keys: self.keys.iter().map(key).collect(), salt: Some(URL_SAFE_NO_PAD.encode(&self.salt)) }
    }
}

impl Key {
    fn fresh(signs_from: Micros) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system has randomness");
        Self::from_pkcs8(document.as_ref().to_vec(), signs_from).expect("ring reads the key that it wrote")
    }

    fn from_pkcs8(pkcs8: Vec<u8>, signs_from: Micros) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        let kid = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &public).as_ref()[..12]);
        Some(Self { kid, public, pkcs8, signs_from })
    }
}

fn read(path: &Path) -> Result<Keys, KeyringError> {
    let bytes = fs::read(path).map_err(|source| KeyringError::Io { path: path.to_owned(), source })?;
    let file: Option<KeyringFile> = serde_json::from_slice(&bytes).ok();
    file.and_then(|file| Keys::from_file(&file)).ok_or_else(|| KeyringError::Content { path: path.to_owned() })
}

/// Writes the file under another name and then gives it the right one, in place of the one there.
fn overwrite(path: &Path, keys: &Keys) -> io::Result<()> {
    let draft = draft(path, keys)?;
    fs::rename(&draft, path).inspect_err(|_| drop(fs::remove_file(&draft)))
}

/// A whole file beside the right one, readable by its owner only.
fn draft(path: &Path, keys: &Keys) -> io::Result<PathBuf> {
    let bytes = serde_json::to_vec_pretty(&keys.to_file())?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let written = create_private(&draft).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.map(|()| draft.clone()).inspect_err(|_| drop(fs::remove_file(&draft)))
}

/// Writes a whole file under another name and then gives it the right one, so nobody reads half a keyring.
/// When another process was faster, its file stays.
fn create(path: &Path, keys: &Keys) -> io::Result<()> {
    let draft = draft(path, keys)?;
    let named = match fs::hard_link(&draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems have no second names.
        Err(_) => fs::rename(&draft, path),
    };
    // The draft is gone when it was renamed; the error that counts is the earlier one.
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
