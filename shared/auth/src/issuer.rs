//! Issuers of other people's user tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use amphi_shared_wire::{AppId, Code, Micros, TokenId, UserId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use ring::digest::{SHA256, digest};
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::keys::{self, KeySet, PublicKey};
use crate::token::{GrantClaims, topics};
use crate::verifier::{Header, LIFE_MAX};
use crate::{DisplayName, JwksError, Role, UserToken};

/// What a public key of a foreign issuer may sign with.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Bytes of a shared secret at least (RFC 7518 section 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// How far the clocks of an issuer and this process may differ where a token begins.
const LEEWAY: Micros = Micros::from_secs(60);
/// Name of a person whose token names none that could be shown.
const NAMELESS: &str = "Guest";
/// `kid` of a shared secret, and of a key whose set holds only one.
const ANY: &str = "";

/// Why an issuer cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerError {
    /// The issuer or the audience is empty, or the issuer is our own.
    #[error("an issuer needs a name of its own and an audience")]
    Name,
    /// The secret could be guessed.
    #[error("the secret of an HS256 issuer has at least 32 bytes")]
    Secret,
    /// Its people would have a role that only this deployment gives.
    #[error("people of another issuer are `guest` or `user`")]
    Role,
}

/// Another issuer whose user tokens are taken.
#[derive(Clone)]
pub struct IssuerConfig {
    /// Value of `iss`, exactly.
    pub issuer: String,
    /// Value that `aud` must hold.
    pub audience: String,
    /// A secret for HS256; without one, public keys are given by [`crate::Verifier::set_issuer_keys`].
    pub secret: Option<Vec<u8>>,
    /// The app that its people belong to.
    pub app: AppId,
    /// What its people may do: `guest` or `user`.
    pub role: Role,
    /// The claim that holds the display name.
    pub name_claim: String,
}

impl fmt::Debug for IssuerConfig {
    /// Secrets stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerConfig({} for {})", self.issuer, self.audience)
    }
}

/// An issuer with the keys that are known of it.
pub(crate) struct Issuer {
    config: IssuerConfig,
    keys: RwLock<Arc<KeySet>>,
    subjects: hmac::Key,
}

/// Claims of a foreign token. Numbers of RFC 7519 may have a fraction.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    jti: Option<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    topics: GrantClaims,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Issuer {
    /// `salt` makes the ids of its people: whoever does not know it cannot tell who stands behind an id.
    pub(crate) fn new(config: IssuerConfig, salt: &[u8]) -> Result<Self, IssuerError> {
        if config.issuer.is_empty() || config.issuer == crate::token::ISSUER || config.audience.is_empty() {
            return Err(IssuerError::Name);
        }
        if config.role > Role::User {
            return Err(IssuerError::Role);
        }
        let mut keys = KeySet::new();
        if let Some(secret) = &config.secret {
            if secret.len() < SECRET_BYTES_MIN {
                return Err(IssuerError::Secret);
            }
            keys.insert(ANY.to_owned(), PublicKey::secret(secret));
        }
        let subjects = hmac::Key::new(hmac::HMAC_SHA256, salt);
        Ok(Self { config, keys: RwLock::new(Arc::new(keys)), subjects })
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.issuer
    }

    /// Takes the issuer's newest key set. An issuer with a secret has no other keys.
    pub(crate) fn set_keys(&self, jwks: &str) -> Result<(), JwksError> {
        if self.config.secret.is_some() {
            return Ok(());
        }
        let keys = keys::parse(jwks, &ALGORITHMS)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// The user token behind `token`, in our terms.
    pub(crate) fn user(&self, now: Micros, header: &Header, token: &str) -> Result<UserToken, Code> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let key = self.key(&keys, header).ok_or(Code::TokenKeyUnknown)?;
        let claims = self.signed(key, header, token)?;
        let (issued, expires) =
            (micros(claims.iat).ok_or(Code::TokenInvalid)?, micros(claims.exp).ok_or(Code::TokenInvalid)?);
        if expires > issued + LIFE_MAX || claims.sub.is_empty() {
            return Err(Code::TokenInvalid);
        }
        let begins = claims.nbf.map_or(Some(issued), micros).ok_or(Code::TokenInvalid)?;
        if begins.max(issued) > now + LEEWAY {
            return Err(Code::TokenInvalid);
        }
        if now >= expires {
            return Err(Code::TokenExpired);
        }
        let name = claims.others.get(&self.config.name_claim).and_then(Value::as_str);
        let name = name.and_then(|name| DisplayName::parse(name).ok());
        Ok(UserToken {
            id: self.token_id(claims.jti.as_deref().unwrap_or(token)),
            user: UserId::from_bits(self.bits(&["subject", &claims.sub])),
            app: self.config.app.clone(),
            name: name.map_or_else(|| NAMELESS.to_owned(), DisplayName::into_string),
            role: self.config.role,
            subscribe: topics(&claims.subscribe).ok_or(Code::TokenInvalid)?,
            grants: claims.topics.parse().ok_or(Code::TokenInvalid)?,
            issued,
            expires,
        })
    }

    /// The key that the token names; one that names none means the only one there is.
    fn key<'a>(&self, keys: &'a KeySet, header: &Header) -> Option<&'a PublicKey> {
        match header.kid.as_deref() {
            Some(kid) if self.config.secret.is_none() => keys.get(kid),
            Some(_) | None if keys.len() == 1 => keys.values().next(),
            Some(_) | None => None,
        }
    }

    fn signed(&self, key: &PublicKey, header: &Header, token: &str) -> Result<Claims, Code> {
        if header.algorithm != Some(key.algorithm) {
            return Err(Code::TokenAlgorithm);
        }
        let mut validation = Validation::new(key.algorithm);
        validation.set_audience(&[&self.config.audience]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The clock is handed in, so the caller checks the time.
        validation.validate_exp = false;
        match jsonwebtoken::decode::<Claims>(token, &key.key, &validation) {
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidAudience) => Err(Code::TokenAudience),
            Err(_) => Err(Code::TokenInvalid),
        }
    }

    fn token_id(&self, jti: &str) -> TokenId {
        TokenId::from_bits(self.bits(&["token", jti]))
    }

    fn bits(&self, parts: &[&str]) -> u128 {
        let mut message = digest(&SHA256, self.config.issuer.as_bytes()).as_ref().to_vec();
        for part in parts {
            message.extend_from_slice(digest(&SHA256, part.as_bytes()).as_ref());
        }
        let tag = hmac::sign(&self.subjects, &message);
        tag.as_ref().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

/// A NumericDate of RFC 7519 in µs.
fn micros(seconds: f64) -> Option<Micros> {
    // Later than the year 2255 no date is meant.
    (seconds.is_finite() && (0.0..9e9).contains(&seconds)).then(|| Micros(seconds as u64 * 1_000_000))
}
