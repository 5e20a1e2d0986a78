//! Public keys, each for one algorithm, and sets of them as JSON (RFC 7517).

use std::collections::BTreeMap;

use amphi_shared_wire::limits::TOKEN_KEYS_MAX;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const ED25519_BYTES: usize = 32;
const P256_COORDINATE_BYTES: usize = 32;
/// Modulus of an RSA key: 2,048 to 8,192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// Why a text is not a set of public keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Not the JSON of a key set.
    #[error("not a JSON Web Key Set: {0}")]
    Json(#[from] serde_json::Error),
    /// No key in it can check a token here, or it has too many.
    #[error("the key set must hold 1 to 16 usable keys with a `kid`")]
    Keys,
}

/// A key that checks signatures of one algorithm: a token cannot choose another for it.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// Public keys by `kid`.
pub(crate) type KeySet = BTreeMap<String, PublicKey>;

/// A JSON Web Key Set, as far as we read and write it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Jwks {
    pub(crate) keys: Vec<Jwk>,
}

/// One public key. Members of other key types are ignored.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    crv: String,
    #[serde(default)]
    kid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    x: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    y: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    n: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    e: String,
    #[serde(default, rename = "use", skip_serializing_if = "String::is_empty")]
    purpose: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    alg: String,
}

/// The usable keys of a set. Symmetric keys have no place in a public set, and are left out like all unknown kinds.
pub(crate) fn parse(text: &str, algorithms: &[Algorithm]) -> Result<KeySet, JwksError> {
    let set: Jwks = serde_json::from_str(text)?;
    let usable = set.keys.iter().filter_map(|jwk| Some((jwk.kid.clone(), jwk.public()?)));
    let keys: KeySet = usable.filter(|(kid, key)| !kid.is_empty() && algorithms.contains(&key.algorithm)).collect();
    if keys.is_empty() || keys.len() > TOKEN_KEYS_MAX { Err(JwksError::Keys) } else { Ok(keys) }
}

impl PublicKey {
    pub(crate) fn ed25519(public: &[u8]) -> Self {
        Self { algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_der(public) }
    }

    pub(crate) fn secret(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
    }
}

impl Jwk {
    /// RFC 8037 section 2.
    pub(crate) fn ed25519(kid: &str, public: &[u8]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid: kid.to_owned(),
            x: URL_SAFE_NO_PAD.encode(public),
            purpose: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            ..Self::default()
        }
    }

    fn public(&self) -> Option<PublicKey> {
        if !matches!(self.purpose.as_str(), "" | "sig") {
            return None;
        }
        let (key, algorithm) = match (self.kty.as_str(), self.crv.as_str()) {
            ("OKP", "Ed25519") => (PublicKey::ed25519(&exact(&self.x, ED25519_BYTES)?), "EdDSA"),
            ("EC", "P-256") => {
                let (x, y) = (exact(&self.x, P256_COORDINATE_BYTES)?, exact(&self.y, P256_COORDINATE_BYTES)?);
                // SEC 1 section 2.3.3: an uncompressed point.
                let point = [&[4][..], &x, &y].concat();
                (PublicKey { algorithm: Algorithm::ES256, key: DecodingKey::from_ec_der(&point) }, "ES256")
            }
            ("RSA", _) => {
                let (n, e) = (URL_SAFE_NO_PAD.decode(&self.n).ok()?, URL_SAFE_NO_PAD.decode(&self.e).ok()?);
                let key = DecodingKey::from_rsa_raw_components(&n, &e);
                RSA_BYTES.contains(&n.len()).then_some((PublicKey { algorithm: Algorithm::RS256, key }, "RS256"))?
            }
            _ => return None,
        };
        // A key that says what it is for is for nothing else.
        (self.alg.is_empty() || self.alg == algorithm).then_some(key)
    }
}

fn exact(base64: &str, bytes: usize) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(base64).ok().filter(|decoded| decoded.len() == bytes)
}
