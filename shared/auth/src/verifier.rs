//! Checking tokens with public keys only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use amphi_shared_wire::limits::TOKEN_BYTES_MAX;
use amphi_shared_wire::{Code, Micros};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::token::{Envelope, ISSUER, Kind};
use crate::{ConnectToken, ServiceToken, UserToken, provider};

/// Keys of one set. Beyond: the set is refused.
const KEYS_MAX: usize = 16;
const ED25519_BYTES: usize = 32;

/// Why a text is not a set of public keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Not the JSON of a key set.
    #[error("not a JSON Web Key Set: {0}")]
    Json(#[from] serde_json::Error),
    /// No key in it can check a token of this program, or it has too many.
    #[error("the key set must hold 1 to 16 Ed25519 keys with a `kid`")]
    Keys,
}

/// Checks tokens with the public keys of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<BTreeMap<String, DecodingKey>>,
}

impl Verifier {
    /// A verifier with the Ed25519 keys of a JSON Web Key Set; keys of other kinds are left out.
    ///
    /// # Errors
    /// The text is no key set, or holds none of our keys or too many.
    pub fn from_jwks(text: &str) -> Result<Self, JwksError> {
        let set: Jwks = serde_json::from_str(text)?;
        let keys: Vec<(String, Vec<u8>)> = set.keys.iter().filter_map(Jwk::public).collect();
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(JwksError::Keys);
        }
        Ok(Self::from_public_keys(keys.iter().map(|(kid, public)| (kid.as_str(), public.as_slice()))))
    }

    /// The user token behind `token`.
    ///
    /// # Errors
    /// `TokenExpired` when everything but the time is right, else `TokenInvalid`.
    pub fn user(&self, now: Micros, token: &str) -> Result<UserToken, Code> {
        self.check(now, token)
    }

    /// The connect token behind `token`.
    ///
    /// # Errors
    /// `TokenExpired` when everything but the time is right, else `TokenInvalid`.
    pub fn connect(&self, now: Micros, token: &str) -> Result<ConnectToken, Code> {
        self.check(now, token)
    }

    /// The service token behind `token`.
    ///
    /// # Errors
    /// `TokenExpired` when everything but the time is right, else `TokenInvalid`.
    pub fn service(&self, now: Micros, token: &str) -> Result<ServiceToken, Code> {
        self.check(now, token)
    }

    pub(crate) fn from_public_keys<'a>(keys: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        provider::install();
        let keys = keys.map(|(kid, public)| (kid.to_owned(), DecodingKey::from_ed_der(public))).collect();
        Self { keys: Arc::new(keys) }
    }

    fn check<K: Kind>(&self, now: Micros, token: &str) -> Result<K, Code> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Code::TokenInvalid);
        }
        let envelope = self.signed::<K>(token).ok_or(Code::TokenInvalid)?;
        let expires = Micros(envelope.exp.saturating_mul(1_000_000));
        let token = K::from_claims(envelope.claims, expires).ok_or(Code::TokenInvalid)?;
        if now >= expires { Err(Code::TokenExpired) } else { Ok(token) }
    }

    /// The claims, when a key of ours signed them for this kind.
    fn signed<K: Kind>(&self, token: &str) -> Option<Envelope<K::Claims>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.crit.is_some() {
            return None;
        }
        let key = self.keys.get(header.kid.as_deref()?)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[K::AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The clock is handed in, so the caller checks the time.
        validation.validate_exp = false;
        jsonwebtoken::decode(token, key, &validation).ok().map(|data| data.claims)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.keys()).finish()
    }
}

/// A JSON Web Key Set, as far as we read and write it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Jwks {
    pub(crate) keys: Vec<Jwk>,
}

/// One public key (RFC 8037 section 2). Members of other key types are ignored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    x: String,
    #[serde(default, rename = "use")]
    purpose: String,
    #[serde(default)]
    alg: String,
}

impl Jwk {
    pub(crate) fn ed25519(kid: &str, public: &[u8]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid: kid.to_owned(),
            x: URL_SAFE_NO_PAD.encode(public),
            purpose: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }

    fn public(&self) -> Option<(String, Vec<u8>)> {
        if self.kty != "OKP" || self.crv != "Ed25519" || self.kid.is_empty() {
            return None;
        }
        let public = URL_SAFE_NO_PAD.decode(&self.x).ok()?;
        (public.len() == ED25519_BYTES).then(|| (self.kid.clone(), public))
    }
}
