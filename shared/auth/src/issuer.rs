//! Issuers of other people's user tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use amphi_shared_wire::limits::TOPIC_GRANTS_MAX;
use amphi_shared_wire::{AppId, Code, Micros, TokenId, TopicGrants, UserId};
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

/// How a public key of another issuer signs (RFC 7518 section 3, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SignatureAlgorithm {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "RS256" => Ok(Self::Rs256),
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            _ => Err(format!("`{text}` is none of RS256, ES256 and EdDSA")),
        }
    }
}

/// In which claims an issuer says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who it is: a text or a number. `sub` by default.
    pub subject: String,
    /// The display name. `name` by default.
    pub name: String,
    /// Patterns of topics, as in our own tokens. `topics` by default.
    pub topics: String,
    /// Names of scopes, in a text with spaces (RFC 9068 section 2.2.3) or a list. `scope` by default.
    pub scope: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let [subject, name, topics, scope] = ["sub", "name", "topics", "scope"].map(str::to_owned);
        Self { subject, name, topics, scope }
    }
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
    /// How its public keys may sign.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Where its tokens say what.
    pub claims: ClaimNames,
    /// What the scopes of its tokens grant, by their names; others grant nothing.
    pub scopes: BTreeMap<String, TopicGrants>,
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
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    jti: Option<String>,
    #[serde(default)]
    subscribe: Vec<String>,
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
        let algorithms: Vec<Algorithm> = self.config.algorithms.iter().map(|known| known.algorithm()).collect();
        let keys = keys::parse(jwks, &algorithms)?;
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
        let names = &self.config.claims;
        let subject = claims.others.get(&names.subject).and_then(subject).ok_or(Code::TokenInvalid)?;
        if expires > issued + LIFE_MAX {
            return Err(Code::TokenInvalid);
        }
        let begins = claims.nbf.map_or(Some(issued), micros).ok_or(Code::TokenInvalid)?;
        if begins.max(issued) > now + LEEWAY {
            return Err(Code::TokenInvalid);
        }
        if now >= expires {
            return Err(Code::TokenExpired);
        }
        let name = claims.others.get(&names.name).and_then(Value::as_str);
        let name = name.and_then(|name| DisplayName::parse(name).ok());
        Ok(UserToken {
            id: self.token_id(claims.jti.as_deref().unwrap_or(token)),
            user: UserId::from_bits(self.bits(&["subject", &subject])),
            app: self.config.app.clone(),
            name: name.map_or_else(|| NAMELESS.to_owned(), DisplayName::into_string),
            role: self.config.role,
            subscribe: topics(&claims.subscribe).ok_or(Code::TokenInvalid)?,
            grants: self.grants(&claims).ok_or(Code::TokenInvalid)?,
            issued,
            expires,
        })
    }

    /// What the claim of topics and the scopes grant together; `None` when a pattern is wrong, or there are too many.
    fn grants(&self, claims: &Claims) -> Option<TopicGrants> {
        let topics = match claims.others.get(&self.config.claims.topics) {
            Some(topics) => GrantClaims::deserialize(topics).ok()?,
            None => GrantClaims::default(),
        };
        let mut grants = topics.parse()?;
        let said = claims.others.get(&self.config.claims.scope);
        for granted in said.map(scopes).unwrap_or_default().into_iter().filter_map(|name| self.config.scopes.get(name))
        {
            grants.publish.extend(granted.publish.iter().cloned());
            grants.read.extend(granted.read.iter().cloned());
            grants.presence.extend(granted.presence.iter().cloned());
        }
        let count = grants.publish.len() + grants.read.len() + grants.presence.len();
        (count <= TOPIC_GRANTS_MAX).then_some(grants)
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
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
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

/// Who a token is about. Numbers and texts of the same digits are the same person.
fn subject(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn scopes(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(text) => text.split(' ').collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// A NumericDate of RFC 7519 in µs.
fn micros(seconds: f64) -> Option<Micros> {
    // Later than the year 2255 no date is meant.
    (seconds.is_finite() && (0.0..9e9).contains(&seconds)).then(|| Micros(seconds as u64 * 1_000_000))
}
